//! The readers' locks, and snapshots beside a writer, in every order that their threads can take.
//!
//! loom's cells notice a reader beside a change by themselves; what readers see is asserted here.
//! `make loom` runs this, and shows for each model a change of the code that it catches.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use ram_table::ordered::{OrderedSnapshot, OrderedTable};
use ram_table::table::{HashSnapshot, Item, Meta, Revoked, Table, TableSnapshot, TableType};
use ram_table::tables::Tables;
use ram_table::value::StoredValue;
use ram_threads::loom::sync::atomic::{AtomicBool, Ordering::SeqCst};
use ram_threads::loom::{model, thread};
use std::cell::Cell;
use std::ops::Bound::Unbounded;
use std::sync::Arc;

const KEY: &[u8] = b"key";

fn item(key: &[u8], revision: u64) -> Item {
    Item::new(key, StoredValue::plain(&revision.to_le_bytes()), &Meta::created(revision))
}

/// With these keys, each set by the revision.
fn table(keys: &[&[u8]], revision: u64) -> Arc<Table> {
    let table = Arc::new(Table::with_capacity(0));
    keys.iter().for_each(|key| _ = table.insert(item(key, revision)));
    table
}

/// What a reader sees: the revision, which the value has to be the one of.
fn read(table: &Table, key: &[u8]) -> Option<u64> {
    let whole = |item: &Item| {
        assert_eq!(*item.value(), item.revision().to_le_bytes(), "a torn item");
        item.revision()
    };
    table.with_item_if(key, || true, |found| found.map(whole)).flatten().flatten()
}

/// Keys that lie in different shards, of which a model has two.
fn keys_apart() -> [&'static [u8]; 2] {
    // Each is in the shard of the first as likely as not: so many are not all there.
    const KEYS: &[u8; 64] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-";
    let mut keys = KEYS.chunks(1);
    let first = keys.next().unwrap();
    let table = table(&[first], 1);
    let snapshot = hash_snapshot(table.snapshot(1, None));
    let shard_of = |key: &[u8]| {
        table.insert(item(key, 1));
        let has = |shard| snapshot.chunk(shard).unwrap().iter().any(|item| item.key() == key);
        snapshot.shards().position(has)
    };
    let other = keys.find(|key| shard_of(key) != shard_of(first));
    [first, other.expect("a key in the other of two shards")]
}

#[test]
fn readers_of_any_stripe_see_an_item_whole_and_nothing_old_after_something_new() {
    model(|| {
        let table = table(&[KEY], 1);
        let reader = || {
            let table = table.clone();
            thread::spawn(move || {
                let (first, second) = (read(&table, KEY).unwrap(), read(&table, KEY).unwrap());
                assert!(first == 1 || first == 2);
                assert!(second >= first, "{second} after {first}");
            })
        };
        let readers = [reader(), reader()];
        table.insert(item(KEY, 2));
        assert_eq!(read(&table, KEY), Some(2));
        readers.into_iter().for_each(|reader| reader.join().unwrap());
    });
}

#[test]
fn a_reader_sees_an_item_or_none_while_it_is_removed() {
    model(|| {
        let table = table(&[KEY], 1);
        let reader = table.clone();
        let reader = thread::spawn(move || match read(&reader, KEY) {
            None => assert_eq!(read(&reader, KEY), None),
            seen => assert_eq!(seen, Some(1)),
        });
        table.remove(KEY);
        assert_eq!(read(&table, KEY), None);
        reader.join().unwrap();
    });
}

#[test]
fn what_a_key_holds_does_not_change_between_the_question_and_the_look() {
    model(|| {
        let (table, is_changed) = (table(&[KEY], 1), Arc::new(AtomicBool::new(false)));
        let (reader, is_over) = (table.clone(), is_changed.clone());
        let reader = thread::spawn(move || {
            let asked = Cell::new(false);
            let may_read = || {
                asked.set(is_over.load(SeqCst));
                true
            };
            let look = |found: Option<&Item>| {
                let seen = found.unwrap().revision();
                assert!(seen == 2 || !is_over.load(SeqCst), "changed under the look");
                seen
            };
            let seen = reader.with_item_if(KEY, may_read, look).unwrap().unwrap();
            assert!(seen == 2 || !asked.get(), "changed after the look");
        });
        table.insert(item(KEY, 2));
        is_changed.store(true, SeqCst);
        reader.join().unwrap();
    });
}

#[test]
fn a_table_that_takes_the_place_of_another_is_seen_at_once_and_as_a_whole() {
    for is_turned in [false, true] {
        model(move || {
            let mut keys = keys_apart();
            let (shown, other) = (table(&keys, 1), table(&keys, 2));
            if is_turned {
                keys.reverse();
            }
            let reader = shown.clone();
            let reader = thread::spawn(move || {
                let [first, second] = keys.map(|key| read(&reader, key).unwrap());
                assert!(second >= first, "{second} after {first}");
            });
            shown.replace_with(&other);
            reader.join().unwrap();
        });
    }
}

/// Its writer does not know of that: a change comes before, or is lost.
#[test]
fn a_table_that_was_taken_over_changes_no_more_under_the_readers_of_the_one_that_shows_it() {
    model(|| {
        let (shown, other) = (table(&[KEY], 1), table(&[KEY], 2));
        let (reader, writer) = (shown.clone(), other.clone());
        let writer = thread::spawn(move || writer.insert(item(KEY, 3)));
        shown.replace_with(&other);
        let first = read(&reader, KEY).unwrap();
        writer.join().unwrap();
        assert_eq!(read(&reader, KEY), Some(first));
    });
}

#[test]
fn readers_of_a_closed_table_have_seen_its_items_or_see_nothing() {
    model(|| {
        let table = table(&[KEY], 1);
        let reader = table.clone();
        let reader = thread::spawn(move || {
            let seen = read(&reader, KEY);
            assert!(seen.is_none_or(|revision| revision == 1));
        });
        table.close();
        reader.join().unwrap();
    });
}

fn hash_snapshot(snapshot: TableSnapshot) -> HashSnapshot {
    match snapshot {
        TableSnapshot::Hash(hash) => hash,
        TableSnapshot::Ordered(_) => panic!("a set is ordered"),
    }
}

/// The keys of a snapshot and their revisions.
fn content(snapshot: &TableSnapshot) -> Result<Vec<(Vec<u8>, u64)>, Revoked> {
    let mut content = Vec::new();
    snapshot.walk(|items| {
        content.extend(items.iter().map(|item| (item.key().to_vec(), item.revision())));
        Ok::<_, Revoked>(())
    })?;
    content.sort();
    Ok(content)
}

#[test]
fn a_snapshot_has_each_item_of_its_revision_whatever_is_written_meanwhile() {
    model(|| {
        let table = table(&[KEY, b"gone"], 1);
        let snapshot = table.snapshot(1, None);
        let walk = thread::spawn(move || {
            assert_eq!(content(&snapshot).unwrap(), [(b"gone".to_vec(), 1), (KEY.to_vec(), 1)]);
        });
        table.insert(item(KEY, 2));
        table.remove(b"gone");
        walk.join().unwrap();
    });
}

#[test]
fn an_older_snapshot_has_what_a_newer_one_kept_while_that_ends() {
    model(|| {
        let table = table(&[KEY], 1);
        let (older, newer) = (table.snapshot(1, None), table.snapshot(1, None));
        table.insert(item(KEY, 2));
        let reclaimer = table.reclaimer().clone();
        let end = thread::spawn(move || {
            drop(newer);
            while reclaimer.free(1) {}
        });
        assert_eq!(content(&older).unwrap(), [(KEY.to_vec(), 1)]);
        end.join().unwrap();
        assert_eq!(content(&older).unwrap(), [(KEY.to_vec(), 1)]);
    });
}

#[test]
fn an_older_snapshot_has_what_is_changed_while_a_newer_one_ends() {
    model(|| {
        let table = table(&[KEY], 1);
        let (older, newer) = (table.snapshot(1, None), table.snapshot(1, None));
        let end = thread::spawn(move || drop(newer));
        table.insert(item(KEY, 2));
        end.join().unwrap();
        assert_eq!(content(&older).unwrap(), [(KEY.to_vec(), 1)]);
    });
}

#[test]
fn a_snapshot_that_is_revoked_meanwhile_has_its_revision_or_says_so() {
    model(|| {
        let table = table(&[KEY], 1);
        let snapshot = table.snapshot(1, Some(0));
        let walk = thread::spawn(move || {
            let seen = content(&snapshot);
            assert!(seen == Err(Revoked) || seen.unwrap() == [(KEY.to_vec(), 1)]);
        });
        table.insert(item(KEY, 2));
        walk.join().unwrap();
    });
}

/// Of several tables, of which a write changes one key each.
#[test]
fn a_consistent_reader_of_several_keys_sees_all_of_a_write_or_nothing() {
    model(|| {
        let tables = Arc::new(Tables::default());
        assert!(tables.create("other", TableType::Set));
        let put = |tables: &Tables, revision| {
            tables.default_table().insert(item(KEY, revision));
            tables.get("other").unwrap().insert(item(KEY, revision));
        };
        put(&tables, 1);
        let reader = tables.clone();
        let reader = thread::spawn(move || {
            let other = || reader.with_table("other", |table| read(table, KEY)).unwrap();
            let both = || (other(), read(reader.default_table(), KEY));
            if let Some((other, default)) = reader.consistent(both) {
                assert_eq!(other, default);
            }
        });
        tables.begin_write();
        put(&tables, 2);
        tables.end_write(0);
        let read = || read(tables.default_table(), KEY);
        assert_eq!(tables.consistent(read), Some(Some(2)));
        reader.join().unwrap();
    });
}

/// The reader asks whether the write that dropped the table was applied.
#[test]
fn who_keeps_a_table_that_is_dropped_finds_it_closed_when_that_is_seen() {
    model(|| {
        let tables = Arc::new(Tables::default());
        assert!(tables.create("table", TableType::Set));
        let table = tables.get("table").unwrap();
        let is_applied = Arc::new(AtomicBool::new(false));
        let is_seen = is_applied.clone();
        let reader = thread::spawn(move || {
            let asked = Cell::new(false);
            let may_read = || {
                asked.set(is_seen.load(SeqCst));
                true
            };
            let is_open = table.with_item_if(KEY, may_read, |_| ()).is_some();
            assert!(!(is_open && asked.get()), "what was there before");
        });
        tables.drop_table("table").unwrap();
        is_applied.store(true, SeqCst);
        reader.join().unwrap();
    });
}

/// With these keys, each set by the revision.
fn ordered(keys: &[&[u8]], revision: u64) -> Arc<OrderedTable> {
    let table = Arc::new(OrderedTable::default());
    keys.iter().for_each(|key| _ = table.insert(item(key, revision)));
    table
}

/// What a reader of all sees: the revisions, in the order of the keys.
fn range(table: &OrderedTable) -> Option<Vec<u64>> {
    let all = table.range(Unbounded, Unbounded, false, 100)?;
    Some(all.iter().map(Item::revision).collect())
}

fn scan(snapshot: &OrderedSnapshot) -> Result<Vec<u64>, Revoked> {
    let all = snapshot.range(Unbounded, Unbounded, false, 100)?;
    Ok(all.iter().map(Item::revision).collect())
}

#[test]
fn readers_of_an_ordered_table_of_any_stripe_see_one_moment_and_never_an_older_one() {
    model(|| {
        let table = ordered(&[KEY, b"next"], 1);
        let reader = || {
            let table = table.clone();
            thread::spawn(move || {
                let (first, second) = (range(&table).unwrap(), range(&table).unwrap());
                assert!(first == [1, 1] || first == [1, 2] || first == [2], "{first:?}");
                assert!(second >= first, "{second:?} after {first:?}");
            })
        };
        let readers = [reader(), reader()];
        table.insert(item(b"next", 2));
        table.remove(KEY);
        assert_eq!(range(&table).unwrap(), [2]);
        readers.into_iter().for_each(|reader| reader.join().unwrap());
    });
}

#[test]
fn what_a_key_of_an_ordered_table_holds_does_not_change_between_the_question_and_the_look() {
    model(|| {
        let (table, is_changed) = (ordered(&[KEY], 1), Arc::new(AtomicBool::new(false)));
        let (reader, is_over) = (table.clone(), is_changed.clone());
        let reader = thread::spawn(move || {
            let asked = Cell::new(false);
            let may_read = || {
                asked.set(is_over.load(SeqCst));
                true
            };
            let look = |found: Option<&Item>| {
                let seen = found.unwrap().revision();
                assert!(seen == 2 || !is_over.load(SeqCst), "changed under the look");
                seen
            };
            let seen = reader.with_item_if(KEY, may_read, look).unwrap().unwrap();
            assert!(seen == 2 || !asked.get(), "changed after the look");
        });
        table.insert(item(KEY, 2));
        is_changed.store(true, SeqCst);
        reader.join().unwrap();
    });
}

#[test]
fn an_ordered_table_that_takes_the_place_of_another_is_seen_as_a_whole_and_then_closed() {
    model(|| {
        let keys: [&[u8]; 2] = [KEY, b"next"];
        let (shown, other) = (ordered(&keys, 1), ordered(&keys, 2));
        let reader = shown.clone();
        let reader = thread::spawn(move || match range(&reader) {
            None => assert_eq!(range(&reader), None),
            Some(seen) => assert!(seen == [1, 1] || seen == [2, 2], "{seen:?}"),
        });
        shown.replace_with(&other);
        assert_eq!(range(&other), None);
        shown.close();
        reader.join().unwrap();
    });
}

#[test]
fn a_snapshot_of_an_ordered_table_is_of_its_revision_or_revoked_whatever_is_written() {
    model(|| {
        let table = ordered(&[KEY, b"gone"], 1);
        let (kept, bounded) = (table.snapshot(1, None), table.snapshot(1, Some(1)));
        let bounded = Arc::new(bounded);
        let scanned = bounded.clone();
        let scans = thread::spawn(move || {
            let (first, second) = (scan(&scanned), scan(&scanned));
            assert!(first == Ok(vec![1, 1]) || first == Err(Revoked), "{first:?}");
            assert!(second == first || second == Err(Revoked), "{second:?} after {first:?}");
        });
        table.insert(item(KEY, 2));
        assert_eq!((scan(&kept), scan(&bounded)), (Ok(vec![1, 1]), Err(Revoked)));
        table.remove(b"gone");
        scans.join().unwrap();
        assert_eq!((scan(&kept), range(&table).unwrap()), (Ok(vec![1, 1]), vec![2]));
    });
}
