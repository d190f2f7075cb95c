//! The map itself: read by anyone at any time, written by the thread that applies.
//!
//! An entry is one allocation, an [`Item`], and a slot of 8 bytes: at a million entries the slots
//! and the allocator's headers are what a table costs beside its content.
//!
//! Snapshots are taken by copy on write while writes go on. `freeze` fixes the revision S; from
//! then on the writer keeps the pre-image of a key, its old item, before it changes the key, if
//! that item is of S or older. The walk visits shard after shard, each under its read lock for a
//! moment, and passes over what is newer than S; the pre-images complete it. A key may come twice
//! with the same item, never with two. Extra memory is bounded by what changes meanwhile, and the
//! writer never waits for more than one shard.

use foldhash::fast::RandomState;

use ram_threads::sync::Mutex;
use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use triomphe::ThinArc;

use super::shards::{All, Element, Shards};
use super::value::{SharedRepresentation, StoredValue};

/// A key, its value and the revision of the change that set it, in one allocation. Hashed and
/// compared by its key. Clones share it.
///
/// The content is the length of the key, the key, the length of the revision, the revision, and
/// what is held of the value; the lengths are a byte each. Were the length of the key and the
/// revision a word each, an entry among a million would take 11 bytes more.
#[derive(Clone)]
pub struct Item(ThinArc<Option<SharedRepresentation>, u8>);

/// The first byte of a content whose key is longer than a byte can say: four bytes of length
/// follow, since keys are shorter than 4 GiB. Their limit is checked where they enter.
const LONG_KEY: u8 = u8::MAX;

struct Content<'a> {
    /// Little-endian, without the zeros at its end.
    revision: &'a [u8],
    held: &'a [u8],
}

impl Item {
    pub fn new(key: &[u8], value: StoredValue, revision: u64) -> Item {
        let long = (key.len() as u32).to_le_bytes();
        let length = match u8::try_from(key.len()) {
            Ok(short) if short != LONG_KEY => &[short][..],
            _ => &[&[LONG_KEY], long.as_slice()].concat(),
        };
        let revision = revision.to_le_bytes();
        let digits = revision.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        let revision = revision.get(..digits).unwrap_or_default();
        let parts = [length, key, &[digits as u8], revision, &value.bytes];
        with_joined(&parts, |content| {
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
        self.content().held
    }

    pub fn representation(&self) -> Option<&SharedRepresentation> {
        self.0.header.header.as_ref()
    }

    pub fn revision(&self) -> u64 {
        let digits = self.content().revision.iter().rev();
        digits.fold(0, |revision, digit| revision << 8 | u64::from(*digit))
    }

    /// How many bytes the value has, however it is held.
    pub fn value_bytes(&self) -> usize {
        let held = self.stored_bytes();
        self.representation().map_or(held.len(), |representation| representation.value_bytes(held))
    }

    /// The bytes of key and value, however they are held.
    fn plain_bytes(&self) -> u64 {
        (self.key().len() + self.value_bytes()) as u64
    }

    fn content(&self) -> Content<'_> {
        let (_key, rest) = self.key_and_rest();
        let (digits, rest) = rest.split_first().unwrap_or((&0, &[]));
        let (revision, held) = rest.split_at_checked(usize::from(*digits)).unwrap_or_default();
        Content { revision, held }
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
        write!(f, "Item({:?} => {:?} at {})", self.key(), self.value(), self.revision())
    }
}

/// A key that is looked for.
#[derive(PartialEq, Eq)]
struct Key<'a>(&'a [u8]);

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
    fn is_of(&self, item: &Item) -> bool {
        self.0 == item.key()
    }
}

impl Element for Item {
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

#[derive(Debug)]
pub struct Table {
    shards: Shards<Item>,
    /// Of the snapshot that is being taken, if one is. The writer looks here before each change.
    pre_images: Mutex<Option<Arc<PreImages>>>,
    entries: AtomicU64,
    bytes: AtomicU64,
}

#[derive(Debug)]
struct PreImages {
    revision: u64,
    /// The writer adds, the walk takes.
    items: Mutex<HashMap<Item, (), RandomState>>,
}

impl Default for Table {
    fn default() -> Self {
        Table::with_capacity(0)
    }
}

impl Table {
    /// A table that takes so many entries without growing.
    pub fn with_capacity(entries: usize) -> Self {
        Table {
            shards: Shards::with_capacity(entries),
            pre_images: Mutex::new(None),
            entries: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
        }
    }

    pub fn get(&self, key: &[u8]) -> Option<Item> {
        self.with_item(key, |item| item.cloned())?
    }

    /// Calls `read` with what the key holds, without sharing it: for moments, since a write of a
    /// key nearby has to wait for it. `None`: the table is closed.
    pub fn with_item<T>(&self, key: &[u8], read: impl FnOnce(Option<&Item>) -> T) -> Option<T> {
        self.with_item_if(key, || true, read)?
    }

    /// Calls `read` with what the key holds, if `may_read`; what the key holds does not change from
    /// before that is asked. The outer `None`: the table is closed.
    pub fn with_item_if<T>(
        &self,
        key: &[u8],
        may_read: impl FnOnce() -> bool,
        read: impl FnOnce(Option<&Item>) -> T,
    ) -> Option<Option<T>> {
        let key = Key(key);
        self.shards.with_item(&key, |item| key.is_of(item), may_read, read)
    }

    pub fn entries(&self) -> u64 {
        self.entries.load(Ordering::Relaxed)
    }

    /// The bytes of all keys and values, without what the map itself takes.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// For the one writer only.
    pub fn insert(&self, item: Item) {
        self.keep_pre_image(item.key());
        self.add(&item);
        match self.shards.replace(item) {
            Some(old) => self.subtract(&old),
            None => {
                self.entries.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// For the one writer only.
    pub fn remove(&self, key: &[u8]) {
        self.keep_pre_image(key);
        let key = Key(key);
        if let Some(old) = self.shards.remove(&key, |item| key.is_of(item)) {
            self.entries.fetch_sub(1, Ordering::Relaxed);
            self.subtract(&old);
        }
    }

    fn add(&self, new: &Item) {
        self.bytes.fetch_add(new.plain_bytes(), Ordering::Relaxed);
    }

    fn subtract(&self, old: &Item) {
        self.bytes.fetch_sub(old.plain_bytes(), Ordering::Relaxed);
    }

    fn keep_pre_image(&self, key: &[u8]) {
        if let Some(pre_images) = self.pre_images.lock().as_ref()
            && let Some(old) = self.get(key)
            && old.revision() <= pre_images.revision
        {
            pre_images.items.lock().entry(old).or_insert(());
        }
    }

    /// For the one writer only: all that the other table holds is shown in place of what this one
    /// held, at once for all readers. The other is closed. A snapshot that is being taken goes on,
    /// of what was held.
    pub fn replace_with(&self, other: &Table) {
        *self.pre_images.lock() = None;
        self.shards.replace_with(&other.shards);
        self.entries.store(other.entries(), Ordering::Relaxed);
        self.bytes.store(other.bytes(), Ordering::Relaxed);
    }

    /// Lets go of all it holds, and shows nothing any more. Called when the writer has ended: a
    /// change of a closed table is lost.
    pub fn close(&self) {
        self.shards.close();
    }

    /// Begins a snapshot of `revision`, the newest one. Called by the writer, between two changes.
    /// `None` when one is being taken already.
    pub fn freeze(self: &Arc<Self>, revision: u64) -> Option<Frozen> {
        let mut pre_images = self.pre_images.lock();
        if pre_images.is_some() {
            return None;
        }
        let items = Arc::new(PreImages { revision, items: Mutex::default() });
        *pre_images = Some(items.clone());
        let (table, all, entries) = (self.clone(), self.shards.all(), self.entries());
        Some(Frozen { table, all, pre_images: items, entries })
    }

    /// Is a snapshot being taken?
    pub fn is_frozen(&self) -> bool {
        self.pre_images.lock().is_some()
    }
}

/// The table as it was at one revision. Dropping it drops the pre-images.
#[derive(Debug)]
pub struct Frozen {
    table: Arc<Table>,
    all: All<Item>,
    pre_images: Arc<PreImages>,
    entries: u64,
}

impl Frozen {
    pub fn revision(&self) -> u64 {
        self.pre_images.revision
    }

    pub fn entries(&self) -> u64 {
        self.entries
    }

    /// Calls `visit` with chunks of the frozen table, one shard or the pre-images at a time.
    pub fn walk<E>(&self, mut visit: impl FnMut(&[Item]) -> Result<(), E>) -> Result<(), E> {
        let mut chunk: Vec<Item> = Vec::new();
        for shard in self.all.shards() {
            chunk.clear();
            self.all.walk(shard, |item| {
                if item.revision() <= self.revision() {
                    chunk.push(item.clone());
                }
            });
            visit(&chunk)?;
        }
        let pre_images = std::mem::take(&mut *self.pre_images.items.lock());
        chunk.clear();
        chunk.extend(pre_images.into_keys());
        visit(&chunk)
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        // Another snapshot may be taken by now, if the table was replaced. The pre-images are
        // freed after the lock is released: the writer waits for it.
        let mut pre_images = self.table.pre_images.lock();
        if pre_images.as_ref().is_some_and(|pre_images| Arc::ptr_eq(pre_images, &self.pre_images)) {
            *pre_images = None;
        }
    }
}
