//! The core of `ram`: a replicated map of bytes, without a word of Erlang in it.
//!
//! Layers, from the caller down (an arrow upwards does not exist; `tests/layers.rs` checks it):
//!
//! - `node/`: one member: its threads, its queue, its place in the cluster;
//! - `raft/`: how we agree: openraft's traits and nothing else;
//! - `reads/`: who may answer a read;
//! - `store/`: what we store: pure, synchronous, deterministic;
//! - `log/`: how it lasts: segments, records, one writer;
//! - `net/`: how bytes move: frames, handshake, connections.

#![forbid(unsafe_code)]
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

mod aside;
pub mod backup;
mod backup_file;
pub mod config;
mod environment;
pub mod error;
pub mod folder;
mod handle;
pub mod identity;
mod load;
mod member;
pub mod node;
#[cfg(feature = "simulation")]
pub mod observation;
mod opening;
mod proposer;
mod requests;
mod route;
mod running;
pub mod status;

pub use error::{Error, Result};
pub use tracing;

/// Called once, with the answer to a request.
pub type Reply<T> = Box<dyn FnOnce(Result<T>) + Send>;

pub use {
    ram_lease as reads, ram_limits as limits, ram_log as log, ram_net as net, ram_raft as raft,
    ram_sabotage as sabotage, ram_threads as threads,
};

pub mod store {
    pub use ram_store::*;
    pub use ram_table::{table, value};
}
