//! A table, of either type: read by anyone at any time, written by the thread that applies.

use std::fmt;
use std::ops::Bound;
use std::sync::{Arc, OnceLock};

pub use super::hash::HashTable;
use super::hash::Locks;
pub use super::item::{Item, Meta};
pub use super::ordered::{OrderedSnapshot, OrderedTable};
use super::reclaim::Reclaimer;
pub use super::snapshot::{Revoked, Snapshot as HashSnapshot};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableType {
    /// A hash table.
    Set,
    /// A tree, in the order of the keys' bytes.
    OrderedSet,
}

impl fmt::Display for TableType {
    /// By the name that callers have for it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TableType::Set => "set",
            TableType::OrderedSet => "ordered_set",
        })
    }
}

/// Both ends, of encoded keys.
pub type KeyRange<'a> = (Bound<&'a [u8]>, Bound<&'a [u8]>);

#[derive(Debug)]
pub struct Table(Kind);

#[derive(Debug)]
enum Kind {
    Hash {
        hash: HashTable,
        /// What the table is from the moment that it was turned into an ordered one.
        turned: OnceLock<OrderedTable>,
    },
    Ordered(OrderedTable),
}

/// A table by its type.
#[derive(Debug, Clone, Copy)]
pub enum Typed<'a> {
    Hash(&'a HashTable),
    Ordered(&'a OrderedTable),
}

impl Default for Table {
    fn default() -> Self {
        Table::with_capacity(0)
    }
}

impl Table {
    /// A set that is read from many threads at once, for so many entries without growing.
    pub fn with_capacity(entries: usize) -> Self {
        Table::set(entries, Locks::Many, Arc::default())
    }

    /// For so many entries without growing.
    pub(crate) fn new(
        table_type: TableType,
        entries: usize,
        locks: Locks,
        reclaimer: Arc<Reclaimer>,
    ) -> Self {
        match table_type {
            TableType::Set => Table::set(entries, locks, reclaimer),
            TableType::OrderedSet => Table(Kind::Ordered(OrderedTable::new(reclaimer))),
        }
    }

    fn set(entries: usize, locks: Locks, reclaimer: Arc<Reclaimer>) -> Self {
        let hash = HashTable::with_capacity(entries, locks, reclaimer);
        Table(Kind::Hash { hash, turned: OnceLock::new() })
    }

    pub fn table_type(&self) -> TableType {
        match self.typed() {
            Typed::Hash(_) => TableType::Set,
            Typed::Ordered(_) => TableType::OrderedSet,
        }
    }

    pub fn typed(&self) -> Typed<'_> {
        match &self.0 {
            Kind::Hash { hash, turned } => turned.get().map_or(Typed::Hash(hash), Typed::Ordered),
            Kind::Ordered(ordered) => Typed::Ordered(ordered),
        }
    }

    /// For the one writer only: from now on the table is ordered. Only when it is empty, or ordered
    /// already; else nothing happens.
    pub fn become_ordered(&self) -> bool {
        let is_possible = self.table_type() == TableType::OrderedSet || self.entries() == 0;
        if is_possible {
            self.turn(OrderedTable::new);
        }
        is_possible
    }

    /// A set becomes the table that is made.
    fn turn(&self, make: impl FnOnce(Arc<Reclaimer>) -> OrderedTable) {
        if let Kind::Hash { hash, turned } = &self.0 {
            turned.get_or_init(|| make(hash.reclaimer().clone()));
            // Who has not seen that it was turned shall not read it when the next write is there.
            hash.close();
        }
    }

    /// Frees what the table lets go of.
    pub fn reclaimer(&self) -> &Arc<Reclaimer> {
        match self.typed() {
            Typed::Hash(hash) => hash.reclaimer(),
            Typed::Ordered(ordered) => ordered.reclaimer(),
        }
    }

    pub fn get(&self, key: &[u8]) -> Option<Item> {
        self.with_item(key, |item| item.cloned())?
    }

    /// Calls `read` with what the key holds, without sharing it: for moments, since a write of a
    /// key nearby has to wait for it. `None`: the table is closed.
    pub fn with_item<T>(&self, key: &[u8], read: impl FnOnce(Option<&Item>) -> T) -> Option<T> {
        self.with_item_if(key, || true, read)?
    }

    /// Calls `read` with what the key holds, if `may_read`; what the key holds does not change from
    /// before that is asked. The outer `None`: the table is closed, or was turned into an ordered
    /// one at this moment.
    pub fn with_item_if<T>(
        &self,
        key: &[u8],
        may_read: impl FnOnce() -> bool,
        read: impl FnOnce(Option<&Item>) -> T,
    ) -> Option<Option<T>> {
        match self.typed() {
            Typed::Hash(hash) => hash.with_item_if(key, may_read, read),
            Typed::Ordered(ordered) => ordered.with_item_if(key, may_read, read),
        }
    }

    pub fn entries(&self) -> u64 {
        match self.typed() {
            Typed::Hash(hash) => hash.entries(),
            Typed::Ordered(ordered) => ordered.entries(),
        }
    }

    /// The bytes of all keys and values, without what the table itself takes.
    pub fn bytes(&self) -> u64 {
        match self.typed() {
            Typed::Hash(hash) => hash.bytes(),
            Typed::Ordered(ordered) => ordered.bytes(),
        }
    }

    /// For the one writer only. Returns the former item.
    pub fn insert(&self, item: Item) -> Option<Item> {
        match self.typed() {
            Typed::Hash(hash) => hash.insert(item),
            Typed::Ordered(ordered) => ordered.insert(item),
        }
    }

    /// For the one writer only. Returns what was there.
    pub fn remove(&self, key: &[u8]) -> Option<Item> {
        match self.typed() {
            Typed::Hash(hash) => hash.remove(key),
            Typed::Ordered(ordered) => ordered.remove(key),
        }
    }

    /// The first so many items of an ordered table from one bound to the other, or, in reverse,
    /// from the other one; of one moment. A set has no order, and a closed table no items.
    pub fn range(&self, (from, to): KeyRange<'_>, is_reverse: bool, limit: usize) -> Vec<Item> {
        match self.typed() {
            Typed::Hash(_) => Vec::new(),
            Typed::Ordered(ordered) => {
                ordered.range(from, to, is_reverse, limit).unwrap_or_default()
            }
        }
    }

    /// For the one writer only: removes and returns some items of a range of an ordered table; none
    /// when none is left.
    pub fn remove_some(&self, (from, to): KeyRange<'_>) -> Vec<Item> {
        match self.typed() {
            Typed::Hash(_) => Vec::new(),
            Typed::Ordered(ordered) => ordered.remove_some(from, to),
        }
    }

    pub fn is_closed(&self) -> bool {
        self.with_item(&[], |_| ()).is_none()
    }

    /// Begins a snapshot of `revision`, the newest one. Called by the writer, or between two
    /// writes. It is revoked as soon as more was superseded since then than `held_bytes_max`, by
    /// [`held_bytes`](super::snapshot::held_bytes).
    pub fn snapshot(&self, revision: u64, held_bytes_max: Option<u64>) -> TableSnapshot {
        match self.typed() {
            Typed::Hash(hash) => TableSnapshot::Hash(hash.snapshot(revision, held_bytes_max)),
            Typed::Ordered(ordered) => {
                TableSnapshot::Ordered(ordered.snapshot(revision, held_bytes_max))
            }
        }
    }

    /// For the one writer only: all that the other table holds is shown in place of what this one
    /// held, at once for all readers. The other is closed. Snapshots of this one go on, of what was
    /// held. False: nothing happened, since an ordered table does not become a set.
    pub fn replace_with(&self, other: &Table) -> bool {
        match (self.typed(), other.typed()) {
            (Typed::Hash(hash), Typed::Hash(other)) => hash.replace_with(other),
            (Typed::Ordered(ordered), Typed::Ordered(other)) => ordered.replace_with(other),
            (Typed::Hash(_), Typed::Ordered(other)) => self.turn(|reclaimer| {
                let ordered = OrderedTable::new(reclaimer);
                ordered.replace_with(other);
                ordered
            }),
            (Typed::Ordered(_), Typed::Hash(_)) => return false,
        }
        true
    }

    /// Lets go of all it holds, and shows nothing any more. Called when the writer has ended, or by
    /// it: a change of a closed table is lost.
    pub fn close(&self) {
        match self.typed() {
            Typed::Hash(hash) => hash.close(),
            Typed::Ordered(ordered) => ordered.close(),
        }
    }
}

/// A table as it was at one revision.
#[derive(Debug)]
pub enum TableSnapshot {
    Hash(HashSnapshot),
    Ordered(OrderedSnapshot),
}

impl TableSnapshot {
    pub fn revision(&self) -> u64 {
        match self {
            TableSnapshot::Hash(hash) => hash.revision(),
            TableSnapshot::Ordered(ordered) => ordered.revision(),
        }
    }

    pub fn entries(&self) -> u64 {
        match self {
            TableSnapshot::Hash(hash) => hash.entries(),
            TableSnapshot::Ordered(ordered) => ordered.entries(),
        }
    }

    pub fn table_type(&self) -> TableType {
        match self {
            TableSnapshot::Hash(_) => TableType::Set,
            TableSnapshot::Ordered(_) => TableType::OrderedSet,
        }
    }

    /// Calls `visit` with all items, some at a time: those of an ordered table in their order.
    pub fn walk<E: From<Revoked>>(
        &self,
        mut visit: impl FnMut(&[Item]) -> Result<(), E>,
    ) -> Result<(), E> {
        const ITEMS_AT_ONCE: usize = 1024;
        let ordered = match self {
            TableSnapshot::Hash(hash) => return hash.walk(visit),
            TableSnapshot::Ordered(ordered) => ordered,
        };
        let mut last: Option<Item> = None;
        loop {
            let from = last.as_ref().map_or(Bound::Unbounded, |item| Bound::Excluded(item.key()));
            let items = ordered.range(from, Bound::Unbounded, false, ITEMS_AT_ONCE)?;
            visit(&items)?;
            last = items.last().cloned();
            if items.len() < ITEMS_AT_ONCE {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests;
