//! The one place where items of the tables change, and whoever observes is told.

use crate::Store;
use crate::observe::{Change, Gone};
use crate::write::{Setting, without_default};
use ram_table::item::{Item, Life, Meta};
use ram_table::table::Table;

impl Store {
    /// Sets an item of the table of this name.
    pub(crate) fn insert(&mut self, name: &str, table: &Table, item: Item) {
        let new = (!self.observers.is_empty()).then(|| item.clone());
        let old = table.insert(item);
        self.tell(name, old.as_ref(), new.as_ref(), Gone::Deleted);
    }

    /// Was it there?
    pub(crate) fn remove(&mut self, name: &str, table: &Table, key: &[u8], gone: Gone) -> bool {
        let old = table.remove(key);
        if old.is_some() {
            self.tell(name, old.as_ref(), None, gone);
        }
        old.is_some()
    }

    pub(crate) fn tell(&mut self, name: &str, old: Option<&Item>, new: Option<&Item>, gone: Gone) {
        let change = Change { table: without_default(name), old, new, gone };
        self.observers.iter_mut().for_each(|observer| observer.changed(&change));
    }

    /// Some items of a range that is deleted, in a write of its own.
    pub(crate) fn tell_removed(&mut self, name: &str, items: &[Item]) {
        let table = without_default(name);
        self.observers.iter_mut().for_each(|observer| observer.removed(table, items));
    }

    /// What a table loses that is dropped, as far as anybody wants to know.
    pub(crate) fn tell_dropped(&mut self, name: &str, table: &Table) {
        if !self.observers.iter().any(|observer| observer.wants(without_default(name))) {
            return;
        }
        let snapshot = table.snapshot(self.metadata.revision, None);
        // One that is never revoked.
        let _ = snapshot.walk::<ram_table::table::Revoked>(|items| {
            for item in items {
                self.tell(name, Some(item), None, Gone::Dropped);
            }
            Ok(())
        });
    }

    /// The metadata of a key after one more write, and what that makes of its time to live.
    pub(crate) fn settled(&self, meta: Meta, ttl_ms: Setting<u64>) -> Meta {
        match ttl_ms {
            Setting::Keep => meta,
            Setting::Clear => Meta { life: None, ..meta },
            Setting::To(ttl_ms) => Meta { life: self.life(ttl_ms), ..meta },
        }
    }

    /// One that begins with the write that is applied.
    pub(crate) fn life(&self, ttl_ms: u64) -> Option<Life> {
        Some(Life { ttl_ms, revision: self.next_revision(), since_ms: self.now_ms })
    }
}
