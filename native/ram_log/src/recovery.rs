//! Recovery at opening: reads and checks all segments, repairs a torn end, or refuses to open.
//!
//! All segments are read in order, and every record is checked: its checksums, the number of its
//! batch, and that its index leaves no hole. A batch counts as a whole or not at all. Only the end
//! of the last segment may hold a torn write, which [`tail`](super::tail) tells from corruption; a
//! bad record anywhere else is corruption, and opening is refused.
//!
//! Before anything is reported, the last batch is written again in place and synced. The process
//! that wrote it may have died before its sync, or the sync may have failed: after a failed sync
//! the system shows pages as clean that never reached the disk, and a sync alone would not send
//! them.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use super::bounds::Bounds;
use super::file_names::is_log_file;
use super::locations::{Location, LocationUpdate, Locations};
use super::newest_segment;
use super::record::{BadRecord, Decoded, Record, decode};
use super::segment::{
    RECORDS_OFFSET, SEGMENT_BYTES_LIMIT, Segment, SegmentHeader, segment_name, segment_number,
};
use super::tail::{TailCheck, written_bytes};
use ram_disk::DiskError;
use ram_disk::{Disk, read_to_end};

/// The content of a log, as read from its records.
#[derive(Debug, Default)]
pub(super) struct Recovered {
    pub(super) bounds: Bounds,
    pub(super) values: BTreeMap<u8, Bytes>,
    pub(super) locations: Locations,
    /// The number of the last whole batch.
    pub(super) batch_last: u64,
}

/// Reads the log in `disk`, repairs a torn end, and syncs; creates a log where there is none.
pub(super) fn recover(disk: &dyn Disk) -> Result<Recovered, DiskError> {
    let names = disk.list().map_err(DiskError::io("the folder"))?;
    remove_temporary(disk, &names)?;
    let numbers = segment_numbers(&names)?;
    let mut log = Recovered::default();
    let is_noted = newest_segment::check(disk, numbers.last().copied())?;
    let (Some(first), Some(last)) = (numbers.first(), numbers.last()) else {
        let header = SegmentHeader { number: 1, batch_first: 1, next_index: None };
        let segment = Segment::create(disk, header)?;
        newest_segment::note(disk, segment.number)?;
        log.locations.apply(LocationUpdate::Segment(Arc::new(segment)));
        return Ok(log);
    };
    for number in &numbers {
        let segment = Arc::new(Segment::open(disk, *number)?);
        let bytes = read_to_end(segment.file.as_ref(), 0, SEGMENT_BYTES_LIMIT)
            .map_err(DiskError::io(&segment.name))?;
        let ended = log.read_segment(&segment, &bytes, number == first)?;
        if number == last {
            repair(&segment, &bytes, &ended)?;
        } else if ended.at < written_bytes(&bytes) || ended.batch_offset < ended.at {
            let what = "the segment does not end with a whole batch, and another one follows";
            return Err(DiskError::corrupt(&segment.name, ended.at as u64, what));
        }
    }
    log.check_front(*first)?;
    if !is_noted {
        newest_segment::note(disk, *last)?;
    }
    disk.sync_dir().map_err(DiskError::io("the folder"))?;
    Ok(log)
}

/// A crash leaves temporary files; no other process writes in the folder. Other files are not ours.
fn remove_temporary(disk: &dyn Disk, names: &[String]) -> Result<(), DiskError> {
    let is_temporary = |name: &&String| name.ends_with(".tmp") || name.ends_with(".part");
    for name in names.iter().filter(is_temporary).filter(|name| is_log_file(name)) {
        disk.remove(name).map_err(DiskError::io(name))?;
    }
    Ok(())
}

fn segment_numbers(names: &[String]) -> Result<Vec<u64>, DiskError> {
    let mut numbers: Vec<u64> = names.iter().filter_map(|name| segment_number(name)).collect();
    numbers.sort_unstable();
    for (number, next) in numbers.iter().zip(numbers.iter().skip(1)) {
        if number.checked_add(1) != Some(*next) {
            let file = segment_name(number.saturating_add(1));
            return Err(DiskError::Missing {
                file,
                what: "segments before and after it exist".into(),
            });
        }
    }
    Ok(numbers)
}

/// Where the walk through a segment ended.
struct Ended {
    /// Where the last whole batch begins.
    last_offset: usize,
    /// Where it ends, and the next one begins.
    batch_offset: usize,
    /// Where the last valid record ends.
    at: usize,
    /// The number that the next batch has.
    batch: u64,
    /// The bad record at `at`, if there is one.
    bad: Option<BadRecord>,
}

impl Recovered {
    /// Applies the whole batches of a segment, up to the first bad record.
    fn read_segment(
        &mut self,
        segment: &Arc<Segment>,
        bytes: &[u8],
        oldest: bool,
    ) -> Result<Ended, DiskError> {
        self.enter_segment(segment, SegmentHeader::decode(&segment.name, bytes)?, oldest)?;
        let mut ended = Ended {
            last_offset: RECORDS_OFFSET,
            batch_offset: RECORDS_OFFSET,
            at: RECORDS_OFFSET,
            batch: self.batch_last.saturating_add(1),
            bad: None,
        };
        let written = written_bytes(bytes);
        // No record of a batch counts before the last record of the batch was read.
        let mut batch = Vec::new();
        while ended.at < written {
            let framed = match decode(bytes.get(ended.at..).unwrap_or_default()) {
                Decoded::Record(framed) => framed,
                Decoded::Blank => {
                    ended.bad = Some(BadRecord::Header);
                    break;
                }
                Decoded::Bad(bad) => {
                    ended.bad = Some(bad);
                    break;
                }
            };
            if framed.batch != ended.batch {
                let what = format!("batch {} where {} belongs", framed.batch, ended.batch);
                return Err(DiskError::corrupt(&segment.name, ended.at as u64, what));
            }
            batch.push((ended.at, framed.record));
            ended.at = ended.at.saturating_add(framed.bytes);
            if framed.last_of_batch {
                for (offset, record) in batch.drain(..) {
                    self.apply(segment, offset, record)?;
                }
                self.batch_last = ended.batch;
                self.locations.apply(LocationUpdate::BatchEnd(ended.at as u64));
                ended.batch = ended.batch.saturating_add(1);
                ended.last_offset = ended.batch_offset;
                ended.batch_offset = ended.at;
            }
        }
        Ok(ended)
    }

    /// Checks that a segment continues the one before it.
    fn enter_segment(
        &mut self,
        segment: &Arc<Segment>,
        header: SegmentHeader,
        oldest: bool,
    ) -> Result<(), DiskError> {
        if oldest {
            self.batch_last = header.batch_first.saturating_sub(1);
            self.bounds = Bounds::starting_at(header.next_index);
        }
        let expected = SegmentHeader {
            number: segment.number,
            batch_first: self.batch_last.saturating_add(1),
            next_index: self.bounds.next(),
        };
        if header != expected {
            let what = format!("the segment begins as {header:?} where {expected:?} belongs");
            return Err(DiskError::corrupt(&segment.name, 0, what));
        }
        self.locations.apply(LocationUpdate::Segment(Arc::clone(segment)));
        Ok(())
    }

    fn apply(
        &mut self,
        segment: &Segment,
        offset: usize,
        record: Record<'_>,
    ) -> Result<(), DiskError> {
        match record {
            Record::Entry { index, body } => {
                let corrupt = |what| DiskError::corrupt(&segment.name, offset as u64, what);
                self.bounds
                    .append(index)
                    .map_err(|next| corrupt(format!("entry {index} where {next} belongs")))?;
                let location = Location::new(offset, body.len())
                    .ok_or_else(|| corrupt("an entry too far from the start".to_owned()))?;
                self.locations.apply(LocationUpdate::Entry(index, location));
            }
            Record::Truncate { after } => {
                self.bounds.truncate_after(after);
                self.locations.apply(LocationUpdate::Truncate(after));
            }
            Record::Purge { upto } => {
                self.bounds.purge(upto);
                self.locations.apply(LocationUpdate::Purge(upto));
            }
            Record::Value { name, body } => {
                self.values.insert(name, Bytes::copy_from_slice(body));
            }
        }
        Ok(())
    }

    /// Segments are removed at the front only after a purge of all entries in them.
    fn check_front(&self, first: u64) -> Result<(), DiskError> {
        if first == 1 || self.bounds.reach_down_to_the_purge_point() {
            return Ok(());
        }
        let file = segment_name(first.saturating_sub(1));
        let what = format!(
            "the oldest segment is number {first}, and the entries before it were not purged \
             (purged: {:?}, first entry: {:?})",
            self.bounds.purged(),
            self.bounds.first(),
        );
        Err(DiskError::Missing { file, what })
    }
}

/// Cuts a torn batch off the last segment, or refuses. Then the last whole batch is written and
/// synced again.
fn repair(segment: &Segment, bytes: &[u8], ended: &Ended) -> Result<(), DiskError> {
    if let Some(bad) = ended.bad {
        let check = TailCheck {
            bytes,
            batch_offset: ended.batch_offset,
            batch: ended.batch,
            offset: ended.at,
            bad,
        };
        if let Some(what) = check.corruption() {
            let what = format!("a record of batch {} is not valid; {what}", ended.batch);
            return Err(DiskError::corrupt(&segment.name, ended.at as u64, what));
        }
    }
    let whole = bytes.get(ended.last_offset..ended.batch_offset).unwrap_or_default();
    let torn = written_bytes(bytes).saturating_sub(ended.batch_offset);
    if torn > 0 {
        tracing::warn!(
            file = segment.name,
            offset = ended.batch_offset,
            bytes = torn,
            "cut a batch that was never synced, left by a crash"
        );
    }
    let mend = || {
        segment.file.write_at(&vec![0; torn], ended.batch_offset as u64)?;
        segment.file.write_at(whole, ended.last_offset as u64)?;
        segment.file.sync_data()
    };
    mend().map_err(DiskError::io(&segment.name))
}
