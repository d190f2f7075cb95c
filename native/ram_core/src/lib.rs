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

#![deny(unsafe_code)]
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

pub mod codec;
pub mod config;
pub mod error;
pub mod limits;
pub mod log;
pub mod net;
pub mod node;
pub mod raft;
mod readers;
pub mod reads;
pub mod sabotage;
pub mod store;
pub mod threads;

pub use error::{Error, Result};
pub use tracing;
