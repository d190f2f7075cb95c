//! The map itself: read by anyone at any time, written by the thread that applies.
//!
//! Snapshots are taken by copy on write while writes go on. `freeze` fixes the revision S; from
//! then on the writer keeps the pre-image of a key, its old item, before it changes the key, if
//! that item is of S or older. The walk visits shard after shard, each under its read lock for a
//! moment, and passes over what is newer than S; the pre-images complete it. A key may come twice
//! with the same item, never with two. Extra memory is bounded by what changes meanwhile, and the
//! writer never waits for more than one shard.

use foldhash::fast::RandomState;
use ram_threads::sync::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::item::Key;
pub use super::item::{Item, Meta};
use super::shards::{All, Shards};

#[derive(Debug)]
pub struct Table {
    shards: Shards<Item>,
    /// Of the snapshot that is being taken, if one is. The writer looks here before each change.
    pre_images: Mutex<Option<Arc<PreImages>>>,
    entries: AtomicU64,
    bytes: AtomicU64,
    ordered: bool,
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
            ordered: false,
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

    pub fn of_type(table_type: crate::tables::TableType) -> Self {
        let mut table = Table::default();
        table.ordered = table_type == crate::tables::TableType::OrderedSet;
        table
    }

    pub fn table_type(&self) -> crate::tables::TableType {
        if self.ordered {
            crate::tables::TableType::OrderedSet
        } else {
            crate::tables::TableType::Set
        }
    }

    pub fn put(&self, key: &[u8], value: super::value::StoredValue, revision: u64) {
        use crate::item::Meta;
        let meta = match self.get(key) {
            None => Meta::created(revision),
            Some(item) if item.revision() == revision => item.meta(),
            Some(item) => item.meta().changed(revision),
        };
        self.insert(Item::new(key, value, &meta));
    }

    pub fn range(
        &self,
        range: (std::ops::Bound<&[u8]>, std::ops::Bound<&[u8]>),
        reverse: bool,
        limit: usize,
    ) -> Vec<Item> {
        use std::ops::RangeBounds;
        let mut all: Vec<Item> = Vec::new();
        let items = self.shards.all();
        for shard in items.shards() {
            items.walk(shard, |item| {
                if RangeBounds::<[u8]>::contains(&range, item.key()) {
                    all.push(item.clone());
                }
            });
        }
        all.sort_by(|a, b| a.key().cmp(b.key()));
        if reverse {
            all.reverse();
        }
        all.truncate(limit);
        all
    }

    pub fn remove_range(
        &self,
        range: (std::ops::Bound<&[u8]>, std::ops::Bound<&[u8]>),
        limit: usize,
    ) -> usize {
        self.range(range, false, limit).iter().filter(|item| self.remove(item.key())).count()
    }

    /// For the one writer only.
    pub fn remove(&self, key: &[u8]) -> bool {
        self.keep_pre_image(key);
        let key = Key(key);
        if let Some(old) = self.shards.remove(&key, |item| key.is_of(item)) {
            self.entries.fetch_sub(1, Ordering::Relaxed);
            self.subtract(&old);
            return true;
        }
        false
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

    pub fn is_closed(&self) -> bool {
        self.with_item(&[], |_| ()).is_none()
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
    pub fn is_ordered(&self) -> bool {
        self.table.ordered
    }

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
