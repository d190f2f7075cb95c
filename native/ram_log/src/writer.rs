//! The writer of the segments: encodes a batch, writes it, syncs it.
//!
//! The flush loop calls it, one batch after the other. It knows the log as far as it is written,
//! without the operations that are still queued. After an error it must not be used again: only
//! the recovery at the next opening finds out what the disk holds.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use bytes::Bytes;

use super::bounds::Bounds;
use super::locations::{Location, LocationUpdate};
use super::newest_segment;
use super::operation::Operation;
use super::record::{BatchBuffer, Record};
use super::recovery::Recovered;
use super::segment::{RECORDS_OFFSET, Segment, SegmentHeader};
use super::stats::Counters;
use ram_disk::Disk;
use ram_disk::DiskError;

/// Segments are filled with zeros ahead in steps of this size: small enough that a step does not
/// hold up a batch for long, large enough that most batches need none.
const GROW_BYTES: u64 = 1024 * 1024;

/// The buffer for batches keeps no more memory than this.
const BUFFER_BYTES_MAX: usize = 8 * 1024 * 1024;

#[derive(Debug)]
pub(super) struct Writer {
    disk: Arc<dyn Disk>,
    segment_bytes: u64,
    counters: Arc<Counters>,
    active: Arc<Segment>,
    /// Where the next batch goes.
    position: u64,
    /// How far the active segment is filled with zeros and synced.
    length: u64,
    batch_next: u64,
    bounds: Bounds,
    values: BTreeMap<u8, Bytes>,
    buffer: BatchBuffer,
}

impl Writer {
    /// Continues after the end of `log`.
    pub(super) fn new(
        disk: Arc<dyn Disk>,
        segment_bytes: u64,
        counters: Arc<Counters>,
        log: &Recovered,
    ) -> Result<Self, DiskError> {
        let Some((active, position)) = log.locations.active() else {
            let file = "the folder".to_owned();
            return Err(DiskError::Missing { file, what: "no segment was opened".to_owned() });
        };
        let length = active.file.len().map_err(DiskError::io(&active.name))?;
        Ok(Self {
            disk,
            segment_bytes,
            counters,
            active,
            position,
            length,
            batch_next: log.batch_last.saturating_add(1),
            bounds: log.bounds,
            values: log.values.clone(),
            buffer: BatchBuffer::default(),
        })
    }

    /// Writes `operations` as one batch and syncs it. Returns the changes of the location index.
    pub(super) fn write<'a>(
        &mut self,
        operations: impl Iterator<Item = &'a Operation> + Clone,
    ) -> io::Result<Vec<LocationUpdate>> {
        let mut updates = Vec::new();
        let bytes = operations
            .clone()
            .fold(0, |sum: usize, operation| sum.saturating_add(operation.bytes()));
        if bytes == 0 {
            return Ok(updates);
        }
        let end = self.position.saturating_add(bytes as u64);
        if self.position > RECORDS_OFFSET as u64 && end > self.segment_bytes {
            updates.push(LocationUpdate::Segment(self.rotate()?));
        }
        self.encode(operations, &mut updates)?;
        self.flush().map_err(DiskError::io(&self.active.name))?;
        updates.push(LocationUpdate::BatchEnd(self.position));
        Ok(updates)
    }

    /// Begins a new segment. All batches in the former one are synced.
    fn rotate(&mut self) -> io::Result<Arc<Segment>> {
        let header = SegmentHeader {
            number: self.active.number.saturating_add(1),
            batch_first: self.batch_next,
            next_index: self.bounds.next(),
        };
        self.active = Arc::new(Segment::create(self.disk.as_ref(), header)?);
        newest_segment::note(self.disk.as_ref(), header.number)?;
        self.position = RECORDS_OFFSET as u64;
        self.length = self.position;
        self.counters.syncs.fetch_add(1, Relaxed);
        self.counters.segments.fetch_add(1, Relaxed);
        self.counters.disk_bytes.fetch_add(self.length, Relaxed);
        Ok(Arc::clone(&self.active))
    }

    fn encode<'a>(
        &mut self,
        operations: impl Iterator<Item = &'a Operation>,
        updates: &mut Vec<LocationUpdate>,
    ) -> io::Result<()> {
        self.buffer.begin(self.batch_next);
        if self.position == RECORDS_OFFSET as u64 {
            self.carry_over()?;
        }
        for record in operations.flat_map(Operation::records) {
            let offset = self.buffer.push(record)?;
            match record {
                Record::Entry { index, body } => {
                    self.bounds.append(index).map_err(|_| io::ErrorKind::InvalidInput)?;
                    let offset = usize::try_from(self.position).ok().map(|at| at + offset);
                    let location = offset.and_then(|offset| Location::new(offset, body.len()));
                    updates.push(LocationUpdate::Entry(
                        index,
                        location.ok_or(io::ErrorKind::FileTooLarge)?,
                    ));
                }
                Record::Truncate { after } => {
                    self.bounds.truncate_after(after);
                    updates.push(LocationUpdate::Truncate(after));
                }
                Record::Purge { upto } => {
                    self.bounds.purge(upto);
                    updates.push(LocationUpdate::Purge(upto));
                }
                Record::Value { name, body } => {
                    self.values.insert(name, Bytes::copy_from_slice(body));
                }
            }
        }
        Ok(())
    }

    /// The carry-over records, which every segment begins with: the named values and the purge
    /// point, which would be lost with the segments before it.
    fn carry_over(&mut self) -> io::Result<()> {
        for (name, body) in &self.values {
            self.buffer.push(Record::Value { name: *name, body })?;
        }
        if let Some(upto) = self.bounds.purged() {
            self.buffer.push(Record::Purge { upto })?;
        }
        Ok(())
    }

    /// The write and the sync of the batch in the buffer.
    fn flush(&mut self) -> io::Result<()> {
        let records = self.buffer.records();
        let bytes = self.buffer.finish();
        let count = bytes.len() as u64;
        let end = self.position.saturating_add(count);
        let file = &self.active.file;
        if end > self.length {
            let steps = end.next_multiple_of(GROW_BYTES);
            let length =
                if end <= self.segment_bytes { steps.min(self.segment_bytes) } else { end };
            file.grow(length)?;
            // The zeros first: a torn batch must show them where it was not written.
            file.sync_data()?;
            self.counters.syncs.fetch_add(1, Relaxed);
            self.counters.disk_bytes.fetch_add(length.saturating_sub(self.length), Relaxed);
            self.length = length;
        }
        file.write_at(bytes, self.position)?;
        file.sync_data()?;
        self.counters.syncs.fetch_add(1, Relaxed);
        self.counters.batches.fetch_add(1, Relaxed);
        self.counters.records.fetch_add(records, Relaxed);
        self.counters.bytes_written.fetch_add(count, Relaxed);
        self.position = end;
        self.batch_next = self.batch_next.saturating_add(1);
        self.buffer.shrink(BUFFER_BYTES_MAX);
        Ok(())
    }

    /// Whether segments may be removed at the front.
    pub(super) fn has_purged(&self) -> bool {
        self.bounds.purged().is_some()
    }

    /// Removes the file of the oldest segment. The folder is synced each time: were two removals
    /// to reach the disk in the other order, a segment would be missing in the middle.
    pub(super) fn remove(&self, segment: &Segment) -> io::Result<()> {
        let bytes = segment.file.len().map_err(DiskError::io(&segment.name))?;
        self.disk.remove(&segment.name).map_err(DiskError::io(&segment.name))?;
        self.disk.sync_dir().map_err(DiskError::io(&segment.name))?;
        self.counters.segments.fetch_sub(1, Relaxed);
        self.counters.disk_bytes.fetch_sub(bytes, Relaxed);
        Ok(())
    }
}
