//! What went wrong elsewhere: faults of etcd's watches, by what they did to their users.

use super::*;

#[test]
fn no_event_is_lost_between_what_was_there_and_what_changes() {
    let mut world = World::new();
    for at in 0..50u8 {
        world.write(&[Do::Put(SET, 1, at)]);
        let initial = Spec { initial: true, ..spec(SET, key(1)) };
        let (_control, receiver, begun) = world.watch(initial);
        // Before anything of what was there is sent.
        let next = world.write(&[Do::Put(SET, 1, at + 100)]);
        world.settle();
        let begun = begun.unwrap();
        let there = Got::Changes(begun, vec![put(1, at)]);
        let changed = Got::Changes(next, vec![put(1, at + 100)]);
        assert_eq!(receiver.got(), [there, Got::Done(begun), changed]);
    }
}

#[test]
fn nothing_comes_twice_to_who_goes_on_after_the_last_revision_that_it_has_seen() {
    let mut world = World::new();
    let (mut seen, mut last) = (Vec::new(), 0);
    for round in 0..30u8 {
        let (control, receiver, begun) =
            world.watch(Spec { from: Some(last + 1), ..spec(SET, Keys::All) });
        assert_eq!(begun, Ok(last));
        (0..=round % 4).for_each(|key| _ = world.write(&[Do::Put(SET, key, round)]));
        world.settle();
        // The connection goes; what comes later it does not see.
        control.end();
        world.write(&[Do::Put(SET, 9, round)]);
        world.settle();
        seen.extend(receiver.revisions());
        last = seen.last().copied().unwrap_or(last);
    }
    assert_eq!(seen, (1..=last).collect::<Vec<_>>());
}

#[test]
fn a_slow_watch_holds_up_no_other_and_its_history_is_read_in_turn() {
    let mut world = World::new();
    (0..200).for_each(|key| _ = world.write(&[Do::Put(SET, key, 1)]));
    let slow = Spec { from: Some(1), events_max: 1, ..spec(SET, Keys::All) };
    let (_controls, _receivers): (Vec<_>, Vec<_>) = (0..100)
        .map(|_| {
            let (control, receiver, _) = world.watch(slow.clone());
            (control, receiver)
        })
        .unzip();
    let (_control, quick, _) = world.watch(Spec { events_max: 1000, ..slow });
    world.settle();
    assert_eq!(quick.revisions().len(), 200);
    world.write(&[Do::Put(SET, 1, 2)]);
    assert_eq!(quick.revisions().len(), 201);
}

#[test]
fn a_watch_that_was_ended_is_sent_nothing_more_even_before_the_hub_hears_of_it() {
    let mut world = World::new();
    let (control, receiver, _) = world.watch(Spec { events_max: 1, ..spec(SET, Keys::All) });
    let (other, with_credit, _) = world.watch(spec(SET, Keys::All));
    world.write(&[Do::Put(SET, 1, 1)]);
    world.write(&[Do::Put(SET, 1, 2)]);
    other.end();
    control.ack(1);
    control.end();
    world.write(&[Do::Put(SET, 1, 3)]);
    world.install(50);
    world.settle();
    assert_eq!((receiver.revisions(), receiver.got().len()), (vec![1], 1));
    assert_eq!((with_credit.revisions(), with_credit.got().len()), (vec![1, 2], 2));
    assert_eq!(world.watches.sizes().watches, 0);
}

#[test]
fn a_watch_that_was_ended_before_it_began_never_begins() {
    let mut world = World::new();
    let (control, receiver) = (world.watches.control(), Receiver::new());
    control.end();
    world.settle();
    assert!(control.begin(spec(SET, Keys::All), None, Box::new(receiver.clone())).is_ok());
    assert_eq!(world.watches.sizes().watches, 0);
    world.write(&[Do::Put(SET, 1, 1)]);
    assert_eq!((receiver.got(), world.watches.sizes().watches), (vec![], 0));
}

#[test]
fn from_a_compacted_revision_no_watch_begins_and_the_oldest_that_is_told_does() {
    let mut world = World::with_history(4_000);
    (0..250).for_each(|key| _ = world.write(&[Do::Put(SET, key, 1)]));
    let from = |revision| Spec { from: Some(revision), ..spec(SET, Keys::All) };
    let Err(Compacted { oldest }) = world.watch(from(1)).2 else { panic!("nothing was dropped") };
    assert_eq!(world.watches.sizes().watches, 0);
    let (_control, receiver, begun) = world.watch(from(oldest));
    world.settle();
    assert_eq!((begun, receiver.revisions()), (Ok(oldest - 1), (oldest..=250).collect()));
}
