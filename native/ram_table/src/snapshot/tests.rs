use super::*;
use crate::hash::{HashTable, Locks};
use crate::item::Meta;
use crate::value::{Representation, SharedRepresentation, StoredValue};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::mpsc::sync_channel;
use std::thread;

type Content = BTreeMap<Vec<u8>, u64>;

/// A table and what it should hold: of each key the revision of its newest write.
struct Checked {
    table: HashTable,
    content: Content,
    revision: u64,
}

impl Default for Checked {
    fn default() -> Self {
        let table = HashTable::with_capacity(0, Locks::Many, Arc::default());
        Checked { table, content: Content::new(), revision: 1 }
    }
}

impl Checked {
    fn put(&mut self, key: &[u8], value_bytes: usize) {
        let meta = Meta::created(self.revision);
        let value = vec![0; value_bytes];
        self.table.insert(Item::new(key, StoredValue::plain(&value), &meta));
        self.content.insert(key.to_vec(), self.revision);
    }

    fn remove(&mut self, key: &[u8]) {
        self.table.remove(key);
        self.content.remove(key);
    }

    fn snapshot(&self, held_bytes_max: Option<u64>) -> (Snapshot, Content) {
        (self.table.snapshot(self.revision, held_bytes_max), self.content.clone())
    }
}

fn content(snapshot: &Snapshot) -> Result<Content, Revoked> {
    let mut content = Content::new();
    // In any order, again, and of shards that are not there.
    for shard in snapshot.shards().rev().chain([0, 1, usize::MAX]) {
        let chunk = snapshot.chunk(shard)?;
        assert_eq!(chunk, snapshot.chunk(shard)?, "another order");
        content.extend(chunk.iter().map(|item| (item.key().to_vec(), item.revision())));
    }
    let mut walked = Vec::new();
    snapshot.walk(|items| {
        walked.extend(items.iter().map(|item| (item.key().to_vec(), item.revision())));
        Ok::<_, Revoked>(())
    })?;
    assert_eq!(walked.len(), content.len(), "a key twice");
    assert_eq!(walked.into_iter().collect::<Content>(), content);
    Ok(content)
}

fn check((snapshot, content): &(Snapshot, Content)) -> bool {
    assert_eq!(snapshot.entries(), content.len() as u64);
    let seen = self::content(snapshot);
    assert!(seen.as_ref().is_ok_and(|seen| seen == content) || seen == Err(Revoked));
    let revision = |key: &[u8]| Ok(snapshot.get(key)?.map(|item| item.revision()));
    let none: &[u8] = b"no key of any test";
    for key in content.keys().map(|key| &**key).take(100).chain([none]) {
        let expected = seen.as_ref().map(|seen| seen.get(key).copied());
        assert_eq!(revision(key), expected.map_err(|_| Revoked));
    }
    seen.is_ok()
}

/// How many pre-images there are, when all is swept that can be.
fn pre_images(table: &HashTable) -> usize {
    let snapshot = table.snapshot(u64::MAX, None);
    while table.reclaimer().free(100) {}
    let touched = |shard: &usize| snapshot.all.walk(*shard, |images, _| !images.0.is_empty());
    let touched = snapshot.shards().filter(|shard| touched(shard).unwrap()).collect::<Vec<_>>();
    let registry = snapshot.all.snapshots().unwrap().lock();
    assert!(registry.begun.iter().all(|begun| !begun.has_ended), "one that is over is kept");
    let mut registered = registry.touched.clone();
    registered.sort_unstable();
    assert_eq!(registered, touched, "each shard with pre-images once");
    unswept_pre_images(&snapshot)
}

fn unswept_pre_images(snapshot: &Snapshot) -> usize {
    let of = |images: &PreImages| images.0.values().map(Vec::len).sum::<usize>();
    let of = |shard| snapshot.all.walk(shard, |images, _| of(images));
    snapshot.shards().filter_map(of).sum()
}

fn held_bytes_of(checked: &Checked, key: &[u8]) -> u64 {
    let of = |item: Option<&Item>| held_bytes(item.unwrap());
    checked.table.with_item_if(key, || true, of).flatten().unwrap()
}

#[derive(Debug, Clone)]
enum Step {
    Put(u8, usize),
    Remove(u8),
    /// A write has ended; the next one has another revision.
    Write,
    Begin(Option<u64>),
    End(usize),
    Check(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let bound = prop_oneof![Just(None), (0u64..2000).prop_map(Some)];
    let step = prop_oneof![
        8 => (0..40u8, 0..100usize).prop_map(|(key, bytes)| Step::Put(key, bytes)),
        4 => (0..40u8).prop_map(Step::Remove),
        6 => Just(Step::Write),
        2 => bound.prop_map(Step::Begin),
        1 => (0..8usize).prop_map(Step::End),
        1 => (0..8usize).prop_map(Step::Check),
    ];
    proptest::collection::vec(step, 0..300)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn each_snapshot_has_its_revision_whatever_is_written_begun_and_ended(steps in steps()) {
        let (mut checked, mut snapshots) = (Checked::default(), Vec::new());
        for step in steps {
            match step {
                Step::Put(key, bytes) => checked.put(&[key], bytes),
                Step::Remove(key) => checked.remove(&[key]),
                Step::Write => checked.revision += 1,
                Step::Begin(bound) => {
                    snapshots.push((checked.snapshot(bound), bound));
                    checked.revision += 1;
                }
                Step::End(at) if at < snapshots.len() => _ = snapshots.remove(at),
                Step::Check(at) => {
                    if let Some((snapshot, bound)) = snapshots.get(at) {
                        prop_assert!(check(snapshot) || bound.is_some());
                    }
                }
                Step::End(_) => {}
            }
        }
        let revoked = |(snapshot, bound): &(_, Option<_>)| !check(snapshot) && bound.is_none();
        prop_assert!(!snapshots.iter().any(revoked));
        drop(snapshots);
        prop_assert_eq!(pre_images(&checked.table), 0);
    }
}

#[test]
fn a_change_is_kept_once_whatever_the_number_of_snapshots_and_no_longer_than_it_is_needed() {
    let mut checked = Checked::default();
    (0..100u8).for_each(|key| checked.put(&[key], 10));
    let many: Vec<_> = (0..100).map(|_| checked.snapshot(None)).collect();
    for _ in 0..20 {
        checked.revision += 1;
        (0..50u8).for_each(|key| checked.put(&[key], 10));
        assert_eq!(pre_images(&checked.table), 50);
    }
    let later = checked.snapshot(None);
    checked.revision += 1;
    (0..30u8).for_each(|key| checked.remove(&[key]));
    assert_eq!(pre_images(&checked.table), 80, "the newer one has its own");
    assert!(many.iter().chain([&later]).all(check));
    drop(later);
    assert_eq!(pre_images(&checked.table), 50, "the older ones had no need of those");
    let (first, rest) = many.split_at(1);
    assert!(check(&first[0]) && rest.iter().all(check));
    drop(many);
    assert_eq!(pre_images(&checked.table), 0);
}

#[test]
fn what_a_newer_snapshot_kept_is_the_older_ones_when_it_ends() {
    let mut checked = Checked::default();
    (0..100u8).for_each(|key| checked.put(&[key], 10));
    let mut snapshots = Vec::new();
    for key in 0..10u8 {
        snapshots.push(checked.snapshot(None));
        checked.revision += 1;
        checked.put(&[key], 10);
    }
    // From the middle, the newest, the oldest.
    for at in [5, 8, 0, 3] {
        snapshots.remove(at);
        assert!(snapshots.iter().all(check));
    }
    let needed = snapshots.iter().map(|(_, content)| content);
    let needed: std::collections::BTreeSet<_> = needed.flatten().collect();
    let current: std::collections::BTreeSet<_> = checked.content.iter().collect();
    assert_eq!(pre_images(&checked.table), needed.difference(&current).count());
}

#[test]
fn the_writer_revokes_what_holds_back_too_much() {
    let mut checked = Checked::default();
    (0..1000u64).for_each(|key| checked.put(&key.to_be_bytes(), 100));
    let one = held_bytes_of(&checked, &0u64.to_be_bytes());
    assert!((100..300).contains(&one), "{one}");
    let (unbound, old) = (checked.snapshot(None), checked.snapshot(Some(500 * one)));
    checked.revision += 1;
    (0..300u64).for_each(|key| checked.put(&key.to_be_bytes(), 100));
    let new = checked.snapshot(Some(500 * one));
    checked.revision += 1;
    (300..500u64).for_each(|key| checked.put(&key.to_be_bytes(), 100));
    assert!(check(&unbound) && check(&old) && check(&new), "500 are as many as it may");
    checked.remove(&500u64.to_be_bytes());
    assert!(check(&unbound) && check(&new) && !check(&old));
    assert!(old.0.shards().all(|shard| old.0.chunk(shard) == Err(Revoked)));
    checked.revision += 1;
    (0..1000u64).for_each(|key| checked.remove(&key.to_be_bytes()));
    assert!(check(&unbound) && !check(&new), "that one holds all of them back by now");
}

#[test]
fn what_newer_snapshots_handed_down_counts_for_the_bound_and_what_they_took_along_does_not() {
    let mut checked = Checked::default();
    (0..100u8).for_each(|key| checked.put(&[key], 100));
    let one = held_bytes_of(&checked, &[0]);
    let old = checked.snapshot(Some(10 * one));
    for round in 0..10u8 {
        let newer = checked.snapshot(None);
        checked.revision += 1;
        checked.put(&[round], 100);
        // Newer than the old one: nothing that it needs.
        checked.put(b"often", 100);
        drop(newer);
        assert_eq!(pre_images(&checked.table), usize::from(round) + 1);
        assert!(check(&old));
    }
    checked.revision += 1;
    checked.put(&[10], 100);
    assert!(!check(&old), "the eleventh");
}

#[test]
fn what_a_revoked_snapshot_kept_goes_with_the_next_changes_while_others_keep_theirs() {
    let mut checked = Checked::default();
    (0..3000u64).for_each(|key| checked.put(&key.to_be_bytes(), 0));
    let one = held_bytes_of(&checked, &0u64.to_be_bytes());
    let revoked = checked.snapshot(Some(999 * one));
    checked.revision += 1;
    (0..999u64).for_each(|key| checked.put(&key.to_be_bytes(), 0));
    let kept = checked.snapshot(None);
    checked.revision += 1;
    for key in 1000..2000u64 {
        checked.put(&key.to_be_bytes(), 0);
        assert!(!check(&revoked), "by the first of these");
    }
    assert_eq!(unswept_pre_images(&kept.0), 1000);
    assert!(check(&kept));
}

#[test]
fn a_scan_can_go_on_at_any_item_whatever_was_written_since_it_began() {
    let mut checked = Checked::default();
    (0..3000u64).for_each(|key| checked.put(&key.to_be_bytes(), 0));
    let (snapshot, _) = checked.snapshot(None);
    let chunks = || snapshot.shards().map(|shard| snapshot.chunk(shard).unwrap()).collect();
    let before: Vec<_> = chunks();
    checked.revision += 1;
    (0..3000u64).filter(|key| key % 3 == 0).for_each(|key| checked.remove(&key.to_be_bytes()));
    (1000..9000u64).for_each(|key| checked.put(&key.to_be_bytes(), 0));
    assert_eq!(before, chunks());
}

#[test]
fn a_snapshot_goes_on_when_the_table_shows_another_or_is_closed() {
    let mut checked = Checked::default();
    (0..100u8).for_each(|key| checked.put(&[key], 10));
    let before = checked.snapshot(None);
    checked.revision += 1;
    checked.put(b"a", 10);
    let mut other = Checked { revision: 9, ..Checked::default() };
    other.put(b"b", 10);
    checked.table.replace_with(&other.table);
    (checked.content, checked.revision) = (other.content, other.revision);
    let after = checked.snapshot(None);
    checked.revision += 1;
    checked.put(b"b", 10);
    assert!(check(&before) && check(&after));
    checked.table.close();
    checked.put(b"b", 10);
    assert!(check(&before) && check(&after));
    let of_nothing = checked.table.snapshot(11, Some(0));
    assert_eq!((of_nothing.shards(), content(&of_nothing)), (0..0, Ok(Content::new())));
}

#[test]
fn many_threads_walk_snapshots_and_end_them_while_one_writes() {
    const KEYS: u64 = 3_000;
    let mut checked = Checked::default();
    (0..KEYS).for_each(|key| checked.put(&key.to_be_bytes(), 10));
    thread::scope(|scope| {
        let walkers: Vec<_> = (0..3)
            .map(|_| {
                let (walk, walks) = sync_channel::<(Snapshot, Content)>(4);
                scope.spawn(move || walks.into_iter().all(|snapshot| check(&snapshot)));
                walk
            })
            .collect();
        for round in 0..60u64 {
            let walker = &walkers[round as usize % walkers.len()];
            walker.send(checked.snapshot(None)).unwrap();
            for change in 0..500u64 {
                checked.revision += 1;
                let key = ((round * 500 + change) * 7919 % KEYS).to_be_bytes();
                if change % 5 == 0 { checked.remove(&key) } else { checked.put(&key, 10) }
            }
        }
    });
    assert_eq!(pre_images(&checked.table), 0);
}

/// What is alive of it counts in the witness.
struct Witnessed {
    _witness: Arc<()>,
}

impl Representation for Witnessed {
    fn value(&self, stored: &[u8]) -> Vec<u8> {
        stored.to_vec()
    }

    fn value_bytes(&self, stored: &[u8]) -> usize {
        stored.len()
    }
}

#[test]
fn what_was_shown_is_freed_in_parts_whoever_lets_go_of_it() {
    const COUNT: usize = 20_000;
    let witness = Arc::new(());
    let alive = || Arc::strong_count(&witness) - 1;
    let filled = || {
        let table = Checked::default().table;
        for key in 0..COUNT as u64 {
            let witnessed = SharedRepresentation::new(Witnessed { _witness: witness.clone() });
            let value = StoredValue::represented(Vec::new(), witnessed);
            table.insert(Item::new(&key.to_be_bytes(), value, &Meta::created(1)));
        }
        table
    };
    let frees_in_parts = |reclaimer: &Reclaimer| {
        assert_eq!(alive(), COUNT);
        while {
            let before = alive();
            let is_more = reclaimer.free(1);
            assert!(before - alive() < COUNT / 50, "more than a shard");
            is_more
        } {}
        assert_eq!(alive(), 0);
    };
    let closed = filled();
    closed.close();
    frees_in_parts(closed.reclaimer());

    let closed = filled();
    closed.close();
    let locks = Locks::Few;
    let other = HashTable::with_capacity(0, locks, closed.reclaimer().clone());
    (0..1000u64).for_each(|_| _ = other.remove(b"k"));
    assert_eq!(alive(), 0, "changes of another table free it too");

    let table = filled();
    let reclaimer = table.reclaimer().clone();
    drop(table);
    frees_in_parts(&reclaimer);

    let table = filled();
    let snapshot = table.snapshot(1, None);
    table.replace_with(&Checked::default().table);
    assert!(!table.reclaimer().free(1000), "the snapshot has it");
    drop(snapshot);
    frees_in_parts(table.reclaimer());

    let table = filled();
    let snapshot = table.snapshot(1, None);
    (0..COUNT as u64).for_each(|key| _ = table.remove(&key.to_be_bytes()));
    drop(snapshot);
    frees_in_parts(table.reclaimer());
}
