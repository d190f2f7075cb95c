//! Which keys have an owner, by their owners: every member lists them, so that each can lead, and
//! so that a member knows whom of its node to watch.
//!
//! An entry is the newest item of its key. Owners are told apart by their bytes ([`Owner`]), and
//! stand below the run of the member that watches them, which ends with it. A change costs the
//! logarithm of what is listed; what takes longer is done in portions.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::observe::Change;
use crate::write::{Because, Due, Encoded, EncodedOwner, Owner, Write};
use ram_table::item::Item;

/// A member, and which run of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Run {
    pub member: u64,
    pub run: u64,
}

/// All keys that have an owner.
#[derive(Debug, Default)]
pub struct Owners {
    tables: BTreeMap<Arc<str>, Runs>,
    /// Freed later.
    dropped: Vec<Runs>,
}

type Runs = BTreeMap<Run, BTreeMap<Box<[u8]>, BTreeSet<ByKey>>>;

/// An item, in the order of keys.
#[derive(Debug, Clone)]
struct ByKey(Item);

/// A key that has an owner.
#[derive(Debug, Clone)]
pub struct Owned {
    pub table: Arc<str>,
    pub item: Item,
}

/// Bounds on what is looked at, and taken, at once.
#[derive(Debug, Clone, Copy)]
pub struct Portion {
    pub keys: usize,
    pub bytes: usize,
}

/// What a change makes of an owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// It has its first key.
    Gained,
    /// It has lost its last one.
    Freed,
}

impl Owners {
    /// Has no key an owner, and is nothing left to be freed?
    pub fn is_idle(&self) -> bool {
        self.tables.is_empty() && self.dropped.is_empty()
    }

    /// Has this owner, as it is stored, a key?
    pub fn has(&self, owner: &[u8]) -> bool {
        self.tables.values().any(|runs| keys_of(runs, owner).is_some())
    }

    /// Those whose owners have keys.
    pub fn runs(&self) -> BTreeSet<Run> {
        self.tables.values().flat_map(BTreeMap::keys).copied().collect()
    }

    /// The owners of a run, as they are stored, and in each table anew.
    pub fn of_run(&self, run: Run) -> impl Iterator<Item = &[u8]> {
        let runs = self.tables.values().filter_map(move |runs| runs.get(&run));
        runs.flat_map(|owners| owners.keys().map(AsRef::as_ref))
    }

    /// A key was changed. `turn` is told of what that makes of its owners: those before and after.
    pub fn changed(&mut self, change: &Change<'_>, mut turn: impl FnMut(&[u8], Turn)) {
        let of = |item: Option<&Item>| item.map(Item::owner).unwrap_or_default().to_vec();
        let (old, new) = (of(change.old), of(change.new));
        let is_gained = old != new && !new.is_empty() && !self.has(&new);
        if let Some(item) = change.old.filter(|_| old != new) {
            self.remove(change.table, item);
        }
        if let Some(item) = change.new {
            self.insert(change.table, item);
        }
        if old != new && !old.is_empty() && !self.has(&old) {
            turn(&old, Turn::Freed);
        }
        if is_gained {
            turn(&new, Turn::Gained);
        }
    }

    /// If it has an owner.
    pub(crate) fn insert(&mut self, table: &str, item: &Item) {
        let Some(run) = run_of(item.owner()) else { return };
        if !self.tables.contains_key(table) {
            self.tables.insert(table.into(), Runs::default());
        }
        let Some(runs) = self.tables.get_mut(table) else { return };
        let owners = runs.entry(run).or_default();
        owners.entry(item.owner().into()).or_default().replace(ByKey(item.clone()));
    }

    fn remove(&mut self, table: &str, item: &Item) {
        let Some(run) = run_of(item.owner()) else { return };
        let Some(runs) = self.tables.get_mut(table) else { return };
        let Some(owners) = runs.get_mut(&run) else { return };
        if let Some(keys) = owners.get_mut(item.owner()) {
            keys.remove(&ByKey(item.clone()));
            if keys.is_empty() {
                owners.remove(item.owner());
            }
        }
        if owners.is_empty() {
            runs.remove(&run);
        }
        if runs.is_empty() {
            self.tables.remove(table);
        }
    }

    /// A table was dropped, with all its keys. `freed` is told of each owner that has none now.
    pub fn dropped(&mut self, table: &str, mut freed: impl FnMut(&[u8])) {
        let Some(runs) = self.tables.remove(table) else { return };
        let owners = runs.values().flat_map(BTreeMap::keys);
        owners.filter(|owner| !self.has(owner)).for_each(|owner| freed(owner));
        self.dropped.push(runs);
    }

    /// All tables were replaced by those that have these.
    pub fn replaced(&mut self, by: Owners) {
        let Owners { tables, dropped } = std::mem::replace(self, by);
        self.dropped.extend(tables.into_values().chain(dropped));
    }

    /// Each key that an owner of the run has.
    pub fn keys_of_run(&self, run: Run) -> impl Iterator<Item = Owned> {
        self.tables.iter().filter_map(move |(table, runs)| Some((table, runs.get(&run)?))).flat_map(
            |(table, owners)| {
                let items = owners.values().flatten();
                items.map(|ByKey(item)| Owned { table: table.clone(), item: item.clone() })
            },
        )
    }

    /// Has the key of the table this owner, as it is stored?
    pub fn has_key(&self, table: &str, key: &[u8], owner: &[u8]) -> bool {
        let runs = self.tables.get(table);
        let keys = runs.and_then(|runs| keys_of(runs, owner));
        keys.is_some_and(|keys| keys.contains(key))
    }

    /// Adds keys of this owner; false: there is no room for all.
    pub fn take_of_owner(&self, owner: &[u8], portion: &mut Portion, to: &mut Vec<Owned>) -> bool {
        self.tables.iter().all(|(table, runs)| {
            let keys = keys_of(runs, owner).into_iter().flatten();
            take(table, keys, portion, to)
        })
    }

    /// Adds keys of all owners of this run; false: there is no room for all.
    pub fn take_of_run(&self, run: Run, portion: &mut Portion, to: &mut Vec<Owned>) -> bool {
        self.tables.iter().all(|(table, runs)| {
            let keys = runs.get(&run).into_iter().flat_map(|owners| owners.values().flatten());
            take(table, keys, portion, to)
        })
    }

    /// Frees some of what is listed no more; false: all is freed.
    pub fn free_some(&mut self) -> bool {
        const OWNERS: usize = 256;
        if let Some(runs) = self.dropped.last_mut() {
            for _ in 0..OWNERS {
                let Some(mut run) = runs.first_entry() else { break };
                let Some(mut owner) = run.get_mut().first_entry() else {
                    run.remove();
                    continue;
                };
                if owner.get().len() > OWNERS {
                    (0..OWNERS).for_each(|_| _ = owner.get_mut().pop_first());
                    break;
                }
                owner.remove();
            }
            if runs.is_empty() {
                self.dropped.pop();
            }
        }
        !self.dropped.is_empty()
    }
}

fn take<'a>(
    table: &Arc<str>,
    keys: impl Iterator<Item = &'a ByKey>,
    portion: &mut Portion,
    to: &mut Vec<Owned>,
) -> bool {
    for ByKey(item) in keys {
        if portion.keys == 0 || portion.bytes == 0 {
            return false;
        }
        portion.keys -= 1;
        let bytes = item.key().len() + item.owner().len() + table.len() + 16;
        portion.bytes = portion.bytes.saturating_sub(bytes);
        to.push(Owned { table: table.clone(), item: item.clone() });
    }
    true
}

fn keys_of<'a>(runs: &'a Runs, owner: &[u8]) -> Option<&'a BTreeSet<ByKey>> {
    runs.get(&run_of(owner)?)?.get(owner)
}

/// The run that an owner, as it is stored, belongs to.
pub fn run_of(owner: &[u8]) -> Option<Run> {
    let Owner { member, run, .. } = Owner::decode(owner)?;
    Some(Run { member, run })
}

/// The write of a leader that ends these.
pub fn end(keys: &[Owned]) -> Encoded {
    let count = u32::try_from(keys.len()).unwrap_or(u32::MAX);
    let mut write = Encoded::of(&Write::End { keys: count });
    for Owned { table, item } in keys {
        let because = Because::OwnerDown { owner: EncodedOwner(item.owner()) };
        write.due(&Due { table, key: item.key(), because });
    }
    write
}

impl Ord for ByKey {
    fn cmp(&self, other: &ByKey) -> Ordering {
        self.0.key().cmp(other.0.key())
    }
}

impl PartialOrd for ByKey {
    fn partial_cmp(&self, other: &ByKey) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for ByKey {
    fn eq(&self, other: &ByKey) -> bool {
        self.0.key() == other.0.key()
    }
}

impl Eq for ByKey {}

impl Borrow<[u8]> for ByKey {
    fn borrow(&self) -> &[u8] {
        self.0.key()
    }
}

#[cfg(test)]
mod tests;
