//! The log as its users see it: all submitted operations show, written or not.
//!
//! The newest entries are kept in a cache, so that replication and apply normally do not read the
//! disk. An entry may leave the cache only once it is written, since until then it is nowhere else.
//! That rule comes before the bound on bytes: the users of the log bound the entries that are not
//! yet written (Raft limits what is in flight).

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::ops::Range;

use bytes::Bytes;

use super::bounds::Bounds;
use super::locations::{LocationUpdate, Locations, StoredEntry};
use super::operation::Operation;
use super::recovery::Recovered;

/// The memory that an entry takes besides its body, about.
const ENTRY_BYTES: usize = 64;

#[derive(Debug)]
pub(super) struct View {
    bounds: Bounds,
    values: BTreeMap<u8, Bytes>,
    /// Where the written entries stand. Queued operations show in the rest of the view, not here.
    locations: Locations,
    cache: EntryCache,
}

/// An entry from the cache, or where to read it.
#[derive(Debug)]
pub(super) enum EntrySource {
    Cached(u64, Bytes),
    Stored(StoredEntry),
}

impl View {
    pub(super) fn new(log: Recovered, cache_bytes: usize) -> Self {
        Self {
            bounds: log.bounds,
            values: log.values,
            locations: log.locations,
            cache: EntryCache { bytes_max: cache_bytes, ..EntryCache::default() },
        }
    }

    pub(super) fn bounds(&self) -> &Bounds {
        &self.bounds
    }

    pub(super) fn value(&self, name: u8) -> Option<Bytes> {
        self.values.get(&name).cloned()
    }

    pub(super) fn bytes_since(&self, index: u64) -> u64 {
        self.locations.bytes_since(index)
    }

    pub(super) fn first_within(&self, bytes_max: u64) -> Option<u64> {
        self.locations.first_within(bytes_max)
    }

    /// Shows the effect of an operation, of whose parts the last has number `sequence`. A refused
    /// operation changes nothing.
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
            Some(Operation::SetValue(name, body)) => {
                self.values.insert(*name, body.clone());
                return Ok(());
            }
        }
        let first = self.bounds.first().unwrap_or(u64::MAX);
        self.cache.keep(first, self.bounds.next().unwrap_or(0));
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
            self.cache.push(*index, sequence, body.clone());
        }
        Ok(())
    }

    /// Notes where the operations up to number `sequence` were written.
    pub(super) fn written(&mut self, updates: Vec<LocationUpdate>, sequence: u64) {
        for update in updates {
            self.locations.apply(update);
        }
        self.cache.evict(sequence);
    }

    pub(super) fn locations(&mut self) -> &mut Locations {
        &mut self.locations
    }

    /// Finds the entries of `range`, at least one if there is one, and then as many as have
    /// `bytes_max` bytes together.
    pub(super) fn find(&self, range: Range<u64>, bytes_max: u64) -> io::Result<Vec<EntrySource>> {
        let mut found = Vec::new();
        let first = self.bounds.first().unwrap_or(0).max(range.start);
        let end = self.bounds.last().map_or(0, |last| last.saturating_add(1)).min(range.end);
        let mut bytes: u64 = 0;
        for index in first..end {
            let entry = match self.cache.get(index) {
                Some(body) => EntrySource::Cached(index, body.clone()),
                None => EntrySource::Stored(self.locations.find(index).ok_or_else(|| lost(index))?),
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

impl EntrySource {
    fn bytes(&self) -> u64 {
        match self {
            EntrySource::Cached(_, body) => body.len() as u64,
            EntrySource::Stored(stored) => u64::from(stored.location.length),
        }
    }
}

pub(super) fn refused(why: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, why)
}

/// The bounds and the locations disagree: a defect of this module, which must not pass in silence.
fn lost(index: u64) -> io::Error {
    io::Error::other(format!("entry {index} is in the log and nowhere to be found"))
}

/// The newest entries, without a hole.
#[derive(Debug, Default)]
struct EntryCache {
    entries: VecDeque<CachedEntry>,
    /// The index of the first of them.
    first: u64,
    bytes: usize,
    bytes_max: usize,
}

#[derive(Debug)]
struct CachedEntry {
    /// The sequence number of the operation that appended it.
    sequence: u64,
    body: Bytes,
}

impl CachedEntry {
    fn bytes(&self) -> usize {
        self.body.len().saturating_add(ENTRY_BYTES)
    }
}

impl EntryCache {
    fn push(&mut self, index: u64, sequence: u64, body: Bytes) {
        if self.entries.is_empty() {
            self.first = index;
        }
        let entry = CachedEntry { sequence, body };
        self.bytes = self.bytes.saturating_add(entry.bytes());
        self.entries.push_back(entry);
    }

    fn get(&self, index: u64) -> Option<&Bytes> {
        let position = usize::try_from(index.checked_sub(self.first)?).ok()?;
        self.entries.get(position).map(|entry| &entry.body)
    }

    /// Drops the entries outside of `first..next`.
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

    /// Drops the oldest entries, only such as operations up to `sequence` appended, until the rest
    /// keeps the bound on bytes.
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
