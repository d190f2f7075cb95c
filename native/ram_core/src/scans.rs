//! Scans: a table at one revision, read page by page by callers on any thread while writes go on.
//!
//! A scan holds a snapshot. What the table's writer has to keep for it is bounded: beyond
//! [`SCAN_BYTES_MAX`] the oldest snapshots are revoked, and one that nobody has used for
//! [`SCAN_IDLE`] is dropped. Either way the scan has expired, and its next page says so.

use parking_lot::Mutex;
use std::ops::Bound;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::time::Instant;

use ram_table::item::Item;
use ram_table::snapshot::Revoked;
use ram_table::table::{HashSnapshot, TableSnapshot};

/// What a table holds back for its scans.
pub const SCAN_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// After its last page.
pub const SCAN_IDLE: Duration = Duration::from_secs(60);
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// A scan of one table. Any of its pages may be read, in any order, any number of times.
pub struct Scan {
    revision: u64,
    state: Mutex<State>,
}

struct State {
    /// `None`: it has expired.
    snapshot: Option<Arc<TableSnapshot>>,
    last_used: Instant,
    /// The chunk of a hash table that was read last: its pages follow each other.
    chunk: Option<(usize, Arc<[Item]>)>,
}

/// Where in a scan a page begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cursor {
    Start,
    /// In a hash table: the shard, and how many of its items were read.
    At { shard: usize, read: usize },
    /// In an ordered table: behind this encoded key.
    After(Vec<u8>),
}

/// What a page holds, and where the next begins; `None`: it was the last.
pub struct Page {
    pub items: Vec<Item>,
    pub next: Option<Cursor>,
}

/// The scan is over: too much would have to be kept for it, or nobody used it for too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expired;

impl From<Revoked> for Expired {
    fn from(_: Revoked) -> Expired {
        Expired
    }
}

pub type KeyBounds<'a> = (Bound<&'a [u8]>, Bound<&'a [u8]>);

impl Scan {
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// At most so many items, one at least unless it is the last page. `bounds` and `reverse` are of
    /// use for ordered tables; a hash table is read as it lies.
    pub fn page(
        &self,
        cursor: &Cursor,
        bounds: KeyBounds<'_>,
        reverse: bool,
        limit: usize,
    ) -> Result<Page, Expired> {
        let snapshot = self.used()?;
        match snapshot.as_ref() {
            TableSnapshot::Ordered(ordered) => {
                let bounds = behind(cursor, bounds, reverse);
                let mut items = ordered.range(bounds, reverse, limit.saturating_add(1))?;
                let is_more = items.len() > limit;
                items.truncate(limit);
                let last = items.last().filter(|_| is_more);
                let next = last.map(|item| Cursor::After(item.key().to_vec()));
                Ok(Page { items, next })
            }
            TableSnapshot::Hash(hash) => self.hash_page(hash, cursor, limit),
        }
    }

    fn hash_page(
        &self,
        snapshot: &HashSnapshot,
        cursor: &Cursor,
        limit: usize,
    ) -> Result<Page, Expired> {
        let (mut shard, mut read) = match *cursor {
            Cursor::At { shard, read } => (shard, read),
            Cursor::Start | Cursor::After(_) => (0, 0),
        };
        let mut items: Vec<Item> = Vec::new();
        while snapshot.shards().contains(&shard) && items.len() < limit {
            let chunk = self.chunk(shard, || snapshot.chunk(shard))?;
            let rest = chunk.get(read..).unwrap_or_default();
            let taken = rest.len().min(limit - items.len());
            items.extend(rest.iter().take(taken).cloned());
            (shard, read) = match taken == rest.len() {
                true => (shard + 1, 0),
                false => (shard, read + taken),
            };
        }
        let is_over = !snapshot.shards().contains(&shard);
        Ok(Page { items, next: (!is_over).then_some(Cursor::At { shard, read }) })
    }

    /// A chunk that stays for the next page.
    fn chunk(
        &self,
        shard: usize,
        read: impl FnOnce() -> Result<Vec<Item>, Revoked>,
    ) -> Result<Arc<[Item]>, Expired> {
        if let Some((known, chunk)) = &self.state.lock().chunk
            && *known == shard
        {
            return Ok(chunk.clone());
        }
        let chunk: Arc<[Item]> = read()?.into();
        let mut state = self.state.lock();
        if state.snapshot.is_some() {
            state.chunk = Some((shard, chunk.clone()));
        }
        Ok(chunk)
    }

    fn used(&self) -> Result<Arc<TableSnapshot>, Expired> {
        let mut state = self.state.lock();
        state.last_used = Instant::now();
        state.snapshot.clone().ok_or(Expired)
    }

    /// Holds nothing any more.
    pub fn close(&self) {
        let (snapshot, chunk) = {
            let mut state = self.state.lock();
            (state.snapshot.take(), state.chunk.take())
        };
        drop((snapshot, chunk));
    }

    fn idle(&self) -> Duration {
        self.state.lock().last_used.elapsed()
    }
}

fn behind<'a>(cursor: &'a Cursor, bounds: KeyBounds<'a>, reverse: bool) -> KeyBounds<'a> {
    match (cursor, reverse) {
        (Cursor::After(after), false) => (Bound::Excluded(after), bounds.1),
        (Cursor::After(after), true) => (bounds.0, Bound::Excluded(after)),
        (Cursor::Start | Cursor::At { .. }, _) => bounds,
    }
}

/// The scans of a member. Clones share them.
#[derive(Clone, Default)]
pub struct Scans(Arc<Mutex<Vec<Weak<Scan>>>>);

impl Scans {
    pub fn open(&self, snapshot: TableSnapshot, revision: u64) -> Arc<Scan> {
        let (snapshot, last_used) = (Some(Arc::new(snapshot)), Instant::now());
        let state = Mutex::new(State { snapshot, last_used, chunk: None });
        let scan = Arc::new(Scan { revision, state });
        self.0.lock().push(Arc::downgrade(&scan));
        scan
    }

    /// How many are open.
    pub fn count(&self) -> usize {
        self.0.lock().iter().filter(|scan| scan.strong_count() > 0).count()
    }

    /// Closes those that nobody uses, as long as the member runs.
    pub async fn sweep(self) {
        loop {
            tokio::time::sleep(SWEEP_INTERVAL).await;
            let all: Vec<Arc<Scan>> = {
                let mut scans = self.0.lock();
                scans.retain(|scan| scan.strong_count() > 0);
                scans.iter().filter_map(Weak::upgrade).collect()
            };
            all.iter().filter(|scan| scan.idle() >= SCAN_IDLE).for_each(|scan| scan.close());
        }
    }

    /// The member has ended.
    pub fn close(&self) {
        let scans = std::mem::take(&mut *self.0.lock());
        scans.iter().filter_map(Weak::upgrade).for_each(|scan| scan.close());
    }
}
