//! The log as its users see it: with everything that was asked for, written or not.
//!
//! The newest entries are kept in memory, so that replication and apply normally do not touch the
//! disk. An entry may leave memory only once it is written, for until then it is nowhere else;
//! that bound comes before the bound on bytes, so what waits for the disk is bounded by the users
//! of the log (Raft limits what is in flight), not here.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::ops::Range;

use bytes::Bytes;

use super::bounds::Bounds;
use super::offsets::{Offsets, Placed, Stored};
use super::operation::Operation;
use super::recovery::Recovered;

/// What an entry takes in memory besides its body, about.
const ENTRY_BYTES: usize = 64;

#[derive(Debug)]
pub(super) struct View {
    bounds: Bounds,
    states: BTreeMap<u8, Bytes>,
    /// Where the written entries stand; behind the rest of the view by what is not yet written.
    offsets: Offsets,
    newest: Newest,
}

/// An entry that was found, or where it is to be read.
#[derive(Debug)]
pub(super) enum Found {
    Cached(u64, Bytes),
    Stored(Stored),
}

impl View {
    pub(super) fn new(log: Recovered, cache_bytes: usize) -> Self {
        Self {
            bounds: log.bounds,
            states: log.states,
            offsets: log.offsets,
            newest: Newest { bytes_max: cache_bytes, ..Newest::default() },
        }
    }

    pub(super) fn bounds(&self) -> &Bounds {
        &self.bounds
    }

    pub(super) fn state(&self, slot: u8) -> Option<Bytes> {
        self.states.get(&slot).cloned()
    }

    pub(super) fn bytes_since(&self, index: u64) -> u64 {
        self.offsets.bytes_since(index)
    }

    pub(super) fn first_within(&self, bytes_max: u64) -> Option<u64> {
        self.offsets.first_within(bytes_max)
    }

    /// Shows what an operation does, of whose parts the last has number `sequence`. A refused one
    /// operations nothing.
    pub(super) fn show(&mut self, parts: &VecDeque<Operation>, sequence: u64) -> io::Result<()> {
        match parts.front() {
            Some(Operation::Append(_)) | None => {
                return self.append(parts.iter().flat_map(Operation::entries), sequence);
            }
            Some(Operation::Truncate(after)) => self.bounds.truncate_after(*after),
            Some(Operation::Purge(u64::MAX)) => {
                return Err(refused("the index is out of bounds".into()));
            }
            Some(Operation::Purge(upto)) => self.bounds.purge(*upto),
            Some(Operation::State(slot, body)) => {
                self.states.insert(*slot, body.clone());
                return Ok(());
            }
        }
        let first = self.bounds.first().unwrap_or(u64::MAX);
        self.newest.keep(first, self.bounds.next().unwrap_or(0));
        Ok(())
    }

    fn append<'a>(
        &mut self,
        entries: impl Iterator<Item = &'a (u64, Bytes)> + Clone,
        sequence: u64,
    ) -> io::Result<()> {
        let mut bounds = self.bounds;
        for (index, _) in entries.clone() {
            if *index == u64::MAX {
                return Err(refused("the index is out of bounds".into()));
            }
            bounds.append(*index).map_err(|next| {
                refused(format!("entry {index} leaves a hole: the next entry is {next}"))
            })?;
        }
        self.bounds = bounds;
        for (index, body) in entries {
            self.newest.push(*index, sequence, body.clone());
        }
        Ok(())
    }

    /// Takes in what was written, up to and with operation number `sequence`.
    pub(super) fn written(&mut self, placed: Vec<Placed>, sequence: u64) {
        for placed in placed {
            self.offsets.apply(placed);
        }
        self.newest.evict(sequence);
    }

    pub(super) fn offsets(&mut self) -> &mut Offsets {
        &mut self.offsets
    }

    /// Finds the entries of `range`, at least one if there is one, and then as many as have
    /// `bytes_max` bytes together.
    pub(super) fn find(&self, range: Range<u64>, bytes_max: u64) -> io::Result<Vec<Found>> {
        let mut found = Vec::new();
        let first = self.bounds.first().unwrap_or(0).max(range.start);
        let end = self.bounds.last().map_or(0, |last| last.saturating_add(1)).min(range.end);
        let mut bytes: u64 = 0;
        for index in first..end {
            let entry = match self.newest.get(index) {
                Some(body) => Found::Cached(index, body.clone()),
                None => Found::Stored(self.offsets.find(index).ok_or_else(|| lost(index))?),
            };
            bytes = bytes.saturating_add(entry.bytes());
            if bytes > bytes_max && !found.is_empty() {
                break;
            }
            found.push(entry);
        }
        Ok(found)
    }
}

impl Found {
    fn bytes(&self) -> u64 {
        match self {
            Found::Cached(_, body) => body.len() as u64,
            Found::Stored(stored) => u64::from(stored.place.length),
        }
    }
}

pub(super) fn refused(why: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, why)
}

/// The view and the offsets disagree: a defect of this module, which must not pass in silence.
fn lost(index: u64) -> io::Error {
    io::Error::other(format!("entry {index} is in the log and nowhere to be found"))
}

/// The newest entries, without a hole.
#[derive(Debug, Default)]
struct Newest {
    entries: VecDeque<Cached>,
    /// The index of the first of them.
    first: u64,
    bytes: usize,
    bytes_max: usize,
}

#[derive(Debug)]
struct Cached {
    /// The operation that appended it.
    sequence: u64,
    body: Bytes,
}

impl Cached {
    fn bytes(&self) -> usize {
        self.body.len().saturating_add(ENTRY_BYTES)
    }
}

impl Newest {
    fn push(&mut self, index: u64, sequence: u64, body: Bytes) {
        if self.entries.is_empty() {
            self.first = index;
        }
        let entry = Cached { sequence, body };
        self.bytes = self.bytes.saturating_add(entry.bytes());
        self.entries.push_back(entry);
    }

    fn get(&self, index: u64) -> Option<&Bytes> {
        let position = usize::try_from(index.checked_sub(self.first)?).ok()?;
        self.entries.get(position).map(|entry| &entry.body)
    }

    /// Drops what is outside of `first..next`.
    fn keep(&mut self, first: u64, next: u64) {
        while !self.entries.is_empty() && self.first < first {
            self.pop_front();
        }
        let kept = usize::try_from(next.saturating_sub(self.first)).unwrap_or(usize::MAX);
        while self.entries.len() > kept {
            let dropped = self.entries.pop_back().map_or(0, |entry| entry.bytes());
            self.bytes = self.bytes.saturating_sub(dropped);
        }
    }

    /// Drops the oldest that operations up to `sequence` appended, until the rest is small enough.
    fn evict(&mut self, sequence: u64) {
        while self.bytes > self.bytes_max
            && self.entries.front().is_some_and(|entry| entry.sequence <= sequence)
        {
            self.pop_front();
        }
    }

    fn pop_front(&mut self) {
        let dropped = self.entries.pop_front().map_or(0, |entry| entry.bytes());
        self.bytes = self.bytes.saturating_sub(dropped);
        self.first = self.first.saturating_add(1);
    }
}
