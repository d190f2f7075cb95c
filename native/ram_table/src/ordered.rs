//! The ordered table: a persistent B+ tree of items with one writer, and readers on any thread. The
//! writer is `ram_store`'s apply; the member's handle reads, for the NIF.
//!
//! # Guarantees
//!
//! - A read or a range sees the tree of one moment: it has a lock (`striped.rs`).
//! - A reader waits for a change, never for another reader's lock, a scan or the freeing of memory.
//! - A snapshot is taken in one step, and read without any lock of the table. The writer never
//!   waits for it: the first change of a node after it copies the node, which is at most a path.
//! - What a snapshot holds back is bounded: it is revoked when changes supersede more.
//! - What was removed is freed in bounded steps ([`reclaim`](crate::reclaim)).
//!
//! # Parts
//!
//! [`sorted`]: entries of a node, and how a key is found among them. [`node`]: splits and merges.
//! [`tree`]: changes and ranges. [`snapshot`]: snapshots and their bound.
//!
//! # Source
//!
//! Path copying: Driscoll, Sarnak, Sleator and Tarjan, *Making Data Structures Persistent* (1989).

pub(crate) mod node;
mod snapshot;
mod sorted;
mod tree;

pub use snapshot::OrderedSnapshot;

use crate::item::Item;
use crate::reclaim::Reclaimer;
use crate::striped::Striped;
use snapshot::Snapshots;
use std::ops::Bound::{self, Excluded, Unbounded};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tree::{Span, Tree};

/// The leaves that a change frees of what waits to be freed: more than it can leave behind.
const FREED_BY_A_CHANGE: usize = 4;

#[derive(Debug)]
pub struct OrderedTable {
    /// `None`: the table is closed.
    tree: Striped<Option<Tree>>,
    snapshots: Arc<Snapshots>,
    reclaimer: Arc<Reclaimer>,
    entries: AtomicU64,
    bytes: AtomicU64,
}

impl Default for OrderedTable {
    fn default() -> Self {
        OrderedTable::new(Arc::default())
    }
}

impl OrderedTable {
    /// An empty table. What it lets go of is freed by that reclaimer.
    pub fn new(reclaimer: Arc<Reclaimer>) -> Self {
        OrderedTable {
            tree: Striped::new(Some(Tree::default())),
            snapshots: Arc::default(),
            reclaimer,
            entries: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
        }
    }

    pub fn reclaimer(&self) -> &Arc<Reclaimer> {
        &self.reclaimer
    }

    pub fn get(&self, key: &[u8]) -> Option<Item> {
        self.with_item(key, |item| item.cloned())?
    }

    /// Calls `read` with what the key holds, without sharing it: for moments, since every write has
    /// to wait for it. `None`: the table is closed.
    pub fn with_item<T>(&self, key: &[u8], read: impl FnOnce(Option<&Item>) -> T) -> Option<T> {
        self.with_item_if(key, || true, read)?
    }

    /// Calls `read` with what the key holds, if `may_read`; what the key holds does not change from
    /// before that is asked. The outer `None`: the table is closed.
    pub fn with_item_if<T>(
        &self,
        key: &[u8],
        may_read: impl FnOnce() -> bool,
        read: impl FnOnce(Option<&Item>) -> T,
    ) -> Option<Option<T>> {
        self.tree.read(|tree| {
            let tree = tree.as_ref()?;
            Some(may_read().then(|| read(tree.get(key))))
        })
    }

    pub fn entries(&self) -> u64 {
        self.entries.load(Ordering::Relaxed)
    }

    /// The bytes of all keys and values, without what the tree itself takes.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    pub fn first(&self) -> Option<Item> {
        self.nearest(Span { from: Unbounded, to: Unbounded, is_reverse: false })
    }

    pub fn last(&self) -> Option<Item> {
        self.nearest(Span { from: Unbounded, to: Unbounded, is_reverse: true })
    }

    /// The item after this key, which need not be there.
    pub fn next(&self, key: &[u8]) -> Option<Item> {
        self.nearest(Span { from: Excluded(key), to: Unbounded, is_reverse: false })
    }

    /// The item before this key, which need not be there.
    pub fn prev(&self, key: &[u8]) -> Option<Item> {
        self.nearest(Span { from: Unbounded, to: Excluded(key), is_reverse: true })
    }

    fn nearest(&self, span: Span<'_>) -> Option<Item> {
        self.tree.read(|tree| tree.as_ref()?.nearest(span).cloned())
    }

    /// The first so many items from one bound to the other, or, in reverse, from the other one; of
    /// one moment. A write has to wait for it, so the limit should be some hundreds. `None`: the
    /// table is closed.
    pub fn range(
        &self,
        from: Bound<&[u8]>,
        to: Bound<&[u8]>,
        is_reverse: bool,
        limit: usize,
    ) -> Option<Vec<Item>> {
        let span = Span { from, to, is_reverse };
        self.tree.read(|tree| Some(tree.as_ref()?.range(span, limit)))
    }

    /// For the one writer only. Returns the former item.
    pub fn insert(&self, item: Item) -> Option<Item> {
        let new_bytes = item.plain_bytes();
        let (old, copied_bytes) = self.change(|tree| tree.insert(item))?;
        self.bytes.fetch_add(new_bytes, Ordering::Relaxed);
        self.entries.fetch_add(1, Ordering::Relaxed);
        self.settle(old.as_slice(), copied_bytes);
        old
    }

    /// For the one writer only. Returns what was there.
    pub fn remove(&self, key: &[u8]) -> Option<Item> {
        let (old, copied_bytes) = self.change(|tree| tree.remove(key))?;
        self.settle(old.as_slice(), copied_bytes);
        old
    }

    /// For the one writer only: removes and returns some of those from one bound to the other; none
    /// when none is left. To readers that is one change: what one leaf has.
    pub fn remove_some(&self, from: Bound<&[u8]>, to: Bound<&[u8]>) -> Vec<Item> {
        let span = Span { from, to, is_reverse: false };
        let removed = self.change(|tree| tree.remove_some(span));
        let (old, copied_bytes) = removed.unwrap_or_default();
        self.settle(&old, copied_bytes);
        old
    }

    /// Changes the tree, and returns what was removed, to be freed when no reader waits, and the
    /// bytes of the nodes that were copied. `None`: the table is closed, and the change is lost.
    fn change<R>(&self, change: impl FnOnce(&mut Tree) -> R) -> Option<(R, u64)> {
        self.tree.write(|tree| {
            let tree = tree.as_mut()?;
            Some((change(tree), tree.take_copied_bytes()))
        })
    }

    /// What a change has removed is accounted for.
    fn settle(&self, old: &[Item], copied_bytes: u64) {
        self.entries.fetch_sub(old.len() as u64, Ordering::Relaxed);
        self.bytes.fetch_sub(old.iter().map(Item::plain_bytes).sum(), Ordering::Relaxed);
        self.snapshots.count(old, copied_bytes, &self.reclaimer);
        self.reclaimer.free(FREED_BY_A_CHANGE);
    }

    /// For the one writer only, between two changes: a snapshot of this revision, the newest one.
    /// It is revoked when changes have superseded more than `hold_bytes_max`, if that is given.
    /// Of a closed table it has nothing.
    pub fn snapshot(&self, revision: u64, hold_bytes_max: Option<u64>) -> OrderedSnapshot {
        let tree = self.tree.read(Option::clone).unwrap_or_default();
        let of = (revision, self.entries());
        self.snapshots.take(tree, of, hold_bytes_max, &self.reclaimer)
    }

    /// For the one writer only: all that the other table holds is shown in place of what this one
    /// held, at once for all readers. The other is closed. Snapshots are of what was held.
    pub fn replace_with(&self, other: &OrderedTable) {
        let tree = other.tree.write(Option::take);
        self.show(tree, other.entries(), other.bytes());
    }

    /// Lets go of all it holds, and shows nothing any more. Called when the writer has ended: a
    /// change of a closed table is lost.
    pub fn close(&self) {
        self.show(None, 0, 0);
    }

    fn show(&self, tree: Option<Tree>, entries: u64, bytes: u64) {
        let former = self.tree.write(|shown| std::mem::replace(shown, tree));
        let former_bytes = self.bytes.swap(bytes, Ordering::Relaxed);
        let former_entries = self.entries.swap(entries, Ordering::Relaxed);
        self.snapshots.count_all(former_bytes, former_entries, &self.reclaimer);
        self.reclaimer.add(former.map(Tree::into_root).unwrap_or_default());
    }
}

impl Drop for OrderedTable {
    fn drop(&mut self) {
        self.close();
    }
}

#[cfg(test)]
mod tests;
