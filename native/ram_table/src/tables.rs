//! Stand-in.
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::table::Table;
use ram_threads::sync::RwLock;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableType {
    Set,
    OrderedSet,
}

#[derive(Debug, Default)]
pub struct Tables {
    default: Arc<Table>,
    named: RwLock<BTreeMap<String, Arc<Table>>>,
    sequence: AtomicU64,
    revision: AtomicU64,
}

impl Tables {
    pub fn default_table(&self) -> &Arc<Table> {
        &self.default
    }

    pub fn get(&self, name: &str) -> Option<Arc<Table>> {
        if name.is_empty() {
            Some(self.default.clone())
        } else {
            self.named.read().get(name).cloned()
        }
    }

    pub fn count(&self) -> usize {
        self.named.read().len() + 1
    }

    fn all(&self) -> Vec<Arc<Table>> {
        let named = self.named.read();
        std::iter::once(&self.default).chain(named.values()).cloned().collect()
    }

    pub fn entries(&self) -> u64 {
        self.all().iter().map(|table| table.entries()).sum()
    }

    pub fn bytes(&self) -> u64 {
        self.all().iter().map(|table| table.bytes()).sum()
    }

    pub fn names(&self) -> Vec<String> {
        self.named.read().keys().cloned().collect()
    }

    pub fn create(&self, name: &str, table_type: TableType) {
        let table = Table::of_type(table_type);
        self.named.write().insert(name.into(), Arc::new(table));
    }

    /// A table that is made to be filled, with room for so many entries.
    pub fn load(&self, name: &str, table_type: TableType, entries: usize) -> Arc<Table> {
        let _ = entries;
        if name.is_empty() {
            return self.default.clone();
        }
        self.create(name, table_type);
        self.get(name).unwrap_or_default()
    }

    /// All is loaded, and is of this revision.
    pub fn end_load(&self, revision: u64) {
        self.revision.store(revision, Ordering::SeqCst);
    }

    pub fn drop_table(&self, name: &str) -> Option<Arc<Table>> {
        self.named.write().remove(name)
    }

    pub fn begin_write(&self) {
        self.sequence.fetch_add(1, Ordering::SeqCst);
    }

    /// The state is of this revision now.
    pub fn end_write(&self, revision: u64) {
        self.revision.store(revision, Ordering::SeqCst);
        self.sequence.fetch_add(1, Ordering::SeqCst);
    }

    /// That of the newest write.
    pub fn revision(&self) -> u64 {
        self.revision.load(Ordering::SeqCst)
    }

    pub fn is_writing(&self) -> bool {
        self.sequence.load(Ordering::SeqCst) % 2 == 1
    }

    /// What `read` returns, if no write was made meanwhile: then all that it looked at is of one
    /// moment. Not called while a write is being made.
    pub fn consistent<T>(&self, read: impl FnOnce() -> T) -> Option<T> {
        let before = self.sequence.load(Ordering::SeqCst);
        if before % 2 == 1 {
            return None;
        }
        let found = read();
        (self.sequence.load(Ordering::SeqCst) == before).then_some(found)
    }

    pub fn is_closed(&self) -> bool {
        self.default.is_closed()
    }

    pub fn replace_with(&self, other: &Tables) {
        self.begin_write();
        self.default.replace_with(&other.default);
        *self.named.write() = std::mem::take(&mut *other.named.write());
        self.end_write(other.revision());
    }

    pub fn close(&self) {
        self.default.close();
        self.named.write().clear();
    }
}
