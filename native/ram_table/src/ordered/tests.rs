use super::node::{Inner, Node};
use super::sorted::{ENTRIES_MAX, Sorted};
use super::*;
use crate::item::Meta;
use crate::snapshot::Revoked;
use crate::value::{Representation, SharedRepresentation, StoredValue};
use model::Random;
use std::collections::BTreeSet;
use std::ops::Bound::Included;

mod model;
mod shape;

fn item(key: &[u8], revision: u64) -> Item {
    Item::new(key, StoredValue::plain(&revision.to_le_bytes()), &Meta::created(revision))
}

fn number(number: u32) -> [u8; 4] {
    number.to_be_bytes()
}

fn table(numbers: impl IntoIterator<Item = u32>) -> OrderedTable {
    let table = OrderedTable::default();
    numbers.into_iter().for_each(|key| _ = table.insert(item(&number(key), 1)));
    table
}

fn shuffled(count: u32) -> Vec<u32> {
    let (mut random, mut numbers) = (Random(88172645463325252), Vec::from_iter(0..count));
    (1..numbers.len()).for_each(|at| numbers.swap(at, random.below(at as u64 + 1) as usize));
    numbers
}

fn pairs(items: &[Item]) -> Vec<(Vec<u8>, u64)> {
    items.iter().map(|item| (item.key().to_vec(), item.revision())).collect()
}

/// Checks what holds of every tree, and returns the number of items of each leaf.
fn leaves(table: &OrderedTable) -> Vec<usize> {
    fn visit(
        node: &Node,
        low: &[u8],
        high: Option<&[u8]>,
        depth: u32,
        seen: &mut Vec<(u32, usize)>,
    ) {
        match node {
            Node::Leaf(leaf) => {
                let keys: Vec<&[u8]> = leaf.entries().iter().map(Item::key).collect();
                assert!(keys.is_sorted_by(|one, next| one < next), "{keys:?}");
                for (at, key) in keys.iter().enumerate() {
                    assert!(low <= *key && high.is_none_or(|high| *key < high), "{key:?}");
                    assert_eq!(leaf.place(key), Ok(at));
                }
                seen.push((depth, keys.len()));
            }
            Node::Inner(inner) => {
                let mut bounds = vec![low];
                bounds.extend(inner.separators());
                assert_eq!(inner.children.len(), bounds.len());
                assert!(depth > 0 || bounds.len() > 1, "a root with one child");
                assert!(bounds.is_sorted(), "{bounds:?}");
                for (at, child) in inner.children.iter().enumerate() {
                    visit(child, bounds[at], bounds.get(at + 1).copied().or(high), depth + 1, seen);
                }
            }
        }
    }
    let mut seen = Vec::new();
    table.tree.read(|tree| visit(tree.as_ref().unwrap().root(), &[], None, 0, &mut seen));
    assert!(seen.iter().all(|(depth, _)| *depth == seen[0].0), "{seen:?}");
    assert!(seen.len() == 1 || seen.iter().all(|(_, items)| *items > 0), "{seen:?}");
    seen.into_iter().map(|(_, items)| items).collect()
}

/// All from one bound to the other; how many these were.
fn remove_range(table: &OrderedTable, from: Bound<&[u8]>, to: Bound<&[u8]>) -> u64 {
    std::iter::repeat_with(|| table.remove_some(from, to).len() as u64)
        .take_while(|some| *some > 0)
        .sum()
}

#[test]
fn the_first_change_of_a_leaf_after_a_snapshot_copies_a_path_and_the_next_one_nothing() {
    let mut tree = Tree::default();
    (0..2000).for_each(|key| _ = tree.insert(item(&number(key), 1)));
    assert_eq!(tree.take_copied_bytes(), 0);
    let (snapshot, mut depth, mut node) = (tree.clone(), 0, tree.root());
    while let Node::Inner(inner) = node {
        (depth, node) = (depth + 1, &inner.children[0]);
    }
    let path = depth * size_of::<Inner>() + size_of::<Sorted<Item>>();
    tree.insert(item(&number(0), 2));
    assert_eq!((depth, tree.take_copied_bytes()), (2, path as u64));
    tree.insert(item(&number(1), 2));
    tree.remove(b"none of that key");
    assert_eq!(tree.take_copied_bytes(), 0);
    assert_eq!(snapshot.get(&number(1)).unwrap().revision(), 1);
    drop(snapshot);
    tree.remove(&number(150));
    assert_eq!(tree.take_copied_bytes(), 0);
}

/// Stands for a value, and is counted by the owners of what it holds.
struct Witness(#[allow(dead_code)] Arc<()>);

impl Representation for Witness {
    fn value(&self, stored: &[u8]) -> Vec<u8> {
        stored.to_vec()
    }

    fn value_bytes(&self, stored: &[u8]) -> usize {
        stored.len()
    }
}

fn witnessed(key: u32, revision: u64, witness: &Arc<()>) -> Item {
    let representation = SharedRepresentation::new(Witness(witness.clone()));
    Item::new(
        &number(key),
        StoredValue::represented(vec![0; 1000], representation),
        &Meta::created(revision),
    )
}

fn alive(witness: &Arc<()>) -> usize {
    Arc::strong_count(witness) - 1
}

#[test]
fn a_snapshot_that_holds_back_more_than_it_may_is_revoked_and_holds_nothing() {
    let (table, witness) = (OrderedTable::default(), Arc::new(()));
    (0..100).for_each(|key| _ = table.insert(witnessed(key, 1, &witness)));
    let bounded = table.snapshot(1, Some(60_000));
    let later = table.snapshot(1, Some(60_000));
    let unbounded = table.snapshot(1, None);
    (0..30).for_each(|key| _ = table.insert(item(&number(key), 2)));
    assert_eq!(bounded.range(Unbounded, Unbounded, false, 200).unwrap().len(), 100);
    // A key that is written again and again holds nothing back, but for its first value.
    (3..1000).for_each(|revision| _ = table.insert(witnessed(0, revision, &witness)));
    assert!(bounded.get(&number(0)).is_ok());
    assert_eq!(table.snapshots.live(), 3);
    drop(unbounded);
    assert_eq!(table.snapshots.live(), 2);
    (30..80).for_each(|key| _ = table.insert(item(&number(key), 1000)));
    assert_eq!(bounded.get(&number(0)).err(), Some(Revoked));
    assert_eq!(later.range(Unbounded, Unbounded, true, 1).err(), Some(Revoked));
    while table.reclaimer.free(1) {}
    // 80 to 99, and 0.
    assert_eq!(alive(&witness), 21);
    let newer = table.snapshot(1000, Some(60_000));
    assert_eq!(newer.get(&number(30)).unwrap().unwrap().revision(), 1000);
}

#[test]
fn a_snapshot_holds_back_the_nodes_that_were_copied_for_it_and_all_of_a_table_that_goes() {
    let table = table(0..2000);
    let leaf_bytes = size_of::<Sorted<Item>>() as u64;
    let snapshot = table.snapshot(1, Some(100 * leaf_bytes));
    let other = table.snapshot(1, Some(1_000_000));
    // The items alone have a fifth of that.
    (0..90).for_each(|leaf| _ = table.insert(item(&number(leaf * ENTRIES_MAX as u32), 2)));
    assert_eq!(snapshot.get(&number(0)).err(), Some(Revoked));
    assert!(other.get(&number(0)).is_ok());
    let small = table.snapshot(2, Some(10_000));
    table.close();
    assert!(small.get(&number(0)).is_err() && other.get(&number(0)).is_ok());
}

#[test]
fn a_scan_that_is_revoked_sees_its_block_to_the_end_and_frees_nothing_but_in_steps() {
    let (table, witness) = (OrderedTable::default(), Arc::new(()));
    (0..1000).for_each(|key| _ = table.insert(witnessed(key, 1, &witness)));
    let snapshot = table.snapshot(1, Some(0));
    let seen = snapshot.with_tree(|tree| {
        table.close();
        while table.reclaimer.free(1) {}
        tree.get(&number(7)).map(Item::revision)
    });
    assert_eq!((seen, snapshot.get(&number(7)).err()), (Ok(Some(1)), Some(Revoked)));
    assert_eq!(alive(&witness), 1000);
    while table.reclaimer.free(1) {}
    assert_eq!(alive(&witness), 0);
}

#[test]
fn a_snapshot_without_a_bound_outlives_everything() {
    let table = table(0..1000);
    let snapshot = table.snapshot(1, None);
    assert_eq!(remove_range(&table, Unbounded, Unbounded), 1000);
    table.close();
    drop(table);
    let range = snapshot.range(Included(&number(998)), Unbounded, false, 9).unwrap();
    assert_eq!(pairs(&range), [(number(998).to_vec(), 1), (number(999).to_vec(), 1)]);
}

#[test]
fn what_was_shown_is_freed_in_bounded_steps_whoever_lets_go_of_it() {
    const COUNT: u32 = 2000;
    let witness = Arc::new(());
    let filled = || {
        let table = OrderedTable::default();
        (0..COUNT).for_each(|key| _ = table.insert(witnessed(key, 1, &witness)));
        table
    };
    let frees_in_steps = |reclaimer: &Reclaimer| {
        while {
            let before = alive(&witness);
            let more = reclaimer.free(1);
            assert!(before - alive(&witness) <= ENTRIES_MAX);
            more
        } {}
        assert_eq!(alive(&witness), 0);
    };
    let closed = filled();
    closed.close();
    assert_eq!(alive(&witness), COUNT as usize);
    frees_in_steps(&closed.reclaimer);

    let table = filled();
    let snapshot = table.snapshot(1, None);
    let other = OrderedTable::default();
    table.replace_with(&other);
    drop(snapshot);
    assert!(alive(&witness) + 10 * ENTRIES_MAX > COUNT as usize, "{}", alive(&witness));
    frees_in_steps(&table.reclaimer);

    let table = filled();
    let reclaimer = table.reclaimer.clone();
    drop(table);
    assert_eq!(alive(&witness), COUNT as usize);
    frees_in_steps(&reclaimer);

    let table = filled();
    table.close();
    let shown = OrderedTable::new(table.reclaimer.clone());
    (0..COUNT).for_each(|key| _ = shown.insert(item(&number(key), 1)));
    assert_eq!(alive(&witness), 0, "changes of another table free it too");
}

#[test]
fn a_table_shows_what_took_its_place_and_nothing_when_it_is_closed() {
    let (shown, other) = (table(0..10), table(5..8));
    shown.replace_with(&other);
    assert_eq!((shown.entries(), shown.bytes()), (3, 3 * 12));
    assert_eq!(shown.first().unwrap().key(), number(5));
    other.insert(item(&number(1), 2));
    assert_eq!(other.with_item(&number(1), |_| ()), None);
    assert!(
        shown.get(&number(1)).is_none()
            && other.snapshot(2, None).get(&number(5)).unwrap().is_none()
    );
    let may_read = |table: &OrderedTable, may| table.with_item_if(&number(5), || may, |_| ());
    assert_eq!((may_read(&shown, true), may_read(&shown, false)), (Some(Some(())), Some(None)));
    shown.close();
    assert_eq!((may_read(&shown, true), shown.entries(), shown.bytes()), (None, 0, 0));
    assert!(shown.range(Unbounded, Unbounded, false, 1).is_none() && shown.first().is_none());
    assert_eq!(remove_range(&shown, Unbounded, Unbounded), 0);
}

#[test]
fn readers_and_scans_see_one_moment_each_while_a_writer_writes() {
    const KEYS: u32 = 300;
    let table = &table(0..KEYS);
    let is_over = &std::sync::atomic::AtomicBool::new(false);
    let is_running = || !is_over.load(Ordering::Relaxed);
    let (scans, to_scan) = std::sync::mpsc::sync_channel::<OrderedSnapshot>(4);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for snapshot in to_scan {
                let all = snapshot.range(Unbounded, Unbounded, false, usize::MAX).unwrap();
                let newest = all.iter().map(Item::revision).max();
                assert_eq!(newest, Some(snapshot.revision()));
                assert_eq!(all.len() as u64, snapshot.entries());
            }
        });
        for _ in 0..2 {
            scope.spawn(|| {
                let mut newest = 1;
                while is_running() {
                    // Every key was written in the last round or this one, in order.
                    let all = table.range(Unbounded, Unbounded, false, usize::MAX).unwrap();
                    let revisions: BTreeSet<u64> = all.iter().map(Item::revision).collect();
                    assert!(revisions.len() <= KEYS as usize && all.len() >= KEYS as usize - 1);
                    assert!(revisions.last() >= Some(&newest));
                    newest = *revisions.last().unwrap();
                }
            });
        }
        for revision in 2..20_000 {
            let key = number(revision as u32 % KEYS);
            table.remove(&key);
            table.insert(item(&key, revision));
            if revision % 50 == 0 {
                scans.send(table.snapshot(revision, None)).unwrap();
            }
        }
        drop(scans);
        is_over.store(true, Ordering::Relaxed);
    });
    assert_eq!(leaves(table).iter().sum::<usize>(), KEYS as usize);
}
