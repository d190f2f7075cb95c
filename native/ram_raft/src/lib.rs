//! How we agree: openraft's traits, filled in, and nothing else.
//!
//! openraft 0.10 decides who leads, what is committed and who is a member. This module gives it a
//! log ([`log_store`], on the segment log of `log/`), a state machine ([`state_machine`], on the
//! store of `store/`) and a network ([`network`] out, [`service`] in, on the connections of
//! `net/`). The theory is Ongaro and Ousterhout, *In Search of an Understandable Consensus
//! Algorithm* (2014), with pre-vote and leadership transfer from Ongaro's thesis (sections 9.6 and
//! 3.10). How a dead leader is found out before openraft misses it: [`failure_detector`]. How
//! members come and go: [`members`].
//!
//! Invariants:
//! - what is acknowledged to openraft is on disk: a vote, an entry, a snapshot;
//! - log and vote are written by one thread, in the order openraft asked for;
//! - an entry's payload is encoded once: log, wire and apply pass the same bytes; of its content
//!   only the keys are asked for, of `store/`, to mark them as pending;
//! - what `reads/` must know it is told where it happens: an append, an acknowledgement, a vote;
//! - no message of another member moves the term further than elections can: [`terms`];
//! - an I/O error ends the member. It is never retried over: after a failed fdatasync the page
//!   cache says nothing about the disk.
//!
//! What may never enter: the meaning of a command (that is `store/`), the request of a user (that
//! is `node/`), Erlang.

#![forbid(unsafe_code)]
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

mod acks;
pub mod admission;
mod catch_up;
pub mod clock;
pub mod election_holdoff;
pub mod elections;
pub mod entry;
pub mod failure_detector;
#[cfg(feature = "simulation")]
pub mod forged;
pub mod heard;
mod incoming;
pub mod leader;
pub mod lease_renewal;
pub mod log_store;
pub mod members;
mod name_locks;
pub mod network;
pub mod quorum;
pub mod recover;
pub mod removal;
pub mod replica;
pub mod rpc;
mod rpc_error;
pub mod service;
pub mod snapshot;
pub mod snapshot_schedule;
pub mod state_machine;
pub mod terms;
pub mod types;
pub mod vote_hold;
pub mod worker;

#[cfg(feature = "simulation")]
pub use openraft;

/// openraft, on this state machine.
pub type Raft = openraft::Raft<types::TypeConfig, state_machine::StateMachine>;

#[cfg(test)]
mod tests;
