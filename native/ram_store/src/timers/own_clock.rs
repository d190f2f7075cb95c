//! What the fault `ExpireByOwnClock` needs: keys that go when a member's own clock says so.

use std::sync::Arc;

use super::lists::{Lists, is_meant};
use super::{Taken, Timers};
use ram_table::item::Item;
use ram_table::tables::Tables;

impl Timers {
    /// The keys whose time has passed by a member's own clock.
    pub fn over_by(&self, now_ms: u64) -> Vec<Taken> {
        let is_over = |item: &&Item| {
            let life = item.meta().life;
            life.is_some_and(|life| life.since_ms + life.ttl_ms <= now_ms)
        };
        let of = |(table, lists): (&Arc<str>, &Lists)| {
            let taken = |item: &Item| Taken { table: table.clone(), item: item.clone() };
            lists.fresh.iter().flatten().filter(is_over).map(taken).collect::<Vec<_>>()
        };
        self.tables.iter().flat_map(of).collect()
    }
}

impl Taken {
    /// Ends it behind the back of the log.
    pub fn end(&self, tables: &Tables) {
        if let Some(table) = tables.get(&self.table)
            && is_meant(&self.table, tables, &self.item)
        {
            tables.begin_write();
            table.remove(self.item.key());
            tables.end_write(tables.revision());
        }
    }
}
