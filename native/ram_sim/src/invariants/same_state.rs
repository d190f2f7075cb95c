//! Members that have applied the same index hold the same state: values, revisions
//! and owners.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::{Checked, Sight};
use ram_table::table::Item;

#[derive(Default)]
pub struct SameState {
    /// By applied index: the hash of the state, and who had it first.
    states: HashMap<u64, (u64, u64)>,
}

impl SameState {
    pub fn check(&mut self, sight: &Sight<'_>) -> Checked {
        let Some(items) = sight.items else { return Ok(()) };
        let (index, id) = (sight.now.applied_index, sight.now.id);
        let hash = hash(items);
        let (known, first) = *self.states.entry(index).or_insert((hash, id));
        if known == hash {
            return Ok(());
        }
        Err(format!("at index {index} members {first} and {id} hold different states: {items:?}"))
    }
}

fn hash(items: &[Option<Item>]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for item in items {
        item.as_ref()
            .map(|item| (item.key(), item.value(), item.revision(), item.owner()))
            .hash(&mut hasher);
    }
    hasher.finish()
}
