//! Items: a key, its value and the metadata of its writes, in one allocation.
//!
//! An entry of a table is an item and a slot of 8 bytes: at a million entries the slots and the
//! allocator's headers are what a table costs beside its content. So an item stores of its metadata
//! what says something: a key that was written once has its revision alone.

use std::borrow::Cow;
use std::hash::{Hash, Hasher};
use triomphe::ThinArc;

use super::shards::Element;
use super::snapshot::{PreImages, Snapshots};
use super::value::{SharedRepresentation, StoredValue};

/// What is known of the writes of a key since it was created, and how long it stays. A key that was
/// deleted and comes back begins anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meta {
    /// Of the newest write.
    pub revision: u64,
    /// Of the first.
    pub created_revision: u64,
    /// How many there were.
    pub version: u64,
    /// `None`: the key stays until it is deleted.
    pub life: Option<Life>,
}

/// A time to live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Life {
    /// Not 0.
    pub ttl_ms: u64,
    /// Of the write that gave it: those after it may have left it as it was.
    pub revision: u64,
    /// When the member that holds the item applied that write, by its own clock: each has another.
    /// For telling what is left, and for no decision.
    pub since_ms: u64,
}

impl Meta {
    /// Of a key that the write of this revision creates.
    pub fn created(revision: u64) -> Meta {
        Meta { revision, created_revision: revision, version: 1, life: None }
    }

    /// After one more write, of this revision, which leaves the time to live as it is.
    pub fn changed(&self, revision: u64) -> Meta {
        Meta { revision, version: self.version.saturating_add(1), ..*self }
    }
}

/// Hashed and compared by its key. Clones share it.
///
/// The content is the length of the key, the key, the metadata, and what is stored of the value.
/// The length is a byte, and so is the head of the metadata: were they a word each, an entry among
/// a million would take 11 bytes more.
///
/// The head of the metadata says in its low four bits how many bytes the revision has, and in the
/// others which pairs of numbers there are beside it: [`HISTORY`], the version and how many
/// revisions ago the key was created; [`LIFE`], the time to live and its beginning; [`KEPT`], how
/// many revisions ago that was given, and 0; [`OWNED`], how many bytes the owner has, and 0. A byte
/// follows for each pair with the lengths of its numbers, the first in its low four bits; then the
/// revision, then the pairs, then the owner. All lengths come first, since each read has to know
/// where the value begins, and nothing else of this. Numbers are little-endian, without the zeros
/// at their end.
#[derive(Clone)]
pub struct Item(ThinArc<Option<SharedRepresentation>, u8>);

/// The first byte of a content whose key is longer than a byte can say: four bytes of length
/// follow, since keys are shorter than 4 GiB. Their limit is checked where they enter.
const LONG_KEY: u8 = u8::MAX;

/// In the head of the metadata: the key was written more than once.
const HISTORY: u8 = 1 << LENGTH_BITS;
/// In the head of the metadata: the key has a time to live.
const LIFE: u8 = 1 << (LENGTH_BITS + 1);
/// In the head of the metadata: an older write than the newest gave it.
const KEPT: u8 = 1 << (LENGTH_BITS + 2);
/// In the head of the metadata: the key has an owner. Its pair is the last.
const OWNED: u8 = 1 << (LENGTH_BITS + 3);
const LENGTH_BITS: u32 = 4;
const LENGTH: u8 = (1 << LENGTH_BITS) - 1;

impl Item {
    pub fn new(key: &[u8], value: StoredValue, meta: &Meta) -> Item {
        Item::owned(key, value, meta, &[])
    }

    /// With the bytes that say who owns the key; none: nobody does.
    pub fn owned(key: &[u8], value: StoredValue, meta: &Meta, owner: &[u8]) -> Item {
        let long = (key.len() as u32).to_le_bytes();
        let length = match u8::try_from(key.len()) {
            Ok(short) if short != LONG_KEY => &[short][..],
            _ => &[&[LONG_KEY], long.as_slice()].concat(),
        };
        let mut metadata = [0; META_BYTES_MAX];
        let metadata = write_meta(meta, owner.len(), &mut metadata);
        with_joined(&[length, key, metadata, owner, &value.bytes], |content| {
            Item(ThinArc::from_header_and_slice(value.representation, content))
        })
    }

    pub fn key(&self) -> &[u8] {
        self.key_and_rest().0
    }

    pub fn value(&self) -> Cow<'_, [u8]> {
        match self.representation() {
            Some(representation) => Cow::Owned(representation.value(self.stored_bytes())),
            None => Cow::Borrowed(self.stored_bytes()),
        }
    }

    /// The bytes that are stored: those of the value, unless it has a representation.
    pub fn stored_bytes(&self) -> &[u8] {
        let (_key, rest) = self.key_and_rest();
        rest.get(meta_bytes(rest)..).unwrap_or_default()
    }

    pub fn representation(&self) -> Option<&SharedRepresentation> {
        self.0.header.header.as_ref()
    }

    pub fn revision(&self) -> u64 {
        let (head, _lengths, numbers) = self.metadata();
        number(numbers.get(..usize::from(head & LENGTH)).unwrap_or_default())
    }

    pub fn meta(&self) -> Meta {
        let (head, lengths, mut numbers) = self.metadata();
        let mut take = |length: u8| {
            let (first, rest) = numbers.split_at_checked(length.into()).unwrap_or_default();
            numbers = rest;
            number(first)
        };
        let revision = take(head & LENGTH);
        let mut lengths = lengths.iter();
        let mut pair = |bit: u8| {
            let lengths = if head & bit == 0 { None } else { lengths.next() };
            lengths.map(|lengths| (take(lengths & LENGTH), take(lengths >> LENGTH_BITS)))
        };
        let (version, age) = pair(HISTORY).unwrap_or((1, 0));
        let (life, kept) = (pair(LIFE), pair(KEPT).map_or(0, |(age, _)| age));
        let life = life.map(|(ttl_ms, since_ms)| Life {
            ttl_ms,
            revision: revision.wrapping_sub(kept),
            since_ms,
        });
        Meta { revision, created_revision: revision.wrapping_sub(age), version, life }
    }

    /// Has it a time to live?
    pub fn has_life(&self) -> bool {
        self.metadata().0 & LIFE != 0
    }

    pub fn has_owner(&self) -> bool {
        self.metadata().0 & OWNED != 0
    }

    /// The bytes that say who owns the key; none: nobody does.
    pub fn owner(&self) -> &[u8] {
        let (_key, rest) = self.key_and_rest();
        rest.get(numbers_end(rest)..meta_bytes(rest)).unwrap_or_default()
    }

    /// Is it this very item, and not one that has its key alone in common?
    pub fn is_same(&self, other: &Item) -> bool {
        self.address() == other.address()
    }

    /// How many bytes the value has, however it is stored.
    pub fn value_bytes(&self) -> usize {
        let stored = self.stored_bytes();
        self.representation().map_or(stored.len(), |to| to.value_bytes(stored))
    }

    /// The bytes of key and value, however they are stored.
    pub(crate) fn plain_bytes(&self) -> u64 {
        (self.key().len() + self.value_bytes()) as u64
    }

    /// The head of the metadata, the lengths of the pairs, and the numbers with all behind them.
    fn metadata(&self) -> (u8, &[u8], &[u8]) {
        let (_key, rest) = self.key_and_rest();
        let (head, rest) = rest.split_first().unwrap_or((&0, &[]));
        let (lengths, numbers) = rest.split_at_checked(pairs(*head)).unwrap_or_default();
        (*head, lengths, numbers)
    }

    fn key_and_rest(&self) -> (&[u8], &[u8]) {
        let (key_bytes, content) = match self.0.slice {
            [LONG_KEY, a, b, c, d, ref content @ ..] => {
                (u32::from_le_bytes([a, b, c, d]) as usize, content)
            }
            [short, ref content @ ..] => (usize::from(short), content),
            [] => return Default::default(),
        };
        content.split_at_checked(key_bytes).unwrap_or_default()
    }
}

/// How many there are.
fn pairs(head: u8) -> usize {
    (head >> LENGTH_BITS).count_ones() as usize
}

/// How many bytes the metadata have that these bytes begin with, and the owner behind them.
fn meta_bytes(bytes: &[u8]) -> usize {
    let end = numbers_end(bytes);
    let head = bytes.first().copied().unwrap_or_default();
    if head & OWNED == 0 { end } else { end + owner_bytes(bytes, end) }
}

/// Where the numbers end that the metadata have.
fn numbers_end(bytes: &[u8]) -> usize {
    let head = bytes.first().copied().unwrap_or_default();
    let lengths = bytes.get(1..1 + pairs(head)).unwrap_or_default();
    let of = |lengths: &u8| usize::from(lengths & LENGTH) + usize::from(lengths >> LENGTH_BITS);
    1 + lengths.len() + usize::from(head & LENGTH) + lengths.iter().map(of).sum::<usize>()
}

/// How many bytes the owner has, where there is one: the last of the numbers, which end there.
fn owner_bytes(bytes: &[u8], end: usize) -> usize {
    let head = bytes.first().copied().unwrap_or_default();
    let length = bytes.get(pairs(head)).map_or(0, |lengths| usize::from(lengths & LENGTH));
    number(bytes.get(end.saturating_sub(length)..end).unwrap_or_default()) as usize
}

fn number(digits: &[u8]) -> u64 {
    digits.iter().rev().fold(0, |number, digit| number << 8 | u64::from(*digit))
}

/// The head, four bytes of lengths, the revision and four pairs.
const META_BYTES_MAX: usize = 1 + 4 + 9 * size_of::<u64>();

/// The metadata as an item stores it, for which there is room; the owner is not among it.
fn write_meta<'a>(meta: &Meta, owner: usize, room: &'a mut [u8; META_BYTES_MAX]) -> &'a [u8] {
    let Meta { revision, created_revision, version, life } = *meta;
    let mut written = 0;
    let mut write = |bytes: &[u8]| {
        if let Some(place) = room.get_mut(written..written + bytes.len()) {
            place.copy_from_slice(bytes);
        }
        written += bytes.len();
    };
    let digits = |number: u64| (u64::BITS - number.leading_zeros()).div_ceil(u8::BITS) as u8;
    let mut head = digits(revision);
    let age = revision.wrapping_sub(created_revision);
    let kept = life.map_or(0, |life| revision.wrapping_sub(life.revision));
    let pairs = [
        (HISTORY, (age != 0 || version != 1).then_some((version, age))),
        (LIFE, life.map(|life| (life.ttl_ms, life.since_ms))),
        (KEPT, (kept != 0).then_some((kept, 0))),
        (OWNED, (owner != 0).then_some((owner as u64, 0))),
    ];
    let given = || pairs.iter().filter_map(|(bit, pair)| Some((*bit, (*pair)?)));
    given().for_each(|(bit, _)| head |= bit);
    write(&[head]);
    given().for_each(|(_, (one, other))| write(&[digits(one) | digits(other) << LENGTH_BITS]));
    let numbers = given().flat_map(|(_, (one, other))| [one, other]);
    for number in std::iter::once(revision).chain(numbers) {
        let (bytes, length) = (number.to_le_bytes(), usize::from(digits(number)));
        write(bytes.get(..length).unwrap_or_default());
    }
    room.get(..written).unwrap_or_default()
}

/// Calls `with` with the parts in a row; on the stack, when they are short.
fn with_joined<T>(parts: &[&[u8]], with: impl FnOnce(&[u8]) -> T) -> T {
    const SHORT: usize = 256;
    let bytes = parts.iter().map(|part| part.len()).sum();
    if bytes > SHORT {
        return with(&parts.concat());
    }
    let mut joined = [0; SHORT];
    let mut at = 0;
    for part in parts {
        if let Some(place) = joined.get_mut(at..at + part.len()) {
            place.copy_from_slice(part);
        }
        at += part.len();
    }
    with(joined.get(..bytes).unwrap_or_default())
}

impl std::fmt::Debug for Item {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Item({:?} => {:?}, {:?})", self.key(), self.value(), self.meta())
    }
}

/// A key that is looked for.
#[derive(PartialEq, Eq)]
pub(crate) struct Key<'a>(pub &'a [u8]);

impl Hash for Key<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl Hash for Item {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Key(self.key()).hash(state);
    }
}

impl Key<'_> {
    pub fn is_of(&self, item: &Item) -> bool {
        self.0 == item.key()
    }
}

impl Element for Item {
    type Snapshots = Snapshots;
    type PreImages = PreImages;

    fn address(&self) -> *const u8 {
        self.0.as_ptr().cast()
    }
}

impl PartialEq for Item {
    fn eq(&self, other: &Item) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Item {}

#[cfg(test)]
mod tests;
