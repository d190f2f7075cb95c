//! The walk that moves values out of memory that is mostly dead.
//!
//! It goes on with each change, a few items at a time, and only while the owner of the values says
//! that it is worth it. One round takes a quarter as many changes as the table has entries; so what
//! is dead is bounded by what is alive, and a change pays for four items at most, on average: a
//! shard is visited when it was paid for.

use super::table::{Item, SHARDS, Table};
use super::value::Values;

const ITEMS_PER_CHANGE: usize = 4;

/// Where the walk is, and how many items it may visit.
#[derive(Debug, Default)]
pub struct Sweep {
    shard: usize,
    credit: usize,
}

impl Sweep {
    /// Called by the one writer after each change.
    pub fn step(&mut self, table: &Table, values: &dyn Values) {
        if !values.is_wasteful(table.sharing()) {
            self.credit = 0;
            return;
        }
        self.credit += ITEMS_PER_CHANGE;
        loop {
            let cost = 1 + table.shard_entries(self.shard);
            let Some(left) = self.credit.checked_sub(cost) else { return };
            self.credit = left;
            for item in table.shard_items(self.shard) {
                visit(table, values, &item);
            }
            self.shard = (self.shard + 1) % SHARDS;
        }
    }
}

fn visit(table: &Table, values: &dyn Values, item: &Item) {
    if let Some(held) = values.moved(item.held()) {
        table.set_held(item, held);
    }
}
