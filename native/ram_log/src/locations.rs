//! The index from log indexes to locations: where in the segments the written entries stand, eight
//! bytes of memory for each.
//!
//! It follows the records in the order they are written, or read at opening; submitted operations
//! that are not yet written do not show here. The log indexes in one segment have no hole, so a
//! segment needs the first of them and a list of locations. (An in-memory index of a log-structured
//! store: Sheehy and Smith, "Bitcask", 2010.)

use std::collections::VecDeque;
use std::sync::Arc;

use super::segment::{RECORDS_OFFSET, Segment};

/// Where an entry's record stands in its segment, and how long its body is, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Location {
    pub(super) offset: u32,
    pub(super) length: u32,
}

impl Location {
    /// `None` where a number does not fit, which the bounds on segments and records exclude.
    pub(super) fn new(offset: usize, length: usize) -> Option<Self> {
        Some(Self { offset: u32::try_from(offset).ok()?, length: u32::try_from(length).ok()? })
    }
}

/// An entry that can be read from a file.
#[derive(Clone, Debug)]
pub(super) struct StoredEntry {
    pub(super) index: u64,
    pub(super) segment: Arc<Segment>,
    pub(super) location: Location,
}

/// The change of the index that goes with a record.
#[derive(Debug)]
pub(super) enum LocationUpdate {
    /// A new segment takes what follows.
    Segment(Arc<Segment>),
    Entry(u64, Location),
    Truncate(Option<u64>),
    Purge(u64),
    /// A batch ends here, in bytes from the start of its segment.
    BatchEnd(u64),
}

/// All segments in order, with the entries in each.
#[derive(Debug, Default)]
pub(super) struct Locations {
    segments: VecDeque<SegmentLocations>,
}

#[derive(Debug)]
struct SegmentLocations {
    segment: Arc<Segment>,
    /// Where the written bytes end.
    end: u64,
    /// The log index of the first location.
    first: u64,
    locations: Vec<Location>,
}

impl SegmentLocations {
    /// The log index after the last location.
    fn next(&self) -> u64 {
        self.first.saturating_add(self.locations.len() as u64)
    }

    /// The bytes of its records.
    fn bytes(&self) -> u64 {
        self.end.saturating_sub(RECORDS_OFFSET as u64)
    }

    /// The bytes of its records from this one on.
    fn bytes_from(&self, location: Location) -> u64 {
        self.end.saturating_sub(u64::from(location.offset))
    }

    fn location(&self, index: u64) -> Option<Location> {
        let position = usize::try_from(index.checked_sub(self.first)?).ok()?;
        self.locations.get(position).copied()
    }
}

impl Locations {
    pub(super) fn apply(&mut self, update: LocationUpdate) {
        match update {
            LocationUpdate::Segment(segment) => self.segments.push_back(SegmentLocations {
                segment,
                end: RECORDS_OFFSET as u64,
                first: 0,
                locations: Vec::new(),
            }),
            LocationUpdate::Entry(index, location) => self.push(index, location),
            LocationUpdate::Truncate(after) => self.truncate_after(after),
            LocationUpdate::Purge(upto) => self.purge(upto),
            LocationUpdate::BatchEnd(end) => {
                if let Some(active) = self.segments.back_mut() {
                    active.end = end;
                }
            }
        }
    }

    fn push(&mut self, index: u64, location: Location) {
        let Some(active) = self.segments.back_mut() else { return };
        // After a purge that went beyond the end, or a truncation to below the purge point, the
        // log goes on at another index, and the entries here are dead.
        if active.next() != index {
            active.locations.clear();
            active.first = index;
        }
        active.locations.push(location);
    }

    fn truncate_after(&mut self, after: Option<u64>) {
        let next = after.map_or(0, |after| after.saturating_add(1));
        for segment in &mut self.segments {
            let kept = next.saturating_sub(segment.first);
            segment.locations.truncate(usize::try_from(kept).unwrap_or(usize::MAX));
        }
    }

    /// Forgets the entries of whole segments only: a single purged entry is out of bounds for
    /// readers anyway.
    fn purge(&mut self, upto: u64) {
        for segment in &mut self.segments {
            if segment.next() <= upto.saturating_add(1) {
                segment.locations = Vec::new();
            }
        }
    }

    /// Takes the oldest segment out if no entry in it is alive, and the next segment has a batch:
    /// that one begins with the carry-over records, which repeat the named values and the purge
    /// point.
    ///
    /// The caller has seen a purge: without one, the log must begin with its first segment.
    pub(super) fn take_dead(&mut self) -> Option<Arc<Segment>> {
        let is_dead = self.segments.front()?.locations.is_empty();
        let is_carried_over = self.segments.get(1)?.end > RECORDS_OFFSET as u64;
        if is_dead && is_carried_over {
            self.segments.pop_front().map(|of| of.segment)
        } else {
            None
        }
    }

    /// Where the entry `index` stands.
    pub(super) fn find(&self, index: u64) -> Option<StoredEntry> {
        // Newest first: that is where readers look.
        self.segments.iter().rev().find_map(|of| {
            let location = of.location(index)?;
            Some(StoredEntry { index, segment: Arc::clone(&of.segment), location })
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
            if let Some(location) = of.location(index) {
                return bytes.saturating_add(of.bytes_from(location));
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
            let beyond = of.locations.partition_point(|location| of.bytes_from(*location) > left);
            if beyond < of.locations.len() {
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
