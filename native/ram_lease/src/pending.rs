//! The keys that may change: marked before an entry is acknowledged, until it is applied or gone.
//!
//! An array of counters, indexed by a hash of the key: looking is one load, and two keys of one
//! slot only make a read slower. An entry whose keys are not known marks everything. The entries
//! that are marked are remembered in order, so that each takes away what it brought.
//!
//! Written by the threads that append and apply; read by any. Memory: 128 KiB, and for each entry
//! that waits to be applied 4 bytes a key, 32 KiB at most: one with more keys marks everything.

use foldhash::fast::RandomState;
use ram_threads::sync::{AtomicU32, IS_MODEL, Mutex};
use std::collections::VecDeque;
use std::hash::BuildHasher;
use std::sync::atomic::Ordering;

use ram_sabotage::{Fault, armed};

const SLOTS: usize = if IS_MODEL { 8 } else { 32 * 1024 };

/// The keys of one entry that are marked one by one. With so many a quarter of the slots is marked.
const KEYS_MAX: usize = SLOTS / 4;

#[derive(Debug)]
pub struct Pending {
    hasher: RandomState,
    slots: Box<[AtomicU32]>,
    /// Counts the entries that mark anything: mostly there are none, and then no slot is looked at.
    entries: AtomicU32,
    /// Counts the entries that mark every slot.
    everything: AtomicU32,
    /// Guards the entries that are marked, in the order of the log; appending, truncating and
    /// applying change them.
    marked: Mutex<VecDeque<Marked>>,
}

#[derive(Debug)]
struct Marked {
    index: u64,
    /// `None`: every slot.
    slots: Option<Box<[u32]>>,
}

impl Default for Pending {
    fn default() -> Self {
        Pending {
            hasher: RandomState::default(),
            slots: (0..SLOTS).map(|_| AtomicU32::new(0)).collect(),
            entries: AtomicU32::new(0),
            everything: AtomicU32::new(0),
            marked: Mutex::default(),
        }
    }
}

impl Pending {
    /// Marks the keys that the entry may change; everything, if one of them is not known. When it
    /// returns, every read that begins sees the marks.
    pub fn mark<'a, E>(&self, index: u64, keys: impl Iterator<Item = Result<&'a [u8], E>>) {
        if armed(Fault::SkipPendingMark) {
            return;
        }
        let slots = keys.take(KEYS_MAX + 1).map(|key| Some(self.slot_of(key.ok()?)));
        let slots = slots.collect::<Option<Box<[u32]>>>().filter(|slots| slots.len() <= KEYS_MAX);
        if slots.as_ref().is_some_and(|slots| slots.is_empty()) {
            return;
        }
        let entry = Marked { index, slots };
        let mut marked = self.marked.lock();
        self.count(&entry, |counter| _ = counter.fetch_add(1, Ordering::SeqCst));
        marked.push_back(entry);
    }

    /// The entries up to `index` are applied, and the table shows them.
    pub fn applied(&self, index: u64) {
        let mut marked = self.marked.lock();
        while marked.front().is_some_and(|entry| entry.index <= index)
            && let Some(entry) = marked.pop_front()
        {
            self.unmark(&entry);
        }
    }

    /// The entries above `last`, or all, are not in the log any more and were never committed.
    pub fn truncated(&self, last: Option<u64>) {
        let mut marked = self.marked.lock();
        while marked.back().is_some_and(|entry| Some(entry.index) > last)
            && let Some(entry) = marked.pop_back()
        {
            self.unmark(&entry);
        }
    }

    /// May the key change by an entry that this member has acknowledged and not applied?
    pub fn is_pending(&self, key: &[u8]) -> bool {
        if self.entries.load(Ordering::SeqCst) == 0 {
            return false;
        }
        let slot = self.slots.get(self.slot_of(key) as usize);
        slot.is_none_or(|slot| slot.load(Ordering::SeqCst) > 0)
            || self.everything.load(Ordering::SeqCst) > 0
    }

    /// May any key change by such an entry?
    pub fn is_any_pending(&self) -> bool {
        self.entries.load(Ordering::SeqCst) > 0
    }

    /// Once this index is applied, all that is marked now is applied or gone. The entry may be gone
    /// itself, and its index used late or never.
    pub fn last_marked(&self) -> u64 {
        self.marked.lock().back().map_or(0, |entry| entry.index)
    }

    fn unmark(&self, entry: &Marked) {
        self.count(entry, |counter| _ = counter.fetch_sub(1, Ordering::SeqCst));
    }

    fn count(&self, entry: &Marked, change: impl Fn(&AtomicU32)) {
        change(&self.entries);
        match &entry.slots {
            None => change(&self.everything),
            Some(slots) => {
                slots.iter().filter_map(|slot| self.slots.get(*slot as usize)).for_each(change);
            }
        }
    }

    fn slot_of(&self, key: &[u8]) -> u32 {
        (self.hasher.hash_one(key) % SLOTS as u64) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Known<'a> = Result<&'a [u8], ()>;

    fn keys<'a>(keys: &'a [&'a [u8]]) -> impl Iterator<Item = Known<'a>> {
        keys.iter().map(|key| Ok(*key))
    }

    #[test]
    fn a_key_is_pending_from_its_mark_until_the_last_of_its_entries_is_applied() {
        let pending = Pending::default();
        assert!(!pending.is_pending(b"a"));
        pending.mark(1, keys(&[b"a", b"a"]));
        pending.mark(2, keys(&[b"a"]));
        pending.applied(1);
        assert!(pending.is_pending(b"a"));
        assert!(!pending.is_pending(b"b"));
        assert!(pending.is_any_pending());
        pending.applied(2);
        assert!(!pending.is_pending(b"a"));
        assert!(!pending.is_any_pending());
    }

    #[test]
    fn what_is_truncated_is_no_longer_pending_and_what_stays_is() {
        let pending = Pending::default();
        pending.mark(3, keys(&[b"a"]));
        pending.mark(4, keys(&[b"a", b"b"]));
        pending.truncated(Some(3));
        assert!(pending.is_pending(b"a"));
        assert!(!pending.is_pending(b"b"));
        assert_eq!(pending.last_marked(), 3);
        pending.truncated(None);
        assert!(!pending.is_pending(b"a"));
    }

    #[test]
    fn an_entry_of_unknown_keys_marks_everything() {
        let pending = Pending::default();
        pending.mark(7, [Ok(&b"known"[..]), Err(())].into_iter());
        assert!(pending.is_pending(b"any"));
        pending.applied(7);
        assert!(!pending.is_pending(b"any"));
    }

    /// Millions of commands in one entry must not take their weight in marks.
    #[test]
    fn an_entry_of_very_many_keys_marks_everything_in_no_memory() {
        let pending = Pending::default();
        let mark = |count| pending.mark(7, std::iter::repeat_n(Known::Ok(b"one"), count));
        mark(KEYS_MAX);
        assert!(pending.is_pending(b"one") && !pending.is_pending(b"any"));
        mark(KEYS_MAX + 1);
        assert!(pending.is_pending(b"any"));
        assert!(pending.marked.lock().back().unwrap().slots.is_none());
        pending.applied(7);
        assert!(!pending.is_pending(b"any") && !pending.is_pending(b"one"));
    }

    #[test]
    fn an_entry_without_keys_marks_nothing() {
        let pending = Pending::default();
        pending.mark(7, keys(&[]));
        assert_eq!(pending.last_marked(), 0);
    }

    /// Whatever is appended, applied and truncated: all is unmarked at the end.
    #[test]
    fn no_mark_is_left_over_and_none_is_taken_away_twice() {
        let pending = Pending::default();
        let names: Vec<String> = (0..50).map(|n| n.to_string()).collect();
        let mut last = 0;
        for round in 0..200u64 {
            for step in 0..round % 5 {
                last += 1;
                let key = names[((round * 7 + step) % 50) as usize].as_bytes();
                pending.mark(last, keys(&[key]));
            }
            if round % 3 == 0 {
                last -= (round % 4).min(last - pending.last_marked().min(last));
                pending.truncated(Some(last));
            }
            pending.applied(last.saturating_sub(round % 6));
        }
        pending.applied(last);
        assert!(names.iter().all(|name| !pending.is_pending(name.as_bytes())));
        assert!(pending.slots.iter().all(|slot| slot.load(Ordering::SeqCst) == 0));
        assert_eq!(pending.entries.load(Ordering::SeqCst), 0);
    }
}
