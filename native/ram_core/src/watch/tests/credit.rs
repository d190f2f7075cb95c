//! Slow receivers.

use super::*;

#[test]
fn a_receiver_that_acknowledges_nothing_is_sent_its_credit_then_the_rest_waits_in_order() {
    let mut world = World::new();
    let (control, slow, _) = world.watch(Spec { events_max: 3, ..spec(SET, Keys::All) });
    let revisions: Vec<u64> = (0..8).map(|key| world.write(&[Do::Put(SET, key, 1)])).collect();
    world.settle();
    assert_eq!(slow.revisions(), revisions[..3]);
    control.ack(revisions[1]);
    world.settle();
    assert_eq!(slow.revisions(), revisions[..5]);
    control.ack(revisions[1]);
    control.ack(revisions[0]);
    world.settle();
    assert_eq!(slow.revisions(), revisions[..5], "what was acknowledged gives nothing again");
    control.ack(revisions[4]);
    world.settle();
    control.ack(revisions[7]);
    world.settle();
    assert_eq!(slow.revisions(), revisions);
    assert_eq!(world.watches.sizes().queued_bytes, 0);
}

#[test]
fn a_write_with_more_changes_than_credit_is_left_is_sent_whole() {
    let mut world = World::new();
    let (control, slow, _) = world.watch(Spec { events_max: 3, ..spec(SET, Keys::All) });
    world.write(&[Do::Put(SET, 0, 1), Do::Put(SET, 1, 1)]);
    let many: Vec<Do> = (0..9).map(|key| Do::Put(SET, key, 2)).collect();
    world.write(&many);
    world.write(&[Do::Put(SET, 0, 3)]);
    assert_eq!(slow.revisions(), [1, 2]);
    assert!(matches!(&slow.got()[1], Got::Changes(2, told) if told.len() == 9));
    control.ack(1);
    world.settle();
    assert_eq!(slow.revisions(), [1, 2], "nine are on the way yet");
    control.ack(2);
    world.settle();
    assert_eq!(slow.revisions(), [1, 2, 3]);
}

#[test]
fn a_watch_whose_waiting_changes_take_more_than_their_bytes_is_lost_and_holds_nothing() {
    let mut world = World::new();
    let lossy = Spec { events_max: 2, bytes_max: 1000, ..spec(SET, Keys::All) };
    let (control, slow, _) = world.watch(lossy);
    let (_control, other, _) = world.watch(spec(SET, Keys::All));
    for key in 0..20 {
        world.write(&[Do::Put(SET, key, 1)]);
        assert!(world.watches.sizes().queued_bytes <= 1000);
    }
    assert_eq!(slow.got()[2..], [Got::Lost(2)]);
    assert_eq!((world.watches.sizes().watches, world.watches.sizes().queued_bytes), (1, 0));
    control.ack(2);
    world.settle();
    assert_eq!(slow.got().len(), 3, "nothing comes after that");
    let all: Vec<u64> = (1..=20).collect();
    assert_eq!(other.revisions(), all, "nobody else is held up");
    let (_control, resumed, begun) = world.watch(Spec { from: Some(3), ..spec(SET, Keys::All) });
    world.settle();
    assert_eq!((begun, resumed.revisions()), (Ok(2), (3..=20).collect()));
}

#[test]
fn what_was_there_before_waits_for_credit_and_is_not_lost() {
    let mut world = World::new();
    let many: Vec<Do> = (0..250).map(|key| Do::Put(SET, key, 1)).collect();
    many.iter().for_each(|one| _ = world.write(std::slice::from_ref(one)));
    let little = Spec { events_max: 4, bytes_max: 300, ..spec(SET, Keys::All) };
    let (from, initial) =
        (Spec { from: Some(1), ..little.clone() }, Spec { initial: true, ..little });
    let (past, told, _) = world.watch(from);
    let (present, shown, _) = world.watch(initial);
    for _ in 0..250 {
        world.settle();
        told.revisions().last().into_iter().for_each(|revision| past.ack(*revision));
        shown.got().iter().for_each(|_| present.ack(250));
    }
    world.settle();
    assert_eq!(told.revisions(), (1..=250).collect::<Vec<_>>());
    assert_eq!(shown.got().last(), Some(&Got::Done(250)));
    let keys = |got: &Got| if let Got::Changes(_, told) = got { told.len() } else { 0 };
    assert_eq!(shown.got().iter().map(keys).sum::<usize>(), 250);
}

#[test]
fn a_watch_that_is_lost_while_it_is_told_what_was_there_says_that_not_even_that_was_sent() {
    let mut world = World::new();
    (0..100).for_each(|key| _ = world.write(&[Do::Put(SET, key, 1)]));
    let little = Spec { events_max: 4, bytes_max: 300, ..spec(SET, Keys::All) };
    let (_control, slow, _) = world.watch(Spec { initial: true, ..little });
    world.settle();
    (0..100).for_each(|key| _ = world.write(&[Do::Put(SET, key, 2)]));
    assert_eq!(slow.got().last(), Some(&Got::Lost(0)));
}

#[test]
fn all_that_was_there_is_told_without_credit() {
    let mut world = World::new();
    (0..4).for_each(|key| _ = world.write(&[Do::Put(SET, key, 1)]));
    let initial = Spec { initial: true, events_max: 4, ..spec(SET, Keys::All) };
    let (_control, receiver, _) = world.watch(initial);
    world.settle();
    assert_eq!(receiver.got().last(), Some(&Got::Done(4)));
}

#[test]
fn each_message_of_what_was_there_is_acknowledged_by_itself() {
    let mut world = World::new();
    let value = vec![7; 600_000];
    world.tables.begin_write();
    (0..20).for_each(|key| _ = world.put(SET, &[key], &value, 1));
    world.end(true);
    let initial = Spec { initial: true, events_max: 8, ..spec(SET, Keys::All) };
    let (control, slow, begun) = world.watch(initial);
    let sizes = || {
        world.settle();
        let got = slow.got();
        got.iter().map(|got| if let Got::Changes(_, told) = got { told.len() } else { 0 }).collect()
    };
    let at_first: Vec<usize> = sizes();
    assert_eq!(at_first, [2, 2, 2, 2]);
    control.ack(begun.unwrap());
    let then: Vec<usize> = sizes();
    assert_eq!(then, [2, 2, 2, 2, 2], "two were received, and not all");
}

#[test]
fn writes_wait_for_the_turn_of_the_hub_but_not_any_number_of_them() {
    let mut world = World { is_prompt: false, ..World::new() };
    let (_control, all, _) = world.watch(spec(SET, Keys::All));
    (0..255).for_each(|key| _ = world.write(&[Do::Put(SET, key, 1)]));
    assert_eq!(all.got(), []);
    let last = world.write(&[Do::Put(SET, 255, 1)]);
    assert_eq!(all.revisions(), (1..=last).collect::<Vec<_>>());
    let next = world.write(&[Do::Put(SET, 0, 2)]);
    let begun = world.watch(spec(SET, Keys::All)).2;
    assert_eq!((begun, all.revisions().last()), (Ok(next), Some(&next)), "told before one begins");
}
