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
    type Snapshots = ();
    type PreImages = Vec<Pair>;

    fn address(&self) -> *const u8 {
        std::ptr::from_ref(self).cast()
    }
}

fn look(shards: &Shards<Pair>, key: u64) -> Option<Pair> {
    shards.with_item(&key, |pair| pair.0 == key, || true, |found| found.copied()).unwrap()?
}

fn all(shards: &Shards<Pair>) -> HashSet<(u64, u64)> {
    let all = shards.all();
    let of = |shard| all.walk(shard, |_, pairs| pairs.map(|pair| (pair.0, pair.1)).collect());
    all.shards().flat_map(|shard| -> Vec<_> { of(shard).unwrap() }).collect()
}

/// Changes what is shown, and keeps nothing.
impl Shards<Pair> {
    fn set(&self, pair: Pair) -> Option<Pair> {
        self.replace(&self.all(), pair, |_, _, old| Some(old))
    }

    fn unset(&self, key: u64) -> Option<Pair> {
        self.remove(&self.all(), &key, |pair| pair.0 == key, |_, _, old| Some(old))
    }
}

#[test]
fn an_item_takes_the_place_of_the_one_that_is_equal_until_it_is_removed() {
    let shards = Shards::with_capacity(0, Locks::Many);
    assert!(shards.set(Pair(1, 10)).is_none());
    assert_eq!(shards.set(Pair(1, 11)).map(|old| old.1), Some(10));
    assert!(shards.set(Pair(2, 20)).is_none());
    assert_eq!(look(&shards, 1).map(|found| found.1), Some(11));
    assert_eq!(all(&shards), HashSet::from([(1, 11), (2, 20)]));
    assert_eq!(shards.unset(1).map(|old| old.1), Some(11));
    assert!(look(&shards, 1).is_none() && look(&shards, 3).is_none());
    assert!(shards.unset(1).is_none());
}

#[test]
fn a_change_waits_for_the_readers_of_its_shard_whatever_their_thread() {
    for locks in [Locks::Many, Locks::Few] {
        a_change_waits_for_the_readers_of_its_shard(&Shards::with_capacity(0, locks));
    }
}

fn a_change_waits_for_the_readers_of_its_shard(shards: &Shards<Pair>) {
    shards.set(Pair(1, 0));
    let changes: [fn(&Shards<Pair>); 3] = [
        |shards| _ = shards.set(Pair(1, 7)),
        |shards| _ = shards.unset(1),
        |shards| _ = shards.replace_with(&Shards::with_capacity(0, Locks::Few)),
    ];
    // Threads are numbered as they come, so these have all of the locks.
    for reader in 0..2 * LOCKS_MAX {
        for change in changes {
            let (is_changed, (reading, is_read)) = (AtomicBool::new(false), channel());
            let is_changed = &is_changed;
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
                    shards.with_item(&1u64, |pair| pair.0 == 1, may_read, |_| nothing_changes());
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
    let shards = &Shards::with_capacity(0, Locks::Many);
    shards.set(Pair(1, 10));
    let at = shard_of(shards.hasher.hash_one(1u64));
    let (walking, is_walking) = channel();
    let (has_read, is_read) = channel();
    thread::scope(|scope| {
        scope.spawn(move || {
            shards.all().walk(at, |_, _| {
                walking.send(()).unwrap();
                let read = is_read.recv_timeout(Duration::from_secs(10));
                assert!(read.is_ok(), "the readers waited for this walk");
            });
        });
        is_walking.recv().unwrap();
        let change = scope.spawn(|| shards.set(Pair(1, 11)));
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
    let shards = Shards::with_capacity(0, Locks::Many);
    shards.set(Pair(1, 10));
    let looked = |may_read: bool| shards.with_item(&1u64, |pair| pair.0 == 1, || may_read, |_| ());
    assert_eq!((looked(true), looked(false)), (Some(Some(())), Some(None)));
    let all = shards.all();
    shards.close();
    assert_eq!((looked(true), looked(false)), (None, None));
    assert_eq!((shards.all().shards(), all.shards()), (0..0, 0..SHARDS));
}

#[test]
fn a_set_that_was_taken_over_changes_no_more() {
    let (shards, other) =
        (Shards::with_capacity(0, Locks::Many), Shards::with_capacity(0, Locks::Many));
    other.set(Pair(1, 10));
    shards.replace_with(&other);
    assert!(other.set(Pair(1, 11)).is_none());
    assert!(other.unset(1).is_none());
    assert_eq!(all(&shards), HashSet::from([(1, 10)]));
}

#[test]
fn readers_see_all_items_of_one_set_and_then_all_of_the_other() {
    const KEYS: u64 = 500;
    let filled = |value| {
        let locks = if value % 2 == 0 { Locks::Few } else { Locks::Many };
        let shards = Shards::with_capacity(0, locks);
        (0..KEYS).for_each(|key| _ = shards.set(Pair(key, value)));
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
        (2..=20).for_each(|value| _ = shards.replace_with(&filled(value)));
    });
}

#[test]
fn readers_see_whole_items_while_shards_grow_and_shrink() {
    const KEYS: u64 = 20_000;
    let (shards, is_over) = (&Shards::with_capacity(0, Locks::Few), &AtomicBool::new(false));
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
            (0..KEYS).for_each(|key| _ = shards.set(Pair(key, round * KEYS + key)));
            for key in (0..KEYS).filter(|key| key % 3 == round % 3) {
                assert!(shards.unset(key).is_some());
            }
        }
        is_over.store(true, Ordering::Relaxed);
    });
    let left = (0..KEYS).filter(|key| key % 3 != 0).map(|key| (key, 9 * KEYS + key));
    assert_eq!(all(shards), left.collect());
}
