//! Whoever wants to know what each write changes, as it is applied.

use ram_table::item::Item;

/// Called on the thread that applies, so for moments.
pub trait Observer: Send + Sync {
    /// One key of the write that is being applied. A write that changes a key several times tells
    /// so each time: the second `old` has the revision of the write itself.
    fn changed(&mut self, change: &Change<'_>);

    /// Some items of a range that is deleted: what such a write changes is told in this way alone.
    /// Ranges may be of millions.
    fn removed(&mut self, table: &str, items: &[Item]) {
        for item in items {
            let (old, new) = (Some(item), None);
            self.changed(&Change { table, old, new, gone: Gone::Deleted });
        }
    }

    /// The write is over, and readers see it; all that was changed since the one before has this
    /// revision.
    fn written(&mut self, revision: u64);

    /// Does anybody want to know what a table loses when it is dropped? Looking costs time.
    fn wants(&self, table: &str) -> bool;

    /// A table was dropped, with all that it had; what that was is told if it was wanted.
    fn dropped(&mut self, _table: &str) {}

    /// The tables are those of a snapshot, of this revision: what changed until then was not told.
    fn replaced(&mut self, revision: u64);
}

#[derive(Debug, Clone, Copy)]
pub struct Change<'a> {
    /// Empty: the default table.
    pub table: &'a str,
    pub old: Option<&'a Item>,
    pub new: Option<&'a Item>,
    /// Why there is no new item, where there is none.
    pub gone: Gone,
}

/// Why a key is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gone {
    Deleted,
    Expired,
    /// Its owner is gone.
    OwnerDown,
    /// With its table.
    Dropped,
}
