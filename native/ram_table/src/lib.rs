//! The tables: hash tables and ordered ones, with one writer and any number of readers on any
//! thread, and snapshots by copy on write. The writer is `ram_store`'s apply; the member's handle
//! reads, for the NIF.
//!
//! # Guarantees
//!
//! - A read sees an item whole: the locks of a shard let no change begin before the read has ended.
//! - A read waits for changes of its shard, never for a walk and never for another reader's lock.
//! - What a key holds does not change between the question whether it may be read and the read.
//! - Reads of several keys, of any tables, are of one moment, or the reader learns otherwise.
//! - A table that replaces another is seen by all readers at once and as a whole.
//! - A snapshot has each item of its revision, whatever is written meanwhile; any number at once.
//!   An old item is kept once for all of them, and a bound on what is kept revokes the oldest.
//! - Nothing large is freed at once: neither the writer nor a reader waits for that.
//!
//! Those of threads are checked in all their orders by the model checker loom (`tests/loom.rs`).
//!
//! # Parts
//!
//! [`tables`]: the catalogue, and reads of one moment ([`sequence`]). [`table`]: a table of either
//! type. [`hash`]: the hash table, on [`shards`], a set with a lock for each shard and reader
//! stripe; [`snapshot`]: what it was at a revision. [`ordered`]: the tree, behind [`striped`], a
//! value with a lock for each reader stripe. [`reclaim`]: what is freed later. [`item`]: a key, its
//! value and metadata, as they are stored; [`value`]: what an item stores of a value. The core's
//! only unsafe code is in [`shards`] and [`striped`]. Nothing here knows of commands, logs or time.
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

pub mod hash;
pub mod item;
pub mod ordered;
pub mod reclaim;
mod sequence;
#[allow(unsafe_code)]
mod shards;
pub mod snapshot;
#[allow(unsafe_code)]
mod striped;
pub mod table;
pub mod tables;
pub mod value;
