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
        assert!(world.watches.sizes().2 <= 20_000);
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
