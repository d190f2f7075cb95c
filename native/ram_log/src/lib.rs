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
mod change;
mod disk;
mod drive;
mod error;
#[cfg(any(test, feature = "simulation"))]
mod failing_disk;
mod handle;
mod kind;
mod lone_file;
mod memory_disk;
mod meta;
mod newest;
mod offsets;
mod queue;
mod reading;
mod real_disk;
mod record;
mod recovery;
mod segment;
mod snapshot;
mod stored;
mod tail;
#[cfg(test)]
pub(crate) mod tests;
mod transfer;
mod view;
mod writer;

use std::io;

use ram_limits::RECORD_BYTES_MAX;

#[cfg(any(test, feature = "simulation"))]
pub use cached_disk::CachedDisk;
pub use disk::{Disk, DiskFile};
pub use error::LogError;
#[cfg(any(test, feature = "simulation"))]
pub use failing_disk::FailingDisk;
pub use handle::Log;
pub use kind::Kind;
pub use lone_file::LoneFile;
pub use memory_disk::MemoryDisk;
pub use meta::{META_BYTES_MAX, read_checked, write_checked};
pub use real_disk::RealDisk;
pub use snapshot::{SnapshotReader, SnapshotWriter, latest_snapshot, remove_older, snapshot_name};
pub use stored::StoredSnapshot;
pub use transfer::{ReceivedSnapshot, SnapshotReceiver, SnapshotSource};

/// Is this the name of a file that a log or its snapshots make, finished or not?
#[must_use]
pub fn is_log_file(name: &str) -> bool {
    let whole = name.strip_suffix(".tmp").or_else(|| name.strip_suffix(".part")).unwrap_or(name);
    is_segment(whole) || snapshot::snapshot_index(whole).is_some() || whole == newest::FILE
}

/// Is this the name of a segment?
#[must_use]
pub fn is_segment(name: &str) -> bool {
    segment::segment_number(name).is_some()
}

/// Told when an operation is durable, or why it is not. Runs on the thread of the writer, which
/// waits for it: it must not block.
pub type Done = Box<dyn FnOnce(io::Result<()>) + Send>;

/// How a log is kept.
#[derive(Clone, Debug)]
pub struct LogOptions {
    /// A segment gets no batch beyond this length, unless it is the only one in it. Bytes.
    pub segment_bytes: u64,
    /// The newest entries are kept in memory up to this sum. Bytes.
    pub cache_bytes: usize,
    /// The longest body of an entry. Bytes.
    pub record_bytes_max: usize,
    /// A batch takes operations up to this; longer appends are written in several. Bytes.
    pub batch_bytes_max: usize,
    /// Who writes.
    pub driver: Driver,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self {
            segment_bytes: 16 * 1024 * 1024,
            cache_bytes: 16 * 1024 * 1024,
            record_bytes_max: RECORD_BYTES_MAX,
            batch_bytes_max: 4 * 1024 * 1024,
            driver: Driver::Thread,
        }
    }
}

/// Who writes, syncs, and runs the callbacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Driver {
    /// A thread of the log, named `ram-log`.
    Thread,
    /// The caller, before the call returns.
    Inline,
    /// Whoever calls [`Log::drive`]: for a simulation, which decides how long a disk takes.
    Called,
}

/// Counts since opening, except for the last two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogStats {
    /// Syncs of segments.
    pub syncs: u64,
    /// Batches written.
    pub batches: u64,
    /// Records written.
    pub records: u64,
    /// Bytes written, without zeros and file headers.
    pub bytes_written: u64,
    /// Bytes that the segments take now.
    pub disk_bytes: u64,
    /// Segments there are now.
    pub segments: u64,
}
