//! Are watches told of each change, once, in order, and as a whole? A judge of watches.
//!
//! Clients change a table, several keys at a time, and are told the revisions of their writes.
//! Each value is written once. Receivers of watches on all nodes write down what they are sent.
//! Each goes on after the last revision it has, also in another process and another life of its
//! node, or begins anew with what is there. Of each receiver, in the order of what it was sent:
//!
//! - *Order.* Revisions grow, and none comes twice; a watch that begins has no older revision than
//!   a write that was acknowledged before.
//! - *No gap.* From where it began to the last revision it was sent, or to that at which it was
//!   told `lost`, there is every change of its keys that is known: those of acknowledged writes,
//!   and those that any other receiver was sent.
//! - *Whole.* All that one write changed of its keys is in one message; a write that was told a
//!   revision has all its changes at that one, and one that is unknown at one, if at any.
//! - *Its copy.* What it was sent makes a copy of the table. What a key held before is what the
//!   copy has; a deleted key was there; and the copy of a receiver that has heard the last write is
//!   what the table was found to hold after it.
//!
//! So a change that nobody was sent is found too, if its write was acknowledged, or if the table
//! shows it. Clients end with a write of which every receiver hears, and find the table then, when
//! nothing changes it any more: the judge relies on that.
//!
//! A pass over what was sent, with the changes by revision.

mod explain;
mod known;
pub(crate) mod lines;
mod replay;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::calls::{CallId, Calls, Request};
use known::Known;

/// What a table holds.
pub type Content = BTreeMap<Arc<str>, Arc<str>>;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changing {
    /// Each key with what it is to hold; `None`: it is deleted.
    Write(Vec<(Arc<str>, Option<Arc<str>>)>),
    /// What does the table hold?
    Find,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Its revision; `None` if it has changed nothing.
    At(Option<u64>),
    Found(Content),
}

impl Request for Changing {
    type Answer = Answer;

    fn fits(&self, answer: &Answer) -> bool {
        matches!(self, Changing::Find) == matches!(answer, Answer::Found(_))
    }
}

impl fmt::Display for Changing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Changing::Write(steps) = self else { return write!(f, "find all") };
        let step = |(key, value): &(Arc<str>, Option<Arc<str>>)| match value {
            Some(value) => format!(" {key}={value}"),
            None => format!(" {key}!"),
        };
        write!(f, "write{}", steps.iter().map(step).collect::<String>())
    }
}

/// What is watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Keys {
    All,
    One(Arc<str>),
    Prefix(Arc<str>),
    /// Both ends included.
    Range(Arc<str>, Arc<str>),
}

impl Keys {
    fn has(&self, key: &Arc<str>) -> bool {
        match self {
            Keys::All => true,
            Keys::One(one) => one == key,
            Keys::Prefix(prefix) => key.starts_with(&**prefix),
            Keys::Range(from, to) => from <= key && key <= to,
        }
    }
}

/// A change of a key, as it was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub key: Arc<str>,
    /// `None`: deleted.
    pub new: Option<Arc<str>>,
    /// What it held before, if that was sent.
    pub old: Option<Option<Arc<str>>>,
}

/// What a receiver asks for and is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Asks for a watch; without a revision with all that is there.
    Asks {
        keys: Keys,
        from: Option<u64>,
    },
    /// It has begun; changes after this revision follow.
    Begins {
        revision: u64,
    },
    /// The history does not go back so far.
    Compacted,
    Changes {
        revision: u64,
        changes: Vec<Change>,
    },
    InitialDone {
        revision: u64,
    },
    Lost {
        revision: u64,
    },
}

/// All that one receiver was sent, in the order in which it was.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Receiver {
    pub name: String,
    /// With the times at which it wrote that down.
    pub events: Vec<(u64, Event)>,
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The revision does not come after this one.
    Order { after: u64 },
    /// It began before this write, which was acknowledged.
    Stale { write: CallId, acknowledged: u64 },
    /// These changes were not sent before.
    Gap { revision: u64, keys: Vec<Arc<str>> },
    /// These are missing in the message of their revision.
    Half { keys: Vec<Arc<str>> },
    /// The key is none of the watch's.
    Foreign { key: Arc<str> },
    /// The copy has something else.
    Copy { key: Arc<str>, has: Option<Arc<str>> },
    /// Another receiver was sent, or the write was told, something else of this revision.
    Differs { key: Arc<str> },
    /// No write can have written that.
    NeverWritten { key: Arc<str> },
    /// The write has another revision as well.
    Twice { write: CallId, revision: u64 },
    /// Nothing can be sent before the watch has begun, or after it was lost.
    NotWatching,
    /// The receiver goes on elsewhere than after what it has: the history is of no use.
    WrongStart,
    /// Two writes were told the same revision, or in the wrong order.
    Revisions { write: CallId, other: CallId },
    /// The table, found by this call, does not hold what the copy holds.
    Table { found: CallId, key: Arc<str>, has: Option<Arc<str>> },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    pub fault: Fault,
    /// Which receiver, and which of its events; none if it is of the writes alone.
    pub at: Option<(usize, usize)>,
}

/// How much the judge had to look at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Looked {
    pub messages: usize,
    /// Watches that went on with the history.
    pub resumed: usize,
    /// Watches that began with what was there.
    pub initial: usize,
    pub lost: usize,
    /// Copies compared with the table.
    pub compared: usize,
}

/// The first thing that cannot be, of the writes, then receiver by receiver.
pub fn check(calls: &Calls<Changing>, receivers: &[Receiver]) -> Result<Looked, Violation> {
    let known = Known::of(calls, receivers)?;
    let mut looked = Looked::default();
    for (number, receiver) in receivers.iter().enumerate() {
        replay::check(&known, receiver, &mut looked)
            .map_err(|(event, fault)| Violation { fault, at: Some((number, event)) })?;
    }
    Ok(looked)
}
