//! The lists of one table, in buckets, and the pass through them.

use std::collections::{BTreeMap, VecDeque};

use crate::observe::{Change, Gone};
use ram_table::item::{Item, Life};
use ram_table::tables::Tables;
use ram_table::value::StoredValue;

/// Times are rounded up to this, so that many keys share a bucket.
pub const TICK_MS: u64 = 128;
/// The entries of a bucket. A pass looks at one at once.
const BUCKET_ENTRIES: usize = 1024;
/// Of a value that is longer no entry holds on to the item.
pub const SHARED_VALUE_BYTES_MAX: usize = 512;
/// So many entries may mean nothing beside a quarter of those that mean something.
pub const WORN_MAX: u64 = 1024;
/// A pass goes so much further with each change.
pub const SWEPT_BY_A_CHANGE: usize = 8;

pub type Bucket = Vec<Item>;

/// Those of a table.
#[derive(Debug, Default)]
pub struct Lists {
    /// How many keys of the table have a time to live.
    pub live: u64,
    /// How many entries are known to be no longer those of their keys, or may be.
    worn: u64,
    /// Entries that were taken out as due, whose keys are there still.
    pub taken: u64,
    pub fresh: VecDeque<Bucket>,
    pub asked: VecDeque<Bucket>,
    /// By the tick, and a number.
    pub timed: BTreeMap<(u64, u64), Bucket>,
    pass: Option<Pass>,
}

/// How far a pass is.
#[derive(Debug, Default)]
struct Pass {
    /// Entries that may be looked at.
    credit: usize,
    /// Buckets that it has not seen.
    fresh: usize,
    asked: usize,
    /// The last one that it has seen.
    timed: Option<(u64, u64)>,
}

impl Lists {
    /// With so many keys, all of them fresh.
    pub fn of(live: u64, fresh: VecDeque<Bucket>) -> Lists {
        Lists { live, fresh, ..Lists::default() }
    }

    pub fn entries(&self) -> usize {
        let waiting = self.fresh.iter().chain(&self.asked);
        waiting.chain(self.timed.values()).map(Vec::len).sum()
    }

    pub fn into_buckets(self) -> impl Iterator<Item = Bucket> {
        self.fresh.into_iter().chain(self.asked).chain(self.timed.into_values())
    }

    pub fn changed(&mut self, change: &Change<'_>, old: Option<Life>, new: Option<Life>) {
        let was_taken = change.gone == Gone::Expired && new.is_none() && self.taken > 0;
        if was_taken {
            self.taken -= 1;
        } else {
            self.worn += u64::from(old.is_some());
        }
        if is_same(old, new) {
            return;
        }
        self.live = self.live.saturating_sub(u64::from(old.is_some()));
        if let (Some(item), Some(_)) = (change.new, new) {
            self.live += 1;
            push(&mut self.fresh, entry_of(item));
        }
    }

    /// All entries are fresh again.
    pub fn begin_anew(&mut self) {
        self.fresh.append(&mut self.asked);
        self.fresh.extend(std::mem::take(&mut self.timed).into_values());
        (self.pass, self.taken) = (None, 0);
    }

    /// False: there is none.
    pub fn place_bucket(&mut self, high_ms: u64, left: &mut usize) -> bool {
        let Some(bucket) = self.asked.pop_front() else { return false };
        *left = left.saturating_sub(bucket.len());
        for item in bucket {
            let Some(life) = item.meta().life else { continue };
            let tick = high_ms.saturating_add(life.ttl_ms).div_ceil(TICK_MS);
            self.push_timed(tick, item);
        }
        true
    }

    fn push_timed(&mut self, tick: u64, item: Item) {
        let last = self.timed.range_mut((tick, 0)..=(tick, u64::MAX)).next_back();
        let next = match last {
            Some((_, bucket)) if bucket.len() < BUCKET_ENTRIES => {
                return push_into(bucket, item);
            }
            Some(((_, number), _)) => number + 1,
            None => 0,
        };
        self.timed.insert((tick, next), vec![item]);
    }

    pub fn next_due(&mut self, low_ms: u64) -> Option<Item> {
        let mut first = self.timed.first_entry()?;
        let (tick, _) = *first.key();
        if tick.saturating_mul(TICK_MS) > low_ms {
            return None;
        }
        let item = first.get_mut().pop();
        if first.get().is_empty() {
            first.remove();
        }
        item
    }

    /// Goes on with a pass, if one is needed.
    pub fn sweep(&mut self, name: &str, tables: &Tables, credit: usize) {
        let pass = match &mut self.pass {
            Some(pass) => pass,
            None if self.worn <= WORN_MAX + self.live / 4 => return,
            None => {
                self.worn = 0;
                let (fresh, asked) = (self.fresh.len(), self.asked.len());
                self.pass.insert(Pass { fresh, asked, ..Pass::default() })
            }
        };
        pass.credit += credit;
        if pass.fresh > 0 {
            pass.fresh -= 1;
            sweep_first(&mut self.fresh, &mut pass.credit, name, tables, &mut pass.fresh);
        } else if pass.asked > 0 {
            pass.asked -= 1;
            sweep_first(&mut self.asked, &mut pass.credit, name, tables, &mut pass.asked);
        } else {
            let after = pass.timed.map_or((0, 0), |(tick, number)| (tick, number + 1));
            let Some((key, bucket)) = self.timed.range_mut(after..).next() else {
                self.pass = None;
                return;
            };
            let key = *key;
            if pass.credit < bucket.len() {
                return;
            }
            pass.credit -= bucket.len();
            pass.timed = Some(key);
            refresh(bucket, name, tables);
            if bucket.is_empty() {
                self.timed.remove(&key);
            }
        }
    }
}

/// Goes through the first bucket, if it may; what is left goes to the end.
fn sweep_first(
    list: &mut VecDeque<Bucket>,
    credit: &mut usize,
    name: &str,
    tables: &Tables,
    unseen: &mut usize,
) {
    let Some(first) = list.front() else { return };
    if *credit < first.len() {
        *unseen += 1;
        return;
    }
    *credit -= first.len();
    let Some(mut bucket) = list.pop_front() else { return };
    refresh(&mut bucket, name, tables);
    for item in bucket {
        push(list, item);
    }
}

/// Drops what means nothing, and takes the newest item of each key.
fn refresh(bucket: &mut Bucket, name: &str, tables: &Tables) {
    let newest = |item: &Item| {
        let now = tables.with_table(name, |table| table.get(item.key()))??;
        is_same(item.meta().life, now.meta().life).then(|| entry_of(&now))
    };
    bucket.retain_mut(|item| match newest(item) {
        Some(now) => {
            *item = now;
            true
        }
        None => false,
    });
    if bucket.len() < bucket.capacity() / 2 {
        bucket.shrink_to_fit();
    }
}

pub fn life_of(item: Option<&Item>) -> Option<Life> {
    item.filter(|item| item.has_life()).and_then(|item| item.meta().life)
}

/// Were they given by the same write? One that gives a key two of them gives the same twice, or
/// they differ.
fn is_same(one: Option<Life>, other: Option<Life>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => (one.revision, one.ttl_ms) == (other.revision, other.ttl_ms),
        _ => false,
    }
}

/// Does the entry tell the time of its key?
pub fn is_meant(name: &str, tables: &Tables, entry: &Item) -> bool {
    let life = tables.with_table(name, |table| {
        table.with_item(entry.key(), |item| item.and_then(|item| item.meta().life))
    });
    is_same(life.flatten().flatten(), entry.meta().life)
}

/// Without its value, where that is long: an entry would hold it back when the key has another.
pub fn entry_of(item: &Item) -> Item {
    if item.value_bytes() <= SHARED_VALUE_BYTES_MAX {
        return item.clone();
    }
    Item::new(item.key(), StoredValue::plain(&[]), &item.meta())
}

pub fn push(list: &mut VecDeque<Bucket>, item: Item) {
    match list.back_mut() {
        Some(bucket) if bucket.len() < BUCKET_ENTRIES => push_into(bucket, item),
        _ => list.push_back(vec![item]),
    }
}

/// Grows by a quarter: there may be many buckets of a few.
fn push_into(bucket: &mut Bucket, item: Item) {
    if bucket.len() == bucket.capacity() {
        bucket.reserve_exact((bucket.len() / 4).max(4));
    }
    bucket.push(item);
}
