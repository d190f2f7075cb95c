//! Watches that begin at a revision of the past.

use super::*;

fn from(revision: u64) -> Spec {
    Spec { from: Some(revision), ..spec(SET, Keys::All) }
}

#[test]
fn a_watch_from_a_revision_is_told_all_since_and_goes_on() {
    let mut world = World::new();
    (0..200).for_each(|key| _ = world.write(&[Do::Put(SET, key, 1), Do::Put(ORDERED, key, 1)]));
    for first in [1, 63, 64, 65, 200, 201] {
        let (_control, receiver, begun) = world.watch(from(first));
        let last = world.write(&[Do::Put(SET, 0, 2)]);
        world.settle();
        assert_eq!(begun, Ok(first - 1));
        assert_eq!(receiver.revisions(), (first..=last).collect::<Vec<_>>());
    }
}

#[test]
fn a_watch_from_a_future_revision_waits_for_it() {
    let mut world = World::new();
    let (_control, receiver, begun) = world.watch(from(3));
    (0..4).for_each(|key| _ = world.write(&[Do::Put(SET, key, 1)]));
    assert_eq!((begun, receiver.revisions()), (Ok(2), vec![3, 4]));
    let resumed = |revision| Spec { may_wait: false, ..from(revision) };
    assert_eq!(world.watch(resumed(5)).2, Ok(4));
    assert_eq!(world.watch(resumed(6)).2, Err(Compacted { oldest: 1 }), "of another history");
}

#[test]
fn the_history_is_bounded_and_says_where_it_begins() {
    let mut world = World::with_history(20_000);
    let mut oldest = 1;
    for round in 0..2000u64 {
        world.write(&[Do::Put(SET, (round % 256) as u8, 1)]);
        assert!(world.watches.sizes().history_bytes <= 20_000);
        let begun = world.watch(from(1)).2;
        if let Err(compacted) = begun {
            assert!(compacted.oldest >= oldest);
            oldest = compacted.oldest;
        }
    }
    assert!((1900..2000).contains(&oldest), "{oldest}");
    let (_control, receiver, begun) = world.watch(from(oldest));
    world.settle();
    assert_eq!(begun, Ok(oldest - 1));
    assert_eq!(receiver.revisions(), (oldest..=2000).collect::<Vec<_>>());
    assert_eq!(world.watch(from(oldest - 1)).2, Err(Compacted { oldest }));
}

#[test]
fn a_write_larger_than_the_history_is_told_to_who_watches_and_is_in_no_history() {
    let mut world = World::with_history(5_000);
    let (_control, one, _) = world.watch(spec(ORDERED, key(1)));
    let many: Vec<Do> = (0..100).map(|key| Do::Put(ORDERED, key, 1)).collect();
    world.write(&many);
    assert_eq!(one.got(), [Got::Changes(1, vec![put(1, 1)])]);
    assert_eq!(world.watch(from(1)).2, Err(Compacted { oldest: 2 }));
    let (_control, next, begun) = world.watch(from(2));
    world.write(&[Do::Put(SET, 1, 1)]);
    assert_eq!((begun, next.revisions()), (Ok(1), vec![2]));
}

#[test]
fn a_table_that_was_dropped_while_nobody_watched_it_has_no_history_before_that() {
    let mut world = World::new();
    world.write(&[Do::Put(ORDERED, 1, 1)]);
    world.empty();
    let of_table = |revision| Spec { from: Some(revision), ..spec(ORDERED, Keys::All) };
    assert_eq!(world.watch(of_table(2)).2, Err(Compacted { oldest: 3 }));
    assert_eq!(world.watch(of_table(3)).2, Ok(2));
    assert_eq!(world.watch(from(1)).2, Ok(0), "another table has its own");
}

#[test]
fn a_long_range_that_is_deleted_while_nobody_watches_its_table_costs_the_history_nothing() {
    let fill = |world: &mut World, keys: u16| {
        world.tables.begin_write();
        let revision = world.revision() + 1;
        (0..keys).for_each(|key| _ = world.put(ORDERED, &key.to_be_bytes(), &[1], revision));
        world.end(true)
    };
    let of_table = |revision| Spec { from: Some(revision), ..spec(ORDERED, Keys::All) };
    let mut world = World::new();
    let first = world.write(&[Do::Put(SET, 1, 1)]);
    for (keys, is_kept) in [(1000, true), (5000, false)] {
        let filled = fill(&mut world, keys);
        let before = world.watches.sizes().history_bytes;
        let deleted = world.delete_range(0, 255);
        let grown = world.watches.sizes().history_bytes - before;
        assert_eq!((deleted, grown > 0), (filled + 1, is_kept));
        let begun = if is_kept { Ok(filled) } else { Err(Compacted { oldest: deleted + 1 }) };
        let (control, _, is) = world.watch(of_table(deleted));
        assert_eq!(is, begun);
        control.end_now();
    }
    assert_eq!(world.watch(from(first)).2, Ok(first - 1), "another table has its own");
    let all = Spec { events_max: 20_000, ..spec(ORDERED, Keys::All) };
    let (_control, receiver, _) = world.watch(all);
    fill(&mut world, 5000);
    let deleted = world.delete_range(0, 255);
    let got = receiver.got();
    let Some(Got::Changes(revision, told)) = got.last() else { panic!("{got:?}") };
    assert_eq!((*revision, told.len()), (deleted, 5000));
}

#[test]
fn a_watch_that_does_not_read_the_history_is_lost_when_as_much_has_passed_again() {
    let mut world = World::with_history(20_000);
    (0..20).for_each(|value| _ = world.write(&[Do::Put(SET, 7, value)]));
    let of_key = |events_max| Spec { from: Some(1), events_max, ..spec(SET, key(7)) };
    let (_control, slow, _) = world.watch(of_key(2));
    let (reads, late, _) = world.watch(of_key(5));
    let (_control, whole, _) = world.watch(of_key(1024));
    world.settle();
    let writes = 20_000 / (world.watches.sizes().history_bytes / 20);
    (0..writes).for_each(|_| _ = world.write(&[Do::Put(SET, 9, 9)]));
    world.settle();
    assert_eq!((slow.got().len(), late.got().len(), whole.got().len()), (2, 5, 20));
    for _ in 0..4 {
        reads.ack(20);
        world.settle();
    }
    (0..2).for_each(|_| _ = world.write(&[Do::Put(SET, 9, 9)]));
    assert_eq!(slow.got().last(), Some(&Got::Lost(2)));
    assert_eq!((late.revisions().len(), late.got().len(), whole.got().len()), (20, 20, 20));
    let last = world.write(&[Do::Put(SET, 7, 21)]);
    assert_eq!((late.revisions().last(), whole.revisions().last()), (Some(&last), Some(&last)));
}
