//! Which watches a change is for: the index beside a search that looks at each.

use super::super::index::Index;
use super::*;
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::BTreeSet;

/// Short, and of few bytes, so that ranges begin and end at the same keys and at their successors.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    vec(0..3u8, 0..4)
}

fn bound() -> impl Strategy<Value = Bound<Vec<u8>>> {
    prop_oneof![
        1 => Just(Bound::Unbounded),
        3 => bytes().prop_map(Bound::Included),
        3 => bytes().prop_map(Bound::Excluded),
    ]
}

fn keys() -> impl Strategy<Value = Keys> {
    prop_oneof![
        2 => bytes().prop_map(Keys::One),
        6 => (bound(), bound()).prop_map(|(from, to)| Keys::Range(from, to)),
        1 => Just(Keys::All),
    ]
}

proptest! {
    #[test]
    fn the_index_finds_what_a_search_through_all_watches_finds(
        steps in vec((keys(), any::<bool>(), any::<prop::sample::Index>()), 1..200),
        looked_up in vec(bytes(), 20),
    ) {
        let (mut index, mut watches) = (Index::default(), BTreeMap::new());
        for (id, (keys, is_added, which)) in steps.into_iter().enumerate() {
            let table = if id % 5 == 0 { SET } else { ORDERED };
            if is_added || watches.is_empty() {
                index.add(id as u64, table, &keys);
                watches.insert(id as u64, (table, keys));
            } else {
                let id = *which.get(&watches.keys().collect::<Vec<_>>());
                let id = *id;
                let (table, keys) = watches.remove(&id).unwrap();
                index.remove(id, table, &keys);
            }
        }
        for (table, key) in looked_up.iter().flat_map(|key| [(SET, key), (ORDERED, key)]) {
            let mut found = Vec::new();
            index.each(table, key, |id| found.push(id));
            let has = |(id, (of, keys)): (&u64, &(&str, Keys))| {
                (*of == table && keys.has(key)).then_some(*id)
            };
            let expected: BTreeSet<u64> = watches.iter().filter_map(has).collect();
            prop_assert_eq!(found.len(), expected.len(), "each once");
            prop_assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), expected);
        }
        for (id, (table, keys)) in watches {
            index.remove(id, table, &keys);
        }
        prop_assert!(!index.has_table(SET) && !index.has_table(ORDERED));
    }
}
