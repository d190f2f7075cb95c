//! Are transactions on lists strictly serializable? A judge of what is read and written together.
//!
//! A transaction reads lists and appends to them numbers that nobody else appends. So a list says
//! which transactions have written it, and in which order, and a read says which of these it has
//! seen. That is the idea of Elle (Kingsbury and Alvaro, "Elle: Inferring Isolation Anomalies from
//! Experimental Observations", VLDB 2020, section 4).
//!
//! [`versions`] takes the longest read of each list for the order of its versions, and refuses what
//! no order explains. [`graph`] has an edge where one transaction must come before another: it
//! wrote the version before (*ww*), or what the other read (*wr*), or read what the other replaced
//! (*rw*; Adya, "Weak Consistency", 1999), or returned before the other was called (*rt*).
//! Transactions are strictly serializable only if the graph has no cycle; [`cycle`] finds a
//! shortest one of the gravest kind.
//!
//! An unknown transaction counts as committed if a number of its was read; then its other appends
//! happened, too. What it read is not known, and its end bounds nothing. If nothing of it was read
//! it is left out. So it raises no false alarm, whether it has happened or not.
//!
//! Nothing is searched: time and memory are those of the numbers read and of a sort.

mod cycle;
mod explain;
mod graph;
mod versions;

use std::sync::Arc;

use crate::calls::{CallId, Calls, Request};
use graph::Graph;
use versions::Versions;

/// One step of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    Append {
        key: Arc<str>,
        number: i64,
    },
    /// Answers with the whole list; one that is not there is empty.
    Read {
        key: Arc<str>,
    },
}

/// The steps of a transaction, in order. Later ones see what earlier ones have appended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Transaction(pub Vec<Step>);

impl Step {
    pub fn append(key: &str, number: i64) -> Step {
        Step::Append { key: key.into(), number }
    }

    pub fn read(key: &str) -> Step {
        Step::Read { key: key.into() }
    }
}

impl Request for Transaction {
    /// What its reads saw, in order.
    type Answer = Vec<Vec<i64>>;

    fn fits(&self, answer: &Self::Answer) -> bool {
        self.reads() == answer.len()
    }
}

impl Transaction {
    fn reads(&self) -> usize {
        self.0.iter().filter(|step| matches!(step, Step::Read { .. })).count()
    }
}

/// Why one transaction comes before another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Order {
    /// The other appended right after it.
    Ww,
    /// The other read what it appended.
    Wr,
    /// The other appended what it did not read.
    Rw,
    /// The other was called when it had returned.
    Rt,
}

/// What is wrong with a history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Anomaly {
    /// The clients have appended a number twice: the history is of no use.
    AppendedTwice { key: Arc<str>, number: i64, by: CallId },
    /// A number was read that nobody appended.
    NeverAppended { key: Arc<str>, number: i64, read: CallId },
    /// A number was read of a transaction that did not happen.
    Aborted { key: Arc<str>, number: i64, read: CallId, by: CallId },
    /// A number stands in a list twice.
    Duplicate { key: Arc<str>, number: i64, read: CallId, by: CallId },
    /// A transaction was read before its last append.
    Intermediate { key: Arc<str>, read: CallId, by: CallId },
    /// A transaction does not see what it has appended or read itself.
    OwnSteps { key: Arc<str>, read: CallId },
    /// Two reads of a list, of which none is the beginning of the other.
    Orders { key: Arc<str>, read: CallId, other: CallId },
    /// What was appended is in no list, also when it was read afterwards.
    Lost { key: Arc<str>, number: i64, by: CallId, read: CallId },
    /// Each of these comes before the next, and the last before the first. The name is that of a
    /// cycle of the gravest kind, which is not the one shown if that is long.
    Cycle { name: &'static str, links: Vec<Link> },
}

/// A transaction of a cycle, and why it comes before the next; by which list, if by one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    pub call: CallId,
    pub order: Order,
    pub key: Option<Arc<str>>,
}

/// What shows that the transactions are not strictly serializable. `None`: nothing does.
pub fn check(calls: &Calls<Transaction>) -> Option<Anomaly> {
    let versions = match Versions::of(calls) {
        Ok(versions) => versions,
        Err(anomaly) => return Some(anomaly),
    };
    versions.lost().or_else(|| cycle::find(&Graph::of(&versions)))
}

#[cfg(test)]
mod tests;
