//! What was acknowledged to owners of this node before it was applied here. A member that is frozen
//! then and goes on from a snapshot never applies it: without these it would not know who lost a
//! key meanwhile.

use std::collections::{BTreeMap, BTreeSet};

use ram_store::owners::Owned;

/// A key that an owner was given.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Claim {
    /// Empty: the default table.
    pub table: Box<str>,
    pub key: Box<[u8]>,
    /// As it is stored.
    pub owner: Box<[u8]>,
}

impl Claim {
    pub(super) fn of(Owned { table, item }: Owned) -> Claim {
        Claim { table: (*table).into(), key: item.key().into(), owner: item.owner().into() }
    }
}

/// By the revisions of the writes.
#[derive(Debug, Default)]
pub(super) struct Claims {
    not_applied: BTreeMap<u64, BTreeSet<Claim>>,
    /// That of the tables here.
    applied: u64,
    /// That of the last snapshot that took the place of tables.
    replaced: u64,
}

impl Claims {
    /// Some: a snapshot of this revision came before the acknowledgement, so they may be lost.
    pub fn acknowledged(
        &mut self,
        claims: BTreeSet<Claim>,
        revision: u64,
    ) -> Option<(BTreeSet<Claim>, u64)> {
        if revision <= self.replaced {
            return Some((claims, self.replaced));
        }
        if revision > self.applied {
            self.not_applied.insert(revision, claims);
        }
        None
    }

    /// Whoever loses a key from now on is seen when that is applied.
    pub fn applied(&mut self, revision: u64) {
        self.applied = revision;
        while let Some(first) = self.not_applied.first_entry()
            && *first.key() <= revision
        {
            first.remove();
        }
    }

    /// The tables are those of a snapshot; all claims that may be lost with it.
    pub fn replaced(&mut self, revision: u64) -> BTreeSet<Claim> {
        (self.applied, self.replaced) = (revision, revision);
        let later = self.not_applied.split_off(&revision.saturating_add(1));
        std::mem::replace(&mut self.not_applied, later).into_values().flatten().collect()
    }
}
