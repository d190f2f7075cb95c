//! The replicated state machine: the state as a pure function of the log.
//!
//! Every member applies the same proposals in the same order and ends with the same state: a map
//! from encoded keys to values, a revision that counts changes, and the sessions that make a retry
//! harmless. `ram_raft` feeds it with committed entries.
//!
//! Guarantees:
//! - The outcome of a proposal depends on the state and the proposal alone: there is no clock, no
//!   randomness, no lock, no thread, no socket and no file in this crate. Whatever fails on one
//!   member fails on all.
//! - One thread applies; any number of readers read the [`Table`].
//! - The revision grows by one with each change, so it names a change: it is the token of
//!   compare-and-set. (A log index would not do: one entry carries many changes.)
//! - A group of commands is applied at most once: see [`sessions`].
//!
//! [`command`] is the vocabulary, [`dump`] the state as bytes for snapshots and backups, [`codec`]
//! the one encoding. Left out: old values. A revision tells *that* a key changed, not what it was.

#![forbid(unsafe_code)]
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

pub mod codec;
pub mod command;
pub mod dump;
pub mod sessions;

use std::sync::Arc;

use crate::codec::DecodeError;
use bytes::Bytes;
use command::{
    Answer, COMMANDS_AT_ONCE, Command, Commands, Expect, Found, Group, Next, Outcome, Proposal,
};
use ram_limits::ANSWER_VALUES_BYTES_MAX;
use ram_table::table::{Item, Meta, Table};
use ram_table::value::Values;
use sessions::{Admission, Sessions};

/// What of the state is not in the table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StateMetadata {
    /// How many changes were ever made; the revision of the newest.
    pub revision: u64,
    pub sessions: Sessions,
}

/// The state. Owned by the thread that applies; readers hold the [`Table`].
pub struct Store {
    table: Arc<Table>,
    metadata: StateMetadata,
    values: Arc<dyn Values>,
}

/// A proposal that is applied part by part.
pub struct Applying<'a> {
    /// `None`: it opens a session.
    group: Option<Group<'a>>,
    /// What is not yet known to be right.
    unchecked: Commands<'a>,
    started: Option<Run<'a>>,
}

struct Run<'a> {
    commands: Commands<'a>,
    answers: Vec<Answer>,
    /// How many bytes of values may still be answered with.
    values: usize,
}

impl<'a> Applying<'a> {
    pub fn of(proposal: &'a [u8]) -> Result<Self, DecodeError> {
        let proposal = Proposal::decode(proposal)?;
        let unchecked = proposal.commands();
        let group = match proposal {
            Proposal::OpenSession => None,
            Proposal::Group(group) => Some(group),
        };
        Ok(Applying { group, unchecked, started: None })
    }
}

impl<'a> Run<'a> {
    fn of(group: &Group<'a>) -> Self {
        let answers = Vec::with_capacity(group.writes as usize);
        Run { commands: group.commands(), answers, values: ANSWER_VALUES_BYTES_MAX }
    }
}

impl Store {
    pub fn empty(values: Arc<dyn Values>) -> Self {
        Store::new(Arc::default(), StateMetadata::default(), values)
    }

    /// `values` are those that hold what is in the table.
    pub fn new(table: Arc<Table>, metadata: StateMetadata, values: Arc<dyn Values>) -> Self {
        Store { table, metadata, values }
    }

    pub fn table(&self) -> &Arc<Table> {
        &self.table
    }

    pub fn metadata(&self) -> &StateMetadata {
        &self.metadata
    }

    /// Goes on with the state of the other, which readers of the table see at once.
    pub fn replace_with(&mut self, other: Store) {
        // Both are sets.
        let _ = self.table.replace_with(&other.table);
        self.metadata = other.metadata;
    }

    /// Applies one proposal, committed at log index `index`.
    ///
    /// An error means that the bytes are not a proposal of ours: the member has to stop, since it
    /// cannot know what the others made of them.
    pub fn apply(&mut self, index: u64, proposal: &[u8]) -> Result<Outcome, DecodeError> {
        let mut applying = Applying::of(proposal)?;
        loop {
            if let Some(outcome) = self.step(index, &mut applying)? {
                return Ok(outcome);
            }
        }
    }

    /// A part of what `apply` does, so that others have their turn between the parts of a proposal
    /// of millions of commands; the outcome with the last.
    pub fn step(
        &mut self,
        index: u64,
        applying: &mut Applying<'_>,
    ) -> Result<Option<Outcome>, DecodeError> {
        let Applying { group, unchecked, started } = applying;
        let Some(group) = group else {
            self.metadata.sessions.open(index);
            return Ok(Some(Outcome::SessionOpened { session: index }));
        };
        // Decode all before the first change: a group is applied whole or not at all.
        if unchecked.check_some()? {
            return Ok(None);
        }
        let run = match started {
            Some(run) => run,
            None => match self.metadata.sessions.admit(index, &group.stamp) {
                Admission::New => started.insert(Run::of(group)),
                Admission::Applied(answers) => return Ok(Some(Outcome::Answers(answers))),
                Admission::Acknowledged | Admission::Unknown => {
                    return Ok(Some(Outcome::SessionUnknown));
                }
            },
        };
        for next in run.commands.by_ref().take(COMMANDS_AT_ONCE) {
            let Next { command, ends_write } = next?;
            let answer = self.run(&command, &mut run.values);
            if ends_write {
                run.answers.push(answer);
            }
        }
        if !run.commands.is_over() {
            return Ok(None);
        }
        self.metadata.sessions.remember(&group.stamp, &run.answers);
        Ok(Some(Outcome::Answers(std::mem::take(&mut run.answers))))
    }

    /// `values`: how many bytes of values may still be answered with.
    fn run(&mut self, command: &Command<'_>, values: &mut usize) -> Answer {
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
                if holds { self.set(key, value) } else { conflict(current.as_ref(), values) }
            }
        }
    }

    fn set(&mut self, key: &[u8], value: Option<&[u8]>) -> Answer {
        match value {
            Some(value) => {
                self.metadata.revision += 1;
                let held = self.values.store(value);
                self.table.insert(Item::new(key, held, &Meta::created(self.metadata.revision)));
            }
            // Deleting what is not there changes nothing, so it takes no revision.
            None if self.table.get(key).is_some() => {
                self.metadata.revision += 1;
                self.table.remove(key);
            }
            None => {}
        }
        Answer::Done { revision: self.metadata.revision }
    }
}

fn conflict(current: Option<&Item>, values: &mut usize) -> Answer {
    let current = current.and_then(|item| {
        *values = values.checked_sub(item.value_bytes())?;
        let value = Bytes::from(item.value().into_owned());
        Some(Found { value, revision: item.revision() })
    });
    Answer::Conflict { current }
}

#[cfg(test)]
mod tests;
