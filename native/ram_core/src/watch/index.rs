//! Which watches a change is for.

use foldhash::fast::FixedState;
use std::collections::{BTreeSet, HashMap};

use super::Keys;
use super::ranges::Ranges;

/// Watches by their tables and keys.
#[derive(Debug, Default)]
pub struct Index(HashMap<Box<str>, OfTable, FixedState>);

#[derive(Debug, Default)]
struct OfTable {
    keys: HashMap<Box<[u8]>, BTreeSet<u64>, FixedState>,
    ranges: Ranges,
    all: BTreeSet<u64>,
}

impl OfTable {
    fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.ranges.is_empty() && self.all.is_empty()
    }

    fn remove_key(&mut self, id: u64, key: &[u8]) {
        let Some(ids) = self.keys.get_mut(key) else { return };
        ids.remove(&id);
        if ids.is_empty() {
            self.keys.remove(key);
        }
    }
}

impl Index {
    pub fn add(&mut self, id: u64, table: &str, keys: &Keys) {
        let of_table = self.0.entry(table.into()).or_default();
        match keys {
            Keys::One(key) => {
                _ = of_table.keys.entry(key.as_slice().into()).or_default().insert(id)
            }
            Keys::Range(from, to) => of_table.ranges.insert(id, from, to),
            Keys::All => _ = of_table.all.insert(id),
        }
    }

    pub fn remove(&mut self, id: u64, table: &str, keys: &Keys) {
        let Some(of_table) = self.0.get_mut(table) else { return };
        match keys {
            Keys::One(key) => of_table.remove_key(id, key),
            Keys::Range(from, _) => of_table.ranges.remove(id, from),
            Keys::All => _ = of_table.all.remove(&id),
        }
        if of_table.is_empty() {
            self.0.remove(table);
        }
    }

    pub fn has_table(&self, table: &str) -> bool {
        self.0.contains_key(table)
    }

    pub fn has(&self, table: &str, key: &[u8]) -> bool {
        let mut has = false;
        self.each(table, key, |_| has = true);
        has
    }

    /// Calls `each` with the watches of a key, each once.
    pub fn each(&self, table: &str, key: &[u8], mut each: impl FnMut(u64)) {
        let Some(of_table) = self.0.get(table) else { return };
        of_table.keys.get(key).into_iter().flatten().for_each(|id| each(*id));
        of_table.ranges.each(key, &mut each);
        of_table.all.iter().for_each(|id| each(*id));
    }
}
