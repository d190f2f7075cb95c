//! What is proposed to the log: the writes of many callers under one stamp, a new session, or what
//! a leader writes by itself.
//!
//! A node sends a group again unchanged when it retries, so the stamp is all that the state needs
//! to recognise it. A leader's own writes have no stamp: they name what they mean, so that a copy
//! does nothing. They rest on what it alone knows (time, above all), so they name its term, and are
//! applied only from an entry of that term.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::answer::{Answer, Outcome};
use crate::codec::{self, DecodeError};
use crate::parts::{Part, Parts};
use crate::write::{Encoded, Write};
use ram_limits::GROUP_WRITES_MAX;

/// Who walks through a group lets others have their turn after so many parts: about a millisecond.
pub const PARTS_AT_ONCE: usize = 4096;

/// Names a group of one session, so that it is applied at most once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    pub session: u64,
    /// Counts the groups of the session.
    pub sequence: u64,
    /// Every group of the session with a smaller sequence has its answers and is never sent again.
    pub acked_below: u64,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
enum Header {
    OpenSession,
    Group { stamp: Stamp, writes: u32 },
    Lead { term: u64, writes: u32 },
}

/// A proposal, borrowed from the entry that carries it.
#[derive(Debug, Clone, Copy)]
pub enum Proposal<'a> {
    OpenSession,
    Group(Group<'a>),
    Lead(Lead<'a>),
}

#[derive(Debug, Clone, Copy)]
pub struct Group<'a> {
    pub stamp: Stamp,
    pub writes: u32,
    body: &'a [u8],
}

/// What a leader writes in its term.
#[derive(Debug, Clone, Copy)]
pub struct Lead<'a> {
    pub term: u64,
    pub writes: u32,
    body: &'a [u8],
}

impl<'a> Proposal<'a> {
    /// Of a group the stamp alone: its parts are decoded as they are walked through.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let (header, used) = codec::decode_prefix::<Header>("proposal", bytes)?;
        match header {
            Header::OpenSession => Ok(Proposal::OpenSession),
            Header::Group { writes, .. } | Header::Lead { writes, .. }
                if writes as usize > GROUP_WRITES_MAX =>
            {
                Err(DecodeError::new("group", "too many writes"))
            }
            Header::Group { stamp, writes } => {
                let body = bytes.get(used..).unwrap_or_default();
                Ok(Proposal::Group(Group { stamp, writes, body }))
            }
            Header::Lead { term, writes } => {
                let body = bytes.get(used..).unwrap_or_default();
                Ok(Proposal::Lead(Lead { term, writes, body }))
            }
        }
    }

    /// The parts of its writes; none for what opens a session.
    pub fn parts(&self) -> Parts<'a> {
        match self {
            Proposal::OpenSession => Parts::none(),
            Proposal::Group(group) => group.parts(),
            Proposal::Lead(lead) => lead.parts(),
        }
    }

    /// The keys that it may change, in whichever table. An error in place of a key: not all are
    /// known, because it changes a whole range or table, or is malformed.
    pub fn keys(&self) -> impl Iterator<Item = Result<&'a [u8], Unknown>> {
        self.parts().filter_map(|part| match part {
            Ok(Part::Then(command) | Part::Otherwise(command)) => command.changes().map(Ok),
            Ok(Part::Due(due)) => Some(Ok(due.key)),
            Ok(
                Part::Condition(_)
                | Part::Write(Write::Batch { .. } | Write::Transaction { .. } | Write::End { .. }),
            ) => None,
            Ok(Part::Write(_)) | Err(_) => Some(Err(Unknown)),
        })
    }
}

/// Not all keys are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unknown;

impl<'a> Group<'a> {
    pub fn parts(&self) -> Parts<'a> {
        Parts::of(self.body, self.writes, false)
    }
}

impl<'a> Lead<'a> {
    pub fn parts(&self) -> Parts<'a> {
        Parts::of(self.body, self.writes, true)
    }
}

impl Parts<'_> {
    /// Decodes some of them; `false` when all were right.
    pub fn check_some(&mut self) -> Result<bool, DecodeError> {
        for part in self.by_ref().take(PARTS_AT_ONCE) {
            part?;
        }
        Ok(!self.is_over())
    }
}

/// What a group will have done once it is applied, if that can be told before; revisions cannot.
/// For sabotage alone.
pub fn unconditional(proposal: &[u8]) -> Option<Outcome> {
    let Proposal::Group(group) = Proposal::decode(proposal).ok()? else { return None };
    let is_plain = |part: Result<Part<'_>, _>| {
        matches!(part, Ok(Part::Write(Write::Batch { table: "", .. }) | Part::Then(_)))
    };
    if !group.parts().all(is_plain) {
        return None;
    }
    Some(Outcome::Answers(vec![Answer::Done { revision: 0 }; group.writes as usize]))
}

/// The bytes of a proposal that opens a session.
pub fn open_session() -> Bytes {
    Bytes::from(codec::encode(&Header::OpenSession))
}

/// The bytes of a group of these encoded writes.
pub fn group<T: AsRef<[u8]>>(
    stamp: Stamp,
    writes: impl ExactSizeIterator<Item = T> + Clone,
) -> Bytes {
    let count = u32::try_from(writes.len()).unwrap_or(u32::MAX);
    with_writes(&Header::Group { stamp, writes: count }, writes)
}

/// The bytes of what the leader of this term writes.
pub fn lead(term: u64, write: &Encoded) -> Bytes {
    with_writes(&Header::Lead { term, writes: 1 }, std::iter::once(write.bytes()))
}

fn with_writes<T: AsRef<[u8]>>(header: &Header, writes: impl Iterator<Item = T> + Clone) -> Bytes {
    let mut bytes = codec::encode(header);
    bytes.reserve_exact(writes.clone().map(|write| write.as_ref().len()).sum());
    for write in writes {
        bytes.extend_from_slice(write.as_ref());
    }
    Bytes::from(bytes)
}
