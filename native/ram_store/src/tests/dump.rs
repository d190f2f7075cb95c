//! The state as blocks, written and read again.

use super::*;
use crate::dump::{self, Blocks, Content};
use ram_limits::{BLOCK_BYTES, COUNTER_MAX};
use std::convert::Infallible;

type Blocked = Vec<Vec<u8>>;

fn blocks_of(store: &Store) -> Blocked {
    let mut written = Vec::new();
    let mut pauses = 0;
    let mut blocks = Blocks::new(|block: &[u8]| {
        written.push(block.to_vec());
        Ok::<(), Infallible>(())
    });
    let pause = || {
        pauses += 1;
        Ok(())
    };
    store.dump().unwrap().write(&mut blocks, pause).unwrap();
    assert!(pauses > 1, "it may be given up between parts");
    written
}

fn load(blocks: &[Vec<u8>]) -> Result<Store, DecodeError> {
    let mut blocks = blocks.iter().cloned();
    Store::load(|| Ok(blocks.next()), Arc::new(Plain))
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
fn one_dump_at_a_time_is_of_the_state_when_it_began() {
    let mut client = Client::new();
    client.run(&[put(b"k", b"old")]);
    let first = client.store.dump().unwrap();
    assert!(client.store.dump().is_none());
    client.run(&[put(b"k", b"new"), put(b"other", b"new")]);
    let mut written = Vec::new();
    let mut blocks = Blocks::new(|block: &[u8]| {
        written.push(block.to_vec());
        Ok::<(), Infallible>(())
    });
    first.write(&mut blocks, || Ok(())).unwrap();
    drop(first);
    let loaded = load(&written).unwrap();
    assert_eq!(loaded.table().get(b"k").unwrap().value().as_ref(), b"old");
    assert_eq!((loaded.table().entries(), loaded.metadata().revision), (1, 1));
    assert!(client.store.dump().is_some());
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

#[test]
fn what_a_dump_is_written_to_may_end_it() {
    let (client, _) = filled();
    for fail_at in [0, 2, 4, 5] {
        let mut written = 0;
        let mut blocks = Blocks::new(|_: &[u8]| {
            written += 1;
            if written > fail_at { Err("full") } else { Ok(()) }
        });
        assert_eq!(client.store.dump().unwrap().write(&mut blocks, || Ok(())), Err("full"));
    }
    let mut blocks = Blocks::new(|_: &[u8]| Ok(()));
    assert_eq!(client.store.dump().unwrap().write(&mut blocks, || Err("closing")), Err("closing"));
}
