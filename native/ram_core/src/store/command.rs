//! The vocabulary of the log: what may be proposed, and what comes back.
//!
//! A command is encoded once, in the thread of its caller. A group is a stamp followed by encoded
//! commands; a node sends a group again unchanged when it retries, so the stamp is all that the
//! state needs to recognise it. Log, wire and apply pass these bytes on as they are.

use bytes::{BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};

use crate::codec::{self, DecodeError};

/// One operation of one caller. `key` is the canonical encoding, `value` means nothing here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command<'a> {
    Put {
        key: &'a [u8],
        value: &'a [u8],
    },
    Delete {
        key: &'a [u8],
    },
    /// Sets `value` (`None`: deletes) when the key is as expected, else changes nothing.
    CompareAndSet {
        key: &'a [u8],
        expect: Expect,
        value: Option<&'a [u8]>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Expect {
    Absent,
    Revision(u64),
}

impl<'a> Command<'a> {
    /// The key that it may change.
    pub fn key(&self) -> &'a [u8] {
        match *self {
            Command::Put { key, .. }
            | Command::Delete { key }
            | Command::CompareAndSet { key, .. } => key,
        }
    }
}

impl Command<'_> {
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(self)
    }

    pub fn encode_into(&self, out: &mut Vec<u8>) {
        codec::encode_into(self, out);
    }
}

/// What a command did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// It is done; the revision of the state after it.
    Done { revision: u64 },
    /// A compare-and-set found something else and changed nothing. `current` is what it found; it
    /// is `None` too when the answer comes from memory after a retry: read again then.
    Conflict { current: Option<Found> },
}

/// A value and the revision of the change that set it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    pub value: Bytes,
    pub revision: u64,
}

/// What a proposal did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// One answer for each command of the group, in order.
    Answers(Vec<Answer>),
    SessionOpened {
        session: u64,
    },
    /// The group was not applied now: its session is not, or no longer, known.
    SessionUnknown,
    /// The entry carried no proposal (a membership change, the first entry of a leader).
    Nothing,
}

/// Names a group of one session, so that it is applied at most once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    pub session: u64,
    /// Counts the groups of the session.
    pub sequence: u64,
    /// Every group of the session with a smaller sequence has its answers and is never sent again.
    pub settled_below: u64,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
enum Header {
    OpenSession,
    Group { stamp: Stamp, count: u32 },
}

/// A proposal, borrowed from the entry that carries it.
#[derive(Debug, Clone, Copy)]
pub enum Proposal<'a> {
    OpenSession,
    Group(Group<'a>),
}

#[derive(Debug, Clone, Copy)]
pub struct Group<'a> {
    pub stamp: Stamp,
    count: u32,
    body: &'a [u8],
}

impl<'a> Proposal<'a> {
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let (header, used) = codec::decode_prefix::<Header>("proposal", bytes)?;
        match header {
            Header::OpenSession => Ok(Proposal::OpenSession),
            Header::Group { stamp, count } => {
                let body = bytes.get(used..).unwrap_or_default();
                Ok(Proposal::Group(Group { stamp, count, body }))
            }
        }
    }
}

impl<'a> Group<'a> {
    pub fn commands(&self) -> Result<Vec<Command<'a>>, DecodeError> {
        // A command takes two bytes at least, so the body bounds the count.
        let mut commands = Vec::with_capacity((self.count as usize).min(self.body.len() / 2));
        let mut rest = self.body;
        for _ in 0..self.count {
            let (command, used) = codec::decode_prefix::<Command<'a>>("command", rest)?;
            commands.push(command);
            rest = rest.get(used..).unwrap_or_default();
        }
        if !rest.is_empty() {
            return Err(DecodeError::new("group", "trailing bytes"));
        }
        Ok(commands)
    }
}

/// The keys that a proposal may change.
pub fn keys(proposal: &[u8]) -> Result<Vec<&[u8]>, DecodeError> {
    match Proposal::decode(proposal)? {
        Proposal::OpenSession => Ok(Vec::new()),
        Proposal::Group(group) => Ok(group.commands()?.iter().map(Command::key).collect()),
    }
}

/// What a group will have done once it is applied, if that can be told before; revisions cannot.
/// For sabotage alone.
pub(crate) fn unconditional(proposal: &[u8]) -> Option<Outcome> {
    let Proposal::Group(group) = Proposal::decode(proposal).ok()? else { return None };
    let commands = group.commands().ok()?;
    let answer = |command: Command<'_>| match command {
        Command::CompareAndSet { .. } => None,
        _ => Some(Answer::Done { revision: 0 }),
    };
    commands.into_iter().map(answer).collect::<Option<Vec<Answer>>>().map(Outcome::Answers)
}

/// The bytes of a proposal that opens a session.
pub fn open_session() -> Bytes {
    Bytes::from(codec::encode(&Header::OpenSession))
}

/// The bytes of a group of `count` commands, encoded in these pieces.
pub fn group<T: AsRef<[u8]>>(
    stamp: Stamp,
    count: u32,
    commands: impl Iterator<Item = T> + Clone,
) -> Bytes {
    let header = codec::encode(&Header::Group { stamp, count });
    let body_bytes: usize = commands.clone().map(|command| command.as_ref().len()).sum();
    let mut bytes = BytesMut::with_capacity(header.len() + body_bytes);
    bytes.put_slice(&header);
    for command in commands {
        bytes.put_slice(command.as_ref());
    }
    bytes.freeze()
}
