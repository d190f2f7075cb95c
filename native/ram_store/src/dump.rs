//! The state as blocks of bytes, for snapshots and backups: dumped, and loaded again.
//!
//! A dump of the state is a [`Head`]; then lists of session parts, ended by an empty list; then
//! [`Content`], to the end: each table, and lists of its entries behind it. A backup has the
//! content alone. Each block is one list, one head or one table, in the encoding of [`codec`]. No
//! block grows with the state: what has no bound of its own goes into as many as it needs.
//!
//! Where blocks go, where they come from, and who rests between them is the caller's: nothing here
//! knows a file or a clock. A dump is of one revision, whatever is applied while it is written.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

use crate::Loaded;
use crate::codec::{self, DecodeError};
use crate::write::{Command, Owner, Place, Setting, without_default};
use crate::{StateMetadata, Store, sessions};
use ram_limits::{BLOCK_BYTES, COUNTER_MAX, TABLE_NAME_BYTES_MAX, TABLES_MAX, TTL_MS_MAX};
use ram_sabotage::{Fault, armed};
use ram_table::item::{Item, Life, Meta};
use ram_table::table::{Revoked, Table};
use ram_table::tables::{DEFAULT_NAME, TableType, Tables, TablesSnapshot};
use ram_table::value::Values;

/// A dump may say anything; 16 bytes are reserved for each.
const ENTRIES_PRESIZED_MAX: u64 = 64 * 1024 * 1024;

/// The first block of a dump.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Head {
    revision: u64,
}

/// A block of what the tables hold.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub enum Content<'a> {
    #[serde(borrow)]
    Table(TableHead<'a>),
    /// Of the table named last.
    Entries(Vec<Entry<'a>>),
}

/// What stands before the entries of [`Content::Entries`] as a block.
const ENTRIES: u8 = 1;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableHead<'a> {
    /// Empty: the default table, which comes first.
    pub name: &'a str,
    pub ordered: bool,
    /// About how many entries follow: room is made for them at once.
    pub entries: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry<'a> {
    #[serde(serialize_with = "codec::bytes")]
    pub key: &'a [u8],
    #[serde(serialize_with = "codec::bytes")]
    pub value: &'a [u8],
    pub revision: u64,
    /// How many revisions before that it was created.
    age: u64,
    version: u64,
    /// 0: the key has no time to live.
    ttl_ms: u64,
    /// How many revisions before its newest that was given.
    ttl_age: u64,
    /// As it is stored; empty: it has none.
    #[serde(serialize_with = "codec::bytes")]
    pub owner: &'a [u8],
}

impl<'a> Entry<'a> {
    fn of(item: &'a Item, value: &'a [u8]) -> Entry<'a> {
        let Meta { revision, created_revision, version, life } = item.meta();
        let age = revision.saturating_sub(created_revision);
        let (ttl_ms, ttl_age) =
            life.map_or((0, 0), |life| (life.ttl_ms, revision.saturating_sub(life.revision)));
        let owner = if armed(Fault::ForgetOwner) { &[] } else { item.owner() };
        Entry { key: item.key(), value, revision, age, version, ttl_ms, ttl_age, owner }
    }

    /// What restores it: a time to live begins anew, and it has no owner.
    pub fn put(&self) -> Command<'a> {
        let ttl_ms = if self.ttl_ms == 0 { Setting::Clear } else { Setting::To(self.ttl_ms) };
        Command::put_lasting(Place::of(self.key), self.value, ttl_ms)
    }

    /// Each write of the key had a revision of its own, and the first write of all had 1. A time to
    /// live was given by one of them, or later.
    fn is_possible(&self) -> bool {
        let Entry { revision, age, version, ttl_ms, ttl_age, .. } = *self;
        let has_life = ttl_ms <= TTL_MS_MAX && ttl_age <= age && (ttl_ms > 0 || ttl_age == 0);
        let has_owner = self.owner.is_empty() || Owner::decode(self.owner).is_some();
        let is_counted = version.checked_sub(1).is_some_and(|more| more <= age);
        age < revision && is_counted && has_life && has_owner
    }

    /// What has a time to live has all of it again.
    fn meta(&self, now_ms: u64) -> Meta {
        let Entry { revision, age, version, ttl_ms, ttl_age, .. } = *self;
        let created_revision = revision.saturating_sub(age);
        let life = (ttl_ms > 0).then(|| Life {
            ttl_ms,
            revision: revision.saturating_sub(ttl_age),
            since_ms: now_ms,
        });
        Meta { revision, created_revision, version, life }
    }
}

/// Encodes values and lists into blocks, and has them written.
pub struct Blocks<W> {
    write: W,
    items: Vec<u8>,
    count: u64,
    /// What stands before each list.
    kind: Option<u8>,
}

impl<E, W: FnMut(&[u8]) -> Result<(), E>> Blocks<W> {
    /// `write` takes each block, in order.
    pub fn new(write: W) -> Self {
        Blocks { write, items: Vec::new(), count: 0, kind: None }
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
        let mut bytes = Vec::with_capacity(self.items.len() + 16);
        if let Some(kind) = &self.kind {
            codec::encode_into(kind, &mut bytes);
        }
        codec::encode_into(&self.count, &mut bytes);
        bytes.append(&mut self.items);
        self.count = 0;
        (self.write)(&bytes)
    }

    /// Writes what is left, and the empty list that says so.
    pub fn end_list(&mut self) -> Result<(), E> {
        self.write(&0u64)
    }

    /// Writes the tables, to the last entry; `pause` is called after each part.
    pub fn write_content(
        &mut self,
        tables: &TablesSnapshot,
        mut pause: impl FnMut() -> Result<(), E>,
    ) -> Result<(), E>
    where
        E: From<Revoked>,
    {
        for (name, table) in tables.tables() {
            let name = without_default(name);
            let ordered = table.table_type() == TableType::OrderedSet;
            let head = TableHead { name, ordered, entries: table.entries() };
            self.write(&(0u8, head))?;
            self.kind = Some(ENTRIES);
            table.walk(|items: &[Item]| {
                for item in items {
                    self.push(&Entry::of(item, &item.value()))?;
                }
                pause()
            })?;
            self.flush()?;
            self.kind = None;
        }
        Ok(())
    }
}

/// Takes the items of a list to the empty one that ends it; `next` gives the next block.
pub fn read_list<T: DeserializeOwned, E: From<DecodeError>>(
    what: &'static str,
    mut next: impl FnMut() -> Result<Option<Vec<u8>>, E>,
    mut take: impl FnMut(T) -> Result<(), DecodeError>,
) -> Result<(), E> {
    loop {
        let items: Vec<T> = codec::decode(what, &required(what, next()?)?)?;
        if items.is_empty() {
            return Ok(());
        }
        items.into_iter().try_for_each(&mut take)?;
    }
}

/// A block that must be there.
pub fn required(what: &'static str, block: Option<Vec<u8>>) -> Result<Vec<u8>, DecodeError> {
    block.ok_or_else(|| DecodeError::new(what, "the block is missing"))
}

/// A block of what the tables hold.
pub fn content(block: &[u8]) -> Result<Content<'_>, DecodeError> {
    const WHAT: &str = "content of the tables";
    match codec::decode_prefix::<Content>(WHAT, block)? {
        (content, used) if used == block.len() => Ok(content),
        _ => Err(DecodeError::new(WHAT, "trailing bytes")),
    }
}

/// The state between two proposals, to be written while others are applied.
pub struct Dump {
    metadata: StateMetadata,
    tables: TablesSnapshot,
}

impl Dump {
    /// `pause` is called between parts that take a moment.
    pub fn write<E: From<Revoked>, W: FnMut(&[u8]) -> Result<(), E>>(
        &self,
        blocks: &mut Blocks<W>,
        pause: impl FnMut() -> Result<(), E>,
    ) -> Result<(), E> {
        blocks.write(&Head { revision: self.metadata.revision })?;
        for part in self.metadata.sessions.parts() {
            blocks.push(&part)?;
        }
        blocks.end_list()?;
        blocks.write_content(&self.tables, pause)
    }
}

impl Store {
    /// To be written while others are applied; any number at once.
    pub fn dump(&self) -> Dump {
        Dump { metadata: self.metadata.clone(), tables: self.snapshot() }
    }

    /// The tables between two proposals, for as long as it takes.
    pub fn snapshot(&self) -> TablesSnapshot {
        self.tables.snapshot(self.metadata.revision)
    }

    /// A fresh store with the state of a dump, whose blocks `next` gives; `now_ms`: the time of
    /// this member.
    ///
    /// # Errors
    ///
    /// Those of `next`, and whatever is no dump.
    pub fn load<E: From<DecodeError>>(
        mut next: impl FnMut() -> Result<Option<Vec<u8>>, E>,
        values: Arc<dyn Values>,
        now_ms: u64,
    ) -> Result<Store, E> {
        const WHAT: &str = "head of the state";
        let Head { revision } = codec::decode(WHAT, &required(WHAT, next()?)?)?;
        if revision > COUNTER_MAX {
            Err(DecodeError::new(WHAT, "more writes than there can be"))?;
        }
        let mut metadata = StateMetadata { revision, ..StateMetadata::default() };
        let restore = |part: sessions::Part| metadata.sessions.restore(part);
        read_list("sessions", &mut next, restore)?;
        let mut restored = Restored::new(revision, now_ms);
        while let Some(block) = next()? {
            match content(&block)? {
                Content::Table(head) => restored.begin_table(&head)?,
                Content::Entries(entries) => {
                    entries.iter().try_for_each(|entry| restored.insert(entry, values.as_ref()))?;
                }
            }
        }
        restored.tables.end_write(revision);
        let mut store = Store::new(restored.tables, metadata, values);
        store.loaded = restored.loaded;
        Ok(store)
    }
}

/// The tables of a dump, which may say anything.
struct Restored {
    tables: Arc<Tables>,
    /// That of the entries that follow.
    table: Option<Arc<Table>>,
    /// That of the state.
    revision: u64,
    /// For how many more entries room may be made.
    presized_left: u64,
    now_ms: u64,
    name: Box<str>,
    loaded: Loaded,
}

impl Restored {
    fn new(revision: u64, now_ms: u64) -> Restored {
        let presized_left = ENTRIES_PRESIZED_MAX;
        let (tables, name, loaded) = (Arc::default(), "".into(), Loaded::default());
        Restored { tables, table: None, revision, presized_left, now_ms, name, loaded }
    }

    fn begin_table(&mut self, head: &TableHead<'_>) -> Result<(), DecodeError> {
        const WHAT: &str = "head of a table";
        let TableHead { name, ordered, entries } = *head;
        if name.is_empty() == self.table.is_some() {
            return Err(DecodeError::new(WHAT, "the default table comes first, and once"));
        }
        if !name.is_empty() && (name == DEFAULT_NAME || self.tables.get(name).is_some()) {
            return Err(DecodeError::new(WHAT, "the table is there already"));
        }
        if name.len() > TABLE_NAME_BYTES_MAX {
            return Err(DecodeError::new(WHAT, "its name is too long"));
        }
        if !name.is_empty() && self.tables.count() >= TABLES_MAX {
            return Err(DecodeError::new(WHAT, "there are too many"));
        }
        let presized = entries.min(self.presized_left);
        self.presized_left -= presized;
        self.table = Some(self.make(name, ordered, presized as usize));
        self.name = name.into();
        Ok(())
    }

    /// The default table is there, and empty.
    fn make(&self, name: &str, ordered: bool, entries: usize) -> Arc<Table> {
        let default = self.tables.default_table();
        if name.is_empty() && ordered {
            default.become_ordered();
        } else if !name.is_empty() {
            let table_type = if ordered { TableType::OrderedSet } else { TableType::Set };
            self.tables.create_with_capacity(name, table_type, entries);
        }
        self.tables.get(name).unwrap_or_else(|| default.clone())
    }

    fn insert(&mut self, entry: &Entry<'_>, values: &dyn Values) -> Result<(), DecodeError> {
        const WHAT: &str = "entry of a table";
        let Some(table) = &self.table else {
            return Err(DecodeError::new(WHAT, "it is of no table"));
        };
        if entry.revision > self.revision || !entry.is_possible() {
            return Err(DecodeError::new(WHAT, "there were not so many writes"));
        }
        let meta = entry.meta(self.now_ms);
        let item = Item::owned(entry.key, values.store(entry.value), &meta, entry.owner);
        self.loaded.push(&self.name, &item);
        table.insert(item);
        Ok(())
    }
}
