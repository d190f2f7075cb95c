//! Which watches a change is for.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::Keys;

/// Watches by their tables and keys.
#[derive(Debug, Default)]
pub struct Index(HashMap<Box<str>, OfTable>);

#[derive(Debug, Default)]
struct OfTable {
    keys: HashMap<Box<[u8]>, BTreeSet<u64>>,
    ranges: BTreeMap<u64, Keys>,
}

impl Index {
    pub fn add(&mut self, id: u64, table: &str, keys: &Keys) {
        let of_table = self.0.entry(table.into()).or_default();
        match keys {
            Keys::One(key) => {
                of_table.keys.entry(key.as_slice().into()).or_default().insert(id);
            }
            Keys::Range(..) | Keys::All => _ = of_table.ranges.insert(id, keys.clone()),
        }
    }

    pub fn remove(&mut self, id: u64, table: &str, keys: &Keys) {
        let Some(of_table) = self.0.get_mut(table) else { return };
        if let Keys::One(key) = keys {
            if let Some(ids) = of_table.keys.get_mut(key.as_slice()) {
                ids.remove(&id);
                if ids.is_empty() {
                    of_table.keys.remove(key.as_slice());
                }
            }
        } else {
            of_table.ranges.remove(&id);
        }
        if of_table.keys.is_empty() && of_table.ranges.is_empty() {
            self.0.remove(table);
        }
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
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
        let ranges = of_table.ranges.iter().filter(|(_, keys)| keys.has(key));
        ranges.for_each(|(id, _)| each(*id));
    }
}
