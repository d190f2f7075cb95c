use super::*;
use crate::value::StoredValue;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

fn item(key: &[u8], revision: u64) -> Item {
    Item::new(key, StoredValue::plain(b"value"), &Meta::created(revision))
}

fn table(table_type: TableType) -> Table {
    Table::new(table_type, 0, Locks::Few, Arc::default())
}

fn filled(table_type: TableType, keys: &[&[u8]], revision: u64) -> Table {
    let table = table(table_type);
    keys.iter().for_each(|key| _ = table.insert(item(key, revision)));
    table
}

fn content(snapshot: &TableSnapshot) -> Vec<(Vec<u8>, u64)> {
    let mut content = Vec::new();
    let mut visit = |items: &[Item]| {
        content.extend(items.iter().map(|item| (item.key().to_vec(), item.revision())));
        Ok::<_, Revoked>(())
    };
    snapshot.walk(&mut visit).unwrap();
    assert_eq!(content.len() as u64, snapshot.entries());
    content
}

const TYPES: [TableType; 2] = [TableType::Set, TableType::OrderedSet];

#[test]
fn a_type_of_a_table_has_the_name_that_callers_have_for_it() {
    assert_eq!(TYPES.map(|table_type| table_type.to_string()), ["set", "ordered_set"]);
}

#[test]
fn a_table_of_either_type_holds_what_was_written_and_a_snapshot_what_was_there() {
    for table_type in TYPES {
        let (table, mut model) = (table(table_type), BTreeMap::new());
        assert_eq!(table.table_type(), table_type);
        for n in 0..5000u64 {
            let key = (n * 7919 % 3001).to_be_bytes();
            if n % 4 == 3 {
                table.remove(&key);
                model.remove(&key[..]);
            } else {
                table.insert(item(&key, n));
                model.insert(key.to_vec(), n);
            }
        }
        let bytes = model.len() * (8 + b"value".len());
        assert_eq!((table.entries(), table.bytes()), (model.len() as u64, bytes as u64));
        let snapshot = table.snapshot(5000, None);
        assert_eq!((snapshot.revision(), snapshot.table_type()), (5000, table_type));
        for n in 0..3001u64 {
            let found = table.get(&n.to_be_bytes()).map(|item| item.revision());
            assert_eq!(found, model.get(&n.to_be_bytes()[..]).copied());
            table.remove(&n.to_be_bytes());
        }
        assert_eq!((table.entries(), table.bytes()), (0, 0));
        let mut seen = content(&snapshot);
        if table_type == TableType::Set {
            seen.sort();
        }
        assert_eq!(seen, Vec::from_iter(model));
    }
}

#[test]
fn a_snapshot_of_either_type_is_revoked_when_it_holds_back_too_much() {
    for table_type in TYPES {
        let table = filled(table_type, &[b"a", b"b"], 1);
        let (bound, unbound) = (table.snapshot(1, Some(0)), table.snapshot(1, None));
        table.remove(b"a");
        let walked = bound.walk(|_| Ok::<_, Revoked>(()));
        assert_eq!((walked, content(&unbound).len()), (Err(Revoked), 2));
    }
}

#[test]
fn a_set_becomes_ordered_as_long_as_it_is_empty() {
    let table = Table::default();
    table.insert(item(b"a", 1));
    let before = table.snapshot(1, None);
    assert!(!table.become_ordered());
    assert!(table.get(b"a").is_some() && table.table_type() == TableType::Set);
    table.remove(b"a");
    assert!(table.become_ordered());
    assert!(table.get(b"a").is_none() && table.table_type() == TableType::OrderedSet);
    table.insert(item(b"b", 2));
    assert!(table.become_ordered(), "it is");
    assert!(matches!(table.typed(), Typed::Ordered(ordered) if ordered.get(b"b").is_some()));
    assert_eq!((content(&before), table.entries()), (vec![(b"a".to_vec(), 1)], 1));
}

/// Else one who asks late whether the next write is applied would read the empty set for it.
#[test]
fn a_set_becomes_ordered_when_those_who_read_it_are_done() {
    let (table, (reading, is_read)) = (&Table::default(), channel());
    let is_turned = &AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(move || {
            let may_read = || {
                reading.send(()).unwrap();
                thread::sleep(Duration::from_millis(20));
                !is_turned.load(Ordering::SeqCst)
            };
            assert_eq!(table.with_item_if(b"a", may_read, |_| ()), Some(Some(())));
        });
        is_read.recv().unwrap();
        assert!(table.become_ordered());
        is_turned.store(true, Ordering::SeqCst);
    });
}

#[test]
fn a_table_takes_what_another_has_and_becomes_ordered_with_it_but_never_a_set_again() {
    for (own, others) in [(0, 0), (1, 1), (0, 1)] {
        let table = filled(TYPES[own], &[b"a", b"b"], 1);
        let other = filled(TYPES[others], &[b"b", b"c", b"d"], 2);
        let before = table.snapshot(1, None);
        assert!(table.replace_with(&other));
        assert_eq!((table.table_type(), table.entries()), (TYPES[others], 3));
        assert!(table.get(b"a").is_none());
        assert_eq!(table.get(b"b").map(|item| item.revision()), Some(2));
        assert_eq!(other.with_item(b"b", |_| ()), None, "it is closed");
        table.insert(item(b"e", 3));
        let mut seen = content(&before);
        seen.sort();
        assert_eq!(seen, [(b"a".to_vec(), 1), (b"b".to_vec(), 1)]);
        table.close();
        assert_eq!(table.with_item(b"b", |_| ()), None);
        assert_eq!(content(&table.snapshot(4, None)), []);
    }
    let (table, other) = (filled(TYPES[1], &[b"a"], 1), filled(TYPES[0], &[b"b"], 2));
    assert!(!table.replace_with(&other));
    assert!(table.get(b"a").is_some() && other.get(b"b").is_some());
}

#[test]
fn an_ordered_table_has_ranges_and_a_set_has_none() {
    for (table_type, first, last) in
        [(TableType::OrderedSet, vec![2, 3], vec![4, 3]), (TableType::Set, vec![], vec![])]
    {
        let table = table(table_type);
        (1..6u64).for_each(|n| _ = table.insert(item(&[n as u8], n)));
        let range = |is_reverse| {
            let ends = (Bound::Excluded(&[1][..]), Bound::Included(&[4][..]));
            let found = table.range(ends, is_reverse, 2);
            found.iter().map(Item::revision).collect::<Vec<_>>()
        };
        assert_eq!((range(false), range(true)), (first, last));
    }
}

#[test]
fn a_range_is_removed_in_steps_that_say_how_much_they_removed() {
    let every = || (Bound::Unbounded, Bound::Unbounded);
    let table = table(TableType::OrderedSet);
    (0..1000u64).for_each(|n| _ = table.insert(item(&n.to_be_bytes(), n)));
    let steps: Vec<usize> = std::iter::from_fn(|| {
        Some(table.remove_some(every()).len()).filter(|removed| *removed > 0)
    })
    .take(1001)
    .collect();
    assert_eq!((steps.iter().sum::<usize>(), table.entries()), (1000, 0));
    let set = filled(TableType::Set, &[b"a"], 1);
    assert_eq!((set.remove_some(every()).len(), set.entries()), (0, 1));
}
