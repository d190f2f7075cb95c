//! The end of the last segment: was a write torn there, or did synced bytes change?
//!
//! A batch is one write and one sync, and the next batch is written only after that sync succeeded.
//! So at most one batch is torn, the last that was written, and nobody was told that it is durable;
//! it may be cut. Anything else that is wrong happened to bytes that were synced and acknowledged;
//! then opening is refused, because a shortened log that looks whole is the worst answer.
//!
//! Which batch does an invalid record belong to? Say batch `n` is the last one of which the record
//! with the end-of-batch flag was read. If the last valid record before the fault has that flag,
//! the invalid record begins batch `n + 1`; if not, both stand in the middle of batch `n + 1`.
//! Either way the fault lies in batch `n + 1`, and these are the signs, in the order they are
//! looked at:
//!
//! 1. A valid header of a later batch than `n + 1` stands behind: batch `n + 1` had been synced
//!    before that was written. Damage.
//! 2. A write is torn in one of two ways. The process died while the system copied the bytes: a
//!    beginning of the batch is there, and zeros follow to the end of the file. Or the power
//!    failed: some 512-byte sectors reached the disk and others did not; of those that did not, all
//!    bytes from the start of the batch on are still the zeros that the file was prepared with. So
//!    the part of the record that is wrong must reach into such zeros. If it does not, all of it
//!    was written, and changed later. Damage.
//! 3. Otherwise the batch is torn.
//!
//! What cannot be told apart: damage to a record of the very last batch whose body itself has a
//! sector of zeros looks like (2), as does a last sector that lost its content altogether.

use super::record::{Fault, HEADER_BYTES, MARK, decode_batch};

const SECTOR_BYTES: usize = 512;

/// A segment whose walk ended at something that is not a whole record.
pub(super) struct Suspicion<'a> {
    /// The whole segment.
    pub(super) bytes: &'a [u8],
    /// Where the batch with the invalid record begins.
    pub(super) batch_offset: usize,
    /// The number of that batch.
    pub(super) batch: u64,
    /// Where the invalid record begins.
    pub(super) offset: usize,
    /// What is wrong with it.
    pub(super) fault: Fault,
}

impl Suspicion<'_> {
    /// Why this is damage to synced bytes; `None` if it is a torn write.
    pub(super) fn damage(&self) -> Option<String> {
        if let Some((offset, batch)) = self.later_batch() {
            return Some(format!("batch {batch} at byte {offset} was written after it was synced"));
        }
        let torn = self.stops_inside_the_fault() || self.has_an_unwritten_sector();
        (!torn).then(|| "it was written completely and has changed since".to_owned())
    }

    /// The part of the invalid record that is wrong.
    fn wrong(&self) -> std::ops::Range<usize> {
        let body = self.offset.saturating_add(HEADER_BYTES);
        match self.fault {
            Fault::Header => self.offset..body,
            Fault::Body { bytes } => body..self.offset.saturating_add(bytes),
        }
    }

    /// Sign 1. What a right header spans is not searched: a value may look like a record.
    fn later_batch(&self) -> Option<(usize, u64)> {
        let from = match self.fault {
            Fault::Header => self.offset.saturating_add(1),
            Fault::Body { bytes } => self.offset.saturating_add(bytes),
        };
        let behind = self.bytes.get(from..)?;
        let marks = behind.iter().enumerate().filter(|(_, byte)| **byte == MARK);
        marks
            .filter_map(|(at, _)| Some((from + at, decode_batch(behind.get(at..)?)?)))
            .find(|(_, batch)| *batch > self.batch)
    }

    /// Sign 2, first way. What follows a header, and what ends a record, is never zero when it was
    /// written; so a part that was written whole is followed, or ended, by something else.
    fn stops_inside_the_fault(&self) -> bool {
        written_bytes(self.bytes) < self.wrong().end
    }

    /// Sign 2, second way.
    fn has_an_unwritten_sector(&self) -> bool {
        let wrong = self.wrong();
        let end = wrong.end.min(self.bytes.len());
        (wrong.start / SECTOR_BYTES..end.div_ceil(SECTOR_BYTES)).any(|sector| {
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
