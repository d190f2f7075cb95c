//! How things last: a write-ahead log in segments, snapshots, and small checked files.
//!
//! Bytes have no meaning here. The log keeps numbered entries for Raft, and a few small values in
//! numbered slots (the vote is one), and answers for one thing: **what was reported durable is
//! there after any crash, as it was written, or the folder does not open.**
//!
//! # The story of a write
//!
//! [`Log::append`] shows the entries to readers at once and puts them into a queue. One writer
//! takes what is waiting, encodes it as records of one *batch*, writes it with one call behind what
//! is there, syncs once, and runs the callbacks in order. Truncating, purging and setting a slot
//! are records like entries: nothing is ever changed in place, and the log is what its records say,
//! read from the front.
//!
//! Records go into *segments*, files filled with zeros ahead, so that a sync changes no metadata. A
//! new segment begins at the start of a batch only, and its first batch begins by saying again what
//! is in the slots and what is purged. That is why a purge costs the removal of files: any segment
//! can go once no entry in it, and in none before it, is alive.
//!
//! # Invariants
//!
//! 1. One batch, one sync; a batch is written only after the sync of the one before succeeded. So a
//!    crash can tear only the last batch, of which nobody was told.
//! 2. A batch is there as a whole or not at all: its last record carries a flag, and no record
//!    counts before that is seen. It has a bound, and so has a segment: what was written can be
//!    read. An append of more is several batches, and done with the last.
//! 3. Batches, segments and entries are numbered without a hole, over all files.
//!    The number of the newest segment is kept in a file of its own, so that the loss of the last
//!    ones is noticed as well.
//! 4. At opening, a tail is cut only if it cannot have been synced; otherwise opening is refused,
//!    with the file and the offset. How the two are told apart stands in `tail.rs`.
//! 5. After the first error nothing is written or synced again (on Linux, a sync that fails drops
//!    the pages; the next one succeeds without them: Rebello et al., "Can Applications Recover from
//!    fsync Failures?", USENIX ATC 2020).
//!
//! # What may never enter
//!
//! Raft, commands, a clock, a network, an async runtime. Nothing outside of [`Disk`] touches files.
//!
//! # What was left out
//!
//! Compression, encryption, recycling of segments, direct I/O. A new segment is made by the writer
//! when it is needed, which holds up one batch by two syncs and a rename every 16 MiB.

#![forbid(unsafe_code)]
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

mod bounds;
#[cfg(any(test, feature = "simulation"))]
mod cached_disk;
mod disk;
mod entry_reader;
mod error;
#[cfg(any(test, feature = "simulation"))]
mod failing_disk;
mod file_names;
mod flush_loop;
mod handle;
mod kind;
mod locations;
mod lone_file;
mod memory_disk;
mod meta;
mod newest_segment;
mod operation;
mod options;
mod queue;
mod real_disk;
mod record;
mod recovery;
mod segment;
mod snapshot;
mod stats;
mod stored;
mod tail;
#[cfg(test)]
pub(crate) mod tests;
mod transfer;
mod view;
mod writer;

#[cfg(any(test, feature = "simulation"))]
pub use cached_disk::CachedDisk;
pub use disk::{Disk, DiskFile};
pub use error::LogError;
#[cfg(any(test, feature = "simulation"))]
pub use failing_disk::FailingDisk;
pub use file_names::{is_log_file, is_segment};
pub use handle::Log;
pub use kind::Kind;
pub use lone_file::LoneFile;
pub use memory_disk::MemoryDisk;
pub use meta::{META_BYTES_MAX, read_checked, write_checked};
pub use options::{FlushMode, LogOptions};
pub use queue::Done;
pub use real_disk::RealDisk;
pub use snapshot::{SnapshotReader, SnapshotWriter, latest_snapshot, remove_older, snapshot_name};
pub use stats::LogStats;
pub use stored::StoredSnapshot;
pub use transfer::{ReceivedSnapshot, SnapshotReceiver, SnapshotSource};
