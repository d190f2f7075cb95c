//! The table: one writer, any number of readers on any thread, snapshots while writes go on.
//!
//! [`shards`] is a hash set whose readers do not share a lock; [`table`] counts and freezes what is
//! in it; [`value`] is what an entry holds of a value. Nothing here knows of commands, logs, time.

#![deny(unsafe_code)]
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

#[allow(unsafe_code)]
mod shards;
pub mod table;
pub mod value;
