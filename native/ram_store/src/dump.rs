//! The state as blocks of bytes, for snapshots and backups: dumped, and loaded again.
//!
//! A dump of the state is a [`Head`]; then lists of session parts, ended by an empty list; then
//! lists of entries, to the end. A backup has the lists of entries alone. Each block is one list,
//! or the head, in the encoding of [`codec`]. No block grows with the state: what has no bound of
//! its own goes into as many as it needs.
//!
//! Where blocks go, where they come from, and who rests between them is the caller's: nothing here
//! knows a file or a clock. A dump is of one revision, whatever is applied while it is written.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

use crate::codec::{self, DecodeError};
use crate::{StateMetadata, Store, sessions};
use ram_limits::{BLOCK_BYTES, COUNTER_MAX};
use ram_table::table::{Item, Meta, Revoked, Table, TableSnapshot};
use ram_table::value::Values;

/// A dump may say anything; 16 bytes are reserved for each.
const ENTRIES_PRESIZED_MAX: u64 = 64 * 1024 * 1024;

/// Key, value, and the revision of the write.
pub type Entry<'a> = (&'a [u8], &'a [u8], u64);

/// The first block of a dump.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Head {
    revision: u64,
    /// About how many entries follow: room is made for them at once.
    entries: u64,
}

/// Encodes values and lists into blocks, and has them written.
pub struct Blocks<W> {
    write: W,
    items: Vec<u8>,
    count: u64,
}

impl<E, W: FnMut(&[u8]) -> Result<(), E>> Blocks<W> {
    /// `write` takes each block, in order.
    pub fn new(write: W) -> Self {
        Blocks { write, items: Vec::new(), count: 0 }
    }

    /// Writes a block of this value alone, behind what was pushed.
    pub fn write(&mut self, value: &impl Serialize) -> Result<(), E> {
        self.flush()?;
        (self.write)(&codec::encode(value))
    }

    /// Adds an item to the list that is gathered, and writes the block when it is full.
    pub fn push(&mut self, item: &impl Serialize) -> Result<(), E> {
        codec::encode_into(item, &mut self.items);
        self.count += 1;
        if self.items.len() >= BLOCK_BYTES { self.flush() } else { Ok(()) }
    }

    /// Writes what is left of the list.
    pub fn flush(&mut self) -> Result<(), E> {
        if self.count == 0 {
            return Ok(());
        }
        // The count in front makes the block the encoding of a list.
        let mut bytes = codec::encode(&self.count);
        bytes.append(&mut self.items);
        self.count = 0;
        (self.write)(&bytes)
    }

    /// Writes what is left, and the empty list that says so.
    pub fn end_list(&mut self) -> Result<(), E> {
        self.write(&0u64)
    }

    /// Writes the entries of the table, to the last; `pause` is called after each part of it.
    pub fn write_entries(
        &mut self,
        snapshot: &TableSnapshot,
        mut pause: impl FnMut() -> Result<(), E>,
    ) -> Result<(), E>
    where
        E: From<Revoked>,
    {
        snapshot.walk(|items: &[Item]| {
            for item in items {
                let entry: Entry = (item.key(), &item.value(), item.revision());
                self.push(&entry)?;
            }
            pause()
        })?;
        self.flush()
    }
}

/// Takes the items of a list to the empty one that ends it; `next` gives the next block.
pub fn read_list<T: DeserializeOwned, E: From<DecodeError>>(
    what: &'static str,
    mut next: impl FnMut() -> Result<Option<Vec<u8>>, E>,
    mut take: impl FnMut(T),
) -> Result<(), E> {
    loop {
        let items: Vec<T> = codec::decode(what, &required(what, next()?)?)?;
        if items.is_empty() {
            return Ok(());
        }
        items.into_iter().for_each(&mut take);
    }
}

/// A block that must be there.
pub fn required(what: &'static str, block: Option<Vec<u8>>) -> Result<Vec<u8>, DecodeError> {
    block.ok_or_else(|| DecodeError::new(what, "the block is missing"))
}

/// The entries of a block of them.
pub fn entries(block: &[u8]) -> Result<Vec<Entry<'_>>, DecodeError> {
    const WHAT: &str = "list of entries";
    match codec::decode_prefix::<Vec<Entry>>(WHAT, block)? {
        (entries, used) if used == block.len() => Ok(entries),
        _ => Err(DecodeError::new(WHAT, "trailing bytes")),
    }
}

/// The state between two proposals, to be written while others are applied.
pub struct Dump {
    metadata: StateMetadata,
    table: TableSnapshot,
}

impl Dump {
    /// `pause` is called between parts that take a moment.
    pub fn write<E: From<Revoked>, W: FnMut(&[u8]) -> Result<(), E>>(
        &self,
        blocks: &mut Blocks<W>,
        pause: impl FnMut() -> Result<(), E>,
    ) -> Result<(), E> {
        let (revision, entries) = (self.metadata.revision, self.table.entries());
        blocks.write(&Head { revision, entries })?;
        for part in self.metadata.sessions.parts() {
            blocks.push(&part)?;
        }
        blocks.end_list()?;
        blocks.write_entries(&self.table, pause)
    }
}

impl Store {
    /// To be written while others are applied; any number at once.
    pub fn dump(&self) -> Dump {
        Dump { metadata: self.metadata.clone(), table: self.snapshot() }
    }

    /// The table between two proposals, for as long as it takes.
    pub fn snapshot(&self) -> TableSnapshot {
        self.table.snapshot(self.metadata.revision, None)
    }

    /// A fresh store with the state of a dump, whose blocks `next` gives.
    ///
    /// # Errors
    ///
    /// Those of `next`, and whatever is no dump.
    pub fn load<E: From<DecodeError>>(
        mut next: impl FnMut() -> Result<Option<Vec<u8>>, E>,
        values: Arc<dyn Values>,
    ) -> Result<Store, E> {
        const WHAT: &str = "head of the state";
        let Head { revision, entries } = codec::decode(WHAT, &required(WHAT, next()?)?)?;
        if revision > COUNTER_MAX {
            Err(DecodeError::new(WHAT, "more changes than there can be"))?;
        }
        let mut metadata = StateMetadata { revision, ..StateMetadata::default() };
        let restore = |part: sessions::Part| metadata.sessions.restore(part);
        read_list("sessions", &mut next, restore)?;
        let table = Arc::new(Table::with_capacity(entries.min(ENTRIES_PRESIZED_MAX) as usize));
        while let Some(block) = next()? {
            for (key, value, revision) in self::entries(&block)? {
                table.insert(Item::new(key, values.store(value), &Meta::created(revision)));
            }
        }
        Ok(Store::new(table, metadata, values))
    }
}
