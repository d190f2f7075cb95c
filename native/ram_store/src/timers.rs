//! Which keys have a time to live, and when the leader takes it for over.
//!
//! Every member lists them, table by table, so that each can lead. An entry of a list is the item
//! that the key had when it was given its time: a pointer. It means the key as long as that has the
//! same [`Life`](ram_table::item::Life); an item that is written later with the time kept has the
//! same one. Lists are not
//! searched: an entry of a key that is gone, or was given another time, stays until it is met. When
//! too many of these may be in the lists, a *pass* goes through all of them, a bucket at a time as
//! changes come: it drops what means nothing, and takes the newest item in place of an older one.
//!
//! On the leader an entry goes three ways, by the rounds of `ram_lease::majority_clock`: it is
//! *fresh*; with the beginning of a round it is *asked*, since the round tells how late it was at
//! least when it began; and with the end of the round it is *timed*. When the lead is lost all are
//! fresh again, with all their time.
//!
//! No call takes longer for more keys, but by their buckets: what does takes a budget.

mod lists;
#[cfg(feature = "sabotage")]
mod own_clock;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::observe::Change;
use crate::write::{Because, Due, Encoded, Write};
use lists::{Bucket, Lists, SWEPT_BY_A_CHANGE, entry_of, is_meant, life_of, push};
use ram_table::item::Item;
use ram_table::tables::Tables;

/// All lists of a member.
#[derive(Debug, Default)]
pub struct Timers {
    tables: HashMap<Arc<str>, Lists>,
    /// Freed later.
    dropped: Vec<Bucket>,
}

/// What is to be expired.
#[derive(Debug, Clone)]
pub struct Taken {
    table: Arc<str>,
    item: Item,
}

/// Bounds on what is taken at once.
#[derive(Debug, Clone, Copy)]
pub struct Portion {
    pub keys: usize,
    pub bytes: usize,
    /// Entries that are looked at.
    pub looked_at: usize,
}

impl Timers {
    /// Has no key a time to live, and is nothing left to be freed?
    pub fn is_idle(&self) -> bool {
        self.tables.is_empty() && self.dropped.is_empty()
    }

    /// How many keys have a time to live.
    pub fn live(&self) -> u64 {
        self.tables.values().map(|lists| lists.live).sum()
    }

    /// How many entries the lists have.
    pub fn entries(&self) -> usize {
        self.tables.values().map(Lists::entries).sum()
    }

    /// A key was changed. `tables` are those that it is in.
    pub fn changed(&mut self, change: &Change<'_>, tables: &Tables) {
        let (old, new) = (life_of(change.old), life_of(change.new));
        if old.is_none() && new.is_none() {
            return;
        }
        if !self.tables.contains_key(change.table) {
            self.tables.insert(change.table.into(), Lists::default());
        }
        if let Some(lists) = self.tables.get_mut(change.table) {
            lists.changed(change, old, new);
            lists.sweep(change.table, tables, SWEPT_BY_A_CHANGE);
        }
    }

    /// A table was dropped, with all its keys.
    pub fn dropped(&mut self, table: &str) {
        if let Some(lists) = self.tables.remove(table) {
            self.dropped.extend(lists.into_buckets());
        }
    }

    /// All tables were replaced; `loaded` are the items of the new ones that have a time to live.
    pub fn replaced(&mut self, loaded: Loaded) {
        for (_, lists) in std::mem::take(&mut self.tables) {
            self.dropped.extend(lists.into_buckets());
        }
        for (table, (live, fresh)) in loaded.tables {
            self.tables.insert(table, Lists::of(live, fresh));
        }
    }

    /// A round begins that tells when those begin which are there now.
    pub fn begin_round(&mut self) {
        for lists in self.tables.values_mut() {
            lists.asked.append(&mut lists.fresh);
        }
    }

    /// The round is over: what was there when it began has begun at `high_ms`. Places so many of
    /// them at most, and returns how many.
    pub fn place(&mut self, high_ms: u64, budget: usize) -> usize {
        let mut left = budget;
        for lists in self.tables.values_mut() {
            while left > 0 && lists.place_bucket(high_ms, &mut left) {}
        }
        budget - left
    }

    /// Nothing is known of what is past: all keys have all their time again.
    pub fn begin_anew(&mut self) {
        for lists in self.tables.values_mut() {
            lists.begin_anew();
        }
    }

    /// Takes out keys whose time is over, now that `low_ms` have passed. False: there may be more.
    pub fn take_due(
        &mut self,
        low_ms: u64,
        tables: &Tables,
        portion: Portion,
        taken: &mut Vec<Taken>,
    ) -> bool {
        let mut left = portion;
        for (name, lists) in &mut self.tables {
            while let Some(item) = lists.next_due(low_ms) {
                left.looked_at = left.looked_at.saturating_sub(1);
                if is_meant(name, tables, &item) {
                    lists.taken += 1;
                    left.keys = left.keys.saturating_sub(1);
                    left.bytes = left.bytes.saturating_sub(item.key().len() + name.len() + 16);
                    taken.push(Taken { table: name.clone(), item });
                }
                if left.looked_at == 0 || left.keys == 0 || left.bytes == 0 {
                    return false;
                }
            }
        }
        true
    }

    /// What was taken has gone, or was given another time.
    pub fn are_gone(&mut self) {
        self.tables.values_mut().for_each(|lists| lists.taken = 0);
    }

    /// What was taken has perhaps not gone.
    pub fn give_back(&mut self, taken: impl IntoIterator<Item = Taken>) {
        for Taken { table, item } in taken {
            if let Some(lists) = self.tables.get_mut(&table) {
                lists.taken = lists.taken.saturating_sub(1);
                push(&mut lists.fresh, item);
            }
        }
    }

    /// Frees some of what was dropped, and lists that mean nothing. True: there is more.
    pub fn free_some(&mut self) -> bool {
        if let Some(name) = self.tables.iter().find(|(_, lists)| lists.live == 0).map(|(n, _)| n) {
            let name = name.clone();
            self.dropped(&name);
        }
        self.dropped.pop();
        !self.dropped.is_empty()
    }
}

/// The write of a leader that ends these.
pub fn expire(taken: &[Taken]) -> Encoded {
    let keys = u32::try_from(taken.len()).unwrap_or(u32::MAX);
    let mut write = Encoded::of(&Write::End { keys });
    for Taken { table, item } in taken {
        let revision = item.meta().life.map_or(0, |life| life.revision);
        let because = Because::Expired { revision };
        write.due(&Due { table, key: item.key(), because });
    }
    write
}

/// The items with a time to live that a store was loaded with.
#[derive(Debug, Default)]
pub struct Loaded {
    tables: HashMap<Arc<str>, (u64, VecDeque<Bucket>)>,
}

impl Loaded {
    pub(crate) fn push(&mut self, table: &str, item: &Item) {
        if !item.has_life() {
            return;
        }
        if !self.tables.contains_key(table) {
            self.tables.insert(table.into(), Default::default());
        }
        if let Some((live, fresh)) = self.tables.get_mut(table) {
            *live += 1;
            push(fresh, entry_of(item));
        }
    }
}

#[cfg(test)]
mod tests;
