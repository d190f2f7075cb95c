//! Counters of one log, for the status of the member and for tests.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::segment::Segment;
use ram_disk::DiskError;

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

/// The counters behind [`LogStats`].
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) syncs: AtomicU64,
    pub(super) batches: AtomicU64,
    pub(super) records: AtomicU64,
    pub(super) bytes_written: AtomicU64,
    pub(super) disk_bytes: AtomicU64,
    pub(super) segments: AtomicU64,
}

impl Counters {
    pub(super) fn count_segments<'a>(
        &self,
        segments: impl Iterator<Item = &'a Segment>,
    ) -> Result<(), DiskError> {
        let (mut count, mut bytes) = (0, 0);
        for segment in segments {
            count += 1;
            bytes += segment.file.len().map_err(DiskError::io(&segment.name))?;
        }
        self.segments.store(count, Relaxed);
        self.disk_bytes.store(bytes, Relaxed);
        Ok(())
    }

    pub(super) fn stats(&self) -> LogStats {
        LogStats {
            syncs: self.syncs.load(Relaxed),
            batches: self.batches.load(Relaxed),
            records: self.records.load(Relaxed),
            bytes_written: self.bytes_written.load(Relaxed),
            disk_bytes: self.disk_bytes.load(Relaxed),
            segments: self.segments.load(Relaxed),
        }
    }
}
