//! Scans: tables at one revision, read page by page by callers on any thread while writes go on.
//!
//! A scan holds a snapshot of each of its tables: of one for a scan, of all for a transaction. What
//! the table's writer has to keep for it is bounded: beyond [`SCAN_BYTES_MAX`] the oldest snapshots
//! are revoked, and one that nobody has used for [`SCAN_IDLE`] is dropped. Either way the scan has
//! expired, and its next page says so.

use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::time::Instant;

use ram_sabotage::{Fault, Kept};
use ram_store::answer::Failure;
use ram_store::write::without_default;
use ram_table::item::Item;
use ram_table::table::{HashSnapshot, Revoked, Table, TableSnapshot};
use ram_table::tables::Tables;

/// What a table holds back for its scans.
pub const SCAN_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// After its last page.
pub const SCAN_IDLE: Duration = Duration::from_secs(60);
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// A scan of some tables. Any of its pages may be read, in any order, any number of times.
pub struct Scan {
    revision: u64,
    state: Mutex<State>,
}

/// By the names of the tables, as requests name them.
pub type Snapshots = BTreeMap<String, Scanned>;

/// A table that is scanned.
pub struct Scanned {
    snapshot: TableSnapshot,
    /// For a fault alone.
    table: Kept<Arc<Table>>,
}

impl Scanned {
    /// Of the revision that the table has now: between two writes, or by its writer.
    pub fn of(table: &Arc<Table>, revision: u64, held_bytes_max: u64) -> Scanned {
        let snapshot = table.snapshot(revision, Some(held_bytes_max));
        Scanned { snapshot, table: Kept::of(table) }
    }

    /// Calls `read` with the snapshot.
    fn with<T>(&self, read: impl FnOnce(&TableSnapshot) -> T) -> T {
        match self.table.when_armed(Fault::MixRevisions) {
            Some(table) => read(&table.snapshot(u64::MAX, None)),
            None => read(&self.snapshot),
        }
    }
}

/// The table of this name, or all of them, as they are now, and the revision. Between two writes.
pub fn begin(tables: &Tables, name: Option<&str>) -> crate::Result<(Snapshots, u64)> {
    let revision = tables.revision();
    let names = name.map_or_else(|| tables.names(), |name| vec![name.to_owned()]);
    let begin = |name: String| {
        let table = find_table(tables, &name)?;
        Ok((without_default(&name).to_owned(), Scanned::of(&table, revision, SCAN_BYTES_MAX)))
    };
    let snapshots: crate::Result<Snapshots> = names.into_iter().map(begin).collect();
    Ok((snapshots?, revision))
}

pub fn find_table(tables: &Tables, name: &str) -> crate::Result<Arc<Table>> {
    Ok(tables.get(name).ok_or_else(|| Failure::NoTable(name.into()))?)
}

struct State {
    /// `None`: it has expired.
    snapshots: Option<Arc<Snapshots>>,
    last_used: Instant,
    /// The chunk of a hash table that was read last: its pages follow each other.
    chunk: Option<Chunk>,
}

/// All items of a shard.
struct Chunk {
    table: String,
    shard: usize,
    items: Arc<[Item]>,
}

/// Where in a scan a page begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cursor {
    Start,
    /// In a hash table: the shard, and how many of its items were read.
    At {
        shard: usize,
        read: usize,
    },
    /// In an ordered table: behind this encoded key.
    After(Vec<u8>),
}

/// What a page holds, and where the next begins; `None`: it was the last.
#[derive(Debug)]
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
    /// One that nobody closes but its owner.
    pub fn new(snapshots: Snapshots, revision: u64) -> Scan {
        let (snapshots, last_used) = (Some(Arc::new(snapshots)), Instant::now());
        Scan { revision, state: Mutex::new(State { snapshots, last_used, chunk: None }) }
    }

    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// What a key of a table held. The outer `None`: there was no such table.
    pub fn get(&self, table: &str, key: &[u8]) -> Result<Option<Option<Item>>, Expired> {
        let snapshots = self.used()?;
        let Some(scanned) = snapshots.get(table) else { return Ok(None) };
        scanned.with(|snapshot| {
            Ok(Some(match snapshot {
                TableSnapshot::Hash(hash) => hash.get(key)?,
                TableSnapshot::Ordered(ordered) => ordered.get(key)?,
            }))
        })
    }

    /// Is the table one of the scan, and has it an order?
    pub fn is_ordered(&self, table: &str) -> Result<Option<bool>, Expired> {
        let is_ordered = |scanned: &Scanned| matches!(scanned.snapshot, TableSnapshot::Ordered(_));
        Ok(self.used()?.get(table).map(is_ordered))
    }

    /// At most so many items of a table, one at least unless it is the last page. `bounds` and
    /// `reverse` are of use for ordered tables; a hash table is read as it lies. One that is not
    /// there has no items.
    pub fn page(
        &self,
        table: &str,
        cursor: &Cursor,
        bounds: KeyBounds<'_>,
        reverse: bool,
        limit: usize,
    ) -> Result<Page, Expired> {
        let snapshots = self.used()?;
        let Some(scanned) = snapshots.get(table) else {
            return Ok(Page { items: Vec::new(), next: None });
        };
        scanned.with(|snapshot| match snapshot {
            TableSnapshot::Ordered(ordered) => {
                let (from, to) = behind(cursor, bounds, reverse);
                let mut items = ordered.range(from, to, reverse, limit.saturating_add(1))?;
                let is_more = items.len() > limit;
                items.truncate(limit);
                let last = items.last().filter(|_| is_more);
                let next = last.map(|item| Cursor::After(item.key().to_vec()));
                Ok(Page { items, next })
            }
            TableSnapshot::Hash(hash) => self.hash_page((table, hash), cursor, limit),
        })
    }

    fn hash_page(
        &self,
        (table, snapshot): (&str, &HashSnapshot),
        cursor: &Cursor,
        limit: usize,
    ) -> Result<Page, Expired> {
        let (mut shard, mut read) = match *cursor {
            Cursor::At { shard, read } => (shard, read),
            Cursor::Start | Cursor::After(_) => (0, 0),
        };
        let mut items: Vec<Item> = Vec::new();
        while snapshot.shards().contains(&shard) && items.len() < limit {
            let chunk = self.chunk((table, shard), || snapshot.chunk(shard))?;
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
        (table, shard): (&str, usize),
        read: impl FnOnce() -> Result<Vec<Item>, Revoked>,
    ) -> Result<Arc<[Item]>, Expired> {
        if let Some(chunk) = &self.state.lock().chunk
            && (chunk.table.as_str(), chunk.shard) == (table, shard)
        {
            return Ok(chunk.items.clone());
        }
        let items: Arc<[Item]> = read()?.into();
        let mut state = self.state.lock();
        if state.snapshots.is_some() {
            state.chunk = Some(Chunk { table: table.to_owned(), shard, items: items.clone() });
        }
        Ok(items)
    }

    fn used(&self) -> Result<Arc<Snapshots>, Expired> {
        let mut state = self.state.lock();
        state.last_used = Instant::now();
        state.snapshots.clone().ok_or(Expired)
    }

    /// Holds nothing any more.
    pub fn close(&self) {
        let held = {
            let mut state = self.state.lock();
            (state.snapshots.take(), state.chunk.take())
        };
        drop(held);
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
    pub fn open(&self, snapshots: Snapshots, revision: u64) -> Arc<Scan> {
        let scan = Arc::new(Scan::new(snapshots, revision));
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

#[cfg(test)]
mod tests {
    use super::*;
    use ram_table::table::Meta;
    use ram_table::tables::TableType;
    use ram_table::value::StoredValue;

    const ALL: KeyBounds<'static> = (Bound::Unbounded, Bound::Unbounded);

    fn put(tables: &Tables, key: u32, revision: u64) {
        for name in ["hash", "ordered"] {
            let (key, meta) = (key.to_be_bytes(), Meta::created(revision));
            let item = Item::new(&key, StoredValue::plain(b""), &meta);
            tables.get(name).unwrap().insert(item);
        }
    }

    fn filled(entries: u32) -> Tables {
        let tables = Tables::default();
        tables.create("hash", TableType::Set);
        tables.create("ordered", TableType::OrderedSet);
        (0..entries).for_each(|key| put(&tables, key, 1));
        tables
    }

    fn scan(scans: &Scans, tables: &Tables, revision: u64, held_bytes_max: u64) -> Arc<Scan> {
        let begin = |name: &str| {
            let table = tables.get(name).unwrap();
            (name.to_owned(), Scanned::of(&table, revision, held_bytes_max))
        };
        scans.open(["hash", "ordered"].map(begin).into(), revision)
    }

    fn keys(scan: &Scan, table: &str, limit: usize) -> Vec<Vec<u8>> {
        let (mut keys, mut next) = (Vec::new(), Some(Cursor::Start));
        while let Some(cursor) = next {
            let page = scan.page(table, &cursor, ALL, false, limit).unwrap();
            assert!(page.items.len() <= limit);
            assert!(page.next.is_none() || page.items.len() == limit, "only the last is short");
            keys.extend(page.items.iter().map(|item| item.key().to_vec()));
            next = page.next;
        }
        keys
    }

    #[test]
    fn pages_of_any_size_are_the_table_as_it_was_whatever_is_written_between_them() {
        let (scans, tables) = (Scans::default(), filled(3000));
        let scan = scan(&scans, &tables, 1, u64::MAX);
        for (revision, limit) in [1, 7, 1000, 2999, 3000, 5000].into_iter().enumerate() {
            for table in ["hash", "ordered"] {
                let mut found = keys(&scan, table, limit);
                if table == "hash" {
                    found.sort();
                }
                assert!(found.into_iter().eq((0..3000u32).map(|key| key.to_be_bytes().to_vec())));
            }
            (0..4000).step_by(3).for_each(|key| put(&tables, key, revision as u64 + 2));
        }
        assert_eq!(scan.get("hash", &0u32.to_be_bytes()).unwrap().unwrap().unwrap().revision(), 1);
        assert!(scan.get("ordered", &3999u32.to_be_bytes()).unwrap().unwrap().is_none());
        assert!(scan.get("none", b"k").unwrap().is_none());
        assert_eq!((scan.is_ordered("hash"), scan.is_ordered("none")), (Ok(Some(false)), Ok(None)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_scan_that_nobody_uses_is_over_and_one_that_is_used_goes_on() {
        let (scans, tables) = (Scans::default(), filled(10));
        let (used, idle) = (scan(&scans, &tables, 1, u64::MAX), scan(&scans, &tables, 1, u64::MAX));
        drop(scan(&scans, &tables, 1, u64::MAX));
        assert_eq!(scans.count(), 2);
        let sweeping = tokio::spawn(scans.clone().sweep());
        for _ in 0..4 {
            tokio::time::sleep(SCAN_IDLE / 2).await;
            assert!(used.get("hash", b"k").is_ok());
        }
        assert_eq!(idle.get("hash", b"k").unwrap_err(), Expired);
        assert!(idle.page("ordered", &Cursor::Start, ALL, false, 1).is_err());
        assert_eq!(keys(&used, "ordered", 3).len(), 10);
        sweeping.abort();
        scans.close();
        assert!(used.get("hash", b"k").is_err());
    }

    #[test]
    fn a_scan_that_holds_too_much_back_is_over() {
        let (scans, tables) = (Scans::default(), filled(1000));
        let scan = scan(&scans, &tables, 1, 10_000);
        assert_eq!(keys(&scan, "ordered", 100).len(), 1000);
        (0..1000).for_each(|key| put(&tables, key, 2));
        for table in ["hash", "ordered"] {
            assert!(scan.get(table, &1u32.to_be_bytes()).is_err(), "{table}");
            assert!(scan.page(table, &Cursor::Start, ALL, false, 10).is_err(), "{table}");
        }
    }
}
