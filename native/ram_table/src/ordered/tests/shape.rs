//! The shape of the tree: how full its nodes are, and what a search reads.

use super::*;

#[test]
fn keys_in_order_either_way_fill_leaves_and_others_most_of_them() {
    let count = 5000;
    let fill = |table: OrderedTable| {
        let leaves = leaves(&table).len();
        f64::from(count) / (leaves * ENTRIES_MAX) as f64
    };
    let one_less_than_full = (ENTRIES_MAX - 1) as f64 / ENTRIES_MAX as f64 - 0.01;
    assert!(fill(table(0..count)) > one_less_than_full);
    assert!(fill(table((0..count).rev())) > one_less_than_full);
    let random = fill(table(shuffled(count)));
    assert!(random > 0.75, "{random}");
}

/// How many children each inner node has; the root comes first.
fn fanouts(table: &OrderedTable) -> Vec<usize> {
    fn visit(node: &Node, seen: &mut Vec<usize>) {
        if let Node::Inner(inner) = node {
            seen.push(inner.children.len());
            inner.children.iter().for_each(|child| visit(child, seen));
        }
    }
    let mut seen = Vec::new();
    table.tree.read(|tree| visit(tree.as_ref().unwrap().root(), &mut seen));
    seen
}

#[test]
fn keys_in_order_fill_inner_nodes_and_others_more_than_half_of_them() {
    let table = table(0..0);
    for key in 0..10_000 {
        table.insert(item(&number(key), 1));
        assert!(fanouts(&table).iter().all(|children| *children > 1), "{key}");
    }
    let [_root, full @ .., _last] = &*fanouts(&table) else { panic!("no inner nodes") };
    assert!(full.len() > 1 && full.iter().all(|children| *children + 3 > ENTRIES_MAX), "{full:?}");
    let others = fanouts(&self::table(shuffled(20_000)));
    let children: usize = others.iter().sum();
    assert!(others.len() > 3 && children > others.len() * ENTRIES_MAX / 2, "{others:?}");
}

#[test]
fn a_leaf_that_is_full_shares_evenly_with_a_neighbour_that_has_room() {
    let full = ENTRIES_MAX as u32 - 1;
    for neighbour in [0, 2] {
        let table = table((0..4 * full).map(|at| 10 * at));
        assert_eq!(leaves(&table), [full as usize; 4]);
        for at in 0..full / 2 {
            table.remove(&number(10 * (neighbour * full + at)));
        }
        (1..3).for_each(|key| _ = table.insert(item(&number(10 * full + key), 1)));
        let leaves = leaves(&table);
        let (one, other) = (leaves[1], leaves[neighbour as usize]);
        assert!(leaves.len() == 4 && one.abs_diff(other) <= 2, "{leaves:?}");
    }
}

#[test]
fn a_small_leaf_is_merged_with_either_neighbour_where_both_are_small_enough() {
    let full = ENTRIES_MAX as u32 - 1;
    for small in [0, 1] {
        let table = table(0..2 * full);
        assert_eq!(leaves(&table), [full as usize; 2]);
        let keep = |leaf: u32, items: u32| {
            (leaf * full + items..(leaf + 1) * full).for_each(|key| _ = table.remove(&number(key)));
        };
        keep(1 - small, ENTRIES_MAX as u32 / 2);
        keep(small, ENTRIES_MAX as u32 / 4);
        assert_eq!(leaves(&table).len(), 2);
        table.remove(&number(small * full));
        assert_eq!(leaves(&table), [3 * ENTRIES_MAX / 4 - 1]);
    }
}

#[test]
fn a_table_that_shrinks_merges_its_leaves() {
    let table = table(shuffled(5000));
    let before = leaves(&table).len();
    for key in shuffled(5000).into_iter().filter(|key| key % 10 != 0) {
        table.remove(&number(key));
    }
    let after = leaves(&table).len();
    assert!(after * 3 < before, "{after} leaves of {before} for a tenth of the items");
    for key in shuffled(5000).into_iter().filter(|key| key % 10 == 0) {
        table.remove(&number(key));
        leaves(&table);
    }
}

/// Counts how often its key is read.
#[derive(Clone)]
struct Counted<'a>(Vec<u8>, &'a std::cell::Cell<usize>);
impl super::sorted::Keyed for Counted<'_> {
    fn key(&self) -> &[u8] {
        self.1.set(self.1.get() + 1);
        &self.0
    }
}

#[test]
fn a_search_reads_only_keys_that_are_alike_in_what_is_not_common_to_all() {
    let (reads, mut node) = (std::cell::Cell::new(0), Sorted::default());
    let key = |at: u32| [b"a long beginning".as_slice(), &number(at)].concat();
    for at in 0..ENTRIES_MAX {
        node.insert(at, Counted(key(at as u32), &reads));
    }
    reads.set(0);
    assert_eq!(node.find(&key(5)).map(|found| found.0.clone()), Some(key(5)));
    assert_eq!(reads.get(), 1);
    // Another beginning takes that of the first one, to know which side it is on.
    for (other, at) in [(&b"a long"[..], 0), (b"b", ENTRIES_MAX), (b"", 0)] {
        assert!(node.find(other).is_none());
        assert_eq!(node.place(other), Err(at), "{other:?}");
    }
}

/// What a part has in common may be more than what the whole had.
#[test]
fn a_search_in_what_was_cut_off_reads_one_key() {
    let reads = std::cell::Cell::new(0);
    let half = ENTRIES_MAX / 2;
    // The keys of the other half differ beyond a tag; or the last one does in its last byte.
    let long = |at: usize| [b"z a long beginning".as_slice(), &[at as u8]].concat();
    let short = |at: usize| [b"z x", &[u8::from(at + 1 == half)][..], &[at as u8]].concat();
    for key in [&long as &dyn Fn(usize) -> Vec<u8>, &short] {
        let mut node = Sorted::default();
        for at in 0..half {
            node.insert(at, Counted(vec![b'a', at as u8], &reads));
        }
        for at in 0..half {
            node.insert(half + at, Counted(key(at), &reads));
        }
        let rest = node.split_off(half);
        reads.set(0);
        assert_eq!(rest.find(&key(1)).map(|found| found.0.clone()), Some(key(1)));
        assert_eq!(reads.get(), 1);
    }
}
