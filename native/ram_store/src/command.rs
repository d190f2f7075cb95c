//! The vocabulary of the log: what may be proposed, and what comes back.
//!
//! A command is encoded once, in the thread of its caller. A group is a stamp followed by the
//! writes of callers: of each a count and so many encoded commands, which have one answer, that to
//! the last of them. A node sends a group again unchanged when it retries, so the stamp is all that
//! the state needs to recognise it. Log, wire and apply pass these bytes on as they are, and nobody
//! collects the commands of a group: there may be millions.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::codec::{self, DecodeError};
use ram_limits::GROUP_WRITES_MAX;

/// Who walks through a group lets others have their turn after so many commands: about a
/// millisecond.
pub const COMMANDS_AT_ONCE: usize = 4096;

/// What the count of commands of a write takes at most.
const COUNT_BYTES_MAX: usize = 5;

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
    /// is `None` too when the answer comes from memory after a retry, and when the values in the
    /// answers of its group have become too many bytes: read again then.
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
    /// One answer for each write of the group, in order: that to its last command.
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
    pub acked_below: u64,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
enum Header {
    OpenSession,
    Group { stamp: Stamp, writes: u32 },
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
    pub writes: u32,
    body: &'a [u8],
}

impl<'a> Proposal<'a> {
    /// Of a group the stamp alone: the commands are decoded as they are walked through.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let (header, used) = codec::decode_prefix::<Header>("proposal", bytes)?;
        match header {
            Header::OpenSession => Ok(Proposal::OpenSession),
            Header::Group { writes, .. } if writes as usize > GROUP_WRITES_MAX => {
                Err(DecodeError::new("group", "too many writes"))
            }
            Header::Group { stamp, writes } => {
                let body = bytes.get(used..).unwrap_or_default();
                Ok(Proposal::Group(Group { stamp, writes, body }))
            }
        }
    }

    /// Its commands; none for what opens a session.
    pub fn commands(&self) -> Commands<'a> {
        match self {
            Proposal::OpenSession => Commands { rest: &[], writes: 0, count: 0 },
            Proposal::Group(group) => group.commands(),
        }
    }
}

impl<'a> Group<'a> {
    /// The commands of all its writes, in order.
    pub fn commands(&self) -> Commands<'a> {
        Commands { rest: self.body, writes: self.writes, count: 0 }
    }
}

/// The commands of a group, decoded one at a time; ends after the first error.
#[derive(Debug, Clone)]
pub struct Commands<'a> {
    rest: &'a [u8],
    /// Writes behind the one that is walked through.
    writes: u32,
    /// Commands of that one which are left.
    count: u32,
}

/// A command, and whether it is the one that its write is answered with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Next<'a> {
    pub command: Command<'a>,
    pub ends_write: bool,
}

impl<'a> Commands<'a> {
    /// Decodes some of them; `false` when all were right.
    pub fn check_some(&mut self) -> Result<bool, DecodeError> {
        for next in self.by_ref().take(COMMANDS_AT_ONCE) {
            next?;
        }
        Ok(!self.is_over())
    }

    /// Were all of them walked through?
    pub fn is_over(&self) -> bool {
        self.rest.is_empty() && self.writes == 0 && self.count == 0
    }

    fn decode(&mut self) -> Result<Option<Next<'a>>, DecodeError> {
        if self.count == 0 {
            let Some(writes) = self.writes.checked_sub(1) else {
                let is_over = self.rest.is_empty();
                return if is_over { Ok(None) } else { Err(wrong("trailing bytes")) };
            };
            self.writes = writes;
            self.count = self.decode_one::<u32>("count of commands")?;
        }
        let left = self.count.checked_sub(1).ok_or_else(|| wrong("a write without a command"))?;
        self.count = left;
        let command = self.decode_one::<Command<'a>>("command")?;
        Ok(Some(Next { command, ends_write: left == 0 }))
    }

    fn decode_one<T: Deserialize<'a>>(&mut self, what: &'static str) -> Result<T, DecodeError> {
        let (value, used) = codec::decode_prefix(what, self.rest)?;
        self.rest = self.rest.get(used..).unwrap_or_default();
        Ok(value)
    }
}

impl<'a> Iterator for Commands<'a> {
    type Item = Result<Next<'a>, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.decode();
        if next.is_err() {
            *self = Commands { rest: &[], writes: 0, count: 0 };
        }
        next.transpose()
    }
}

fn wrong(reason: &str) -> DecodeError {
    DecodeError::new("group", reason)
}

/// What a group will have done once it is applied, if that can be told before; revisions cannot.
/// For sabotage alone.
pub fn unconditional(proposal: &[u8]) -> Option<Outcome> {
    let Proposal::Group(group) = Proposal::decode(proposal).ok()? else { return None };
    let is_conditional = |next: Result<Next<'_>, _>| {
        next.map_or(true, |next| matches!(next.command, Command::CompareAndSet { .. }))
    };
    if group.commands().any(is_conditional) {
        return None;
    }
    Some(Outcome::Answers(vec![Answer::Done { revision: 0 }; group.writes as usize]))
}

/// The bytes of a proposal that opens a session.
pub fn open_session() -> Bytes {
    Bytes::from(codec::encode(&Header::OpenSession))
}

/// The bytes of a group of these writes: of each how many commands it has, one at least, and their
/// encodings one after the other.
pub fn group<T: AsRef<[u8]>>(
    stamp: Stamp,
    writes: impl ExactSizeIterator<Item = (u32, T)> + Clone,
) -> Bytes {
    let count = u32::try_from(writes.len()).unwrap_or(u32::MAX);
    let mut bytes = codec::encode(&Header::Group { stamp, writes: count });
    let of_one = |(_, commands): (u32, T)| COUNT_BYTES_MAX + commands.as_ref().len();
    bytes.reserve_exact(writes.clone().map(of_one).sum());
    for (count, commands) in writes {
        codec::encode_into(&count, &mut bytes);
        bytes.extend_from_slice(commands.as_ref());
    }
    Bytes::from(bytes)
}
