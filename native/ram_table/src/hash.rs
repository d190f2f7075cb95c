//! The hash table: read by anyone at any time, written by the thread that applies.

use std::sync::atomic::{AtomicU64, Ordering};

use super::item::{Item, Key};
use super::shards::{All, Shards};
use super::snapshot::{PreImages, Snapshot};

#[derive(Debug)]
pub struct HashTable {
    items: Shards<Item>,
    entries: AtomicU64,
    bytes: AtomicU64,
}

impl Default for HashTable {
    fn default() -> Self {
        HashTable::with_capacity(0)
    }
}

impl HashTable {
    /// A table that takes so many entries without growing.
    pub fn with_capacity(entries: usize) -> Self {
        let items = Shards::with_capacity(entries);
        HashTable { items, entries: AtomicU64::new(0), bytes: AtomicU64::new(0) }
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
        self.items.with_item(&key, |item| key.is_of(item), may_read, read)
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
        self.bytes.fetch_add(item.plain_bytes(), Ordering::Relaxed);
        let old_bytes = self.change(|all, keep| self.items.replace(all, item, keep));
        if old_bytes.is_none() {
            self.entries.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// For the one writer only.
    pub fn remove(&self, key: &[u8]) {
        let key = Key(key);
        let is_wanted = |item: &Item| key.is_of(item);
        let old_bytes = self.change(|all, keep| self.items.remove(all, &key, is_wanted, keep));
        if old_bytes.is_some() {
            self.entries.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Makes one change and keeps the old item, if a snapshot needs it. How many bytes that had.
    fn change(&self, change: impl FnOnce(&All<Item>, Keep<'_>) -> Option<Item>) -> Option<u64> {
        let all = self.items.all();
        let mut snapshots = all.snapshots()?.lock();
        let mut old_bytes = None;
        let mut keep = |shard: usize, pre_images: &mut PreImages, old: Item| {
            old_bytes = Some(old.plain_bytes());
            snapshots.keep(shard, pre_images, old)
        };
        let unneeded = change(&all, &mut keep);
        let swept = snapshots.sweep(&all);
        // Freeing takes time, and whoever ends a snapshot waits for this lock.
        drop(snapshots);
        drop((unneeded, swept));
        self.bytes.fetch_sub(old_bytes.unwrap_or(0), Ordering::Relaxed);
        old_bytes
    }

    /// For the one writer only: all that the other table holds is shown in place of what this one
    /// held, at once for all readers. The other is closed. Snapshots of this one go on, of what was
    /// held.
    pub fn replace_with(&self, other: &HashTable) {
        self.items.replace_with(&other.items);
        self.entries.store(other.entries(), Ordering::Relaxed);
        self.bytes.store(other.bytes(), Ordering::Relaxed);
    }

    /// Lets go of all it holds, and shows nothing any more. Called when the writer has ended: a
    /// change of a closed table is lost.
    pub fn close(&self) {
        self.items.close();
    }

    /// Begins a snapshot of `revision`, the newest one. Called by the writer, or between two
    /// writes. It is revoked as soon as it holds back more than `held_bytes_max`, by
    /// [`snapshot::held_bytes`](super::snapshot::held_bytes).
    pub fn snapshot(&self, revision: u64, held_bytes_max: Option<u64>) -> Snapshot {
        Snapshot::begin(self.items.all(), revision, self.entries(), held_bytes_max)
    }
}

/// Called with the shard, its pre-images and the old item; what it returns is needed no more.
type Keep<'a> = &'a mut dyn FnMut(usize, &mut PreImages, Item) -> Option<Item>;
