//! Reads entries that are not in the cache from the segments.
//!
//! A written record never changes in place. So reading needs no lock, and goes on while the log is
//! truncated or purged. Neighbouring entries are read with one call. The checksums of every record
//! are verified again: bytes on a disk can change after they were verified once.

use std::io;
use std::sync::Arc;

use bytes::Bytes;

use super::locations::StoredEntry;
use super::record::{Decoded, HEADER_BYTES, OVERHEAD_BYTES, Record, decode};
use super::view::EntrySource;
use ram_disk::DiskError;
use ram_disk::read_exactly;

/// One call reads no more than this, unless a single record is longer.
const RUN_BYTES_MAX: usize = 1024 * 1024;

/// Reads the entries that are not in memory.
pub(super) fn read_entries(found: Vec<EntrySource>) -> io::Result<Vec<(u64, Bytes)>> {
    let mut entries = Vec::with_capacity(found.len());
    let mut run = Run::default();
    for found in found {
        match found {
            EntrySource::Stored(stored) => {
                if !run.takes(&stored) {
                    run.read(&mut entries)?;
                }
                run.stored.push(stored);
            }
            EntrySource::Cached(index, body) => {
                run.read(&mut entries)?;
                entries.push((index, body));
            }
        }
    }
    run.read(&mut entries)?;
    Ok(entries)
}

/// Entries near each other in one segment.
#[derive(Default)]
struct Run {
    stored: Vec<StoredEntry>,
}

impl Run {
    fn takes(&self, next: &StoredEntry) -> bool {
        let Some(first) = self.stored.first() else { return true };
        Arc::ptr_eq(&first.segment, &next.segment)
            && end(next).saturating_sub(start(first)) <= RUN_BYTES_MAX
    }

    /// Reads all of them, and empties the run.
    fn read(&mut self, entries: &mut Vec<(u64, Bytes)>) -> io::Result<()> {
        let (Some(first), Some(last)) = (self.stored.first(), self.stored.last()) else {
            return Ok(());
        };
        let from = start(first);
        let length = end(last).saturating_sub(from);
        let segment = Arc::clone(&first.segment);
        let bytes = read_exactly(segment.file.as_ref(), from as u64, length)
            .map_err(DiskError::io(&segment.name))?;
        let bytes = Bytes::from(bytes);
        for stored in self.stored.drain(..) {
            let at = start(&stored).saturating_sub(from);
            entries.push((stored.index, check(&stored, bytes.slice(at.min(bytes.len())..))?));
        }
        Ok(())
    }
}

fn start(stored: &StoredEntry) -> usize {
    stored.location.offset as usize
}

fn end(stored: &StoredEntry) -> usize {
    start(stored).saturating_add(stored.location.length as usize).saturating_add(OVERHEAD_BYTES)
}

/// The body of the record that `bytes` begin with, if it is the record of this entry.
fn check(stored: &StoredEntry, bytes: Bytes) -> io::Result<Bytes> {
    let length = stored.location.length as usize;
    match decode(&bytes) {
        Decoded::Record(framed)
            if matches!(framed.record, Record::Entry { index, body }
                if index == stored.index && body.len() == length) =>
        {
            Ok(bytes.slice(HEADER_BYTES..HEADER_BYTES.saturating_add(length)))
        }
        _ => {
            let what = format!("the record of entry {} is no longer valid", stored.index);
            Err(DiskError::corrupt(&stored.segment.name, start(stored) as u64, what).into())
        }
    }
}
