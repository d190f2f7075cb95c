//! A segmented write-ahead log, snapshot files and small checked files: the storage of one member.
//!
//! Raft's adapters keep numbered entries and a few named values (the vote is one) in a [`Log`]; the
//! member keeps its identity in checked files ([`write_checked`]); snapshots and backups are files
//! of checked blocks ([`SnapshotWriter`]). Bytes have no meaning here.
//!
//! # What is guaranteed
//!
//! An operation whose callback got `Ok` survives any crash, as it was written. If its bytes are no
//! longer there, the folder does not open, and the error names the file and the offset.
//!
//! # How a write travels
//!
//! [`Log::append`] shows the entries to readers at once (`view`) and puts the operation into the
//! write queue (`queue`). The flush loop (`flush_loop`) takes all queued operations, and the writer
//! (`writer`) encodes them as the records of one *batch*, writes the batch with one call, and syncs
//! once. Then the callbacks run, in order. Truncating, purging and setting a named value are
//! records, too: nothing is ever changed in place, and the log is the result of its records, read
//! from the first.
//!
//! Records go into *segments*, files that are filled with zeros ahead, so that a sync changes no
//! metadata. A batch lies in one segment. The first batch of a segment begins with *carry-over
//! records*: all named values and the purge point. So purging removes files: a segment can be
//! removed once neither it nor an earlier one holds an entry that is alive.
//!
//! # Invariants
//!
//! 1. A batch is one write and one sync, and is written only after the sync of the batch before it
//!    succeeded. So a crash tears the last batch at most, and none of its callbacks ran.
//! 2. A batch counts as a whole or not at all: its last record carries a flag. Batches and segments
//!    are bounded, so that recovery can read what was written. A longer append is several batches;
//!    its callback runs after the last one.
//! 3. Batches, segments and entries are numbered without a hole, over all files. The number of the
//!    newest segment is kept in a file of its own, so that the loss of the last segments is noticed
//!    as well.
//! 4. Recovery cuts a bad tail only if it cannot have been synced (`tail`). Otherwise it refuses to
//!    open the log.
//! 5. After the first error nothing is written or synced any more: on Linux a failed sync drops the
//!    pages, and the next one succeeds without them (Rebello et al., "Can Applications Recover from
//!    fsync Failures?", USENIX ATC 2020).
//!
//! # What may never enter
//!
//! Raft, commands, a clock, a network, an async runtime. Nothing outside of [`Disk`] touches files.
//!
//! # What was left out
//!
//! Compression, encryption, recycling of segments, direct I/O. A new segment is made by the flush
//! loop when it is needed, which delays one batch by two syncs and a rename every 16 MiB.

#![forbid(unsafe_code)]
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

mod bounds;
mod entry_reader;
mod file_names;
mod flush_loop;
mod handle;
mod kind;
mod locations;
mod meta;
mod newest_segment;
mod operation;
mod options;
mod queue;
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

pub use file_names::{is_log_file, is_segment};
pub use handle::Log;
pub use kind::Kind;
pub use meta::{META_BYTES_MAX, read_checked, write_checked};
pub use options::{FlushMode, LogOptions};
pub use queue::Done;
#[cfg(any(test, feature = "simulation"))]
pub use ram_disk::{CachedDisk, FailingDisk};
pub use ram_disk::{Disk, DiskError, DiskFile, MemoryDisk, RealDisk, SingleFileDisk};
pub use snapshot::{SnapshotReader, SnapshotWriter, latest_snapshot, remove_older, snapshot_name};
pub use stats::LogStats;
pub use stored::StoredSnapshot;
pub use transfer::{ReceivedSnapshot, SnapshotReceiver, SnapshotSource};
