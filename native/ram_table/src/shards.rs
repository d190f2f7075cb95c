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
//! The one file of this crate with `unsafe`: the items of a shard lie in a cell, and it is these
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
fn fetch(address: *const u8) {
    const LINE: usize = 64;
    #[cfg(target_arch = "x86_64")]
    for line in [address, address.wrapping_add(LINE)] {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a hint to the processor, which does nothing for an address that is not mapped.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(line.cast()) };
    }
}

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
mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::mpsc::channel;
    use std::thread;
    use std::time::Duration;

    /// Known by the first number.
    #[derive(Debug, Clone, Copy)]
    struct Pair(u64, u64);

    impl PartialEq for Pair {
        fn eq(&self, other: &Pair) -> bool {
            self.0 == other.0
        }
    }

    impl Eq for Pair {}

    impl Hash for Pair {
        fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
            self.0.hash(state);
        }
    }

    impl Element for Pair {
        fn address(&self) -> *const u8 {
            std::ptr::from_ref(self).cast()
        }
    }

    fn look(shards: &Shards<Pair>, key: u64) -> Option<Pair> {
        shards.with_item(&key, |pair| pair.0 == key, || true, |found| found.copied()).unwrap()?
    }

    fn all(shards: &Shards<Pair>) -> HashSet<(u64, u64)> {
        let mut seen = HashSet::new();
        let mut see = |pair: &Pair| _ = seen.insert((pair.0, pair.1));
        let all = shards.all();
        all.shards().for_each(|shard| all.walk(shard, &mut see));
        seen
    }

    #[test]
    fn an_item_takes_the_place_of_the_one_that_is_equal_until_it_is_removed() {
        let shards = Shards::with_capacity(0);
        assert!(shards.replace(Pair(1, 10)).is_none());
        assert_eq!(shards.replace(Pair(1, 11)).map(|old| old.1), Some(10));
        assert!(shards.replace(Pair(2, 20)).is_none());
        assert_eq!(look(&shards, 1).map(|found| found.1), Some(11));
        assert_eq!(all(&shards), HashSet::from([(1, 11), (2, 20)]));
        assert_eq!(shards.remove(&1u64, |pair| pair.0 == 1).map(|old| old.1), Some(11));
        assert!(look(&shards, 1).is_none() && look(&shards, 3).is_none());
        assert!(shards.remove(&1u64, |pair| pair.0 == 1).is_none());
    }

    #[test]
    fn a_change_waits_for_the_readers_of_its_shard_whatever_their_thread() {
        let shards = Shards::with_capacity(0);
        shards.replace(Pair(1, 0));
        let changes: [fn(&Shards<Pair>); 3] = [
            |shards| _ = shards.replace(Pair(1, 7)),
            |shards| _ = shards.remove(&1u64, |pair| pair.0 == 1),
            |shards| shards.replace_with(&Shards::with_capacity(0)),
        ];
        // Threads are numbered as they come, so these have all of the locks.
        for reader in 0..2 * LOCKS_MAX {
            for change in changes {
                let (is_changed, (reading, is_read)) = (AtomicBool::new(false), channel());
                let (is_changed, shards) = (&is_changed, &shards);
                let nothing_changes = move || {
                    thread::sleep(Duration::from_millis(5));
                    assert!(!is_changed.load(Ordering::SeqCst), "reader {reader}");
                };
                thread::scope(|scope| {
                    scope.spawn(move || {
                        let may_read = || {
                            reading.send(()).unwrap();
                            nothing_changes();
                            true
                        };
                        shards.with_item(
                            &1u64,
                            |pair| pair.0 == 1,
                            may_read,
                            |_| nothing_changes(),
                        );
                    });
                    is_read.recv().unwrap();
                    change(shards);
                    is_changed.store(true, Ordering::SeqCst);
                });
            }
        }
    }

    #[test]
    fn readers_do_not_wait_for_a_walk_though_a_change_of_its_shard_does() {
        let shards = &Shards::with_capacity(0);
        shards.replace(Pair(1, 10));
        let at = shard_of(shards.hasher.hash_one(1u64));
        let (walking, is_walking) = channel();
        let (has_read, is_read) = channel();
        thread::scope(|scope| {
            scope.spawn(move || {
                shards.all().walk(at, |_| {
                    walking.send(()).unwrap();
                    let read = is_read.recv_timeout(Duration::from_secs(10));
                    assert!(read.is_ok(), "the readers waited for this walk");
                });
            });
            is_walking.recv().unwrap();
            let change = scope.spawn(|| shards.replace(Pair(1, 11)));
            // The change begins to wait at one of these moments.
            for _ in 0..100 {
                assert_eq!(look(shards, 1).map(|found| found.1), Some(10));
                thread::sleep(Duration::from_millis(1));
            }
            assert!(!change.is_finished());
            has_read.send(()).unwrap();
            assert_eq!(change.join().unwrap().map(|old| old.1), Some(10));
        });
        assert_eq!(look(shards, 1).map(|found| found.1), Some(11));
    }

    #[test]
    fn a_reader_that_may_not_look_sees_nothing_and_nobody_sees_what_was_closed() {
        let shards = Shards::with_capacity(0);
        shards.replace(Pair(1, 10));
        let looked =
            |may_read: bool| shards.with_item(&1u64, |pair| pair.0 == 1, || may_read, |_| ());
        assert_eq!((looked(true), looked(false)), (Some(Some(())), Some(None)));
        let all = shards.all();
        shards.close();
        assert_eq!((looked(true), looked(false)), (None, None));
        assert_eq!((shards.all().shards(), all.shards()), (0..0, 0..SHARDS));
    }

    #[test]
    fn a_set_that_was_taken_over_changes_no_more() {
        let (shards, other) = (Shards::with_capacity(0), Shards::with_capacity(0));
        other.replace(Pair(1, 10));
        shards.replace_with(&other);
        assert!(other.replace(Pair(1, 11)).is_none());
        assert!(other.remove(&1u64, |pair| pair.0 == 1).is_none());
        assert_eq!(all(&shards), HashSet::from([(1, 10)]));
    }

    #[test]
    fn readers_see_all_items_of_one_set_and_then_all_of_the_other() {
        const KEYS: u64 = 500;
        let filled = |value| {
            let shards = Shards::with_capacity(0);
            (0..KEYS).for_each(|key| _ = shards.replace(Pair(key, value)));
            shards
        };
        let (shards, (reading, are_reading)) = (&filled(1), channel());
        thread::scope(|scope| {
            for _ in 0..2 {
                let reading = reading.clone();
                scope.spawn(move || {
                    let mut newest = 1;
                    while newest < 20 {
                        for key in 0..KEYS {
                            let seen = look(shards, key).unwrap().1;
                            assert!(seen >= newest, "{seen} of {key} after {newest}");
                            newest = seen;
                        }
                        let _ = reading.send(());
                    }
                });
            }
            are_reading.recv().unwrap();
            (2..=20).for_each(|value| shards.replace_with(&filled(value)));
        });
    }

    #[test]
    fn readers_see_whole_items_while_shards_grow_and_shrink() {
        const KEYS: u64 = 20_000;
        let (shards, is_over) = (&Shards::with_capacity(0), &AtomicBool::new(false));
        thread::scope(|scope| {
            for first in 0..4 {
                scope.spawn(move || {
                    let mut key = first;
                    while !is_over.load(Ordering::Relaxed) {
                        key = (key + 7919) % KEYS;
                        assert!(look(shards, key).is_none_or(|Pair(_, value)| value % KEYS == key));
                    }
                });
            }
            for round in 0..10 {
                (0..KEYS).for_each(|key| _ = shards.replace(Pair(key, round * KEYS + key)));
                for key in (0..KEYS).filter(|key| key % 3 == round % 3) {
                    assert!(shards.remove(&key, |pair| pair.0 == key).is_some());
                }
            }
            is_over.store(true, Ordering::Relaxed);
        });
        let left = (0..KEYS).filter(|key| key % 3 != 0).map(|key| (key, 9 * KEYS + key));
        assert_eq!(all(shards), left.collect());
    }
}
