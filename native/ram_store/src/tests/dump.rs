//! The state as blocks, written and read again.

use super::*;
use crate::dump::{self, Blocks, Dump};
use ram_limits::{BLOCK_BYTES, COUNTER_MAX};

type Blocked = Vec<Vec<u8>>;

fn blocks_of(store: &Store) -> Blocked {
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
    // The head, one list of session parts, its end; then the entries.
    let entries: Vec<usize> =
        blocks.iter().skip(3).map(|block| dump::entries(block).unwrap().len()).collect();
    assert_eq!(entries.iter().sum::<usize>(), count);
    assert!(entries.len() > 2, "{entries:?}");
    for block in blocks.iter().skip(3).rev().skip(1) {
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
    client.run(&[Command::Delete { key: b"k" }]);
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
fn a_list_of_entries_fills_its_block_to_the_last_byte() {
    let mut block = codec::encode(&vec![(b"k".as_slice(), b"v".as_slice(), 3u64)]);
    assert_eq!(dump::entries(&block).unwrap(), [(b"k".as_slice(), b"v".as_slice(), 3)]);
    block.push(0);
    assert!(dump::entries(&block).is_err());
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
    for fail_at in [0, 2, 4] {
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
