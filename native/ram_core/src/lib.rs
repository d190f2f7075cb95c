//! A member of a cluster: a replicated map of bytes, without a word of Erlang in it.
//!
//! `ram_nif` starts a [`Node`](node::Node), which runs a [`Member`](node::Member) on threads of its
//! own; the simulator awaits members in one thread. Requests enter by a [`Handle`](node::Handle).
//! The crates below, each with its story at its door:
//!
//! - `ram_raft`: consensus, openraft's traits filled in;
//! - `ram_lease`: who may answer a read: read leases, pending keys, the commit barrier;
//! - `ram_store`: the replicated state machine, on `ram_table`, the table that readers share;
//! - `ram_log`: checked files, the write-ahead log, snapshot files;
//! - `ram_net`: frames, handshake, connections.

#![forbid(unsafe_code)]
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

mod aside;
pub mod backup;
mod backup_file;
pub mod config;
pub mod environment;
pub mod error;
pub mod folder;
pub mod handle;
pub mod identity;
mod load;
pub mod member;
pub mod node;
#[cfg(feature = "simulation")]
pub mod observation;
pub mod opening;
pub mod owning;
mod proposer;
pub mod reading;
mod requests;
mod route;
mod running;
pub mod scans;
pub mod status;
mod turns;
pub mod watch;
mod watching;

pub use error::{Error, Result};
/// Called once, with the answer to a request.
pub type Reply<T> = Box<dyn FnOnce(Result<T>) + Send>;
