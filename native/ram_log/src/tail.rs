//! The tail check: is a bad record at the end of the last segment a torn write, or corruption?
//!
//! Recovery calls it. A batch is one write and one sync, and the next batch is written only after
//! that sync succeeded. So at most one batch is torn, the last one; none of its callbacks ran, and
//! it may be cut. Any other bad record was synced and acknowledged: that is corruption, and opening
//! is refused, because a shortened log that looks whole is the worst answer.
//!
//! Which batch does a bad record belong to? Let `n` be the last batch whose end-of-batch flag was
//! read. If the record before the bad one has that flag, the bad record begins batch `n + 1`; if
//! not, both belong to batch `n + 1`. Either way it belongs to batch `n + 1`. The signs, in the
//! order in which they are checked:
//!
//! 1. A valid header of a batch later than `n + 1` follows. Batch `n + 1` had been synced before
//!    that one was written: corruption.
//! 2. A write is torn in one of two ways. Either the process died while the system copied the
//!    bytes: the first part of the batch is there, and zeros follow to the end of the file. Or the
//!    power failed: some 512-byte sectors reached the disk, and in the others all bytes from the
//!    start of the batch on are still the zeros that the file was filled with. So the bad part of
//!    the record must reach into such zeros. If it does not, all of it was written, and changed
//!    later: corruption.
//! 3. Otherwise the batch is torn.
//!
//! Two cases of corruption look like a torn write: a bad body of the very last batch that itself
//! has a sector of zeros, and a last sector that lost its content altogether.

use super::record::{BadRecord, HEADER_BYTES, MARK, decode_batch};

const SECTOR_BYTES: usize = 512;

/// A segment in which recovery came to a bad record.
pub(super) struct TailCheck<'a> {
    /// The whole segment.
    pub(super) bytes: &'a [u8],
    /// Where the batch with the bad record begins.
    pub(super) batch_offset: usize,
    /// The number of that batch.
    pub(super) batch: u64,
    /// Where the bad record begins.
    pub(super) offset: usize,
    /// Which part of it is bad.
    pub(super) bad: BadRecord,
}

impl TailCheck<'_> {
    /// Why this is corruption of synced bytes; `None` if it is a torn write.
    pub(super) fn corruption(&self) -> Option<String> {
        if let Some((offset, batch)) = self.later_batch() {
            return Some(format!("batch {batch} at byte {offset} was written after it was synced"));
        }
        let torn = self.stops_inside_the_bad_part() || self.has_an_unwritten_sector();
        (!torn).then(|| "it was written completely and has changed since".to_owned())
    }

    /// Where the bad part of the record lies.
    fn bad_part(&self) -> std::ops::Range<usize> {
        let body = self.offset.saturating_add(HEADER_BYTES);
        match self.bad {
            BadRecord::Header => self.offset..body,
            BadRecord::Body { bytes } => body..self.offset.saturating_add(bytes),
        }
    }

    /// Sign 1. The body after a valid header is not searched: a value may look like a record.
    fn later_batch(&self) -> Option<(usize, u64)> {
        let from = match self.bad {
            BadRecord::Header => self.offset.saturating_add(1),
            BadRecord::Body { bytes } => self.offset.saturating_add(bytes),
        };
        let behind = self.bytes.get(from..)?;
        let marks = behind.iter().enumerate().filter(|(_, byte)| **byte == MARK);
        marks
            .filter_map(|(at, _)| Some((from + at, decode_batch(behind.get(at..)?)?)))
            .find(|(_, batch)| *batch > self.batch)
    }

    /// Sign 2, first way. The last byte of a header's checksum may be zero, but a written header is
    /// followed by other bytes, and the end mark is not zero; so a part that was written whole has
    /// a byte that is not zero at its end or after it.
    fn stops_inside_the_bad_part(&self) -> bool {
        written_bytes(self.bytes) < self.bad_part().end
    }

    /// Sign 2, second way.
    fn has_an_unwritten_sector(&self) -> bool {
        let bad = self.bad_part();
        let end = bad.end.min(self.bytes.len());
        (bad.start / SECTOR_BYTES..end.div_ceil(SECTOR_BYTES)).any(|sector| {
            let start = (sector * SECTOR_BYTES).max(self.batch_offset);
            let end = ((sector + 1) * SECTOR_BYTES).min(self.bytes.len());
            self.bytes.get(start..end).is_some_and(|bytes| bytes.iter().all(|byte| *byte == 0))
        })
    }
}

/// How many bytes there are before the zeros that end the file.
pub(super) fn written_bytes(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)
}

#[cfg(test)]
mod tests {
    use super::super::record::{BatchBuffer, Record};
    use super::*;

    #[test]
    fn the_batch_that_proves_corruption_is_named_with_its_offset() {
        let mut buffer = BatchBuffer::default();
        buffer.begin(9);
        buffer.push(Record::Purge { upto: 1 }).unwrap();
        let later = buffer.finish();
        let bytes = [&[7; 100][..], later].concat();
        let bad = BadRecord::Header;
        let check = |batch| TailCheck { bytes: &bytes, batch_offset: 48, batch, offset: 60, bad };
        let corruption = check(8).corruption().unwrap();
        assert!(corruption.contains("batch 9 at byte 100 "), "{corruption}");
        assert!(!check(9).corruption().unwrap().contains("batch 9"), "it is no later one");
    }
}
