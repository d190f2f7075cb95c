//! Snapshots of an ordered table, and the bound on what they hold back.
//!
//! A snapshot holds the root of the tree as it was. What changes supersede after that, items and
//! copied nodes, stays in memory until the last snapshot that has it ends. The table counts these
//! bytes, and the change that brings a snapshot above its bound revokes it.

use super::tree::{Span, Tree};
use crate::item::Item;
use crate::reclaim::Reclaimer;
use crate::snapshot::Revoked;
use ram_threads::sync::Mutex;
use std::fmt;
use std::ops::Bound;
use std::sync::Arc;

/// The leaves that the end of a snapshot frees at once: some 50 us, on whatever thread that is.
const FREED_AT_END: usize = 8;
/// What an item takes beside key and value, roughly.
const ITEM_BYTES: u64 = 40;

/// The table as it was at one revision, for any number of threads, without a lock of the table.
pub struct OrderedSnapshot {
    revision: u64,
    entries: u64,
    held: Arc<Held>,
    all: Arc<Snapshots>,
    reclaimer: Arc<Reclaimer>,
}

/// `None`: revoked. Locked for moments, to clone or take the root.
struct Held(Mutex<Option<Tree>>);

impl fmt::Debug for OrderedSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OrderedSnapshot({} entries at {})", self.entries, self.revision)
    }
}

impl OrderedSnapshot {
    pub fn revision(&self) -> u64 {
        self.revision
    }

    pub fn entries(&self) -> u64 {
        self.entries
    }

    pub fn get(&self, key: &[u8]) -> Result<Option<Item>, Revoked> {
        self.with_tree(|tree| tree.get(key).cloned())
    }

    /// The first so many items from one bound to the other, or, in reverse, from the other one. A
    /// scan goes on from the last key it was given, excluded.
    pub fn range(
        &self,
        from: Bound<&[u8]>,
        to: Bound<&[u8]>,
        is_reverse: bool,
        limit: usize,
    ) -> Result<Vec<Item>, Revoked> {
        self.with_tree(|tree| tree.range(Span { from, to, is_reverse }, limit))
    }

    pub(super) fn with_tree<R>(&self, read: impl FnOnce(&Tree) -> R) -> Result<R, Revoked> {
        // It may be revoked meanwhile; then what is read here goes with this clone.
        let tree = self.held.0.lock().clone().ok_or(Revoked)?;
        let seen = read(&tree);
        self.reclaimer.add(tree.into_root());
        Ok(seen)
    }
}

impl Drop for OrderedSnapshot {
    fn drop(&mut self) {
        self.all.forget(&self.held);
        self.held.release(&self.reclaimer);
        self.reclaimer.free(FREED_AT_END);
    }
}

impl Held {
    fn release(&self, reclaimer: &Reclaimer) {
        let tree = self.0.lock().take();
        reclaimer.add(tree.map(Tree::into_root).unwrap_or_default());
    }
}

/// Those of one table that have not ended.
#[derive(Default)]
pub struct Snapshots(Mutex<State>);

#[derive(Default)]
struct State {
    /// In the order of their revisions.
    live: Vec<Live>,
    /// By changes since the first of those was taken, in bytes.
    superseded_bytes: u64,
}

struct Live {
    held: Arc<Held>,
    revision: u64,
    /// It is revoked when more was superseded.
    superseded_max: u64,
}

impl fmt::Debug for Snapshots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Snapshots")
    }
}

impl Snapshots {
    pub fn take(
        self: &Arc<Self>,
        tree: Tree,
        (revision, entries): (u64, u64),
        hold_bytes_max: Option<u64>,
        reclaimer: &Arc<Reclaimer>,
    ) -> OrderedSnapshot {
        let held = Arc::new(Held(Mutex::new(Some(tree))));
        let mut state = self.0.lock();
        let superseded_max =
            hold_bytes_max.map_or(u64::MAX, |max| state.superseded_bytes.saturating_add(max));
        state.live.push(Live { held: held.clone(), revision, superseded_max });
        let (all, reclaimer) = (self.clone(), reclaimer.clone());
        OrderedSnapshot { revision, entries, held, all, reclaimer }
    }

    /// Counts what a change has superseded, items and copied nodes, and revokes the snapshots for
    /// which that is too much.
    pub fn count(&self, items: &[Item], copied_bytes: u64, reclaimer: &Reclaimer) {
        let mut state = self.0.lock();
        // An item that is newer than all of them, as of a key that is written again and again, is
        // in none.
        let Some(newest) = state.live.last().map(|live| live.revision) else { return };
        let are_held = items.iter().filter(|item| item.revision() <= newest);
        let bytes: u64 = are_held.map(|item| item.plain_bytes() + ITEM_BYTES).sum();
        state.supersede(bytes.saturating_add(copied_bytes), reclaimer);
    }

    /// All that the table held is superseded, so many bytes of keys and values.
    pub fn count_all(&self, bytes: u64, entries: u64, reclaimer: &Reclaimer) {
        let bytes = bytes.saturating_add(entries.saturating_mul(ITEM_BYTES));
        self.0.lock().supersede(bytes, reclaimer);
    }

    fn forget(&self, held: &Arc<Held>) {
        let mut state = self.0.lock();
        state.live.retain(|live| !Arc::ptr_eq(&live.held, held));
    }

    #[cfg(test)]
    pub fn live(&self) -> usize {
        self.0.lock().live.len()
    }
}

impl State {
    fn supersede(&mut self, bytes: u64, reclaimer: &Reclaimer) {
        self.superseded_bytes = self.superseded_bytes.saturating_add(bytes);
        let superseded = self.superseded_bytes;
        if self.live.iter().any(|live| live.superseded_max < superseded) {
            self.live.retain(|live| {
                let may_stay = live.superseded_max >= superseded;
                if !may_stay {
                    live.held.release(reclaimer);
                }
                may_stay
            });
        }
    }
}
