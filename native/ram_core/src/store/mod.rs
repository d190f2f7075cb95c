//! What we store: the replicated state, as a pure function of the log.
//!
//! Every member applies the same proposals in the same order and ends with the same state: a map
//! from encoded keys to values, a revision that counts changes, and the sessions that make a retry
//! harmless. The outcome of a proposal depends on (state, proposal) alone: no clock, no randomness,
//! no socket and no file may enter here, and nothing in here may fail on one member and succeed on
//! another.
//!
//! Invariants:
//! - one writer (the thread that applies), any number of readers of the [`Table`];
//! - the revision grows by one with each change, so it names a change uniquely: it is the token of
//!   compare-and-set. (A log index would not do: one entry carries many changes.)
//! - a group of commands is applied at most once: see [`sessions`].
//!
//! Left out: retention of old values. A revision tells *that* a key changed, not what it was.

pub mod command;
pub mod sessions;
#[allow(unsafe_code)]
mod shards;
pub mod table;
pub mod value;

use serde::{Deserialize, Serialize};
use std::sync::Arc;

use crate::codec::DecodeError;
use bytes::Bytes;
use command::{Answer, Command, Expect, Found, Outcome, Proposal};
use sessions::{Admission, Sessions};
use table::{Item, Table};
use value::Values;

/// The counters of the state that are not in the table: they go into a snapshot's first block.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    /// How many changes were ever made; the revision of the newest.
    pub revision: u64,
    pub sessions: Sessions,
}

/// The state. Owned by the thread that applies; readers hold the [`Table`].
pub struct Store {
    table: Arc<Table>,
    ledger: Ledger,
    values: Arc<dyn Values>,
}

impl Store {
    pub fn empty(values: Arc<dyn Values>) -> Self {
        Store::new(Arc::default(), Ledger::default(), values)
    }

    /// `values` are those that hold what is in the table.
    pub fn new(table: Arc<Table>, ledger: Ledger, values: Arc<dyn Values>) -> Self {
        Store { table, ledger, values }
    }

    pub fn table(&self) -> &Arc<Table> {
        &self.table
    }

    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Goes on with the state of the other, which readers of the table see at once.
    pub fn take_over(&mut self, other: Store) {
        self.table.take_over(&other.table);
        self.ledger = other.ledger;
    }

    /// Applies one proposal, committed at log index `index`.
    ///
    /// An error means that the bytes are not a proposal of ours: the member has to stop, since it
    /// cannot know what the others made of them.
    pub fn apply(&mut self, index: u64, proposal: &[u8]) -> Result<Outcome, DecodeError> {
        let proposal = Proposal::decode(proposal)?;
        let group = match proposal {
            Proposal::OpenSession => {
                self.ledger.sessions.open(index);
                return Ok(Outcome::SessionOpened { session: index });
            }
            Proposal::Group(group) => group,
        };
        // Decode all before the first change: a group is applied whole or not at all.
        let commands = group.commands()?;
        match self.ledger.sessions.admit(index, &group.stamp) {
            Admission::New => {}
            Admission::Applied(answers) => return Ok(Outcome::Answers(answers)),
            Admission::Settled | Admission::Unknown => return Ok(Outcome::SessionUnknown),
        }
        let answers: Vec<Answer> = commands.iter().map(|command| self.run(command)).collect();
        self.ledger.sessions.remember(&group.stamp, &answers);
        Ok(Outcome::Answers(answers))
    }

    fn run(&mut self, command: &Command<'_>) -> Answer {
        match *command {
            Command::Put { key, value } => self.set(key, Some(value)),
            Command::Delete { key } => self.set(key, None),
            Command::CompareAndSet { key, expect, value } => {
                let current = self.table.get(key);
                let found = current.as_ref().map(Item::revision);
                let holds = match expect {
                    Expect::Absent => found.is_none(),
                    Expect::Revision(revision) => found == Some(revision),
                };
                if holds { self.set(key, value) } else { conflict(current.as_ref()) }
            }
        }
    }

    fn set(&mut self, key: &[u8], value: Option<&[u8]>) -> Answer {
        match value {
            Some(value) => {
                self.ledger.revision += 1;
                let held = self.values.hold(value);
                self.table.insert(Item::new(key, held, self.ledger.revision));
            }
            // Deleting what is not there changes nothing, so it takes no revision.
            None if self.table.get(key).is_some() => {
                self.ledger.revision += 1;
                self.table.remove(key);
            }
            None => {}
        }
        Answer::Done { revision: self.ledger.revision }
    }
}

fn conflict(current: Option<&Item>) -> Answer {
    let found = |item: &Item| Found {
        value: Bytes::from(item.value().into_owned()),
        revision: item.revision(),
    };
    Answer::Conflict { current: current.map(found) }
}

#[cfg(test)]
mod tests;
