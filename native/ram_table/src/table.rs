//! Stand-in: a table of either type.

use std::ops::{Bound, RangeBounds};

use super::hash::HashTable;
pub use super::item::{Item, Meta};
pub use super::snapshot::Revoked;
pub use super::snapshot::Snapshot as HashSnapshot;
use super::tables::TableType;
use super::value::StoredValue;

type Range<'a> = (Bound<&'a [u8]>, Bound<&'a [u8]>);

#[derive(Debug, Default)]
pub struct Table {
    hash: HashTable,
    ordered: bool,
}

#[derive(Debug)]
pub enum TableSnapshot {
    Hash(HashSnapshot),
    Ordered(OrderedSnapshot),
}

#[derive(Debug)]
pub struct OrderedSnapshot(HashSnapshot);

impl OrderedSnapshot {
    pub fn get(&self, key: &[u8]) -> Result<Option<Item>, Revoked> {
        self.0.get(key)
    }

    pub fn range(
        &self,
        range: Range<'_>,
        reverse: bool,
        limit: usize,
    ) -> Result<Vec<Item>, Revoked> {
        let mut all = Vec::new();
        for shard in self.0.shards() {
            all.extend(self.0.chunk(shard)?);
        }
        Ok(cut(all, range, reverse, limit))
    }
}

impl TableSnapshot {
    pub fn entries(&self) -> u64 {
        match self {
            TableSnapshot::Hash(hash) => hash.entries(),
            TableSnapshot::Ordered(ordered) => ordered.0.entries(),
        }
    }

    pub fn is_ordered(&self) -> bool {
        matches!(self, TableSnapshot::Ordered(_))
    }

    pub fn walk<E: From<Revoked>>(
        &self,
        visit: impl FnMut(&[Item]) -> Result<(), E>,
    ) -> Result<(), E> {
        match self {
            TableSnapshot::Hash(hash) => hash.walk(visit),
            TableSnapshot::Ordered(ordered) => ordered.0.walk(visit),
        }
    }
}

fn cut(mut all: Vec<Item>, range: Range<'_>, reverse: bool, limit: usize) -> Vec<Item> {
    all.retain(|item| RangeBounds::<[u8]>::contains(&range, item.key()));
    all.sort_by(|a, b| a.key().cmp(b.key()));
    if reverse {
        all.reverse();
    }
    all.truncate(limit);
    all
}

impl Table {
    pub fn with_capacity(entries: usize) -> Table {
        Table { hash: HashTable::with_capacity(entries), ordered: false }
    }

    pub fn of_type(table_type: TableType) -> Self {
        Table { hash: HashTable::default(), ordered: table_type == TableType::OrderedSet }
    }

    pub fn table_type(&self) -> TableType {
        if self.ordered { TableType::OrderedSet } else { TableType::Set }
    }

    pub fn get(&self, key: &[u8]) -> Option<Item> {
        self.hash.get(key)
    }

    pub fn with_item<T>(&self, key: &[u8], read: impl FnOnce(Option<&Item>) -> T) -> Option<T> {
        self.hash.with_item(key, read)
    }

    pub fn with_item_if<T>(
        &self,
        key: &[u8],
        may_read: impl FnOnce() -> bool,
        read: impl FnOnce(Option<&Item>) -> T,
    ) -> Option<Option<T>> {
        self.hash.with_item_if(key, may_read, read)
    }

    pub fn entries(&self) -> u64 {
        self.hash.entries()
    }

    pub fn bytes(&self) -> u64 {
        self.hash.bytes()
    }

    pub fn insert(&self, item: Item) {
        self.hash.insert(item);
    }

    pub fn put(&self, key: &[u8], value: StoredValue, revision: u64) {
        let meta = match self.get(key) {
            None => Meta::created(revision),
            Some(item) if item.revision() == revision => item.meta(),
            Some(item) => item.meta().changed(revision),
        };
        self.insert(Item::new(key, value, &meta));
    }

    pub fn remove(&self, key: &[u8]) -> bool {
        let was_there = self.get(key).is_some();
        self.hash.remove(key);
        was_there
    }

    pub fn range(&self, range: Range<'_>, reverse: bool, limit: usize) -> Vec<Item> {
        let mut all = Vec::new();
        let snapshot = self.hash.snapshot(u64::MAX, None);
        for shard in snapshot.shards() {
            all.extend(snapshot.chunk(shard).unwrap_or_default());
        }
        cut(all, range, reverse, limit)
    }

    pub fn remove_range(&self, range: Range<'_>, limit: usize) -> usize {
        self.range(range, false, limit).iter().filter(|item| self.remove(item.key())).count()
    }

    pub fn snapshot(&self, revision: u64, held_bytes_max: Option<u64>) -> TableSnapshot {
        let snapshot = self.hash.snapshot(revision, held_bytes_max);
        if self.ordered {
            TableSnapshot::Ordered(OrderedSnapshot(snapshot))
        } else {
            TableSnapshot::Hash(snapshot)
        }
    }

    pub fn replace_with(&self, other: &Table) {
        self.hash.replace_with(&other.hash);
    }

    pub fn close(&self) {
        self.hash.close();
    }

    pub fn is_closed(&self) -> bool {
        self.with_item(&[], |_| ()).is_none()
    }
}
