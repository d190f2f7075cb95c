//! Where in the segments the written entries stand: eight bytes of memory for each.
//!
//! It follows the records in the order they are written, or read at opening; operations that are
//! asked for and not yet written do not show here. Indexes in one segment have no hole, so a
//! segment needs the first of them and a list of places.

use std::collections::VecDeque;
use std::sync::Arc;

use super::segment::{RECORDS_OFFSET, Segment};

/// Where an entry's record stands in its segment, and how long its body is, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) offset: u32,
    pub(super) length: u32,
}

impl Place {
    /// `None` where a number does not fit, which the bounds on segments and records exclude.
    pub(super) fn new(offset: usize, length: usize) -> Option<Self> {
        Some(Self { offset: u32::try_from(offset).ok()?, length: u32::try_from(length).ok()? })
    }
}

/// An entry that can be read from a file.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    pub(super) index: u64,
    pub(super) segment: Arc<Segment>,
    pub(super) place: Place,
}

/// A change to the offsets that goes with a record.
#[derive(Debug)]
pub(super) enum Placed {
    /// A new segment takes what follows.
    Segment(Arc<Segment>),
    Entry(u64, Place),
    Truncate(Option<u64>),
    Purge(u64),
    /// A batch ends here, in bytes from the start of its segment.
    End(u64),
}

/// All segments in order, with the entries in each.
#[derive(Debug, Default)]
pub(super) struct Offsets {
    segments: VecDeque<SegmentOffsets>,
}

#[derive(Debug)]
struct SegmentOffsets {
    segment: Arc<Segment>,
    /// Where the written bytes end.
    end: u64,
    /// The index of the first place.
    first: u64,
    places: Vec<Place>,
}

impl SegmentOffsets {
    /// The index behind the last place.
    fn next(&self) -> u64 {
        self.first.saturating_add(self.places.len() as u64)
    }

    /// The bytes of its records.
    fn bytes(&self) -> u64 {
        self.end.saturating_sub(RECORDS_OFFSET as u64)
    }

    /// The bytes of its records from this one on.
    fn bytes_from(&self, place: Place) -> u64 {
        self.end.saturating_sub(u64::from(place.offset))
    }

    fn place(&self, index: u64) -> Option<Place> {
        let position = usize::try_from(index.checked_sub(self.first)?).ok()?;
        self.places.get(position).copied()
    }
}

impl Offsets {
    pub(super) fn apply(&mut self, placed: Placed) {
        match placed {
            Placed::Segment(segment) => self.segments.push_back(SegmentOffsets {
                segment,
                end: RECORDS_OFFSET as u64,
                first: 0,
                places: Vec::new(),
            }),
            Placed::Entry(index, place) => self.push(index, place),
            Placed::Truncate(after) => self.truncate_after(after),
            Placed::Purge(upto) => self.purge(upto),
            Placed::End(end) => {
                if let Some(active) = self.segments.back_mut() {
                    active.end = end;
                }
            }
        }
    }

    fn push(&mut self, index: u64, place: Place) {
        let Some(active) = self.segments.back_mut() else { return };
        // After a purge that went beyond the end, or a truncation to below the purge point, the
        // log goes on elsewhere, and what stands here is dead.
        if active.next() != index {
            active.places.clear();
            active.first = index;
        }
        active.places.push(place);
    }

    fn truncate_after(&mut self, after: Option<u64>) {
        let next = after.map_or(0, |after| after.saturating_add(1));
        for segment in &mut self.segments {
            let kept = next.saturating_sub(segment.first);
            segment.places.truncate(usize::try_from(kept).unwrap_or(usize::MAX));
        }
    }

    /// Forgets segments' entries only as a whole: single ones are out of bounds for readers anyway.
    fn purge(&mut self, upto: u64) {
        for segment in &mut self.segments {
            if segment.next() <= upto.saturating_add(1) {
                segment.places = Vec::new();
            }
        }
    }

    /// Takes the oldest segment out if no entry in it is alive, and the one behind it has a batch:
    /// only then are states and purge point said again there.
    ///
    /// The caller has seen a purge: without one, the log must begin with its first segment.
    pub(super) fn take_dead(&mut self) -> Option<Arc<Segment>> {
        let is_dead = self.segments.front()?.places.is_empty();
        let is_restated = self.segments.get(1)?.end > RECORDS_OFFSET as u64;
        if is_dead && is_restated { self.segments.pop_front().map(|of| of.segment) } else { None }
    }

    /// Where the entry `index` stands.
    pub(super) fn find(&self, index: u64) -> Option<Stored> {
        // Newest first: that is where readers look.
        self.segments.iter().rev().find_map(|of| {
            let place = of.place(index)?;
            Some(Stored { index, segment: Arc::clone(&of.segment), place })
        })
    }

    /// The segment that is written to, and where its written bytes end.
    pub(super) fn active(&self) -> Option<(Arc<Segment>, u64)> {
        self.segments.back().map(|of| (Arc::clone(&of.segment), of.end))
    }

    /// All segments, oldest first.
    pub(super) fn segments(&self) -> impl Iterator<Item = &Segment> {
        self.segments.iter().map(|of| of.segment.as_ref())
    }

    /// Bytes written since the record of the entry `index`; 0 if it is not written.
    pub(super) fn bytes_since(&self, index: u64) -> u64 {
        let mut bytes: u64 = 0;
        for of in self.segments.iter().rev() {
            if let Some(place) = of.place(index) {
                return bytes.saturating_add(of.bytes_from(place));
            }
            bytes = bytes.saturating_add(of.bytes());
        }
        0
    }

    /// The first entry with at most `bytes_max` bytes since its record.
    pub(super) fn first_within(&self, bytes_max: u64) -> Option<u64> {
        let mut left = bytes_max;
        let mut first = None;
        for of in self.segments.iter().rev() {
            let beyond = of.places.partition_point(|place| of.bytes_from(*place) > left);
            if beyond < of.places.len() {
                first = Some(of.first.saturating_add(beyond as u64));
            }
            match left.checked_sub(of.bytes()) {
                Some(rest) => left = rest,
                None => break,
            }
        }
        first
    }
}
