//! A set of items in shards, for readers on many processors.
//!
//! A lock that all readers share is a word that all of them write, and a processor waits for a word
//! that another has written longer than for the whole lookup. So each shard has several locks: a
//! reader takes the one of its thread, and whoever changes the shard takes the one of the walks and
//! then all of those: so readers wait for the change, and never for a walk. The locks of a thread
//! lie side by side, away from those of other threads.
//!
//! What a lock guards is the map itself, the same one behind all locks, so that whoever holds all
//! of them can put another in its place: to readers, all items change at once.
//!
//! A file with `unsafe`, as `striped.rs`: the items of a shard lie in a cell, and it is these
//! locks that say who may read and who may change them. `tests/loom.rs` checks that in all orders.

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use ram_threads::stripe;
use ram_threads::sync::{IS_MODEL, RwLock, RwLockWriteGuard, UnsafeCell};
use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::ops::Range;
use std::sync::{Arc, LazyLock};

/// So many that a walk holds the lock of one, a 256th of the table, only for a moment: well below a
/// millisecond at a million items. Of four times as many a reader had to wait longer for the memory
/// that they lie in.
const SHARDS: usize = 1 << SHARD_BITS;
const SHARD_BITS: u32 = if IS_MODEL { 1 } else { 8 };
/// The highest bits of a hash are what a shard tells its items by.
const TAG_BITS: u32 = 7;
/// Of each shard. A change takes them all, so not one for each thread there might be.
const LOCKS_MAX: usize = if IS_MODEL { 2 } else { 16 };

/// An item, known among others by what is hashed and compared.
pub trait Element: Eq + Hash {
    /// Where the memory begins that is read to compare it.
    fn address(&self) -> *const u8;
}

/// Away from its neighbours: a processor fetches lines of memory in pairs.
#[repr(align(128))]
struct Shard<T> {
    /// Held by walks, and by whoever changes the items.
    walks: RwLock<()>,
    /// Read by who holds `walks` or a lock of a stripe, changed by who holds all of them.
    items: UnsafeCell<HashTable<T>>,
}

// SAFETY: a reference to a shard lets a thread read items that others read (`T: Sync`) and, under
// all locks, move items in and out (`T: Send`).
unsafe impl<T: Send + Sync> Sync for Shard<T> {}

impl<T> fmt::Debug for Shard<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shard")
    }
}

type Map<T> = Box<[Shard<T>]>;
/// `None`: the set is closed.
type Shown<T> = Option<Arc<Map<T>>>;
type AllLocks<'a, T> = [Option<RwLockWriteGuard<'a, Shown<T>>>; LOCKS_MAX];

#[derive(Debug)]
pub struct Shards<T: Element> {
    hasher: RandomState,
    /// One for each shard, and so on for each stripe of readers. All guard the same map.
    locks: Box<[RwLock<Shown<T>>]>,
    /// A power of two.
    stripes: usize,
}

impl<T: Element> Shards<T> {
    /// For so many items without growing.
    pub fn with_capacity(items: usize) -> Self {
        /// The same in all sets, so that the shard of an item is known before the map is.
        static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::default);
        let hasher = HASHER.clone();
        let shard = |_| Shard {
            walks: RwLock::new(()),
            items: UnsafeCell::new(HashTable::with_capacity(items.div_ceil(SHARDS))),
        };
        let map: Arc<Map<T>> = Arc::new((0..SHARDS).map(shard).collect());
        let stripes = stripe::count(LOCKS_MAX);
        let lock = |_| RwLock::new(Some(map.clone()));
        Shards { hasher, locks: (0..stripes * SHARDS).map(lock).collect(), stripes }
    }

    /// Calls `read` with the item that hashes and is as wanted, if `may_read`. From before that is
    /// asked until `read` returns nobody changes the shard. The outer `None`: the set is closed.
    pub fn with_item<R>(
        &self,
        key: &impl Hash,
        is_wanted: impl Fn(&T) -> bool,
        may_read: impl FnOnce() -> bool,
        read: impl FnOnce(Option<&T>) -> R,
    ) -> Option<Option<R>> {
        let hash = self.hasher.hash_one(key);
        let at = shard_of(hash);
        let stripe = stripe::of_this_thread() & (self.stripes - 1);
        let shown = self.locks.get(stripe * SHARDS + at)?.read();
        let shard = shown.as_ref()?.get(at)?;
        Some(shard.items.with(|items| {
            // SAFETY: the items are changed in this file alone, by those who hold all locks of the
            // shard, of which one is held here until `read` has returned. All others read.
            let items = unsafe { &*items };
            // The item comes from memory while the question is answered: that reads a clock.
            items.find(hash, |likely| {
                fetch(likely.address());
                true
            });
            may_read().then(|| read(items.find(hash, &is_wanted)))
        }))
    }

    /// Sets an item and returns the former one, as one change for readers.
    pub fn replace(&self, item: T) -> Option<T> {
        let hash = self.hasher.hash_one(&item);
        self.change(hash, |items| {
            if let Some(found) = items.find_mut(hash, |found| *found == item) {
                return Some(std::mem::replace(found, item));
            }
            items.insert_unique(hash, item, |item| self.hasher.hash_one(item));
            None
        })
    }

    pub fn remove(&self, key: &impl Hash, is_wanted: impl Fn(&T) -> bool) -> Option<T> {
        let hash = self.hasher.hash_one(key);
        self.change(hash, |items| Some(items.find_entry(hash, is_wanted).ok()?.remove().0))
    }

    /// Changes the items of the shard of this hash; those of a set that was closed stay.
    fn change(&self, hash: u64, change: impl FnOnce(&mut HashTable<T>) -> Option<T>) -> Option<T> {
        let (at, map) = (shard_of(hash), self.all().0?);
        let shard = map.get(at)?;
        let _walks = shard.walks.write();
        let _readers = self.all_locks(at, &map)?;
        // SAFETY: all locks of the shard are held until the change is made.
        shard.items.with_mut(|items| change(unsafe { &mut *items }))
    }

    /// All items, for walks: later changes are seen in there, until others are shown.
    pub fn all(&self) -> All<T> {
        All(self.locks.first().and_then(|lock| lock.read().clone()))
    }

    /// From now on the items of the other set are those of this one, at once for all readers. The
    /// other is closed first: nobody may change these items under locks of its own.
    pub fn replace_with(&self, other: &Shards<T>) {
        let all = other.all();
        other.close();
        self.show(all);
    }

    fn show(&self, other: All<T>) {
        // Those that were shown may go with it, which takes long: when nobody waits any more.
        let _shown = self.all();
        let mut held: Vec<_> = self.locks.iter().map(RwLock::write).collect();
        held.iter_mut().for_each(|shown| shown.clone_from(&other.0));
    }

    /// There is nothing to look at any more.
    pub fn close(&self) {
        self.show(All(None));
    }

    /// Of the readers of a shard, to change this map in there; none when another one is shown by
    /// now. Whoever calls this has the walks' lock already, or readers would wait for a walk.
    fn all_locks(&self, at: usize, map: &Arc<Map<T>>) -> Option<AllLocks<'_, T>> {
        let held: AllLocks<T> =
            std::array::from_fn(|stripe| Some(self.locks.get(stripe * SHARDS + at)?.write()));
        let shown = held.first()?.as_ref()?.as_ref()?;
        Arc::ptr_eq(shown, map).then_some(held)
    }
}

fn shard_of(hash: u64) -> usize {
    (hash << TAG_BITS >> (u64::BITS - SHARD_BITS)) as usize
}

/// Has the processor fetch what will be read, or the first lines of it.
#[cfg(target_arch = "x86_64")]
fn fetch(address: *const u8) {
    const LINE: usize = 64;
    for line in [address, address.wrapping_add(LINE)] {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a hint to the processor, which does nothing for an address that is not mapped.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(line.cast()) };
    }
}

/// Rust has no such hint for other processors.
#[cfg(not(target_arch = "x86_64"))]
fn fetch(_address: *const u8) {}

/// The items of a set.
#[derive(Debug)]
pub struct All<T: Element>(Shown<T>);

impl<T: Element> All<T> {
    /// Of all shards.
    pub fn shards(&self) -> Range<usize> {
        0..self.0.as_ref().map_or(0, |map| map.len())
    }

    /// Calls `visit` with the items of a shard, which does not change meanwhile.
    pub fn walk(&self, shard: usize, visit: impl FnMut(&T)) {
        let Some(shard) = self.0.as_ref().and_then(|map| map.get(shard)) else { return };
        let _walks = shard.walks.read();
        // SAFETY: whoever changes the items holds this lock alone.
        shard.items.with(|items| unsafe { &*items }.iter().for_each(visit));
    }
}

#[cfg(test)]
mod tests;
