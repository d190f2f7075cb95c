//! The vocabulary of the log: what a caller may have done in one atomic write.
//!
//! A write is a [`Write`], its head, and the parts that the head counts, one after the other in the
//! encoding of [`codec`]. It is encoded once, in the thread of its caller. Log, wire and apply pass
//! these bytes on as they are, and nobody collects the parts: there may be millions.
//!
//! All changes of a write have one revision, and nobody sees some of them. A batch holds puts and
//! deletes, which cannot fail, so it has no bound of its own. What can fail, or looks at what is
//! there, is a transaction: it is decided before the first change, so its parts are bounded.
//!
//! What a leader writes by itself is in no group: see [`group`](crate::group).

use serde::{Deserialize, Serialize};
use std::ops::Bound;

use crate::codec::{self, DecodeError};
use ram_limits::{TABLE_NAME_BYTES_MAX, TRANSACTION_PARTS_MAX, TTL_MS_MAX};

/// The name of the table that is always there.
pub const DEFAULT_TABLE: &str = "";

/// Both ends, of encoded keys. One that is upside down holds nothing.
pub type Range<'a> = (Bound<&'a [u8]>, Bound<&'a [u8]>);

/// The head of a write. `table` is the one that its parts mean where they name none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Write<'a> {
    /// So many puts and deletes, one at least.
    Batch {
        table: &'a str,
        commands: u32,
    },
    /// So many conditions, then the commands that are run when all hold, then those that are run
    /// when one does not.
    Transaction {
        table: &'a str,
        conditions: u32,
        then: u32,
        otherwise: u32,
    },
    /// Deletes all keys of a range of an ordered table.
    DeleteRange {
        table: &'a str,
        range: Range<'a>,
    },
    CreateTable {
        table: &'a str,
        ordered: bool,
    },
    DropTable {
        table: &'a str,
    },
    /// Of a leader alone: so many keys whose time is over go, those that the parts name.
    Expire {
        keys: u32,
    },
}

/// A key that goes if its time to live is still the one that this write gave it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Due<'a> {
    pub table: &'a str,
    #[serde(serialize_with = "codec::bytes")]
    pub key: &'a [u8],
    /// That of the [`Life`](ram_table::item::Life).
    pub revision: u64,
}

/// What a put makes of something that a key has beside its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Setting<T> {
    Clear,
    Keep,
    To(T),
}

/// Where a key is. `key` is the canonical encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place<'a> {
    /// `None`: the table of the write.
    pub table: Option<&'a str>,
    #[serde(serialize_with = "codec::bytes")]
    pub key: &'a [u8],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command<'a> {
    /// `value` means nothing here.
    Put {
        at: Place<'a>,
        #[serde(serialize_with = "codec::bytes")]
        value: &'a [u8],
        /// In milliseconds, one at least.
        ttl_ms: Setting<u64>,
    },
    Delete {
        at: Place<'a>,
    },
    /// Gives what is there a time to live, in milliseconds; `None`: it has none from now on. A
    /// revision, but no version.
    Touch {
        at: Place<'a>,
        ttl_ms: Option<u64>,
    },
    /// Answers with what the key holds.
    Get {
        at: Place<'a>,
    },
    /// Changes a number and answers with what it is then. How is said in a language of the owner of
    /// the values: see [`Values::count`](ram_table::value::Values::count).
    Count {
        at: Place<'a>,
        #[serde(serialize_with = "codec::bytes")]
        count: &'a [u8],
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Condition<'a> {
    Key {
        at: Place<'a>,
        is: State<'a>,
    },
    /// Nothing in the range of an ordered table was changed after the revision, when it had so many
    /// entries: what was inserted is newer, and what was deleted is missing in the count.
    Unchanged {
        table: Option<&'a str>,
        range: Range<'a>,
        revision: u64,
        entries: u64,
    },
}

/// What a key is expected to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum State<'a> {
    Absent,
    Present,
    Value(#[serde(serialize_with = "codec::bytes")] &'a [u8]),
    /// Does not hold where the key is absent.
    Revision(Comparison, u64),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Comparison {
    Less,
    Equal,
    Greater,
}

impl<'a> Place<'a> {
    /// In the table of the write.
    pub fn of(key: &'a [u8]) -> Place<'a> {
        Place { table: None, key }
    }
}

impl<'a> Command<'a> {
    pub fn put(key: &'a [u8], value: &'a [u8]) -> Command<'a> {
        Command::put_at(Place::of(key), value)
    }

    pub fn put_at(at: Place<'a>, value: &'a [u8]) -> Command<'a> {
        Command::Put { at, value, ttl_ms: Setting::Clear }
    }

    pub fn delete(key: &'a [u8]) -> Command<'a> {
        Command::Delete { at: Place::of(key) }
    }

    pub fn place(&self) -> Place<'a> {
        match *self {
            Command::Put { at, .. }
            | Command::Delete { at }
            | Command::Touch { at, .. }
            | Command::Get { at }
            | Command::Count { at, .. } => at,
        }
    }

    /// The key that it may change, in whichever table.
    pub fn changes(&self) -> Option<&'a [u8]> {
        match *self {
            Command::Put { at, .. }
            | Command::Delete { at }
            | Command::Touch { at, .. }
            | Command::Count { at, .. } => Some(at.key),
            Command::Get { .. } => None,
        }
    }

    /// May a batch hold it? It changes something, whatever is there, and answers nothing.
    pub(crate) fn is_plain(&self) -> bool {
        matches!(self, Command::Put { .. } | Command::Delete { .. }) && self.place().table.is_none()
    }

    pub fn encode_into(&self, out: &mut Vec<u8>) {
        codec::encode_into(self, out);
    }
}

impl<'a> Condition<'a> {
    /// The name of its table, where that is not the one of the write.
    fn table(&self) -> Option<&'a str> {
        match *self {
            Condition::Key { at, .. } => at.table,
            Condition::Unchanged { table, .. } => table,
        }
    }
}

impl<'a> Write<'a> {
    /// What is wrong with it, whatever the state.
    fn check(&self) -> Result<(), DecodeError> {
        let table = match *self {
            Write::Batch { commands: 0, .. } => return Err(wrong("a batch without a command")),
            Write::Expire { .. } => return Ok(()),
            Write::Transaction { conditions, then, otherwise, .. }
                if conditions as usize > TRANSACTION_PARTS_MAX
                    || then as usize > TRANSACTION_PARTS_MAX
                    || otherwise as usize > TRANSACTION_PARTS_MAX =>
            {
                return Err(wrong("a transaction of too many parts"));
            }
            Write::Batch { table, .. }
            | Write::Transaction { table, .. }
            | Write::DeleteRange { table, .. }
            | Write::CreateTable { table, .. }
            | Write::DropTable { table } => table,
        };
        check_name(Some(table))
    }

    fn parts(&self) -> Left {
        match *self {
            Write::Batch { commands, .. } => Left { then: commands, ..Left::default() },
            Write::Transaction { conditions, then, otherwise, .. } => {
                Left { conditions, then, otherwise, due: 0 }
            }
            Write::Expire { keys } => Left { due: keys, ..Left::default() },
            _ => Left::default(),
        }
    }
}

/// One write, encoded part by part by its caller.
#[derive(Debug, Clone, Default)]
pub struct Encoded {
    bytes: Vec<u8>,
}

impl Encoded {
    /// The parts that the head counts are pushed after it.
    pub fn of(head: &Write<'_>) -> Encoded {
        Encoded { bytes: codec::encode(head) }
    }

    /// A batch of one.
    pub fn one(table: &str, command: &Command<'_>) -> Encoded {
        let mut write = Encoded::of(&Write::Batch { table, commands: 1 });
        write.command(command);
        write
    }

    pub fn condition(&mut self, condition: &Condition<'_>) {
        codec::encode_into(condition, &mut self.bytes);
    }

    pub fn command(&mut self, command: &Command<'_>) {
        command.encode_into(&mut self.bytes);
    }

    pub fn due(&mut self, due: &Due<'_>) {
        codec::encode_into(due, &mut self.bytes);
    }

    /// Commands that are encoded already.
    pub fn commands(&mut self, encoded: &[u8]) {
        self.bytes.extend_from_slice(encoded);
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Left {
    conditions: u32,
    then: u32,
    otherwise: u32,
    due: u32,
}

/// The writes of a proposal, decoded part by part; ends after the first error.
#[derive(Debug, Clone)]
pub struct Parts<'a> {
    rest: &'a [u8],
    /// Writes behind the one that is walked through.
    writes: u32,
    /// Of that one.
    left: Left,
    is_batch: bool,
    /// Are they a leader's, and not those of callers?
    by_leader: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part<'a> {
    Write(Write<'a>),
    Condition(Condition<'a>),
    Then(Command<'a>),
    Otherwise(Command<'a>),
    Due(Due<'a>),
}

impl<'a> Parts<'a> {
    pub(crate) fn of(rest: &'a [u8], writes: u32, by_leader: bool) -> Parts<'a> {
        Parts { rest, writes, left: Left::default(), is_batch: false, by_leader }
    }

    pub(crate) fn none() -> Parts<'a> {
        Parts::of(&[], 0, false)
    }

    /// Were all of them walked through?
    pub fn is_over(&self) -> bool {
        self.rest.is_empty() && self.writes == 0 && self.is_write_over()
    }

    /// Were all parts of this write walked through?
    pub fn is_write_over(&self) -> bool {
        self.left == Left::default()
    }

    fn decode(&mut self) -> Result<Option<Part<'a>>, DecodeError> {
        let Left { conditions, then, otherwise, due } = &mut self.left;
        if *conditions > 0 {
            *conditions -= 1;
            let condition: Condition<'a> = self.decode_one("condition")?;
            check_name(condition.table())?;
            return Ok(Some(Part::Condition(condition)));
        }
        if *then > 0 {
            *then -= 1;
            let command = self.decode_command()?;
            if self.is_batch && !command.is_plain() {
                return Err(wrong("a batch with a command that is no plain put or delete"));
            }
            return Ok(Some(Part::Then(command)));
        }
        if *otherwise > 0 {
            *otherwise -= 1;
            return Ok(Some(Part::Otherwise(self.decode_command()?)));
        }
        if *due > 0 {
            *due -= 1;
            let due: Due<'a> = self.decode_one("due key")?;
            check_name(Some(due.table))?;
            return Ok(Some(Part::Due(due)));
        }
        let Some(writes) = self.writes.checked_sub(1) else {
            let is_over = self.rest.is_empty();
            return if is_over { Ok(None) } else { Err(wrong("trailing bytes")) };
        };
        self.writes = writes;
        let write: Write<'a> = self.decode_one("write")?;
        write.check()?;
        if matches!(write, Write::Expire { .. }) != self.by_leader {
            return Err(wrong("a write of a leader among those of callers, or the other way"));
        }
        self.left = write.parts();
        self.is_batch = matches!(write, Write::Batch { .. });
        Ok(Some(Part::Write(write)))
    }

    fn decode_command(&mut self) -> Result<Command<'a>, DecodeError> {
        let command: Command<'a> = self.decode_one("command")?;
        check_name(command.place().table)?;
        match command {
            Command::Put { ttl_ms: Setting::To(ttl_ms), .. }
            | Command::Touch { ttl_ms: Some(ttl_ms), .. }
                if !(1..=TTL_MS_MAX).contains(&ttl_ms) =>
            {
                Err(wrong("a time to live that none may have"))
            }
            _ => Ok(command),
        }
    }

    fn decode_one<T: Deserialize<'a>>(&mut self, what: &'static str) -> Result<T, DecodeError> {
        let (value, used) = codec::decode_prefix(what, self.rest)?;
        self.rest = self.rest.get(used..).unwrap_or_default();
        Ok(value)
    }
}

impl<'a> Iterator for Parts<'a> {
    type Item = Result<Part<'a>, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.decode();
        if next.is_err() {
            *self = Parts::none();
        }
        next.transpose()
    }
}

fn check_name(table: Option<&str>) -> Result<(), DecodeError> {
    match table {
        Some(name) if name.len() > TABLE_NAME_BYTES_MAX => Err(wrong("a long name of a table")),
        _ => Ok(()),
    }
}

fn wrong(reason: &str) -> DecodeError {
    DecodeError::new("group", reason)
}
