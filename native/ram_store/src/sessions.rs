//! Sessions: a group of commands is applied at most once, however often it is sent.
//!
//! After Ongaro, *Consensus: Bridging Theory and Practice* (2014), section 6.3. A node opens a
//! session through the log (its id is the log index of the opening, so it is never used twice) and
//! numbers its groups. The state remembers the answers of the groups that the node may still send
//! again: those not below its `acked_below`. A group it remembers is answered from memory.
//!
//! Bounded twice, alike on every member. At most `SESSIONS_MAX` sessions: the one used longest ago
//! is forgotten first (by log index). Of each at most `GROUPS_MAX` groups, four times what a node
//! sends at once: the sender of an older one that never settled is taken to have its answers. A
//! node whose session or group was forgotten is told so, and treats what it was sending as unknown;
//! nothing is applied twice for it. An answer takes 24 bytes here, and there is one for each write
//! of a caller, not for each command: 96 MiB for all, at most. What has no bound of its own, the
//! results of transactions and names in failures, comes to that up to
//! [`RESULTS_REMEMBERED_BYTES_MAX`] of a group, 64 MiB for all. Beyond that it is remembered that a
//! transaction ran; and one that failed has changed nothing, so it is to be sent once more.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::answer::Answer;
use crate::codec::DecodeError;
use crate::group::Stamp;
use ram_limits::GROUP_WRITES_MAX;
use ram_sabotage::{Fault, armed};

pub const SESSIONS_MAX: usize = 64;
pub(crate) const GROUPS_MAX: usize = 16;
/// Of the answers of a group, as they are, beside what all take.
pub(crate) const RESULTS_REMEMBERED_BYTES_MAX: usize = 64 * 1024;

/// Clones share the answers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sessions {
    sessions: BTreeMap<u64, Session>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Session {
    last_used_index: u64,
    acked_below: u64,
    answers: BTreeMap<u64, Arc<[Remembered]>>,
}

/// What is remembered of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Remembered {
    Done {
        revision: u64,
    },
    /// Without its results.
    Ran {
        succeeded: bool,
        revision: u64,
    },
    Deleted {
        revision: u64,
        entries: u64,
    },
    Deferred,
    Whole(Box<Answer>),
}

/// A part of the sessions, as a snapshot holds it: small, whatever was written. The groups of a
/// session come behind it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Part {
    Session { id: u64, last_used_index: u64, acked_below: u64 },
    Group { session: u64, sequence: u64, answers: Vec<Remembered> },
}

/// What the sessions know of a group before it is applied.
#[derive(Debug, PartialEq, Eq)]
pub enum Admission {
    New,
    /// It was applied before, with these answers.
    Applied(Vec<Answer>),
    /// Its sender has the answers already: a late copy that nobody waits for.
    Acknowledged,
    /// Its session is not known.
    Unknown,
}

impl Sessions {
    pub fn open(&mut self, index: u64) {
        if self.sessions.len() >= SESSIONS_MAX {
            let oldest = self.sessions.iter().min_by_key(|(_, session)| session.last_used_index);
            if let Some(id) = oldest.map(|(id, _)| *id) {
                self.sessions.remove(&id);
            }
        }
        self.sessions.insert(index, Session { last_used_index: index, ..Session::default() });
    }

    pub fn admit(&mut self, index: u64, stamp: &Stamp) -> Admission {
        let Some(session) = self.sessions.get_mut(&stamp.session) else {
            return Admission::Unknown;
        };
        session.last_used_index = index;
        if stamp.acked_below > session.acked_below {
            session.acked_below = stamp.acked_below;
            session.answers = session.answers.split_off(&stamp.acked_below);
        }
        if armed(Fault::ApplyRetryTwice) {
            return Admission::New;
        }
        if let Some(answers) = session.answers.get(&stamp.sequence) {
            return Admission::Applied(answers.iter().map(Remembered::answer).collect());
        }
        if stamp.sequence < session.acked_below { Admission::Acknowledged } else { Admission::New }
    }

    pub fn remember(&mut self, stamp: &Stamp, answers: &[Answer]) {
        if let Some(session) = self.sessions.get_mut(&stamp.session) {
            let mut bytes_left = RESULTS_REMEMBERED_BYTES_MAX;
            let remember = |answer| Remembered::of(answer, &mut bytes_left);
            let answers = answers.iter().map(remember).collect();
            session.answers.insert(stamp.sequence, answers);
            if session.answers.len() > GROUPS_MAX
                && let Some((oldest, _)) = session.answers.pop_first()
            {
                session.acked_below = oldest + 1;
            }
        }
    }

    pub fn len(&self) -> usize {
        self.sessions.len()
    }

    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    /// All that [`Sessions::restore`] needs, one after the other.
    pub fn parts(&self) -> impl Iterator<Item = Part> {
        self.sessions.iter().flat_map(|(id, session)| {
            let &Session { last_used_index, acked_below, .. } = session;
            let own = Part::Session { id: *id, last_used_index, acked_below };
            let groups = session.answers.iter().map(|(sequence, answers)| Part::Group {
                session: *id,
                sequence: *sequence,
                answers: answers.to_vec(),
            });
            std::iter::once(own).chain(groups)
        })
    }

    /// # Errors
    ///
    /// No sessions have such a part: they are bounded, and so is what is restored.
    pub fn restore(&mut self, part: Part) -> Result<(), DecodeError> {
        match part {
            Part::Session { .. } if self.sessions.len() >= SESSIONS_MAX => {
                Err(impossible("there are too many"))
            }
            Part::Session { id, last_used_index, acked_below } => {
                let session = Session { last_used_index, acked_below, ..Session::default() };
                match self.sessions.insert(id, session) {
                    Some(_) => Err(impossible("one is there twice")),
                    None => Ok(()),
                }
            }
            Part::Group { session, sequence, answers } => {
                let session = self.sessions.get_mut(&session);
                session.ok_or(impossible("a group is of none"))?.restore(sequence, answers)
            }
        }
    }
}

impl Session {
    fn restore(&mut self, sequence: u64, answers: Vec<Remembered>) -> Result<(), DecodeError> {
        if self.answers.len() >= GROUPS_MAX {
            return Err(impossible("one has too many groups"));
        }
        if answers.len() > GROUP_WRITES_MAX {
            return Err(impossible("a group has too many answers"));
        }
        let bytes: usize = answers.iter().map(Remembered::results_bytes).sum();
        if bytes > RESULTS_REMEMBERED_BYTES_MAX {
            return Err(impossible("the answers of a group are too large"));
        }
        if sequence < self.acked_below {
            return Err(impossible("a group was acknowledged"));
        }
        match self.answers.insert(sequence, answers.into()) {
            Some(_) => Err(impossible("a group is there twice")),
            None => Ok(()),
        }
    }
}

fn impossible(why: &str) -> DecodeError {
    DecodeError::new("sessions", why)
}

impl Remembered {
    fn of(answer: &Answer, bytes_left: &mut usize) -> Remembered {
        match *answer {
            Answer::Done { revision } => return Remembered::Done { revision },
            Answer::Deleted { revision, entries } => {
                return Remembered::Deleted { revision, entries };
            }
            Answer::Deferred => return Remembered::Deferred,
            Answer::Ran { .. } | Answer::Failed(_) => {}
        }
        if let Some(left) = bytes_left.checked_sub(whole_bytes(answer)) {
            *bytes_left = left;
            return Remembered::Whole(Box::new(answer.clone()));
        }
        match *answer {
            Answer::Ran { succeeded, revision, .. } => Remembered::Ran { succeeded, revision },
            _ => Remembered::Deferred,
        }
    }

    /// Beside the 24 that all take.
    fn results_bytes(&self) -> usize {
        match self {
            Remembered::Whole(answer) => whole_bytes(answer),
            _ => 0,
        }
    }

    fn answer(&self) -> Answer {
        match *self {
            Remembered::Done { revision } => Answer::Done { revision },
            Remembered::Ran { succeeded, revision } => {
                Answer::Ran { succeeded, revision, results: None }
            }
            Remembered::Deleted { revision, entries } => Answer::Deleted { revision, entries },
            Remembered::Deferred => Answer::Deferred,
            Remembered::Whole(ref answer) => Answer::clone(answer),
        }
    }
}

fn whole_bytes(answer: &Answer) -> usize {
    size_of::<Answer>() + answer.variable_bytes()
}

// What the bound at the door of this module rests on.
const _: () = assert!(size_of::<Remembered>() == 24);
