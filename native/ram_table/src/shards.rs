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
//! What snapshots need of a map lies in it, so it stays theirs when another is shown: a registry
//! for the map, and for each shard the pre-images, which the lock of the walks guards. Nothing here
//! looks into either.
//!
//! A file with `unsafe`, as `striped.rs`: the items of a shard lie in a cell, and it is these
//! locks that say who may read and who may change them. `tests/loom.rs` checks that in all orders.

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Iter;
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

/// How many locks a stripe has.
#[derive(Debug, Clone, Copy)]
pub enum Locks {
    /// One for each shard.
    Many,
    /// Sixteen, which neighbouring shards share: where there are many sets, most of them small, the
    /// locks would take most of the memory.
    Few,
}

impl Locks {
    fn bits(self) -> u32 {
        match self {
            Locks::Many => SHARD_BITS,
            Locks::Few => SHARD_BITS.min(4),
        }
    }
}

/// An item, known among others by what is hashed and compared.
pub trait Element: Eq + Hash {
    /// What there is of snapshots beside the items of a map.
    type Snapshots: Default;
    /// And beside those of a shard.
    type PreImages: Default;

    /// Where the memory begins that is read to compare it.
    fn address(&self) -> *const u8;
}

/// Away from its neighbours: a processor fetches lines of memory in pairs.
#[repr(align(128))]
pub struct Shard<T: Element> {
    /// Held by walks, and by whoever changes the items.
    walks: RwLock<T::PreImages>,
    /// Read by who holds `walks` or a lock of a stripe, changed by who holds all of them.
    items: UnsafeCell<HashTable<T>>,
}

// SAFETY: a reference to a shard lets a thread read items that others read (`T: Sync`) and, under
// all locks, move items in and out (`T: Send`). The pre-images lie in a lock, which wants the same.
unsafe impl<T: Element<PreImages: Send + Sync> + Send + Sync> Sync for Shard<T> {}

struct Map<T: Element> {
    shards: Box<[Shard<T>]>,
    snapshots: T::Snapshots,
}

impl<T: Element> fmt::Debug for Map<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Map")
    }
}

/// `None`: the set is closed.
type Shown<T> = Option<Arc<Map<T>>>;
/// Takes the old item of a change; what it returns is needed no more.
pub trait Keep<T: Element>: FnOnce(usize, &mut T::PreImages, T) -> Option<T> {}
impl<T: Element, F: FnOnce(usize, &mut T::PreImages, T) -> Option<T>> Keep<T> for F {}
type AllLocks<'a, T> = [Option<RwLockWriteGuard<'a, Shown<T>>>; LOCKS_MAX];

#[derive(Debug)]
pub struct Shards<T: Element> {
    hasher: RandomState,
    /// Those of a stripe of readers, and so on for each stripe. All guard the same map.
    locks: Box<[RwLock<Shown<T>>]>,
    /// A power of two, as the next one.
    stripes: usize,
    /// How long the number of a lock of a stripe is. Those of shards are as long, or longer.
    lock_bits: u32,
}

/// The same in all sets, so that the shard of an item is known before the map is.
static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::default);

/// By which an item finds its shard and its place in there.
pub fn hash_of(item: &impl Hash) -> u64 {
    HASHER.hash_one(item)
}

impl<T: Element> Shards<T> {
    /// For so many items without growing.
    pub fn with_capacity(items: usize, locks: Locks) -> Self {
        let hasher = HASHER.clone();
        let shard = |_| Shard {
            walks: RwLock::default(),
            items: UnsafeCell::new(HashTable::with_capacity(items.div_ceil(SHARDS))),
        };
        let shards = (0..SHARDS).map(shard).collect();
        let map = Arc::new(Map { shards, snapshots: T::Snapshots::default() });
        let (stripes, lock_bits) = (stripe::count(LOCKS_MAX), locks.bits());
        let lock = |_| RwLock::new(Some(map.clone()));
        let locks = (0..stripes << lock_bits).map(lock).collect();
        Shards { hasher, locks, stripes, lock_bits }
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
        let shown = self.lock(stripe, at)?.read();
        let shard = shown.as_ref()?.shards.get(at)?;
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

    fn lock(&self, stripe: usize, shard: usize) -> Option<&RwLock<Shown<T>>> {
        self.locks.get((stripe << self.lock_bits) + (shard >> (SHARD_BITS - self.lock_bits)))
    }

    /// Sets an item of this map, as one change for readers. `keep` is called with the former one,
    /// if there is one, before a walk can see the shard again.
    pub fn replace(&self, map: &All<T>, item: T, keep: impl Keep<T>) -> Option<T> {
        let hash = self.hasher.hash_one(&item);
        let change = |items: &mut HashTable<T>| {
            if let Some(found) = items.find_mut(hash, |found| *found == item) {
                return Some(std::mem::replace(found, item));
            }
            items.insert_unique(hash, item, |item| self.hasher.hash_one(item));
            None
        };
        self.change(map, hash, change, keep)
    }

    pub fn remove(
        &self,
        map: &All<T>,
        key: &impl Hash,
        is_wanted: impl Fn(&T) -> bool,
        keep: impl Keep<T>,
    ) -> Option<T> {
        let hash = self.hasher.hash_one(key);
        let change =
            |items: &mut HashTable<T>| Some(items.find_entry(hash, is_wanted).ok()?.remove().0);
        self.change(map, hash, change, keep)
    }

    /// Changes the items of the shard of this hash; those of a map that is shown no more stay.
    fn change(
        &self,
        map: &All<T>,
        hash: u64,
        change: impl FnOnce(&mut HashTable<T>) -> Option<T>,
        keep: impl Keep<T>,
    ) -> Option<T> {
        let (at, map) = (shard_of(hash), map.0.as_ref()?);
        let shard = map.shards.get(at)?;
        let mut pre_images = shard.walks.write();
        let readers = self.all_locks(at, map)?;
        // SAFETY: all locks of the shard are held until the change is made.
        let old = shard.items.with_mut(|items| change(unsafe { &mut *items }));
        drop(readers);
        keep(at, &mut pre_images, old?)
    }

    /// All items, for walks and changes: later changes are seen in there, until others are shown.
    pub fn all(&self) -> All<T> {
        All(self.locks.first().and_then(|lock| lock.read().clone()))
    }

    /// From now on the items of the other set are those of this one, at once for all readers. The
    /// other is closed first: nobody may change these items under locks of its own. Returns those
    /// that were shown, as `close` does: freeing them may take long.
    pub fn replace_with(&self, other: &Shards<T>) -> All<T> {
        let all = other.close();
        self.show(all)
    }

    fn show(&self, other: All<T>) -> All<T> {
        let mut held: Vec<_> = self.locks.iter().map(RwLock::write).collect();
        let shown = held.first().and_then(|shown| (**shown).clone());
        held.iter_mut().for_each(|shown| shown.clone_from(&other.0));
        All(shown)
    }

    /// There is nothing to look at any more.
    pub fn close(&self) -> All<T> {
        self.show(All(None))
    }

    /// Of the readers of a shard, to change this map in there; none when another one is shown by
    /// now. Whoever calls this has the walks' lock already, or readers would wait for a walk.
    fn all_locks(&self, at: usize, map: &Arc<Map<T>>) -> Option<AllLocks<'_, T>> {
        let held: AllLocks<T> = std::array::from_fn(|stripe| Some(self.lock(stripe, at)?.write()));
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

impl<T: Element> Default for All<T> {
    fn default() -> Self {
        All(None)
    }
}

impl<T: Element> Clone for All<T> {
    fn clone(&self) -> Self {
        All(self.0.clone())
    }
}

impl<T: Element> All<T> {
    /// Of all shards.
    pub fn shards(&self) -> Range<usize> {
        0..self.0.as_ref().map_or(0, |map| map.shards.len())
    }

    /// The shards one after the other, if nobody else has this map.
    pub fn into_shards(self) -> Option<impl Iterator<Item = Shard<T>>> {
        Some(Arc::into_inner(self.0?)?.shards.into_iter())
    }

    pub fn snapshots(&self) -> Option<&T::Snapshots> {
        self.0.as_ref().map(|map| &map.snapshots)
    }

    /// Calls `visit` with what a shard has, which does not change meanwhile. `None`: there is no
    /// such shard.
    pub fn walk<R>(
        &self,
        shard: usize,
        visit: impl FnOnce(&T::PreImages, Iter<'_, T>) -> R,
    ) -> Option<R> {
        let shard = self.0.as_ref()?.shards.get(shard)?;
        let pre_images = shard.walks.read();
        // SAFETY: whoever changes the items holds this lock alone.
        Some(shard.items.with(|items| visit(&pre_images, unsafe { &*items }.iter())))
    }

    /// Calls `visit` with the item that hashes and is as wanted, and the pre-images of its shard.
    /// `None`: there is nothing.
    pub fn find<R>(
        &self,
        key: &impl Hash,
        is_wanted: impl Fn(&T) -> bool,
        visit: impl FnOnce(&T::PreImages, Option<&T>) -> R,
    ) -> Option<R> {
        let hash = hash_of(key);
        let shard = self.0.as_ref()?.shards.get(shard_of(hash))?;
        let pre_images = shard.walks.read();
        // SAFETY: whoever changes the items holds this lock alone.
        Some(shard.items.with(|items| visit(&pre_images, unsafe { &*items }.find(hash, is_wanted))))
    }

    /// Calls `change` with the pre-images of a shard, of which no walk goes on.
    pub fn change_pre_images<R>(
        &self,
        shard: usize,
        change: impl FnOnce(&mut T::PreImages) -> R,
    ) -> Option<R> {
        let shard = self.0.as_ref()?.shards.get(shard)?;
        Some(change(&mut shard.walks.write()))
    }
}

#[cfg(test)]
mod tests;
