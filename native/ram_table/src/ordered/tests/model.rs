//! The table against a map, by random operations on keys that are hard to tell apart.

use super::*;
use std::collections::BTreeMap;

type Model = BTreeMap<Vec<u8>, u64>;
type Bytes<'a> = Bound<&'a [u8]>;

/// Xorshift.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }

    /// Keys that begin alike for long, keys that end in zeros, the empty key, and keys apart.
    fn key(&mut self, family: u64) -> Vec<u8> {
        let short: Vec<u8> =
            (0..self.below(6)).map(|_| [0, 1, 255][self.below(3) as usize]).collect();
        match family {
            0 => short,
            1 => [b"all of them begin with that".as_slice(), &short].concat(),
            2 => (self.below(3000) as u32).to_be_bytes().to_vec(),
            _ => self.key(self.0 % 3),
        }
    }

    fn bound<'a>(&mut self, key: &'a [u8]) -> Bytes<'a> {
        [Included(key), Excluded(key), Unbounded][self.below(3) as usize]
    }
}

fn wanted(
    model: &Model,
    from: Bytes,
    to: Bytes,
    is_reverse: bool,
    limit: usize,
) -> Vec<(Vec<u8>, u64)> {
    let is_within = |key: &[u8]| {
        (match from {
            Included(from) => key >= from,
            Excluded(from) => key > from,
            Unbounded => true,
        }) && match to {
            Included(to) => key <= to,
            Excluded(to) => key < to,
            Unbounded => true,
        }
    };
    let mut all: Vec<_> = model.iter().filter(|(key, _)| is_within(key)).collect();
    if is_reverse {
        all.reverse();
    }
    all.into_iter().take(limit).map(|(key, revision)| (key.clone(), *revision)).collect()
}

fn matches_the_model(table: &OrderedTable, model: &Model, random: &mut Random, family: u64) {
    let (one, other) = (random.key(family), random.key(family));
    let (from, to) = (random.bound(&one), random.bound(&other));
    let (is_reverse, limit) = (random.below(2) == 0, random.below(40) as usize);
    let found = table.range(from, to, is_reverse, limit).unwrap();
    assert_eq!(pairs(&found), wanted(model, from, to, is_reverse, limit));
    assert_eq!(table.get(&one).map(|item| item.revision()), model.get(&one).copied());
    let key = |item: Option<Item>| item.map(|item| item.key().to_vec());
    let first = |from, to, is_reverse| wanted(model, from, to, is_reverse, 1).pop().map(|it| it.0);
    assert_eq!(key(table.next(&one)), first(Excluded(&one), Unbounded, false));
    assert_eq!(key(table.prev(&one)), first(Unbounded, Excluded(&one), true));
    assert_eq!(key(table.first()), first(Unbounded, Unbounded, false));
    assert_eq!(key(table.last()), first(Unbounded, Unbounded, true));
    let bytes: usize = model.keys().map(|key| key.len() + size_of::<u64>()).sum();
    assert_eq!((table.entries(), table.bytes()), (model.len() as u64, bytes as u64));
}

fn snapshot_matches(snapshot: &OrderedSnapshot, model: &Model, random: &mut Random) {
    let (is_reverse, limit) = (random.below(2) == 0, 1 + random.below(100) as usize);
    let (mut all, mut last) = (Vec::new(), None::<Vec<u8>>);
    loop {
        let after = last.as_deref().map_or(Unbounded, Excluded);
        let (from, to) = if is_reverse { (Unbounded, after) } else { (after, Unbounded) };
        let block = pairs(&snapshot.range(from, to, is_reverse, limit).unwrap());
        let Some((key, _)) = block.last() else { break };
        last = Some(key.clone());
        all.extend(block);
    }
    assert_eq!(all, wanted(model, Unbounded, Unbounded, is_reverse, usize::MAX));
    assert_eq!(snapshot.entries(), model.len() as u64);
}

/// With this seed; what is compared is told where it differs.
fn behaves_as_a_map(seed: u64) {
    let (mut random, mut model, table) = (Random(seed), Model::new(), OrderedTable::default());
    let mut snapshots: Vec<(OrderedSnapshot, Model)> = Vec::new();
    let family = random.below(4);
    // Grows for long, then shrinks for long.
    for revision in 1..2000 {
        let key = random.key(family);
        let inserts = if revision < 1200 { 75 } else { 30 };
        match random.below(100) {
            0 => {
                snapshots.push((table.snapshot(revision - 1, None), model.clone()));
            }
            1 if !snapshots.is_empty() => {
                let at = random.below(snapshots.len() as u64) as usize;
                let (snapshot, model) = snapshots.swap_remove(at);
                snapshot_matches(&snapshot, &model, &mut random);
            }
            2 => {
                let other = random.key(family);
                let (from, to) = (Included(key.as_slice()), Excluded(other.as_slice()));
                let gone = wanted(&model, from, to, false, usize::MAX);
                if gone.len() < 50 {
                    gone.iter().for_each(|(key, _)| _ = model.remove(key));
                    assert_eq!(remove_range(&table, from, to), gone.len() as u64);
                }
            }
            dice if dice < inserts => {
                table.insert(item(&key, revision));
                model.insert(key, revision);
            }
            _ => {
                table.remove(&key);
                model.remove(&key);
            }
        }
        if revision % 3 == 0 {
            matches_the_model(&table, &model, &mut random, family);
        }
        if revision % 100 == 0 {
            leaves(&table);
        }
    }
    snapshots.iter().for_each(|(snapshot, model)| snapshot_matches(snapshot, model, &mut random));
    let gone = remove_range(&table, Unbounded, Unbounded);
    assert_eq!((gone, leaves(&table)), (model.len() as u64, vec![0]));
}

#[test]
fn a_table_and_its_snapshots_do_as_a_map_and_its_copies_do() {
    let first = std::env::var("RAM_SEED").ok().and_then(|seed| seed.parse().ok());
    for seed in first.map_or(1..=12, |seed: u64| seed..=seed) {
        let run =
            std::panic::catch_unwind(|| behaves_as_a_map(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15)));
        assert!(run.is_ok(), "RAM_SEED={seed} shows it again");
    }
}
