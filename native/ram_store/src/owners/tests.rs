use super::*;
use crate::observe::Gone;
use proptest::collection::vec;
use proptest::prelude::*;
use ram_table::item::Meta;
use ram_table::value::StoredValue;

const ALL: Portion = Portion { keys: usize::MAX, bytes: usize::MAX };
const TABLES: [&str; 2] = ["", "t"];

fn owner(number: u8) -> Vec<u8> {
    match number {
        0 => Vec::new(),
        _ => Owner { member: 7, run: u64::from(number % 2), name: &[number] }.encode(),
    }
}

fn item(key: u8, owner: &[u8]) -> Item {
    Item::owned(&[key], StoredValue::plain(b"v"), &Meta::created(1), owner)
}

/// The owner of each key of each table.
type Model = BTreeMap<(&'static str, u8), Vec<u8>>;

fn owned_by<'a>(model: &'a Model, owner: &'a [u8]) -> impl Iterator<Item = (&'static str, u8)> {
    model.iter().filter(move |(_, known)| *known == owner).map(|(key, _)| *key)
}

fn names(keys: &[Owned]) -> BTreeSet<(&str, u8)> {
    keys.iter().map(|Owned { table, item }| (&**table, item.key()[0])).collect()
}

fn compare(owners: &Owners, model: &Model) {
    let known: BTreeSet<Run> = model.values().filter_map(|owner| run_of(owner)).collect();
    assert_eq!(owners.runs(), known);
    for owner in (1..6).map(owner) {
        let expected: BTreeSet<_> = owned_by(model, &owner).collect();
        assert_eq!(owners.has(&owner), !expected.is_empty());
        let mut taken = Vec::new();
        assert!(owners.take_of_owner(&owner, &mut ALL.clone(), &mut taken));
        assert_eq!((names(&taken), taken.len()), (expected, taken.len()));
        assert!(taken.iter().all(|Owned { table, item }| {
            item.owner() == owner && owners.has_key(table, item.key(), &owner)
        }));
    }
    for run in [0, 1].map(|run| Run { member: 7, run }) {
        let of_run = |owner: &[u8]| run_of(owner) == Some(run);
        let expected = model.iter().filter(|(_, owner)| of_run(owner)).map(|(key, _)| *key);
        let mut taken = Vec::new();
        assert!(owners.take_of_run(run, &mut ALL.clone(), &mut taken));
        assert_eq!(names(&taken), expected.collect());
        let each: Vec<Owned> = owners.keys_of_run(run).collect();
        assert_eq!(names(&each), names(&taken));
    }
}

proptest! {
    #[test]
    fn what_is_listed_is_what_the_keys_have(
        changes in vec((0usize..2, 0u8..6, proptest::option::of(0u8..6), 0u8..20), 0..60)
    ) {
        let (mut owners, mut model) = (Owners::default(), Model::new());
        let mut items: BTreeMap<(&str, u8), Item> = BTreeMap::new();
        for (table, key, new, drop) in changes {
            let table = TABLES[table];
            let before = model.clone();
            let has = |model: &Model, owner: &[u8]| owned_by(model, owner).next().is_some();
            let mut turns = Vec::new();
            if drop == 0 {
                items.retain(|(of, _), _| *of != table);
                model.retain(|(of, _), _| *of != table);
                owners.dropped(table, |owner| turns.push((owner.to_vec(), Turn::Freed)));
            } else {
                let new = new.map(|number| item(key, &owner(number)));
                let old = match &new {
                    Some(new) => items.insert((table, key), new.clone()),
                    None => items.remove(&(table, key)),
                };
                match new.as_ref().map(Item::owner).filter(|owner| !owner.is_empty()) {
                    Some(owner) => _ = model.insert((table, key), owner.to_vec()),
                    None => _ = model.remove(&(table, key)),
                }
                let (old, new) = (old.as_ref(), new.as_ref());
                let change = Change { table, old, new, gone: Gone::Deleted };
                owners.changed(&change, |owner, turn| turns.push((owner.to_vec(), turn)));
            }
            let mut expected = Vec::new();
            for owner in (1..6).map(owner) {
                match (has(&before, &owner), has(&model, &owner)) {
                    (true, false) => expected.push((owner, Turn::Freed)),
                    (false, true) => expected.push((owner, Turn::Gained)),
                    _ => {}
                }
            }
            turns.sort_by(|one, other| one.0.cmp(&other.0));
            expected.sort_by(|one, other| one.0.cmp(&other.0));
            prop_assert_eq!(turns, expected);
            compare(&owners, &model);
        }
        while owners.free_some() {}
        prop_assert_eq!(owners.is_idle(), model.is_empty());
    }
}

#[test]
fn a_portion_is_bounded_in_keys_and_in_bytes() {
    let mut owners = Owners::default();
    (0..100).for_each(|key| owners.insert("", &item(key, &owner(1))));
    let run = Run { member: 7, run: 1 };
    for (mut portion, expected) in [
        (Portion { keys: 7, ..ALL }, 7),
        (Portion { bytes: 21 * 5, ..ALL }, 5),
        (Portion { keys: 100, ..ALL }, 100),
    ] {
        let mut taken = Vec::new();
        let mut again = portion;
        assert_eq!(owners.take_of_run(run, &mut portion, &mut taken), expected == 100);
        assert_eq!(taken.len(), expected);
        taken.clear();
        assert_eq!(owners.take_of_owner(&owner(1), &mut again, &mut taken), expected == 100);
        assert_eq!(taken.len(), expected);
    }
}

#[test]
fn what_was_dropped_is_freed_in_parts() {
    let mut owners = Owners::default();
    for key in 0..1000u32 {
        for number in [1, 3] {
            let key = key.to_be_bytes();
            let value = StoredValue::plain(b"v");
            owners.insert("t", &Item::owned(&key, value, &Meta::created(1), &owner(number)));
        }
    }
    owners.dropped("t", |_| ());
    assert!(owners.runs().is_empty() && !owners.is_idle());
    let mut parts = 0;
    while owners.free_some() {
        parts += 1;
    }
    assert!((4..100).contains(&parts) && owners.is_idle(), "{parts}");
}
