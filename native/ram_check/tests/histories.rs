//! Histories written by hand, each with the mistake or the freedom it is named after.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod scene;

use ram_check::{History, Op, Outcome, Ties, Verdict};
use scene::{KEY, is_valid_order, scene, verdict};

/// Refused, and explained by just these operations, counted from 0; the last cannot be placed.
#[track_caller]
fn refuses(core: &[usize], text: &str) {
    let history = scene(text);
    let Verdict::Violation(violation) = verdict(&history) else { unreachable!("accepted: {text}") };
    let ids: Vec<_> = history.records().map(|(id, _)| id).collect();
    let mut found: Vec<usize> =
        violation.core.iter().map(|id| ids.iter().position(|i| i == id).unwrap()).collect();
    found.sort_unstable();
    assert_eq!(found, core, "{text}");
    assert_eq!(violation.unplaced, ids[*core.last().unwrap()]);
}

#[track_caller]
fn accepts(text: &str) {
    let history = scene(text);
    let verdict = verdict(&history);
    let Verdict::Linearizable(orders) = verdict else { unreachable!("{verdict:?} {text}") };
    assert!(is_valid_order(&history, KEY, &orders[KEY]), "{text}");
}

#[test]
fn a_stale_read_is_refused() {
    let text = "a@n1 0-10 write 1 -> ok
                a@n1 20-30 write 2 -> ok
                c@n1 31-35 read -> 2
                b@n2 40-50 read -> 1";
    refuses(&[0, 1, 3], text);
}

#[test]
fn what_happens_after_a_violation_is_no_part_of_its_explanation() {
    let text = "a@n1 0-10 write 1 -> ok
                b@n2 20-30 read -> -
                c@n1 20-60 read -> -
                a@n1 40-50 write 2 -> ok
                b@n2 70-80 read -> 1";
    refuses(&[0, 1], text);
}

#[test]
fn a_read_that_misses_the_last_write_is_refused() {
    let text = "a@n1 0-10 write 1 -> ok
                b@n2 20-30 read -> -";
    refuses(&[0, 1], text);
}

#[test]
fn a_lost_update_is_refused() {
    let text = "a@n1 0-10 write 0 -> ok
                a@n1 20-30 cas 0 1 -> ok
                b@n2 20-30 cas 0 2 -> ok";
    refuses(&[1, 2], text);
}

#[test]
fn a_lost_addition_is_refused() {
    let text = "a@n1 0-10 add 1 -> ok
                b@n2 5-12 add 1 -> ok
                c@n3 20-30 read -> 1";
    refuses(&[0, 1, 2], text);
}

#[test]
fn two_orders_seen_by_two_readers_are_refused() {
    let text = "a@n1 0-100 write 1 -> ok
                b@n2 0-100 write 2 -> ok
                c@n1 10-20 read -> 1
                d@n2 11-21 read -> 2
                c@n1 30-40 read -> 2
                d@n2 31-41 read -> 1";
    let Verdict::Violation(violation) = verdict(&scene(text)) else { unreachable!() };
    assert_eq!(violation.core.len(), 4);
}

#[test]
fn a_read_inversion_between_two_nodes_is_refused() {
    let text = "a@n1 0-100 write 1 -> ok
                b@n2 10-20 read -> 1
                c@n3 30-40 read -> -";
    refuses(&[1, 2], text);
}

#[test]
fn a_deleted_value_that_comes_back_is_refused() {
    let text = "a@n1 0-10 write 1 -> ok
                a@n1 20-30 delete -> ok
                b@n2 40-50 read -> 1";
    refuses(&[0, 1, 2], text);
}

#[test]
fn a_count_of_what_was_there_before_another_is_refused() {
    let text = "a@n1 0-10 add 1 -> 1
                b@n2 20-30 add 1 -> 1";
    refuses(&[0, 1], text);
    let text = "a@n1 0-10 add 1 -> 1
                b@n2 20-30 add 5 -> 6
                c@n2 40-50 add 1 -> 2";
    refuses(&[1, 2], text);
}

#[test]
fn counts_that_see_each_other_are_accepted_whatever_was_there_first() {
    accepts("a@n1 0-30 add 1 -> 2\n b@n2 0-30 add 1 -> 1\n c@n1 5-40 add -2 -> 0");
    accepts("a@n1 0-10 write 0 -> unknown\n b@n2 0-30 add 1 -> 1\n c@n1 40-50 add -1 -> 0");
    let text = "a@n1 0-10 write 9 -> ok
                b@n2 11-20 delete -> unknown
                c@n1 30-40 add 2 -> 2";
    accepts(text);
    accepts(&text.replace("delete", "write 0"));
}

#[test]
fn an_add_applied_twice_is_refused() {
    let text = "a@n1 0-10 add 5 -> ok
                b@n2 20-30 read -> 10";
    refuses(&[1], text);
}

#[test]
fn an_unknown_add_applied_twice_is_refused() {
    let text = "a@n1 0-10 add 5 -> unknown
                b@n2 20-30 read -> 5
                b@n2 40-50 read -> 10";
    refuses(&[2], text);
}

#[test]
fn an_unknown_write_applied_twice_is_refused() {
    let text = "a@n1 0-10 write 1 -> unknown
                b@n2 20-30 read -> 1
                b@n2 40-50 write 2 -> ok
                b@n2 60-70 read -> 1";
    refuses(&[1, 2, 3], text);
}

#[test]
fn a_value_nobody_wrote_is_refused() {
    refuses(&[1], "a@n1 0-10 write 1 -> ok\n b@n2 20-30 read -> 7");
}

#[test]
fn a_value_read_before_it_was_written_is_refused() {
    refuses(&[0], "b@n2 0-10 read -> 1\n a@n1 20-30 write 1 -> ok");
}

#[test]
fn a_cas_that_succeeded_against_the_wrong_value_is_refused() {
    let text = "a@n1 0-10 write 1 -> ok
                b@n2 20-30 cas 2 3 -> ok";
    refuses(&[1], text);
}

#[test]
fn a_cas_that_conflicted_with_the_value_it_expected_is_refused() {
    let text = "a@n1 0-10 write 1 -> ok
                b@n2 20-30 cas 1 3 -> conflict";
    refuses(&[0, 1], text);
}

#[test]
fn an_effect_of_a_conflicting_cas_is_refused() {
    let text = "a@n1 0-10 write 1 -> ok
                b@n2 20-30 cas 2 3 -> conflict
                a@n1 40-50 write 2 -> ok
                c@n2 60-70 read -> 3";
    refuses(&[1, 3], text);
}

#[test]
fn an_effect_of_a_failed_operation_is_refused() {
    let text = "a@n1 0-10 write 1 -> failed
                b@n2 20-30 read -> 1";
    refuses(&[1], text);
}

#[test]
fn a_swap_that_saw_an_older_value_is_refused() {
    let text = "a@n1 0-10 write 1 -> ok
                a@n1 20-30 write 2 -> ok
                b@n2 40-50 swap 3 -> 1";
    refuses(&[0, 1, 2], text);
}

#[test]
fn an_add_to_a_text_is_refused() {
    refuses(&[0, 1], "a@n1 0-10 write x -> ok\n b@n2 20-30 add 1 -> ok");
}

#[test]
fn an_unknown_write_is_not_seen_before_its_call() {
    refuses(&[0], "b@n2 0-10 read -> 1\n a@n1 20-30 write 1 -> unknown");
}

#[test]
fn concurrent_operations_may_be_ordered_against_their_calls() {
    let text = "a@n1 0-100 write 1 -> ok
                b@n2 5-90 write 2 -> ok
                c@n3 10-20 read -> 2
                c@n3 30-40 read -> 1
                d@n1 32-80 cas 1 3 -> ok
                c@n3 85-95 swap 4 -> 3";
    accepts(text);
}

#[test]
fn an_unknown_operation_may_take_effect_late() {
    let text = "a@n1 0-10 write 1 -> unknown
                b@n2 20-30 write 2 -> ok
                b@n2 40-50 read -> 2
                b@n2 60-70 read -> 1";
    accepts(text);
}

#[test]
fn an_unknown_operation_may_never_take_effect() {
    let text = "a@n1 0-10 write 1 -> unknown
                a@n1 12- delete -> unknown
                b@n2 20-30 write 2 -> ok
                b@n2 40-50 read -> 2";
    accepts(text);
}

#[test]
fn unknown_operations_may_need_each_other() {
    let text = "a@n1 0-10 write 1 -> unknown
                b@n1 0-10 cas 1 2 -> unknown
                c@n1 0-10 add 5 -> unknown
                d@n1 20-30 write x -> ok
                d@n1 40-50 read -> 7";
    accepts(text);
}

#[test]
fn an_unknown_write_nobody_reads_may_explain_a_conflict() {
    let text = "a@n1 0-10 write 1 -> ok
                b@n1 0-10 write 9 -> unknown
                c@n1 20-30 cas 1 2 -> conflict";
    accepts(text);
}

#[test]
fn it_may_matter_which_unknown_write_explains_a_conflict() {
    let text = "a@n1 0-10 write 1 -> ok
                b@n1 0-10 write 2 -> unknown
                c@n1 5-10 write 3 -> unknown
                d@n1 20-30 cas 1 9 -> conflict
                d@n1 40-50 read -> 3
                d@n1 60-70 read -> 2";
    accepts(text);
}

#[test]
fn an_unknown_cas_may_take_effect_on_a_value_that_nobody_reads() {
    let text = "a@n1 0-10 write 1 -> ok
                b@n1 0-10 cas 1 2 -> unknown
                c@n1 20-30 read -> 2";
    accepts(text);
}

#[test]
fn an_unknown_write_nobody_reads_may_be_what_is_added_to() {
    let text = "a@n1 0-10 write 5 -> unknown
                b@n1 20-30 add 1 -> ok
                b@n1 40-50 read -> 6";
    accepts(text);
}

#[test]
fn operations_that_touch_at_an_instant_overlap() {
    accepts("a@n1 0-10 write 1 -> ok\n b@n2 10-20 read -> -");
    refuses(&[0, 1], "a@n1 0-10 write 1 -> ok\n b@n2 11-20 read -> -");
}

#[test]
fn a_recorder_of_one_thread_orders_what_happens_at_one_instant() {
    let mut history = History::new(Ties::AsRecorded);
    let write = history.call("a", "n1", Op::write(KEY, 1), 10);
    history.ret(write, Outcome::Ok, 10).unwrap();
    let read = history.call("b", "n2", Op::read(KEY), 10);
    history.ret(read, Outcome::Saw(None), 10).unwrap();
    assert!(verdict(&history).is_violation());
}

#[test]
fn keys_are_judged_apart_and_the_bad_one_is_named() {
    let mut history = History::default();
    for (key, saw) in [("good", Some(1.into())), ("bad", None)] {
        let write = history.call("a", "n1", Op::write(key, 1), 10);
        history.ret(write, Outcome::Ok, 20).unwrap();
        let read = history.call("b", "n2", Op::read(key), 30);
        history.ret(read, Outcome::Saw(saw), 40).unwrap();
    }
    let Verdict::Violation(violation) = verdict(&history) else { unreachable!() };
    assert_eq!(&*violation.key, "bad");
}

#[test]
fn an_empty_history_is_linearizable() {
    assert!(verdict(&History::default()).is_linearizable());
}

#[test]
fn a_return_that_no_client_can_have_seen_is_not_recorded() {
    let mut history = History::default();
    let read = history.call("a", "n1", Op::read(KEY), 10);
    assert!(history.ret(read, Outcome::Saw(None), 9).is_err());
    assert!(history.ret(read, Outcome::Conflict, 20).is_err());
    assert!(history.ret(read, Outcome::Ok, 20).is_err());
    assert!(history.ret(read, Outcome::Saw(None), 20).is_ok());
    assert!(history.ret(read, Outcome::Saw(None), 30).is_err());
}
