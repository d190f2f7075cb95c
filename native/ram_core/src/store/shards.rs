//! The set of items in shards, for readers on many processors.
//!
//! A lock that all readers share is a word that all of them write, and a processor waits for a word
//! that another has written longer than for the whole lookup. So each shard has several locks: a
//! reader takes the one of its thread, and whoever changes the shard takes all of them, and then
//! the map's own, which walks take. The locks of a thread lie side by side, away from those of
//! other threads.
//!
//! That a reader of a shard reads while nobody changes it is for the locks here to say, since the
//! map knows nothing of them: the one place of this crate with `unsafe`.

use dashmap::DashMap;
use foldhash::fast::RandomState;
use parking_lot::{RwLock, RwLockWriteGuard};
use std::hash::Hash;
use std::ops::Range;

use crate::readers;

/// So many that a walk holds the lock of one (a thousandth of the table) only for a moment.
const SHARDS: usize = 1024;
/// Of each shard. A change takes them all, so not one for each thread there might be.
const LOCKS_MAX: usize = 16;

#[derive(Debug)]
pub struct Shards<T: Eq + Hash> {
    map: DashMap<T, (), RandomState>,
    /// One for each shard, and so on for each place of readers.
    locks: Box<[RwLock<()>]>,
    /// A power of two.
    places: usize,
}

impl<T: Eq + Hash> Shards<T> {
    /// For so many items without growing.
    pub fn with_capacity(items: usize) -> Self {
        let hasher = RandomState::default();
        let map = DashMap::with_capacity_and_hasher_and_shard_amount(items, hasher, SHARDS);
        let places = readers::places(LOCKS_MAX);
        Shards { map, locks: (0..places * SHARDS).map(|_| RwLock::default()).collect(), places }
    }

    /// Calls `look` with the item that hashes and is as wanted. A change of the shard waits for it.
    pub fn look<R>(
        &self,
        key: &impl Hash,
        is_wanted: impl Fn(&T) -> bool,
        look: impl FnOnce(Option<&T>) -> R,
    ) -> R {
        let hash = self.map.hash_usize(key);
        let at = self.map.determine_shard(hash);
        let place = readers::own_number() & (self.places - 1);
        let lock = self.locks.get(place * SHARDS + at);
        let (Some(lock), Some(shard)) = (lock, self.map.shards().get(at)) else {
            return look(None);
        };
        let _held = lock.read();
        // SAFETY: the map is changed in this file alone, by those who hold all locks of the shard,
        // of which one is held here until `look` has returned. All others read.
        let shard = unsafe { &*shard.data_ptr() };
        look(shard.find(hash as u64, |(item, ())| is_wanted(item)).map(|(item, ())| item))
    }

    /// Sets an item and returns the former one, as one change for readers. The map's own insert
    /// keeps the old key, and here the key is all there is.
    pub fn replace(&self, item: T) -> Option<T> {
        let hash = self.map.hash_usize(&item);
        let at = self.map.determine_shard(hash);
        let _held = self.all_locks(at);
        let mut shard = self.map.shards().get(at)?.write();
        if let Some((slot, ())) = shard.find_mut(hash as u64, |(found, ())| *found == item) {
            return Some(std::mem::replace(slot, item));
        }
        let hash_of = |(item, ()): &(T, ())| self.map.hash_usize(item) as u64;
        shard.insert_unique(hash as u64, (item, ()), hash_of);
        None
    }

    pub fn remove(&self, key: &impl Hash, is_wanted: impl Fn(&T) -> bool) -> Option<T> {
        let hash = self.map.hash_usize(key);
        let at = self.map.determine_shard(hash);
        let _held = self.all_locks(at);
        let mut shard = self.map.shards().get(at)?.write();
        let found = shard.find_entry(hash as u64, |(item, ())| is_wanted(item)).ok()?;
        let ((item, ()), _place) = found.remove();
        Some(item)
    }

    /// Of all shards.
    pub fn numbers(&self) -> Range<usize> {
        0..self.map.shards().len()
    }

    /// Calls `visit` with the items of a shard, which does not change meanwhile.
    pub fn walk(&self, shard: usize, visit: impl FnMut(&T)) {
        if let Some(shard) = self.map.shards().get(shard) {
            shard.read().iter().map(|(item, ())| item).for_each(visit);
        }
    }

    fn all_locks(&self, at: usize) -> [Option<RwLockWriteGuard<'_, ()>>; LOCKS_MAX] {
        std::array::from_fn(|place| Some(self.locks.get(place * SHARDS + at)?.write()))
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

    fn look(shards: &Shards<Pair>, key: u64) -> Option<Pair> {
        shards.look(&key, |pair| pair.0 == key, |found| found.copied())
    }

    fn all(shards: &Shards<Pair>) -> HashSet<(u64, u64)> {
        let mut seen = HashSet::new();
        let mut see = |pair: &Pair| _ = seen.insert((pair.0, pair.1));
        shards.numbers().for_each(|shard| shards.walk(shard, &mut see));
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
        let changes: [fn(&Shards<Pair>); 2] = [
            |shards| _ = shards.replace(Pair(1, 7)),
            |shards| _ = shards.remove(&1u64, |pair| pair.0 == 1),
        ];
        // Threads are numbered as they come, so these have all of the locks.
        for reader in 0..2 * LOCKS_MAX {
            for change in changes {
                let (is_changed, (reading, is_read)) = (AtomicBool::new(false), channel());
                let (is_changed, shards) = (&is_changed, &shards);
                thread::scope(|scope| {
                    scope.spawn(move || {
                        shards.look(
                            &1u64,
                            |pair| pair.0 == 1,
                            |_| {
                                reading.send(()).unwrap();
                                thread::sleep(Duration::from_millis(5));
                                assert!(!is_changed.load(Ordering::SeqCst), "reader {reader}");
                            },
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
