//! The hash table: [`Shards`] of items, with their sizes and snapshots. What its functions mean is
//! told where users meet them, in [`table`](super::table).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::item::{Item, Key};
use super::reclaim::Reclaimer;
pub use super::shards::Locks;
use super::shards::{All, Shards};
use super::snapshot::{PreImages, Snapshot};

/// More than it leaves behind.
const FREED_BY_A_CHANGE: usize = 1;

#[derive(Debug)]
pub struct HashTable {
    items: Shards<Item>,
    entries: AtomicU64,
    bytes: AtomicU64,
    reclaimer: Arc<Reclaimer>,
}

impl HashTable {
    /// A table that takes so many entries without growing.
    pub fn with_capacity(entries: usize, locks: Locks, reclaimer: Arc<Reclaimer>) -> Self {
        let items = Shards::with_capacity(entries, locks);
        HashTable { items, entries: AtomicU64::new(0), bytes: AtomicU64::new(0), reclaimer }
    }

    pub fn with_item_if<T>(
        &self,
        key: &[u8],
        may_read: impl FnOnce() -> bool,
        read: impl FnOnce(Option<&Item>) -> T,
    ) -> Option<Option<T>> {
        let key = Key(key);
        self.items.with_item(&key, |item| key.is_of(item), may_read, read)
    }

    pub fn reclaimer(&self) -> &Arc<Reclaimer> {
        &self.reclaimer
    }

    pub fn entries(&self) -> u64 {
        self.entries.load(Ordering::Relaxed)
    }

    /// The bytes of all keys and values, without what the map itself takes.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// For the one writer only. Returns the former item.
    pub fn insert(&self, item: Item) -> Option<Item> {
        let bytes = item.plain_bytes();
        let old = self.change(|all, keep| self.items.replace(all, item, keep))?;
        self.entries.fetch_add(u64::from(old.is_none()), Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        old
    }

    /// For the one writer only. Returns what was there.
    pub fn remove(&self, key: &[u8]) -> Option<Item> {
        let key = Key(key);
        let is_wanted = |item: &Item| key.is_of(item);
        let old = self.change(|all, keep| self.items.remove(all, &key, is_wanted, keep))??;
        self.entries.fetch_sub(1, Ordering::Relaxed);
        Some(old)
    }

    /// Makes one change and keeps the old item, if a snapshot needs it. The outer `None`: the table
    /// is closed.
    fn change(
        &self,
        change: impl FnOnce(&All<Item>, Keep<'_>) -> Option<Item>,
    ) -> Option<Option<Item>> {
        let all = self.items.all();
        let mut snapshots = all.snapshots()?.lock();
        let mut former = None;
        let mut keep = |shard: usize, pre_images: &mut PreImages, old: Item| {
            former = Some(old.clone());
            snapshots.keep(shard, pre_images, old)
        };
        let unneeded = change(&all, &mut keep);
        let swept = snapshots.sweep(&all);
        // Freeing takes time, and whoever ends a snapshot waits for this lock.
        drop(snapshots);
        drop((unneeded, swept));
        self.reclaimer.free(FREED_BY_A_CHANGE);
        self.bytes.fetch_sub(former.as_ref().map_or(0, Item::plain_bytes), Ordering::Relaxed);
        Some(former)
    }

    pub fn replace_with(&self, other: &HashTable) {
        self.reclaimer.add_map(self.items.replace_with(&other.items));
        self.entries.store(other.entries.swap(0, Ordering::Relaxed), Ordering::Relaxed);
        self.bytes.store(other.bytes.swap(0, Ordering::Relaxed), Ordering::Relaxed);
    }

    pub fn close(&self) {
        self.reclaimer.add_map(self.items.close());
        self.entries.store(0, Ordering::Relaxed);
        self.bytes.store(0, Ordering::Relaxed);
    }

    pub fn snapshot(&self, revision: u64, held_bytes_max: Option<u64>) -> Snapshot {
        let (all, reclaimer) = (self.items.all(), self.reclaimer.clone());
        Snapshot::begin(all, reclaimer, (revision, self.entries()), held_bytes_max)
    }
}

impl Drop for HashTable {
    fn drop(&mut self) {
        self.close();
    }
}

/// Called with the shard, its pre-images and the old item; what it returns is needed no more.
type Keep<'a> = &'a mut dyn FnMut(usize, &mut PreImages, Item) -> Option<Item>;
