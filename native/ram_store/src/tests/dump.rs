//! The state as blocks, written and read again.

use super::*;
use crate::dump::{self, Blocks, Content, Dump};
use ram_limits::{BLOCK_BYTES, COUNTER_MAX};

pub(super) type Blocked = Vec<Vec<u8>>;

pub(super) fn blocks_of(store: &Store) -> Blocked {
    written(&store.dump())
}

fn written(dump: &Dump) -> Blocked {
    let mut written = Vec::new();
    let mut pauses = 0;
    let mut blocks = Blocks::new(|block: &[u8]| {
        written.push(block.to_vec());
        Ok::<(), Revoked>(())
    });
    let pause = || {
        pauses += 1;
        Ok(())
    };
    dump.write(&mut blocks, pause).unwrap();
    assert!(pauses > 1, "it may be given up between parts");
    written
}

pub(super) fn load(blocks: &[Vec<u8>]) -> Result<Store, DecodeError> {
    load_at(blocks, 0)
}

pub(super) fn load_at(blocks: &[Vec<u8>], now_ms: u64) -> Result<Store, DecodeError> {
    let mut blocks = blocks.iter().cloned();
    Store::load(|| Ok(blocks.next()), Arc::new(Plain), now_ms)
}

/// Entries of 100 bytes, three blocks of them.
fn filled() -> (Client, usize) {
    let (mut client, count) = (Client::new(), 3 * BLOCK_BYTES / 100);
    for chunk in (0..count as u32).collect::<Vec<_>>().chunks(1000) {
        let keys: Vec<[u8; 4]> = chunk.iter().map(|key| key.to_be_bytes()).collect();
        let puts: Vec<Command> = keys.iter().map(|key| put(key, &[7; 90])).collect();
        client.run(&puts);
    }
    (client, count)
}

#[test]
fn a_dump_that_is_loaded_is_the_same_state() {
    let (client, count) = filled();
    let blocks = blocks_of(&client.store);
    let loaded = load(&blocks).unwrap();
    assert_eq!(loaded.metadata(), client.store.metadata());
    assert_eq!(loaded.table().entries(), count as u64);
    for key in [0u32, 1, count as u32 - 1] {
        let of = |store: &Store| {
            let item = store.table().get(&key.to_be_bytes()).unwrap();
            (item.value().into_owned(), item.revision())
        };
        assert_eq!(of(&loaded), of(&client.store));
    }
}

#[test]
fn blocks_are_full_and_not_much_longer_and_the_last_one_is_written_too() {
    let (client, count) = filled();
    let blocks = blocks_of(&client.store);
    // The head, one list of session parts, its end, the table; then the entries.
    let of = |block: &Vec<u8>| match dump::content(block).unwrap() {
        Content::Entries(entries) => entries.len(),
        Content::Table(head) => panic!("{head:?}"),
    };
    let entries: Vec<usize> = blocks.iter().skip(4).map(of).collect();
    assert_eq!(entries.iter().sum::<usize>(), count);
    assert!(entries.len() > 2, "{entries:?}");
    for block in blocks.iter().skip(4).rev().skip(1) {
        assert!((BLOCK_BYTES..BLOCK_BYTES + 200).contains(&block.len()), "{}", block.len());
    }
}

#[test]
fn each_of_several_dumps_at_once_is_of_the_state_when_it_began() {
    let mut client = Client::new();
    client.run(&[put(b"k", b"old")]);
    let first = client.store.dump();
    client.run(&[put(b"k", b"new"), put(b"other", b"new")]);
    let second = client.store.dump();
    client.run(&[delete(b"k")]);
    for (dump, value, entries, revision) in [(second, b"new", 2, 3), (first, b"old", 1, 1)] {
        let loaded = load(&written(&dump)).unwrap();
        assert_eq!(loaded.table().get(b"k").unwrap().value().as_ref(), value);
        assert_eq!((loaded.table().entries(), loaded.metadata().revision), (entries, revision));
    }
}

#[test]
fn a_dump_without_its_first_blocks_is_refused() {
    let (client, _) = filled();
    let blocks = blocks_of(&client.store);
    for kept in 0..3 {
        assert!(load(&blocks[..kept]).is_err(), "{kept}");
    }
    assert!(load(&blocks[1..]).is_err());
}

#[test]
fn a_dump_of_more_changes_than_there_can_be_is_refused() {
    for (revision, is_right) in [(COUNTER_MAX, true), (COUNTER_MAX + 1, false)] {
        let metadata = StateMetadata { revision, ..StateMetadata::default() };
        let store = Store::new(Arc::default(), metadata, Arc::new(Plain));
        let loaded = load(&blocks_of(&store));
        assert_eq!(loaded.is_ok_and(|loaded| loaded.metadata().revision == revision), is_right);
    }
}

#[test]
fn content_fills_its_block_to_the_last_byte() {
    let mut client = Client::new();
    client.run(&[put(b"k", b"v")]);
    let blocks = blocks_of(&client.store);
    assert_eq!(blocks.len(), 5, "a head, sessions, their end, a table, an entry");
    for block in &blocks[3..] {
        let mut block = block.clone();
        assert!(dump::content(&block).is_ok());
        block.push(0);
        assert!(dump::content(&block).is_err());
    }
}

#[derive(Debug, PartialEq)]
enum Ended {
    Full,
    Closing,
    Revoked,
}

impl From<Revoked> for Ended {
    fn from(_: Revoked) -> Ended {
        Ended::Revoked
    }
}

#[test]
fn what_a_dump_is_written_to_may_end_it() {
    let (client, _) = filled();
    for fail_at in [0, 2, 4, 5] {
        let mut written = 0;
        let mut blocks = Blocks::new(|_: &[u8]| {
            written += 1;
            if written > fail_at { Err(Ended::Full) } else { Ok(()) }
        });
        assert_eq!(client.store.dump().write(&mut blocks, || Ok(())), Err(Ended::Full));
    }
    let mut blocks = Blocks::new(|_: &[u8]| Ok(()));
    assert_eq!(client.store.dump().write(&mut blocks, || Err(Ended::Closing)), Err(Ended::Closing));
}

/// A store with tables of each type, and keys that were written once and often.
fn with_tables() -> Client {
    let mut client = Client::new();
    client.answers(&[create("set", false), create("ordered", true), create("empty", true)]);
    for table in ["", "set", "ordered"] {
        client.answer(batch(table, &[put(b"once", b"1"), put(b"often", b"1")]));
        client.answer(batch(table, &[put(b"often", b"2")]));
        client.answer(batch(table, &[put(b"often", table.as_bytes()), put(b"new", b"")]));
    }
    client
}

#[test]
fn a_dump_has_all_tables_with_their_types_and_the_metadata_of_their_keys() {
    let mut client = with_tables();
    let blocks = blocks_of(&client.store);
    let mut loaded = load(&blocks).unwrap();
    assert_eq!(contents(&loaded), contents(&client.store));
    assert_eq!(loaded.metadata(), client.store.metadata());
    assert_eq!(loaded.tables().bytes(), client.store.tables().bytes());
    let often = loaded.tables().get("ordered").unwrap().get(b"often").unwrap();
    assert_eq!(often.meta(), Meta { revision: 12, created_revision: 10, version: 3, life: None });
    assert_eq!(blocks_of(&loaded).len(), blocks.len());

    client.answers(&[drop_table("ordered"), batch("set", &[delete(b"once")])]);
    loaded.replace_with(load(&blocks_of(&client.store)).unwrap());
    assert_eq!(contents(&loaded), contents(&client.store));
}

/// Key, value, revision, how many revisions before that it was created, version, time to live, how
/// many revisions before that was given; without an owner.
type Written<'a> = (&'a [u8], &'a [u8], u64, u64, u64, u64, u64);

/// As a dump has them.
fn entries(entries: &[Written<'_>]) -> Vec<u8> {
    let entries: Vec<_> = entries.iter().map(|entry| (entry, 0u8)).collect();
    codec::encode(&(1u8, entries))
}

fn table(name: &str, ordered: bool, entries: u64) -> Vec<u8> {
    codec::encode(&(0u8, dump::TableHead { name, ordered, entries }))
}

/// A state of revision 9 without sessions, with this content.
fn state(content: &[Vec<u8>]) -> Blocked {
    let head = [codec::encode(&9u64), codec::encode(&0u64)];
    head.into_iter().chain(content.iter().cloned()).collect()
}

#[test]
fn a_dump_whose_tables_cannot_be_is_refused() {
    let default = || table("", false, 0);
    let entry = || entries(&[(b"k", b"v", 9, 8, 9, 0, 0)]);
    let longest = "n".repeat(TABLE_NAME_BYTES_MAX);
    let longer = "n".repeat(TABLE_NAME_BYTES_MAX + 1);
    let of = |count: usize| {
        let named = (1..count).map(|number| table(&format!("t{number}"), false, 0));
        std::iter::once(default()).chain(named).collect::<Vec<_>>()
    };
    for (what, content, is_right) in [
        ("nothing", vec![], true),
        ("an entry of the default table", vec![default(), entry()], true),
        ("an entry of no table", vec![entry(), default()], false),
        ("the default table twice", vec![default(), default()], false),
        ("the default table not first", vec![table("t", false, 0), default()], false),
        ("no default table", vec![table("t", false, 0), entry()], false),
        ("two tables", vec![default(), table("t", false, 0), table("u", true, 0)], true),
        ("a table twice", vec![default(), table("t", false, 0), table("t", true, 0)], false),
        ("a long name", vec![default(), table(&longest, false, 0), entry()], true),
        ("too long a name", vec![default(), table(&longer, false, 0), entry()], false),
        ("all tables", of(TABLES_MAX), true),
        ("one too many", of(TABLES_MAX + 1), false),
        ("another block", vec![default(), codec::encode(&(2u8, 0u64))], false),
    ] {
        assert_eq!(load(&state(&content)).is_ok(), is_right, "{what}");
    }
}

#[test]
fn a_dump_whose_metadata_cannot_be_is_refused() {
    // Revision, how many revisions before it was created, version; the state is of revision 9.
    for (revision, age, version, is_right) in [
        (9, 0, 1, true),
        (9, 8, 9, true),
        (9, 8, 2, true),
        (1, 0, 1, true),
        (10, 0, 1, false),
        (0, 0, 1, false),
        (9, 9, 2, false),
        (9, u64::MAX, 2, false),
        (9, 8, 10, false),
        (9, 8, 1, true),
        (9, 8, 0, false),
        (9, 0, 2, false),
        (9, 0, 0, false),
    ] {
        let entry = entries(&[(b"k", b"v", revision, age, version, 0, 0)]);
        let loaded = load(&state(&[table("", false, 1), entry]));
        assert_eq!(loaded.is_ok(), is_right, "{revision} {age} {version}");
        if let Ok(store) = loaded {
            let created_revision = revision - age;
            let meta = Meta { revision, created_revision, version, life: None };
            assert_eq!(store.table().get(b"k").unwrap().meta(), meta);
        }
    }
}

#[test]
fn a_dump_whose_times_to_live_cannot_be_is_refused() {
    // Of an entry that was created 8 revisions before; how many revisions before that was given.
    for (ttl_ms, ttl_age, is_right) in [
        (0, 0, true),
        (0, 1, false),
        (1, 0, true),
        (TTL_MS_MAX, 8, true),
        (TTL_MS_MAX + 1, 0, false),
        (1, 9, false),
        (1, u64::MAX, false),
    ] {
        let entry = entries(&[(b"k", b"v", 9, 8, 9, ttl_ms, ttl_age)]);
        let loaded = load(&state(&[table("", false, 1), entry]));
        assert_eq!(loaded.is_ok(), is_right, "{ttl_ms} {ttl_age}");
    }
}

/// Whatever it says: room for a trillion entries is not made.
#[test]
fn a_dump_that_promises_more_entries_than_fit_is_loaded_in_little_memory() {
    let named = (1..TABLES_MAX).map(|number| table(&format!("t{number}"), false, u64::MAX));
    let content: Vec<Vec<u8>> = std::iter::once(table("", false, 1)).chain(named).collect();
    let loaded = load(&state(&content)).unwrap();
    assert_eq!(loaded.tables().count(), TABLES_MAX);
}
