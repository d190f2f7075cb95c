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

use crate::codec;
use ram_limits::OWNER_BYTES_MAX;
use ram_table::tables::DEFAULT_NAME;

/// The name of the table that is always there.
pub const DEFAULT_TABLE: &str = "";

/// A table as writes and dumps name it, by its name in [`Tables`](ram_table::tables::Tables).
pub fn without_default(name: &str) -> &str {
    if name == DEFAULT_NAME { DEFAULT_TABLE } else { name }
}

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
    /// Of a leader alone: so many keys end, those that the parts name.
    End {
        keys: u32,
    },
}

/// A key that goes, if it is still as it was when that was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Due<'a> {
    pub table: &'a str,
    #[serde(serialize_with = "codec::bytes")]
    pub key: &'a [u8],
    #[serde(borrow)]
    pub because: Because<'a>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Because<'a> {
    /// Its time to live is over, which the write of this revision gave it: that of the
    /// [`Life`](ram_table::item::Life).
    Expired { revision: u64 },
    /// This is its owner, and is gone.
    OwnerDown {
        #[serde(borrow)]
        owner: EncodedOwner<'a>,
    },
}

/// Who owns a key, which goes when its owner does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner<'a> {
    /// The Raft id of the member that knows whether the owner is there.
    pub member: u64,
    /// Which run of that member: one that starts again has other owners.
    pub run: u64,
    /// What that member calls it.
    #[serde(serialize_with = "codec::bytes")]
    pub name: &'a [u8],
}

/// An [`Owner`] as it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct EncodedOwner<'a>(#[serde(serialize_with = "codec::bytes")] pub &'a [u8]);

impl<'a> Owner<'a> {
    /// As it is stored.
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(self)
    }

    pub fn decode(bytes: &'a [u8]) -> Option<Owner<'a>> {
        let (owner, used) = codec::decode_prefix("owner", bytes).ok()?;
        (used == bytes.len() && used <= OWNER_BYTES_MAX).then_some(owner)
    }
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
        #[serde(borrow)]
        owner: Setting<EncodedOwner<'a>>,
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
        Command::put_lasting(at, value, Setting::Clear)
    }

    /// Without an owner, unless all is kept that a key has beside its value.
    pub fn put_lasting(at: Place<'a>, value: &'a [u8], ttl_ms: Setting<u64>) -> Command<'a> {
        let owner = if ttl_ms == Setting::Keep { Setting::Keep } else { Setting::Clear };
        Command::Put { at, value, ttl_ms, owner }
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
    pub(crate) fn table(&self) -> Option<&'a str> {
        match *self {
            Condition::Key { at, .. } => at.table,
            Condition::Unchanged { table, .. } => table,
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
