//! The table: a concurrent hash set of items with one writer and any number of readers on any
//! thread, and snapshots by copy on write. The writer is `ram_store`'s apply; the member's handle
//! reads, for the NIF.
//!
//! # Guarantees
//!
//! - A read sees an item whole: the locks of a shard let no change begin before the read has ended.
//! - A read waits for changes of its shard, never for a walk and never for another reader's lock.
//! - What a key holds does not change between the question whether it may be read and the read.
//! - A table that replaces another is seen by all readers at once and as a whole.
//! - A snapshot has each item of its revision, whatever is written meanwhile.
//!
//! Each is checked in all orders of the threads by the model checker loom (`tests/loom.rs`).
//!
//! # Parts
//!
//! [`shards`]: the set, with a lock for each shard and reader stripe; [`striped`]: one value behind
//! such locks. These two have the only unsafe code of the core. [`table`]: items, sizes, snapshots.
//! [`ordered`]: the table whose keys are in order, a tree. [`value`]: what an item stores of a
//! value. Nothing here knows of commands, logs or time.
//!
//! # Source
//!
//! Locks for each group of readers, all of them taken by a writer: Hsieh and Weihl, *Scalable
//! Reader-Writer Locks for Parallel Systems* (IPPS 1992), known as brlock or big-reader lock.

#![deny(unsafe_code)]
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

pub mod ordered;
#[allow(unsafe_code)]
mod shards;
#[allow(unsafe_code)]
mod striped;
pub mod table;
pub mod value;
