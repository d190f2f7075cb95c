//! The replicated state machine: the state as a pure function of the log.
//!
//! Every member applies the same proposals in the same order and ends with the same state: tables
//! from encoded keys to values, a revision that counts writes, and the sessions that make a retry
//! harmless. `ram_raft` feeds it with committed entries.
//!
//! Guarantees:
//! - The outcome of a proposal depends on the state and the proposal alone: there is no clock, no
//!   randomness, no lock, no thread, no socket and no file in this crate. Whatever fails on one
//!   member fails on all.
//! - One thread applies; any number of readers read the [`Tables`].
//! - The revision grows by one with each write that changes anything, and all changes of a write
//!   have it: it is the token of compare-and-set. (A log index would not do: one entry carries many
//!   writes.)
//! - A write is applied whole or not at all.
//! - A group of commands is applied at most once: see [`sessions`].
//!
//! Time is an argument, and decides nothing: that a key's time is over is a proposal.
//!
//! [`write`] is the vocabulary, [`group`] what is proposed, [`parts`] how that is decoded,
//! [`answer`] what comes back, [`dump`] the state as bytes for snapshots and backups, [`observe`]
//! who is told of each change, [`timers`] which keys have a time to live, [`owners`] which have an
//! owner, [`codec`] the one encoding. Left out: old values. A revision tells *that* a key changed,
//! not what it was.

#![forbid(unsafe_code)]
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

mod alter;
mod apply;
mod changes;
mod conditions;
mod loaded;

pub mod answer;
pub mod codec;
pub mod dump;
pub mod group;
pub mod observe;
pub mod owners;
pub mod parts;
pub mod proposed;
pub mod sessions;
pub mod timers;
pub mod write;

use std::sync::Arc;

pub use loaded::Loaded;

use answer::Outcome;
use apply::Run;
use codec::DecodeError;
use group::Proposal;
use observe::Observer;
use parts::Parts;
use ram_sabotage::{Fault, Stale, armed};
use ram_table::table::Table;
use ram_table::tables::Tables;
use ram_table::value::Values;
use sessions::{Admission, Sessions};

/// What of the state is not in the tables.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StateMetadata {
    /// How many writes have ever changed anything; the revision of the newest.
    pub revision: u64,
    pub sessions: Sessions,
}

/// The state. Owned by the thread that applies; readers hold the [`Tables`].
pub struct Store {
    tables: Arc<Tables>,
    metadata: StateMetadata,
    values: Arc<dyn Values>,
    observers: Vec<Box<dyn Observer>>,
    /// Those of the items that were loaded which others list.
    loaded: Loaded,
    /// What the clock of this member says.
    now_ms: u64,
    stale: Stale,
}

/// Which entry of the log a proposal is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntryId {
    pub term: u64,
    pub index: u64,
}

/// A proposal that is applied part by part.
pub struct Applying<'a> {
    proposal: Proposal<'a>,
    /// What is not yet known to be right.
    unchecked: Parts<'a>,
    started: Option<Run<'a>>,
}

impl<'a> Applying<'a> {
    pub fn of(proposal: &'a [u8]) -> Result<Self, DecodeError> {
        let proposal = Proposal::decode(proposal)?;
        Ok(Applying { proposal, unchecked: proposal.parts(), started: None })
    }
}

impl Store {
    pub fn empty(values: Arc<dyn Values>) -> Self {
        Store::new(Arc::default(), StateMetadata::default(), values)
    }

    /// `values` are those that hold what is in the tables.
    pub fn new(tables: Arc<Tables>, metadata: StateMetadata, values: Arc<dyn Values>) -> Self {
        let stale = Stale::default();
        let (observers, loaded) = (Vec::new(), Loaded::default());
        Store { tables, metadata, values, observers, loaded, now_ms: 0, stale }
    }

    /// From now on each change is told to this observer, too.
    pub fn observe(&mut self, observer: Box<dyn Observer>) {
        self.observers.push(observer);
    }

    /// What is applied from now on is applied at this time, by the clock of this member. It goes
    /// with the items that get a time to live ([`Life`](ram_table::item::Life)).
    pub fn set_time(&mut self, now_ms: u64) {
        self.now_ms = now_ms;
    }

    /// Those of the items that it was loaded with which others list; once.
    pub fn take_loaded(&mut self) -> Loaded {
        std::mem::take(&mut self.loaded)
    }

    pub fn tables(&self) -> &Arc<Tables> {
        &self.tables
    }

    /// The default table.
    pub fn table(&self) -> &Arc<Table> {
        self.tables.default_table()
    }

    /// The default table is an ordered one, from now on and for ever. Before the first write: a
    /// table that has an entry stays what it is.
    pub fn order_default_table(&mut self) {
        self.tables.begin_write();
        self.table().become_ordered();
        self.tables.end_write(self.metadata.revision);
    }

    pub fn metadata(&self) -> &StateMetadata {
        &self.metadata
    }

    /// Goes on with the state of the other, which readers of the tables see at once.
    pub fn replace_with(&mut self, other: Store) {
        // A default table that is ordered was made so before its first entry, on every member.
        let _ = self.tables.replace_with(&other.tables);
        self.metadata = other.metadata;
        self.loaded = other.loaded;
        for observer in &mut self.observers {
            observer.replaced(self.metadata.revision);
        }
    }

    /// Applies one proposal, which is committed.
    ///
    /// An error means that the bytes are not a proposal of ours: the member has to stop, since it
    /// cannot know what the others made of them.
    pub fn apply(&mut self, entry: EntryId, proposal: &[u8]) -> Result<Outcome, DecodeError> {
        let mut applying = Applying::of(proposal)?;
        loop {
            if let Some(outcome) = self.step(entry, &mut applying)? {
                return Ok(outcome);
            }
        }
    }

    /// A part of what `apply` does, so that others have their turn between the parts of a proposal
    /// of millions of commands; the outcome with the last.
    pub fn step(
        &mut self,
        entry: EntryId,
        applying: &mut Applying<'_>,
    ) -> Result<Option<Outcome>, DecodeError> {
        let Applying { proposal, unchecked, started } = applying;
        // Decode all before the first change: a proposal is applied whole or not at all.
        if unchecked.check_some()? {
            return Ok(None);
        }
        let run = match started {
            Some(run) => run,
            None => match self.admit(entry, proposal) {
                Ok(run) => started.insert(run),
                Err(outcome) => return Ok(Some(outcome)),
            },
        };
        if !self.go_on(run)? {
            return Ok(None);
        }
        if let Proposal::Group(group) = proposal {
            self.metadata.sessions.remember(&group.stamp, &run.answers);
        }
        Ok(Some(Outcome::Answers(std::mem::take(&mut run.answers))))
    }

    /// What is to be run; else what has become of the proposal.
    fn admit<'a>(&mut self, entry: EntryId, proposal: &Proposal<'a>) -> Result<Run<'a>, Outcome> {
        match proposal {
            Proposal::OpenSession => {
                self.metadata.sessions.open(entry.index);
                Err(Outcome::SessionOpened { session: entry.index })
            }
            Proposal::Group(group) => {
                match self.metadata.sessions.admit(entry.index, &group.stamp) {
                    Admission::New => Ok(Run::of(group.parts(), group.writes)),
                    Admission::Applied(answers) => Err(Outcome::Answers(answers)),
                    Admission::Acknowledged | Admission::Unknown => Err(Outcome::SessionUnknown),
                }
            }
            Proposal::Lead(lead)
                if lead.term == entry.term || armed(Fault::AcceptDeposedExpiry) =>
            {
                Ok(Run::of(lead.parts(), lead.writes))
            }
            // Of a leader that was deposed, by another than which this entry was written.
            Proposal::Lead(_) => Err(Outcome::Nothing),
        }
    }
}

#[cfg(test)]
mod tests;
