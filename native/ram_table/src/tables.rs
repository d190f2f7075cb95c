//! The catalogue of tables: found by name from any thread; the one writer makes and drops them.
//!
//! The default table is always there and always the same one, so that its readers ask nobody. The
//! others are found under a big-reader lock. A read that is made under it
//! ([`with_table`](Tables::with_table)) is of the table that has this name then. Whoever keeps a
//! table longer finds it closed when it was dropped or replaced, before the next write is seen.
//!
//! Reads of several keys at once, of any tables, are [`consistent`](Tables::consistent) when no
//! write was applied meanwhile: see [`sequence`](super::sequence).

use foldhash::fast::RandomState;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::hash::Locks;
use super::reclaim::Reclaimer;
use super::sequence::Sequence;
use super::striped::Striped;
use super::table::{Table, TableSnapshot};

pub use super::table::TableType;

pub const DEFAULT_NAME: &str = "default";

type Named = HashMap<Box<str>, Arc<Table>, RandomState>;

#[derive(Debug)]
pub struct Tables {
    default: Arc<Table>,
    /// All but the default table.
    named: Striped<Named>,
    sequence: Sequence,
    /// Of the newest write that was applied.
    revision: AtomicU64,
    reclaimer: Arc<Reclaimer>,
}

impl Default for Tables {
    fn default() -> Self {
        Tables::with_capacity(0, Arc::default())
    }
}

impl Tables {
    /// With the default table alone, for so many entries without growing. What they let go of is
    /// freed by that reclaimer.
    pub fn with_capacity(entries: usize, reclaimer: Arc<Reclaimer>) -> Self {
        let default = Table::new(TableType::Set, entries, Locks::Many, reclaimer.clone());
        let named = Striped::new(Named::default());
        let (sequence, revision) = (Sequence::default(), AtomicU64::new(0));
        Tables { default: Arc::new(default), named, sequence, revision, reclaimer }
    }

    pub fn reclaimer(&self) -> &Arc<Reclaimer> {
        &self.reclaimer
    }

    pub fn default_table(&self) -> &Arc<Table> {
        &self.default
    }

    /// The table of this name now; the empty name is that of the default table.
    pub fn get(&self, name: &str) -> Option<Arc<Table>> {
        if is_default(name) {
            return Some(self.default.clone());
        }
        self.named.read(|named| named.get(name).cloned())
    }

    /// Calls `read` with the table of this name, if there is one. For moments: no table is made,
    /// dropped or replaced meanwhile, but for the default one.
    pub fn with_table<R>(&self, name: &str, read: impl FnOnce(&Table) -> R) -> Option<R> {
        if is_default(name) {
            return Some(read(&self.default));
        }
        self.named.read(|named| named.get(name).map(|table| read(table)))
    }

    /// In order, with that of the default table.
    pub fn names(&self) -> Vec<String> {
        let mut names = vec![DEFAULT_NAME.to_string()];
        self.named.read(|named| names.extend(named.keys().map(|name| name.to_string())));
        names.sort_unstable();
        names
    }

    /// With the default table.
    pub fn count(&self) -> usize {
        self.named.read(Named::len) + 1
    }

    /// The entries of all tables.
    pub fn entries(&self) -> u64 {
        self.sum(Table::entries)
    }

    /// The bytes of all keys and values, without what the tables themselves take.
    pub fn bytes(&self) -> u64 {
        self.sum(Table::bytes)
    }

    fn sum(&self, of: impl Fn(&Table) -> u64) -> u64 {
        let named: u64 = self.named.read(|named| named.values().map(|table| of(table)).sum());
        named + of(&self.default)
    }

    /// What `read` returns, if no write was applied meanwhile: all that it read was true at once.
    /// `None`: a write was, or is being applied.
    pub fn consistent<T>(&self, read: impl FnOnce() -> T) -> Option<T> {
        self.sequence.consistent(read)
    }

    /// For the one writer only, before the first change of a write: of an item, or of the tables.
    pub fn begin_write(&self) {
        self.sequence.begin_write();
    }

    /// For the one writer only, after the last change; what there is now is of this revision. A
    /// write that is not ended, since its thread panicked, is never seen by
    /// [`consistent`](Tables::consistent).
    pub fn end_write(&self, revision: u64) {
        self.revision.store(revision, Ordering::Relaxed);
        self.sequence.end_write();
    }

    /// Is a write being applied?
    pub fn is_writing(&self) -> bool {
        self.sequence.is_writing()
    }

    /// That of the newest write. Of the moment of a read in [`consistent`](Tables::consistent).
    pub fn revision(&self) -> u64 {
        self.revision.load(Ordering::Relaxed)
    }

    /// For the one writer only. False: there is one of this name.
    pub fn create(&self, name: &str, table_type: TableType) -> bool {
        self.create_with_capacity(name, table_type, 0)
    }

    /// As `create`, for so many entries without growing.
    pub fn create_with_capacity(&self, name: &str, table_type: TableType, entries: usize) -> bool {
        if self.with_table(name, |_| ()).is_some() {
            return false;
        }
        let table = Table::new(table_type, entries, Locks::Few, self.reclaimer.clone());
        self.named.write(|named| named.insert(name.into(), Arc::new(table)));
        true
    }

    /// For the one writer only: closes the table, which nobody finds any more. `None`: there is
    /// none, or it is the default table.
    pub fn drop_table(&self, name: &str) -> Option<Arc<Table>> {
        let dropped = self.named.write(|named| named.remove(name))?;
        dropped.close();
        Some(dropped)
    }

    /// Begins a snapshot of `revision`, the newest one, of all tables. Called by the writer, or
    /// between two writes. It is never revoked.
    pub fn snapshot(&self, revision: u64) -> TablesSnapshot {
        let mut tables: Vec<(Box<str>, _)> = self.named.read(|named| {
            let of = |table: &Table| table.snapshot(revision, None);
            named.iter().map(|(name, table)| (name.clone(), of(table))).collect()
        });
        tables.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        tables.insert(0, (DEFAULT_NAME.into(), self.default.snapshot(revision, None)));
        TablesSnapshot { revision, tables }
    }

    /// For the one writer only, and a write of its own: all tables of the other are shown in place
    /// of those of this one, at once for all readers. The other is closed. Snapshots go on, of what
    /// was held. False: nothing happened, since an ordered default table does not become a set.
    pub fn replace_with(&self, other: &Tables) -> bool {
        let types = (self.default.table_type(), other.default.table_type());
        if types == (TableType::OrderedSet, TableType::Set) {
            return false;
        }
        self.begin_write();
        let shown = other.named.write(std::mem::take);
        // Readers who keep one go on where it is closed, before they can see anything newer.
        self.each_named(Table::close);
        self.named.write(|named| {
            self.default.replace_with(&other.default);
            *named = shown;
        });
        self.end_write(other.revision());
        true
    }

    /// Are they those of a member that has ended?
    pub fn is_closed(&self) -> bool {
        self.default.is_closed()
    }

    /// Lets go of all they hold: from now on nothing is found in them. Called when the writer has
    /// ended.
    pub fn close(&self) {
        self.default.close();
        self.each_named(Table::close);
    }

    /// Beside the catalogue's lock: readers of other tables need not wait.
    fn each_named(&self, call: impl Fn(&Table)) {
        let tables: Vec<_> = self.named.read(|named| named.values().cloned().collect());
        tables.iter().for_each(|table| call(table));
    }
}

fn is_default(name: &str) -> bool {
    name.is_empty() || name == DEFAULT_NAME
}

/// All tables as they were at one revision.
#[derive(Debug)]
pub struct TablesSnapshot {
    revision: u64,
    tables: Vec<(Box<str>, TableSnapshot)>,
}

impl TablesSnapshot {
    pub fn revision(&self) -> u64 {
        self.revision
    }

    pub fn entries(&self) -> u64 {
        self.tables.iter().map(|(_, table)| table.entries()).sum()
    }

    /// Those with their names: the default table, then the others in order.
    pub fn tables(&self) -> impl Iterator<Item = (&str, &TableSnapshot)> {
        self.tables.iter().map(|(name, table)| (&**name, table))
    }
}

#[cfg(test)]
mod tests;
