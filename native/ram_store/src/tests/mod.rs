//! The store, fed with proposals.

mod commands;
mod comparing;
mod content;
mod dump;
mod expiry;
mod formats;
mod model;
mod observers;
mod owned;
mod plan;
mod ranges;
mod retries;
mod tables;
mod together;
mod transactions;

use super::*;
use crate::answer::{Answer, Failure, Found, Outcome};
use crate::group::{self, Stamp};
use crate::sessions::{
    GROUPS_MAX, Part, RESULTS_REMEMBERED_BYTES_MAX, Remembered, SESSIONS_MAX, Sessions,
};
use crate::write::{
    Because, Command, Comparison, Condition, Due, Encoded, EncodedOwner, Owner, Place, Range,
    Setting, State, Write,
};
use bytes::Bytes;
use ram_limits::{
    ANSWER_VALUES_BYTES_MAX, COMPARED_STEP_BYTES, COMPARED_STEPS_MAX, GROUP_WRITES_MAX,
    NUMBER_BYTES_MAX, RANGE_ENTRIES_MAX, RESULTS_BYTES_MAX, TABLE_NAME_BYTES_MAX, TABLES_MAX,
    TRANSACTION_PARTS_MAX, TTL_MS_MAX,
};
use ram_table::item::{Item, Meta};
use ram_table::table::{Revoked, TableSnapshot};
use ram_table::tables::{TableType, TablesSnapshot};
use ram_table::value::{Plain, Representation, SharedRepresentation, StoredValue, Values};
use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;

/// A store with an open session that numbers its groups.
struct Client {
    store: Store,
    index: u64,
    session: u64,
    sequence: u64,
}

impl Client {
    fn new() -> Self {
        Client::with(Arc::new(Plain))
    }

    fn with(values: Arc<dyn Values>) -> Self {
        let store = Store::empty(values);
        let mut client = Client { store, index: 0, session: 0, sequence: 0 };
        client.open();
        client
    }

    fn open(&mut self) {
        self.index += 1;
        match self.store.apply(entry(self.index), &group::open_session()).unwrap() {
            Outcome::SessionOpened { session } => self.session = session,
            other => panic!("{other:?}"),
        }
    }

    fn stamp(&mut self) -> Stamp {
        self.sequence += 1;
        Stamp { session: self.session, sequence: self.sequence, acked_below: self.sequence }
    }

    fn send(&mut self, group: &Bytes) -> Outcome {
        self.index += 1;
        self.store.apply(entry(self.index), group).unwrap()
    }

    /// The answers to these writes, of one group.
    fn answers(&mut self, writes: &[Encoded]) -> Vec<Answer> {
        let stamp = self.stamp();
        match self.send(&group(stamp, writes)) {
            Outcome::Answers(answers) => answers,
            other => panic!("{other:?}"),
        }
    }

    fn answer(&mut self, write: Encoded) -> Answer {
        let answers = self.answers(&[write]);
        let [answer] = answers.as_slice() else { panic!("{answers:?}") };
        answer.clone()
    }

    /// Each command is a write.
    fn run(&mut self, commands: &[Command<'_>]) -> Vec<Answer> {
        self.answers(&commands.iter().map(|command| Encoded::one("", command)).collect::<Vec<_>>())
    }

    fn value(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.store.table().get(key).map(|item| item.value().into_owned())
    }

    fn meta(&self, key: &[u8]) -> Option<Meta> {
        self.store.table().get(key).map(|item| item.meta())
    }

    /// Past the log: for values that no caller may write.
    fn set(&self, key: &[u8], value: &[u8]) {
        let item = Item::new(key, StoredValue::plain(value), &Meta::created(1));
        self.store.table().insert(item);
    }

    fn revision(&self) -> u64 {
        self.store.metadata().revision
    }
}

/// Of the first term.
fn entry(index: u64) -> EntryId {
    EntryId { term: 1, index }
}

fn group(stamp: Stamp, writes: &[Encoded]) -> Bytes {
    group::group(stamp, writes.iter().map(Encoded::bytes))
}

/// A group in which each command is a write.
fn group_of(stamp: Stamp, commands: &[Command<'_>]) -> Bytes {
    group(stamp, &commands.iter().map(|command| Encoded::one("", command)).collect::<Vec<_>>())
}

fn batch(table: &str, commands: &[Command<'_>]) -> Encoded {
    let mut write = Encoded::of(&Write::Batch { table, commands: commands.len() as u32 });
    commands.iter().for_each(|command| write.command(command));
    write
}

fn transaction(
    table: &str,
    conditions: &[Condition<'_>],
    then: &[Command<'_>],
    otherwise: &[Command<'_>],
) -> Encoded {
    let mut write = Encoded::of(&Write::Transaction {
        table,
        conditions: conditions.len() as u32,
        then: then.len() as u32,
        otherwise: otherwise.len() as u32,
    });
    conditions.iter().for_each(|condition| write.condition(condition));
    then.iter().chain(otherwise).for_each(|command| write.command(command));
    write
}

/// What a caller's put with an expectation becomes: it is told what it found instead.
fn expecting<'a>(is: State<'a>, command: Command<'a>) -> Encoded {
    let at = Place::of(command.place().key);
    transaction("", &[Condition::Key { at, is }], &[command], &[Command::Get { at }])
}

fn done(revision: u64) -> Answer {
    Answer::Done { revision }
}

fn ran(succeeded: bool, revision: u64, results: &[Option<Found>]) -> Answer {
    Answer::Ran { succeeded, revision, results: Some(results.to_vec()) }
}

/// What a key holds that was written once.
fn found(value: &[u8], revision: u64) -> Option<Found> {
    found_with(value, Meta::created(revision))
}

fn found_with(value: &[u8], meta: Meta) -> Option<Found> {
    let Meta { revision, created_revision, version, life } = meta;
    let (value, ttl_ms) = (Bytes::copy_from_slice(value), life.map_or(0, |life| life.ttl_ms));
    Some(Found { value, revision, created_revision, version, ttl_ms, owner: Bytes::new() })
}

/// An owner of the first run of a member, as it is stored.
fn owner(member: u64, name: &[u8]) -> Vec<u8> {
    Owner { member, run: 1, name }.encode()
}

fn put_owned<'a>(key: &'a [u8], value: &'a [u8], owner: &'a [u8]) -> Command<'a> {
    let owner = Setting::To(EncodedOwner(owner));
    Command::Put { at: Place::of(key), value, ttl_ms: Setting::Clear, owner }
}

/// A key whose time is over that the write of this revision gave it.
fn due_at<'a>(table: &'a str, key: &'a [u8], revision: u64) -> Due<'a> {
    Due { table, key, because: Because::Expired { revision } }
}

fn metadata_bytes(store: &Store) -> usize {
    let parts: Vec<sessions::Part> = store.metadata().sessions.parts().collect();
    codec::encode(&parts).len()
}

fn put<'a>(key: &'a [u8], value: &'a [u8]) -> Command<'a> {
    Command::put(key, value)
}

fn get(key: &[u8]) -> Command<'_> {
    Command::Get { at: Place::of(key) }
}

fn count<'a>(key: &'a [u8], count: &'a [u8]) -> Command<'a> {
    Command::Count { at: Place::of(key), count }
}

fn in_table<'a>(table: &'a str, key: &'a [u8]) -> Place<'a> {
    Place { table: Some(table), key }
}

fn key_is<'a>(key: &'a [u8], is: State<'a>) -> Condition<'a> {
    Condition::Key { at: Place::of(key), is }
}

fn create(table: &str, ordered: bool) -> Encoded {
    Encoded::of(&Write::CreateTable { table, ordered })
}

fn drop_table(table: &str) -> Encoded {
    Encoded::of(&Write::DropTable { table })
}

fn delete_range<'a>(table: &'a str, range: Range<'a>) -> Encoded {
    Encoded::of(&Write::DeleteRange { table, range })
}

/// Of the numbers that the store counts in these tests.
fn number(number: i64) -> [u8; 8] {
    number.to_le_bytes()
}

type Content = BTreeMap<Vec<u8>, (Vec<u8>, Meta)>;

/// What the tables hold, by their names, and which are ordered.
fn contents(store: &Store) -> BTreeMap<String, (bool, Content)> {
    let mut contents: BTreeMap<String, (bool, Content)> = BTreeMap::new();
    let mut newest = String::new();
    for block in dump::blocks_of(store).iter().skip_while(|block| !is_table(block)) {
        match crate::dump::content(block).unwrap() {
            crate::dump::Content::Table(head) => {
                newest = head.name.into();
                contents.insert(head.name.into(), (head.ordered, Content::new()));
            }
            crate::dump::Content::Entries(entries) => {
                let (_, content) = contents.get_mut(&newest).unwrap();
                for entry in entries {
                    let item = store.tables().get(&newest).unwrap().get(entry.key).unwrap();
                    let (value, meta) = (item.value().into_owned(), item.meta());
                    assert_eq!((&*value, meta.revision), (entry.value, entry.revision));
                    content.insert(entry.key.into(), (value, meta));
                }
            }
        }
    }
    contents
}

/// Is it the first of the content, which is that of the default table?
fn is_table(block: &[u8]) -> bool {
    let content = crate::dump::content(block);
    content.is_ok_and(|content| match content {
        crate::dump::Content::Table(head) => head.name.is_empty(),
        crate::dump::Content::Entries(_) => false,
    })
}

fn delete(key: &[u8]) -> Command<'_> {
    Command::delete(key)
}
