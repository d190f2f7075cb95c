//! Consensus: openraft, with its traits filled in. The only crate that names openraft.
//!
//! openraft 0.10 decides who leads, what is committed and who is a member. This crate gives it a
//! log ([`log_store`], on `ram_log`), a state machine ([`state_machine`], on `ram_store`) and a
//! network ([`network`] out, [`service`] in, on `ram_net`). `ram_core` opens them ([`replica`]) and
//! asks the leader for its work ([`leader`], [`members`]). The theory is Ongaro and Ousterhout, *In
//! Search of an Understandable Consensus Algorithm* (2014), with pre-vote and leadership transfer
//! from Ongaro's thesis (sections 9.6 and 3.10).
//!
//! Guarantees:
//! - What is acknowledged to openraft is on disk: a vote, an entry, a snapshot.
//! - Log and vote are written by one thread, in the order in which openraft asked for it.
//! - The payload of an entry is encoded once: log, wire and apply pass the same bytes. Only its
//!   keys are read before it is applied, by `ram_store`, to mark them as pending.
//! - `ram_lease` is told where it happens of each append, acknowledgement and vote.
//! - No message of another member moves the term further than elections can: [`terms`].
//! - An I/O error ends the member. It is never retried: after a failed fdatasync the page cache
//!   says nothing about the disk.
//!
//! Beside openraft: a leader ends keys ([`rounds`]) whose time to live is over ([`expiry`]) or
//! whose owner is gone ([`ownership`]); a dead leader is detected by its lost connection
//! ([`failure_detector`]); elections are held off where they would do harm ([`elections`],
//! [`election_holdoff`]).
//!
//! What may never enter: the meaning of a command (`ram_store`), a user's request (`ram_core`),
//! Erlang.

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
pub mod expiry;
pub mod failure_detector;
#[cfg(feature = "simulation")]
pub mod forged;
pub mod heard;
mod incoming;
pub mod leader;
pub mod lease_renewal;
pub mod lists;
pub mod log_store;
pub mod members;
mod name_locks;
pub mod network;
pub mod ownership;
pub mod quorum;
pub mod recover;
pub mod removal;
pub mod replica;
pub mod rounds;
pub mod rpc;
mod rpc_error;
pub mod service;
pub mod snapshot;
pub mod snapshot_schedule;
pub mod state_machine;
pub mod terms;
pub mod turns;
pub mod types;
pub mod vote_hold;
pub mod worker;

#[cfg(feature = "simulation")]
pub use openraft;

/// openraft, on this state machine.
pub type Raft = openraft::Raft<types::TypeConfig, state_machine::StateMachine>;

#[cfg(test)]
mod tests;
