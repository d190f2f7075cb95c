//! What a proposal did, as its sender is told.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// What a write did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// It is done; the revision of the state after it.
    Done { revision: u64 },
    /// A transaction was run: the commands for when its conditions hold (`succeeded`), or the
    /// others. `results` are those of its gets and counts, in order; `None` when the answer comes
    /// from memory after a retry and was too large to be remembered.
    Ran { succeeded: bool, revision: u64, results: Option<Vec<Option<Found>>> },
    /// A range was deleted, which had so many entries.
    Deleted { revision: u64, entries: u64 },
    /// Nothing was changed.
    Failed(Failure),
    /// Nothing was changed, because other answers of the group have become too large: try again in
    /// another group.
    Deferred,
}

/// Why a write changed nothing, and will not if it is sent again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Error)]
pub enum Failure {
    #[error("there is no table {0}")]
    NoTable(String),
    #[error("a table of this name is there")]
    TableExists,
    #[error("there are {tables_max} tables, which is the limit")]
    TooManyTables { tables_max: u64 },
    #[error("the table {0} is a set, and has no order")]
    NotOrdered(String),
    /// The value that this command would have counted: one of all commands of the transaction, in
    /// order, from 0.
    #[error("the value is no number")]
    NotANumber { command: u32 },
    #[error("the results have more than {bytes_max} bytes")]
    ResultsTooLarge { bytes_max: u64 },
    #[error("the ranges that it rests on have more than {entries_max} entries")]
    RangesTooLarge { entries_max: u64 },
    #[error("comparing its values takes more than {steps_max} steps")]
    ComparedTooLarge { steps_max: u64 },
}

/// What a key holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    pub value: Bytes,
    /// That of the last write.
    pub revision: u64,
    /// That of the write which created it.
    pub created_revision: u64,
    /// How many writes that is ago, plus one.
    pub version: u64,
    /// Its whole time to live; 0: it has none.
    pub ttl_ms: u64,
    /// As it is stored; empty: it has none. A counter does not tell.
    pub owner: Bytes,
}

/// What a proposal did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// One answer for each write of the group, in order.
    Answers(Vec<Answer>),
    SessionOpened {
        session: u64,
    },
    /// The group was not applied now: its session is not, or no longer, known.
    SessionUnknown,
    /// The entry carried no proposal (a membership change, the first entry of a leader).
    Nothing,
}

/// What a result takes in memory, which is more than it has encoded.
pub(crate) fn result_bytes(value_bytes: Option<usize>) -> usize {
    size_of::<Option<Found>>() + value_bytes.unwrap_or_default()
}

impl Answer {
    /// What of it has no bound of its own.
    pub(crate) fn variable_bytes(&self) -> usize {
        let of = |found: &Found| found.value.len() + found.owner.len();
        let bytes = |result: &Option<Found>| result_bytes(result.as_ref().map(of));
        match self {
            Answer::Ran { results: Some(results), .. } => results.iter().map(bytes).sum(),
            Answer::Failed(failure) => failure.variable_bytes(),
            _ => 0,
        }
    }
}

impl Failure {
    pub(crate) fn variable_bytes(&self) -> usize {
        match self {
            Failure::NoTable(name) | Failure::NotOrdered(name) => name.len(),
            _ => 0,
        }
    }
}

// What a result has encoded beside its value and owner: what it is, two lengths, four numbers.
const _: () = assert!(size_of::<Option<Found>>() >= 1 + 5 + 4 * 9 + 5);
