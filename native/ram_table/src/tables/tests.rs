use super::*;
use crate::item::{Item, Meta};
use crate::table::Revoked;
use crate::value::StoredValue;
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

fn item(key: &[u8], revision: u64) -> Item {
    Item::new(key, StoredValue::plain(b"value"), &Meta::created(revision))
}

fn revision(table: &Table, key: &[u8]) -> Option<u64> {
    table.with_item(key, |item| item.map(Item::revision))?
}

fn put(tables: &Tables, name: &str, key: &[u8], revision: u64) {
    tables.get(name).unwrap().insert(item(key, revision));
}

#[test]
fn tables_are_found_by_their_names_until_they_are_dropped() {
    let tables = Tables::default();
    assert!(tables.create("b", TableType::Set) && tables.create("a", TableType::OrderedSet));
    assert!(tables.create("z", TableType::Set));
    for taken in ["a", "b", "z", "", DEFAULT_NAME] {
        assert!(!tables.create(taken, TableType::OrderedSet), "{taken}");
    }
    assert_eq!(tables.names(), ["a", "b", "default", "z"]);
    assert_eq!(tables.get("b").unwrap().table_type(), TableType::Set);
    assert_eq!(tables.with_table("a", Table::table_type), Some(TableType::OrderedSet));
    assert!(tables.get("c").is_none() && tables.with_table("c", |_| ()).is_none());
    for name in ["", DEFAULT_NAME] {
        assert!(Arc::ptr_eq(&tables.get(name).unwrap(), tables.default_table()));
        assert!(tables.drop_table(name).is_none());
    }

    put(&tables, "a", b"k", 1);
    put(&tables, "", b"k", 2);
    assert_eq!((tables.entries(), tables.bytes()), (2, 12));
    let dropped = tables.drop_table("a").unwrap();
    assert_eq!(dropped.with_item(b"k", |_| ()), None, "whoever has it still finds it closed");
    assert!(dropped.is_closed() && !tables.default_table().is_closed() && !tables.is_closed());
    assert!(tables.drop_table("a").is_none() && tables.get("a").is_none());
    assert!(tables.create("a", TableType::Set));
    assert_eq!(tables.with_table("a", |table| revision(table, b"k")), Some(None));
    assert_eq!((tables.entries(), tables.names().len(), tables.count()), (1, 4, 4));
}

#[test]
fn a_write_is_being_applied_from_its_begin_to_its_end() {
    let tables = Tables::default();
    for revision in 1..3 {
        assert!(!tables.is_writing() && tables.consistent(|| ()).is_some());
        tables.begin_write();
        assert!(tables.is_writing() && tables.consistent(|| ()).is_none());
        tables.end_write(revision);
        assert_eq!(tables.revision(), revision);
    }
}

#[test]
fn what_any_of_the_tables_lets_go_of_is_freed_by_one_reclaimer() {
    let tables = Tables::default();
    assert!(tables.create("s", TableType::Set) && tables.create("o", TableType::OrderedSet));
    for name in ["", "s", "o"] {
        assert!(Arc::ptr_eq(tables.get(name).unwrap().reclaimer(), tables.reclaimer()), "{name}");
    }
}

#[test]
fn a_snapshot_has_the_tables_of_its_revision_whatever_is_made_dropped_and_written() {
    let tables = Tables::default();
    assert!(tables.create("a", TableType::OrderedSet) && tables.create("b", TableType::Set));
    (0..3u64).for_each(|n| put(&tables, ["", "a", "b"][n as usize], b"k", n + 1));
    let snapshot = tables.snapshot(3);
    tables.drop_table("a");
    tables.create("c", TableType::Set);
    put(&tables, "", b"k", 4);
    tables.get("b").unwrap().remove(b"k");
    let mut seen = Vec::new();
    for (name, table) in snapshot.tables() {
        table
            .walk(|items| {
                let of = |item: &Item| (name.to_string(), table.table_type(), item.revision());
                seen.extend(items.iter().map(of));
                Ok::<_, Revoked>(())
            })
            .unwrap();
    }
    let of = |name: &str, table_type, revision| (name.to_string(), table_type, revision);
    let (set, ordered) = (TableType::Set, TableType::OrderedSet);
    assert_eq!(seen, [of("default", set, 1), of("a", ordered, 2), of("b", set, 3)]);
    assert_eq!((snapshot.revision(), snapshot.entries()), (3, 3));
}

#[test]
fn tables_that_replace_others_are_found_at_once_and_the_others_are_closed() {
    let (tables, other) = (Tables::default(), Tables::default());
    for (tables, revision) in [(&tables, 1), (&other, 2)] {
        assert!(tables.create("both", TableType::Set));
        put(tables, "both", b"k", revision);
        put(tables, "", b"k", revision);
    }
    assert!(tables.create("old", TableType::Set) && other.create("new", TableType::OrderedSet));
    put(&tables, "old", b"k", 1);
    let (kept, default) = (tables.get("both").unwrap(), tables.get("").unwrap());
    let snapshot = tables.snapshot(1);
    let replaced = Cell::new(false);
    assert!(tables.consistent(|| replaced.set(tables.replace_with(&other))).is_none());
    assert!(replaced.get());
    assert_eq!(tables.names(), ["both", "default", "new"]);
    assert_eq!(revision(&default, b"k"), Some(2), "the default table is the same one");
    assert_eq!(tables.with_table("both", |table| revision(table, b"k")), Some(Some(2)));
    assert_eq!((kept.with_item(b"k", |_| ()), other.names().len()), (None, 1));
    assert_eq!(snapshot.tables().map(|(_, table)| table.entries()).sum::<u64>(), 3);
    assert!(tables.consistent(|| ()).is_some());

    assert!(Tables::default().default_table().become_ordered());
    let ordered = Tables::default();
    assert!(ordered.default_table().become_ordered());
    assert!(!ordered.replace_with(&tables), "it stays what it is");
    assert_eq!((tables.names().len(), ordered.names().len()), (3, 1));
    tables.close();
    assert!(tables.is_closed());
    assert_eq!(default.with_item(b"k", |_| ()), None);
    assert_eq!(tables.with_table("both", |table| table.with_item(b"k", |_| ())), Some(None));
}

#[test]
fn a_read_is_consistent_when_no_write_is_applied_meanwhile() {
    let tables = Tables::default();
    assert_eq!(tables.consistent(|| 1), Some(1));
    let with_a_write = || {
        tables.begin_write();
        tables.end_write(1);
    };
    assert_eq!(tables.consistent(with_a_write), None);
    assert_eq!(tables.consistent(|| 2), Some(2));
    assert_eq!(tables.consistent(|| tables.begin_write()), None);
    assert_eq!(tables.consistent(|| 3), None);
    tables.begin_write();
    assert_eq!(tables.consistent(|| 3), None, "one that panicked is not ended by the next");
    tables.end_write(1);
    assert_eq!(tables.consistent(|| 3), Some(3));
    tables.end_write(1);
    assert_eq!(tables.consistent(|| tables.consistent(|| 4)), Some(Some(4)));
}

#[test]
fn consistent_readers_of_several_tables_see_whole_writes() {
    const WRITES: u64 = 20_000;
    let (tables, is_over) = (&Tables::default(), &AtomicBool::new(false));
    tables.create("set", TableType::Set);
    tables.create("ordered", TableType::OrderedSet);
    let names = ["", "set", "ordered"];
    names.iter().for_each(|name| put(tables, name, b"k", 0));
    let read = || names.map(|name| tables.with_table(name, |table| revision(table, b"k")));
    thread::scope(|scope| {
        let reader = || {
            let mut seen = 0;
            while !is_over.load(Ordering::Relaxed) {
                let Some(revisions) = tables.consistent(read) else { continue };
                assert!(revisions.iter().all(|one| *one == revisions[0]), "{revisions:?}");
                seen += 1;
            }
            seen
        };
        let readers = [scope.spawn(reader), scope.spawn(reader)];
        for revision in 1..=WRITES {
            tables.begin_write();
            names.iter().for_each(|name| put(tables, name, b"k", revision));
            tables.end_write(1);
            // Else a reader on the same processor never finds the writer at rest.
            if revision % 100 == 0 {
                thread::yield_now();
            }
        }
        is_over.store(true, Ordering::Relaxed);
        readers.into_iter().for_each(|reader| _ = reader.join().unwrap());
    });
    assert_eq!(tables.consistent(read), Some([Some(Some(WRITES)); 3]));
}
