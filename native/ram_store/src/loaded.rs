//! What a store was loaded with, for those who list items and were not told of each.

use crate::owners::Owners;
use crate::timers;
use ram_table::item::Item;

#[derive(Debug, Default)]
pub struct Loaded {
    /// Items with a time to live.
    pub lives: timers::Loaded,
    /// Items with an owner.
    pub owners: Owners,
}

impl Loaded {
    pub(crate) fn push(&mut self, table: &str, item: &Item) {
        self.lives.push(table, item);
        self.owners.insert(table, item);
    }
}
