//! Snapshots of a hash table, by copy on write: many at once, while writes go on.
//!
//! A snapshot fixes a revision S. An item of the map belongs to it when its revision is S or older.
//! From then on the writer keeps what it replaces or removes, the pre-image, if the newest snapshot
//! needs it: one that was S or older. Each is kept once, by the newest snapshot alone. An older
//! snapshot looks through the pre-images of the newer ones: those which are as old as its own
//! revision are what it needs, since they were alive then and until the newer snapshot. When a
//! snapshot ends, its pre-images are handed to the next older one, which keeps those that it needs.
//! So what is held back is bounded by what changed since the oldest snapshot began, and a change
//! costs the same whatever their number.
//!
//! Pre-images lie in the shard of their key, under the lock that walks take: a walk sees the items
//! and the pre-images of one moment, and takes no time for those of other shards.
//!
//! What snapshots hold back has a bound, if they were begun with one: the writer revokes the one
//! that holds back more. What a snapshot kept that was revoked or has ended is swept out of the
//! shards later, one with each change or by the [`Reclaimer`].

use ram_threads::sync::{AtomicBool, Mutex, MutexGuard};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use thiserror::Error;

use super::item::{Item, Key};
use super::reclaim::Reclaimer;
use super::shards::{self, All};

/// The snapshot held back more than it may, and holds nothing any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the snapshot held back more than it may, and was revoked")]
pub struct Revoked;

impl From<Revoked> for std::io::Error {
    fn from(revoked: Revoked) -> Self {
        std::io::Error::other(revoked)
    }
}

/// Snapshots of one table are numbered in the order of their revisions.
type Number = u64;

/// The snapshots of a map of items.
#[derive(Debug, Default)]
pub struct Snapshots(Mutex<Registry>);

impl Snapshots {
    /// Held by the writer during a change, so that no snapshot ends between the question which one
    /// keeps the pre-image and the answer.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Registry> {
        self.0.lock()
    }
}

#[derive(Debug, Default)]
pub(crate) struct Registry {
    /// In the order of their numbers. One that has ended stays until its pre-images are swept.
    begun: Vec<Begun>,
    next: Number,
    /// The shards with pre-images.
    touched: Vec<usize>,
    /// How many of those, the first ones, are to be swept.
    unswept: usize,
}

#[derive(Debug)]
struct Begun {
    number: Number,
    revision: u64,
    /// By all pre-images that it needs.
    held_bytes: u64,
    held_bytes_max: Option<u64>,
    has_ended: bool,
    is_revoked: Arc<AtomicBool>,
}

/// How many bytes are held back by a pre-image, about: with what the allocations take.
pub fn held_bytes(item: &Item) -> u64 {
    const ALLOCATIONS: u64 = 64;
    item.plain_bytes() + ALLOCATIONS
}

/// The pre-images of a shard, by the snapshot that keeps them.
#[derive(Debug, Default)]
pub struct PreImages(BTreeMap<Number, Vec<Item>>);

impl Registry {
    fn begin(&mut self, revision: u64, held_bytes_max: Option<u64>) -> (Number, Arc<AtomicBool>) {
        let (number, is_revoked) = (self.next, Arc::new(AtomicBool::new(false)));
        self.next += 1;
        self.begun.push(Begun {
            number,
            revision,
            held_bytes: 0,
            held_bytes_max,
            has_ended: false,
            is_revoked: is_revoked.clone(),
        });
        (number, is_revoked)
    }

    /// What a change of this shard replaced or removed; returned, if no snapshot needs it. Revokes
    /// each snapshot that holds back too much with it.
    pub fn keep(&mut self, shard: usize, pre_images: &mut PreImages, old: Item) -> Option<Item> {
        let needs_it = |begun: &&mut Begun| old.revision() <= begun.revision;
        let live = self.begun.iter_mut().rev().filter(|begun| !begun.has_ended);
        let mut live = live.take_while(needs_it).peekable();
        let Some(newest) = live.peek().map(|newest| newest.number) else { return Some(old) };
        let (bytes, mut revoked) = (held_bytes(&old), false);
        for begun in live {
            begun.held_bytes += bytes;
            if begun.held_bytes_max.is_some_and(|max| begun.held_bytes > max) {
                begun.has_ended = true;
                begun.is_revoked.store(true, Ordering::Relaxed);
                revoked = true;
            }
        }
        if pre_images.0.is_empty() {
            self.touched.push(shard);
        }
        pre_images.0.entry(newest).or_default().push(old);
        if revoked {
            self.unswept = self.touched.len();
        }
        None
    }

    fn end(&mut self, number: Number) {
        let ended = self.begun.iter_mut().find(|begun| begun.number == number);
        ended.into_iter().for_each(|ended| ended.has_ended = true);
        self.unswept = self.touched.len();
        self.forget_ended();
    }

    fn forget_ended(&mut self) {
        if self.unswept == 0 {
            self.begun.retain(|begun| !begun.has_ended);
        }
    }

    /// Takes from one shard what was kept by snapshots that have ended: to the next older ones, or
    /// out, to be dropped without the lock. `None`: there is nothing more.
    pub fn sweep(&mut self, all: &All<Item>) -> Option<Vec<Item>> {
        let at = self.unswept.checked_sub(1)?;
        let shard = *self.touched.get(at)?;
        let mut freed = Vec::new();
        let is_left = all.change_pre_images(shard, |pre_images| {
            self.hand_down(pre_images, &mut freed);
            !pre_images.0.is_empty()
        });
        if !is_left.unwrap_or(false) {
            self.touched.swap_remove(at);
        }
        self.unswept = at;
        self.forget_ended();
        Some(freed)
    }

    fn hand_down(&self, pre_images: &mut PreImages, freed: &mut Vec<Item>) {
        let mut older: Option<&Begun> = None;
        for begun in &self.begun {
            if !begun.has_ended {
                older = Some(begun);
                continue;
            }
            for item in pre_images.0.remove(&begun.number).unwrap_or_default() {
                match older {
                    Some(older) if item.revision() <= older.revision => {
                        pre_images.0.entry(older.number).or_default().push(item);
                    }
                    _ => freed.push(item),
                }
            }
        }
    }
}

/// A hash table as it was at one revision.
#[derive(Debug)]
pub struct Snapshot {
    all: All<Item>,
    reclaimer: Arc<Reclaimer>,
    number: Number,
    revision: u64,
    entries: u64,
    is_revoked: Arc<AtomicBool>,
}

impl Snapshot {
    pub(crate) fn begin(
        all: All<Item>,
        reclaimer: Arc<Reclaimer>,
        (revision, entries): (u64, u64),
        held_bytes_max: Option<u64>,
    ) -> Snapshot {
        let begin = |snapshots: &Snapshots| snapshots.lock().begin(revision, held_bytes_max);
        let (number, is_revoked) = all.snapshots().map(begin).unwrap_or_default();
        Snapshot { all, reclaimer, number, revision, entries, is_revoked }
    }

    pub fn revision(&self) -> u64 {
        self.revision
    }

    pub fn entries(&self) -> u64 {
        self.entries
    }

    /// Each has a chunk of the table.
    pub fn shards(&self) -> Range<usize> {
        self.all.shards()
    }

    /// The items of a shard, the same in the same order whenever they are asked for: a scan can go
    /// on at any of them. The order is that of the hashes, which are compared in no time.
    pub fn chunk(&self, shard: usize) -> Result<Vec<Item>, Revoked> {
        let mut chunk = Vec::new();
        self.collect(shard, &mut chunk, |item| (shards::hash_of(item), item.clone()))?;
        chunk.sort_unstable_by(|(one_hash, one), (other_hash, other)| {
            one_hash.cmp(other_hash).then_with(|| one.key().cmp(other.key()))
        });
        Ok(chunk.into_iter().map(|(_, item)| item).collect())
    }

    /// What a key held.
    pub fn get(&self, key: &[u8]) -> Result<Option<Item>, Revoked> {
        let key = Key(key);
        let is_of_then = |item: &&Item| item.revision() <= self.revision;
        let found = self.all.find(
            &key,
            |item| key.is_of(item),
            |pre_images, item| {
                if self.is_revoked.load(Ordering::Relaxed) {
                    return Err(Revoked);
                }
                let newer = || pre_images.0.range(self.number..).flat_map(|(_, items)| items);
                let kept = || newer().find(|item| is_of_then(item) && key.is_of(item));
                Ok(item.filter(is_of_then).or_else(kept).cloned())
            },
        );
        found.unwrap_or(Ok(None))
    }

    /// Calls `visit` with the items of each shard, in no order.
    pub fn walk<E: From<Revoked>>(
        &self,
        mut visit: impl FnMut(&[Item]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut chunk = Vec::new();
        for shard in self.shards() {
            chunk.clear();
            self.collect(shard, &mut chunk, Item::clone)?;
            visit(&chunk)?;
        }
        Ok(())
    }

    fn collect<T>(
        &self,
        shard: usize,
        chunk: &mut Vec<T>,
        of: impl Fn(&Item) -> T,
    ) -> Result<(), Revoked> {
        let is_of_then = |item: &&Item| item.revision() <= self.revision;
        let walked = self.all.walk(shard, |pre_images, items| {
            // Set before anything was swept from the shard, which takes the lock that is held here.
            if self.is_revoked.load(Ordering::Relaxed) {
                return Err(Revoked);
            }
            chunk.reserve(items.len());
            chunk.extend(items.filter(is_of_then).map(&of));
            let newer = pre_images.0.range(self.number..).flat_map(|(_, items)| items);
            chunk.extend(newer.filter(is_of_then).map(&of));
            Ok(())
        });
        walked.unwrap_or(Ok(()))
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        if let Some(snapshots) = self.all.snapshots() {
            snapshots.lock().end(self.number);
        }
        self.reclaimer.add_map(std::mem::take(&mut self.all));
    }
}

#[cfg(test)]
mod tests;
