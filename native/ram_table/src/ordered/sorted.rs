//! Entries of one node in the order of their keys, with a tag of each key beside them.
//!
//! A comparison of keys reads memory that lies elsewhere, and waits for it. So a node keeps how
//! many bytes all of its keys begin with (`skip`), and of each key the four bytes after these, as a
//! number that sorts as they do: the tag. A search looks at the tags, which lie side by side, and
//! reads only keys whose tag is that of the wanted one, mostly a single key.
//!
//! The source of that is the poor man's normalized key of Graefe, *Modern B-Tree Techniques* (2011,
//! section 3.6), behind a truncated prefix (section 3.5).

use arrayvec::ArrayVec;
use ram_threads::sync::IS_MODEL;
use std::cmp::Ordering;
use std::ops::Range;

/// The most entries of a node. Of fewer, a table takes more memory and a search more steps; of
/// more, the first change of a leaf after a snapshot copies more.
pub const ENTRIES_MAX: usize = if IS_MODEL {
    8
} else if cfg!(test) {
    16
} else {
    64
};

const TAG_BYTES: usize = size_of::<u32>();

pub trait Keyed {
    fn key(&self) -> &[u8];
}

/// Invariants: keys ascend, and all of them begin with the first `skip` bytes of the first one. A
/// `skip` that is less than it could be costs time, never the right answer.
#[derive(Clone)]
pub struct Sorted<E> {
    skip: usize,
    tags: ArrayVec<u32, ENTRIES_MAX>,
    entries: ArrayVec<E, ENTRIES_MAX>,
}

impl<E> Default for Sorted<E> {
    fn default() -> Self {
        Sorted { skip: 0, tags: ArrayVec::new(), entries: ArrayVec::new() }
    }
}

impl<E: Keyed> Sorted<E> {
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_full(&self) -> bool {
        self.entries.is_full()
    }

    pub fn entries(&self) -> &[E] {
        &self.entries
    }

    /// The entry of this key.
    pub fn find(&self, key: &[u8]) -> Option<&E> {
        let same = self.entries.get(self.of_tag(key))?;
        let at = if same.len() == 1 { 0 } else { same.partition_point(|entry| entry.key() < key) };
        same.get(at).filter(|entry| entry.key() == key)
    }

    /// Where the entry of this key is, or else where it belongs.
    pub fn place(&self, key: &[u8]) -> Result<usize, usize> {
        let likely = self.of_tag(key);
        let same = self.entries.get(likely.clone()).unwrap_or_default();
        let at = likely.start + same.partition_point(|entry| entry.key() < key);
        if at < likely.end && self.entries.get(at).is_some_and(|entry| entry.key() == key) {
            return Ok(at);
        }
        // A key that does not begin as those here has a tag that says nothing.
        match self.compare_begin(key) {
            Ordering::Less => Err(0),
            Ordering::Equal => Err(at),
            Ordering::Greater => Err(self.len()),
        }
    }

    fn of_tag(&self, key: &[u8]) -> Range<usize> {
        let wanted = tag(key, self.skip);
        // All of them, without a branch: several at a time, and their memory comes at once.
        let start = self.tags.iter().map(|tag| u32::from(*tag < wanted)).sum::<u32>() as usize;
        let later = self.tags.get(start..).unwrap_or_default();
        start..start + later.iter().take_while(|tag| **tag == wanted).count()
    }

    fn compare_begin(&self, key: &[u8]) -> Ordering {
        let Some(first) = self.entries.first() else { return Ordering::Equal };
        let begin = first.key().get(..self.skip).unwrap_or_default();
        key.get(..self.skip).unwrap_or(key).cmp(begin)
    }

    /// Puts an entry in the place of one with the same key.
    pub fn replace(&mut self, at: usize, entry: E) -> Option<E> {
        self.entries.get_mut(at).map(|former| std::mem::replace(former, entry))
    }

    /// Adds an entry where it belongs. The node is not full.
    pub fn insert(&mut self, at: usize, entry: E) {
        let skip = match self.entries.first() {
            None => entry.key().len(),
            Some(first) => common_bytes(first.key(), entry.key()).min(self.skip),
        };
        if skip != self.skip {
            self.set_skip(skip);
        }
        // Neither is refused: there is room, and `at` is at most the length.
        let _ = self.tags.try_insert(at, tag(entry.key(), skip));
        let _ = self.entries.try_insert(at, entry);
    }

    pub fn remove(&mut self, at: usize) -> Option<E> {
        self.tags.pop_at(at);
        self.entries.pop_at(at)
    }

    pub fn remove_range(&mut self, range: Range<usize>) -> Vec<E> {
        let end = range.end.min(self.len());
        let range = range.start.min(end)..end;
        self.tags.drain(range.clone());
        self.entries.drain(range).collect()
    }

    /// Cuts off the entries from `at`.
    pub fn split_off(&mut self, at: usize) -> Self {
        let at = at.min(self.len());
        let mut rest = Sorted {
            skip: self.skip,
            tags: self.tags.drain(at..).collect(),
            entries: self.entries.drain(at..).collect(),
        };
        self.sharpen();
        rest.sharpen();
        rest
    }

    /// Adds the entries of another, whose keys are greater. There is room for them.
    pub fn append(&mut self, mut other: Self) {
        let common = match (self.entries.first(), other.entries.last()) {
            (Some(first), Some(last)) => common_bytes(first.key(), last.key()),
            (_, None) => return,
            (None, _) => return *self = other,
        };
        let are_tags_alike = self.skip == other.skip && common >= self.skip;
        self.entries.extend(other.entries.drain(..));
        if are_tags_alike {
            self.tags.extend(other.tags);
        } else {
            self.set_skip(common);
        }
    }

    /// Skips more when the tags tell little: half of each is the same.
    fn sharpen(&mut self) {
        let (Some(first), Some(last)) = (self.tags.first(), self.tags.last()) else { return };
        let is_sharp = (first ^ last) >> (u32::BITS / 2) != 0;
        if let (false, [first, .., last]) = (is_sharp, self.entries.as_slice()) {
            self.set_skip(common_bytes(first.key(), last.key()));
        }
    }

    fn set_skip(&mut self, skip: usize) {
        self.skip = skip;
        self.tags = self.entries.iter().map(|entry| tag(entry.key(), skip)).collect();
    }
}

/// The bytes after `skip`; zeros where there are none, so shorter keys come first or are equal.
fn tag(key: &[u8], skip: usize) -> u32 {
    let rest = key.get(skip..).unwrap_or_default();
    if let Some(whole) = rest.first_chunk::<TAG_BYTES>() {
        return u32::from_be_bytes(*whole);
    }
    let mut bytes = [0; TAG_BYTES];
    bytes.iter_mut().zip(rest).for_each(|(byte, of_key)| *byte = *of_key);
    u32::from_be_bytes(bytes)
}

/// How many bytes both begin with.
pub fn common_bytes(one: &[u8], other: &[u8]) -> usize {
    one.iter().zip(other).take_while(|(one, other)| one == other).count()
}
