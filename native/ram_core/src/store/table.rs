//! The map itself: read by anyone at any time, written by the thread that applies.
//!
//! An entry is one allocation, an [`Item`], and a slot of 16 bytes: at a million entries the slots
//! and the allocator's headers are what a table costs beside its content.
//!
//! A snapshot of one revision is taken while writes go on. `freeze` fixes the revision S; from then
//! on the writer puts the old item of a key aside before it changes it, if that item is of S or
//! older. The walk visits shard after shard, each under its read lock for a moment, and passes
//! over what is newer than S; what was put aside completes it. A key may come twice with the same
//! item, never with two. Extra memory is bounded by what changes meanwhile, and the writer never
//! waits for more than one shard.

use dashmap::{DashMap, Equivalent};
use foldhash::fast::RandomState;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// So many that a walk holds the lock of one (a thousandth of the table) only for a moment.
const SHARDS: usize = 1024;

/// A key, its value and the revision of the change that set it, in one allocation:
/// `revision u64, key length u32, key, value`. Hashed and compared by its key. Clones share it.
#[derive(Clone)]
pub struct Item(Arc<[u8]>);

const REVISION_BYTES: usize = 8;
const HEADER_BYTES: usize = REVISION_BYTES + 4;

impl Item {
    /// A key is shorter than 4 GiB: its limit is checked where it enters.
    pub fn new(key: &[u8], value: &[u8], revision: u64) -> Item {
        let mut bytes = Vec::with_capacity(HEADER_BYTES + key.len() + value.len());
        bytes.extend_from_slice(&revision.to_le_bytes());
        bytes.extend_from_slice(&(key.len() as u32).to_le_bytes());
        bytes.extend_from_slice(key);
        bytes.extend_from_slice(value);
        Item(bytes.into())
    }

    pub fn key(&self) -> &[u8] {
        self.split().0
    }

    pub fn value(&self) -> &[u8] {
        self.split().1
    }

    pub fn revision(&self) -> u64 {
        self.0.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
    }

    /// The bytes of key and value.
    fn content_bytes(&self) -> u64 {
        (self.0.len() - HEADER_BYTES) as u64
    }

    fn split(&self) -> (&[u8], &[u8]) {
        let rest = self.0.get(REVISION_BYTES..).unwrap_or_default();
        match rest.split_first_chunk() {
            Some((length, content)) => content.split_at(u32::from_le_bytes(*length) as usize),
            None => Default::default(),
        }
    }
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

impl Equivalent<Item> for Key<'_> {
    fn equivalent(&self, item: &Item) -> bool {
        self.0 == item.key()
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
    map: DashMap<Item, (), RandomState>,
    /// Guards the items put aside for a snapshot; `None` when none is being taken. The writer looks
    /// at it before each change, the walk at its begin and end.
    aside: Mutex<Option<Aside>>,
    entries: AtomicU64,
    bytes: AtomicU64,
}

#[derive(Debug)]
struct Aside {
    revision: u64,
    items: HashMap<Item, (), RandomState>,
}

impl Default for Table {
    fn default() -> Self {
        Table::with_capacity(0)
    }
}

impl Table {
    /// A table that takes so many entries without growing.
    pub fn with_capacity(entries: usize) -> Self {
        let hasher = RandomState::default();
        Table {
            map: DashMap::with_capacity_and_hasher_and_shard_amount(entries, hasher, SHARDS),
            aside: Mutex::new(None),
            entries: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
        }
    }

    pub fn get(&self, key: &[u8]) -> Option<Item> {
        self.map.get(&Key(key)).map(|entry| entry.key().clone())
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
        self.put_aside(item.key());
        self.bytes.fetch_add(item.content_bytes(), Ordering::Relaxed);
        match self.replace(item) {
            Some(old) => self.subtract(&old),
            None => {
                self.entries.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Sets an item and returns the former one, as one change for readers. The map's own insert
    /// keeps the old key, and here the key is all there is.
    fn replace(&self, item: Item) -> Option<Item> {
        let hash = self.map.hash_usize(&item);
        let shard = self.map.shards().get(self.map.determine_shard(hash))?;
        let hash = hash as u64;
        let mut shard = shard.write();
        if let Some((slot, ())) = shard.find_mut(hash, |(found, ())| *found == item) {
            return Some(std::mem::replace(slot, item));
        }
        let hash_of = |(item, ()): &(Item, ())| self.map.hash_usize(item) as u64;
        shard.insert_unique(hash, (item, ()), hash_of);
        None
    }

    /// For the one writer only.
    pub fn remove(&self, key: &[u8]) {
        self.put_aside(key);
        if let Some((old, ())) = self.map.remove(&Key(key)) {
            self.entries.fetch_sub(1, Ordering::Relaxed);
            self.subtract(&old);
        }
    }

    fn subtract(&self, old: &Item) {
        self.bytes.fetch_sub(old.content_bytes(), Ordering::Relaxed);
    }

    fn put_aside(&self, key: &[u8]) {
        if let Some(aside) = self.aside.lock().as_mut()
            && let Some(old) = self.get(key)
            && old.revision() <= aside.revision
        {
            aside.items.entry(old).or_insert(());
        }
    }

    /// Begins a snapshot of `revision`, the newest one. Called by the writer, between two changes.
    /// `None` when one is being taken already.
    pub fn freeze(self: &Arc<Self>, revision: u64) -> Option<Frozen> {
        let mut aside = self.aside.lock();
        if aside.is_some() {
            return None;
        }
        *aside = Some(Aside { revision, items: HashMap::default() });
        Some(Frozen { table: self.clone(), revision, entries: self.entries() })
    }

    /// Is a snapshot being taken?
    pub fn is_frozen(&self) -> bool {
        self.aside.lock().is_some()
    }
}

/// The table as it was at one revision. Dropping it lets go of what was put aside.
#[derive(Debug)]
pub struct Frozen {
    table: Arc<Table>,
    revision: u64,
    entries: u64,
}

impl Frozen {
    pub fn revision(&self) -> u64 {
        self.revision
    }

    pub fn entries(&self) -> u64 {
        self.entries
    }

    /// Calls `visit` with pieces of the frozen table, one shard or what was put aside at a time.
    pub fn walk<E>(&self, mut visit: impl FnMut(&[Item]) -> Result<(), E>) -> Result<(), E> {
        let mut piece: Vec<Item> = Vec::new();
        for shard in self.table.map.shards() {
            piece.clear();
            {
                let shard = shard.read();
                let items = shard.iter().map(|(item, ())| item);
                piece.extend(items.filter(|item| item.revision() <= self.revision).cloned());
            }
            visit(&piece)?;
        }
        let aside = self.table.aside.lock().as_mut().map(|aside| std::mem::take(&mut aside.items));
        piece.clear();
        piece.extend(aside.unwrap_or_default().into_keys());
        visit(&piece)
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        // Freed after the lock is released: the writer waits for it.
        let aside = self.table.aside.lock().take();
        drop(aside);
    }
}
