//! Histories written by hand. A transaction is a line: `FROM-TO STEPS`, a step `+KEY=N` for an
//! append or `KEY=1,2` for a read with its answer; `?` at the end for unknown, `!` for failed.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use super::*;
use crate::calls::Told;

fn scene(text: &str) -> Calls<Transaction> {
    let mut calls = Calls::default();
    for (number, line) in text.lines().map(str::trim).filter(|line| !line.is_empty()).enumerate() {
        let mut words = line.split_whitespace();
        let (from, to) = words.next().unwrap().split_once('-').unwrap();
        let (mut steps, mut answer, mut told) = (Vec::new(), Vec::new(), None);
        for word in words {
            match (word, word.strip_prefix('+')) {
                ("?", _) => told = Some(Told::Unknown),
                ("!", _) => told = Some(Told::Failed),
                (_, Some(append)) => {
                    let (key, number) = append.split_once('=').unwrap();
                    steps.push(Step::append(key, number.parse().unwrap()));
                }
                _ => {
                    let (key, saw) = word.split_once('=').unwrap();
                    steps.push(Step::read(key));
                    let numbers = saw.split(',').filter(|word| !word.is_empty());
                    answer.push(numbers.map(|word| word.parse().unwrap()).collect());
                }
            }
        }
        let (client, told) = (format!("c{number}"), told.unwrap_or(Told::Done(answer)));
        let id = calls.call(&client, "n", Transaction(steps), from.parse().unwrap());
        if !to.is_empty() {
            calls.ret(id, told, to.parse().unwrap()).unwrap();
        }
    }
    calls
}

#[track_caller]
fn accepts(text: &str) {
    let calls = scene(text);
    if let Some(anomaly) = check(&calls) {
        panic!("{}", anomaly.explain(&calls));
    }
}

#[track_caller]
fn refuses(name: &str, text: &str) -> String {
    let calls = scene(text);
    let Some(anomaly) = check(&calls) else { panic!("accepted: {text}") };
    let told = anomaly.explain(&calls);
    assert_eq!(anomaly.name(), name, "{told}");
    assert!(told.starts_with(name), "{told}");
    told
}

#[test]
fn transactions_one_after_the_other_are_accepted() {
    accepts(
        "0-1 x= y= +x=1
         2-3 x=1 +x=2 +y=3 x=1,2
         4-5 x=1,2 y=3
         6-7 +x=4 +x=5
         8-9 x=1,2,4,5",
    );
    accepts("");
}

#[test]
fn transactions_that_overlap_may_have_any_order() {
    accepts("0-9 +x=1\n 0-9 +x=2\n 0-9 x=\n 0-9 x=2\n 0-9 x=2,1");
    accepts("0-9 +x=1 +y=1\n 0-9 x=1 y=1\n 0-9 x= y=");
    accepts("0-5 +x=1\n 5-9 x=");
}

#[test]
fn a_number_that_nobody_appended_is_refused() {
    refuses("never_appended", "0-1 +x=1\n 2-3 x=1,2");
    refuses("never_appended", "0-1 +x=1\n 2-3 +y=2\n 4-5 x=1,2");
}

#[test]
fn an_aborted_read_is_refused() {
    let told = refuses("aborted_read (G1a)", "0-1 +x=1 !\n 2-3 x=1");
    assert!(told.contains("    read x: [1]   by c1 at n, 2 to 3\n"), "{told}");
    assert!(told.contains("    append 1 to x failed   by c0 at n, 0 to 1\n"), "{told}");
    accepts("0-1 +x=1 !\n 2-3 x=");
}

#[test]
fn an_intermediate_read_is_refused() {
    refuses("intermediate_read (G1b)", "0-9 +x=1 +x=2\n 0-9 x=1\n 10-11 x=1,2");
    refuses("intermediate_read (G1b)", "0-9 +x=1 +x=2\n 0-9 x=1");
}

#[test]
fn an_append_applied_twice_is_refused() {
    refuses("duplicate", "0-1 +x=1\n 2-3 x=1,1");
    refuses("duplicate", "0-1 +x=1 ?\n 2-3 +x=2\n 4-5 x=1,2,1");
}

#[test]
fn reads_that_do_not_see_their_own_steps_are_refused() {
    refuses("internal", "0-1 +x=1 x=");
    refuses("internal", "0-1 +x=1\n 2-3 x=1 x=");
    refuses("internal", "0-1 x=1 +x=1");
    accepts("0-1 +x=1\n 2-3 +x=2 x=1,2 +x=3 x=1,2,3\n 4-5 x=1,2,3");
}

#[test]
fn reads_of_two_orders_are_refused() {
    let told = refuses("incompatible_orders", "0-9 +x=1\n 0-9 +x=2\n 0-9 x=1,2\n 0-9 x=2");
    assert!(told.contains("read x: [2]") && told.contains("read x: [1, 2]"), "{told}");
    // The read that has what did not happen is named for that.
    refuses("aborted_read (G1a)", "0-9 +x=1\n 0-9 +x=2\n 0-9 +x=3 !\n 0-9 x=1,2\n 0-9 x=3");
}

#[test]
fn a_lost_append_is_refused() {
    let told = refuses("lost_append", "0-1 +x=1\n 2-3 +x=2\n 4-5 x=2");
    assert!(told.contains("append 1 to x") && told.contains("read x: [2]"), "{told}");
    refuses("lost_append", "0-1 +x=1\n 2-3 x=");
    accepts("0-4 +x=1\n 2-3 x=\n");
    accepts("0-1 +x=1\n 2-3 y=");
}

#[test]
fn a_lost_update_is_refused() {
    // Both read nothing, and the second replaced what the first has written.
    refuses("anti_dependency_cycle (G2)", "0-9 x= +x=1\n 0-9 x= +x=2");
    refuses("anti_dependency_cycle (G-single)", "0-9 x= +x=1\n 0-9 x= +x=2\n 10-11 x=1,2");
}

#[test]
fn one_who_read_the_last_version_and_appended_what_nobody_read_is_accepted() {
    accepts("0-1 +x=1\n 2-3 x=1 +x=2");
    accepts("0-1 +x=1\n 2-3 x=1 +x=2\n 4-5 +x=3");
    accepts("0-1 x= +x=2");
}

#[test]
fn write_skew_is_refused() {
    let told = refuses("anti_dependency_cycle (G2)", "0-9 x= y= +x=1\n 0-9 x= y= +y=2");
    assert!(told.contains("the next appended to") && told.contains("the first appended"), "{told}");
    refuses("anti_dependency_cycle (G2)", "0-9 x= y= +x=1\n 0-9 x= y= +y=2\n 10-11 x=1 y=2");
}

#[test]
fn writes_in_two_orders_are_refused() {
    refuses("write_cycle (G0)", "0-9 +x=1 +y=1\n 0-9 +x=2 +y=2\n 10-11 x=1,2 y=2,1");
}

#[test]
fn circular_information_is_refused() {
    refuses("circular_information_flow (G1c)", "0-9 +x=1 y=2\n 0-9 +y=2 x=1");
}

#[test]
fn a_read_of_two_moments_is_refused() {
    // What a scan does that mixes two revisions: it has y of after the transaction, x of before.
    let told = refuses("anti_dependency_cycle (G-single)", "0-9 +x=1 +y=2\n 0-9 x= y=2");
    assert!(told.contains("appended to x what it did not read (rw)"), "{told}");
    assert!(told.contains("read what it appended to y (wr)"), "{told}");
    // Two transactions, each whole.
    refuses("anti_dependency_cycle (G-single)", "0-9 +x=1\n 0-9 x=1 +y=2\n 0-9 x= y=2");
}

#[test]
fn a_long_fork_is_refused() {
    refuses("anti_dependency_cycle (G2)", "0-9 +x=1\n 0-9 +y=2\n 0-9 x=1 y=\n 0-9 x= y=2");
}

#[test]
fn a_stale_read_is_serializable_but_not_strictly() {
    let told = refuses("realtime_cycle", "0-1 +x=1\n 0-3 +x=2\n 2-3 x=1,2\n 4-5 x=1");
    assert!(told.contains("was called when it had returned (rt)"), "{told}");
    refuses("realtime_cycle", "0-1 +x=1\n 2-3 x=\n 4-5 x=1");
    refuses("realtime_cycle", "0-1 +x=1\n 2-3 +x=2\n 4-5 x=2,1");
    // From the future.
    refuses("realtime_cycle", "0-1 x=1\n 2-3 +x=1");
}

#[test]
fn an_unknown_transaction_may_have_happened_or_not() {
    accepts("0-1 +x=1 ?\n 2-3 x=");
    accepts("0-1 +x=1 ?\n 2-3 x=1");
    accepts("0-1 +x=1 ?\n 2-3 x=\n 4-5 x=1\n 6-7 x=1");
    accepts("0- +x=1\n 2-3 x=\n 4-5 x=1");
    accepts("0-1 x= +x=1 ?\n 0-1 x= +x=2 ?\n 2-3 x=");
}

#[test]
fn an_unknown_transaction_that_was_read_has_happened_as_a_whole_and_not_before_its_call() {
    refuses("anti_dependency_cycle (G-single)", "0-1 +x=1 +y=2 ?\n 2-3 x=1 y=");
    refuses("realtime_cycle", "0-1 x=1\n 2-3 +x=1 ?");
    accepts("0-1 +x=1 +y=2 ?\n 2-3 x= y=\n 4-5 x=1\n 6-7 y=2");
    refuses("realtime_cycle", "0-1 +x=1 +y=2 ?\n 2-3 x=1\n 4-5 y=");
}

#[test]
fn a_number_appended_twice_by_the_clients_is_named() {
    refuses("appended_twice", "0-1 +x=1\n 2-3 +x=1");
    accepts("0-1 +x=1 +y=1\n 2-3 x=1 y=1");
}

#[test]
fn a_cycle_among_many_is_shown_as_a_short_one() {
    let mut text = String::new();
    for number in 0..1000 {
        let at = 10 * number;
        text += &format!("{at}-{} +x={number} +y={number}\n", at + 5);
    }
    let all: Vec<String> = (0..1000).map(|number| number.to_string()).collect();
    let (all, before) = (all.join(","), all[..500].join(","));
    text += &format!("20000-20001 x={all} y={all}\n");
    accepts(&text);
    text += &format!("4000-20001 x={before} y={all}\n");
    let told = refuses("anti_dependency_cycle (G-single)", &text);
    assert!(told.lines().count() < 8, "{told}");
    assert!(told.contains("[488 more, "), "{told}");
}

#[test]
fn a_hundred_thousand_transactions_are_judged_in_seconds() {
    let calls = serial(100_000, None);
    let start = std::time::Instant::now();
    assert_eq!(check(&calls), None);
    let took = start.elapsed();
    println!("100,000 transactions: {took:?}");
    assert!(took.as_secs() < 20, "{took:?}");
    let spoiled = check(&serial(100_000, Some(77_820))).unwrap();
    assert_eq!(spoiled.name(), "realtime_cycle", "{}", spoiled.explain(&calls));
}

/// Transactions of twenty clients that take effect in the order of their numbers; one of them may
/// read what was there before the one before it.
fn serial(count: u64, spoiled: Option<u64>) -> Calls<Transaction> {
    const LISTS: u64 = 4;
    const APPENDS_OF_A_LIST: u64 = 100;
    let mut calls = Calls::default();
    let mut lists: Vec<Vec<i64>> = Vec::new();
    for number in 0..count {
        let (epoch, list) = (number / (LISTS * APPENDS_OF_A_LIST), number % LISTS);
        if number.is_multiple_of(LISTS * APPENDS_OF_A_LIST) {
            lists = vec![Vec::new(); LISTS as usize];
        }
        let key = |list: u64| format!("{list}.{epoch}");
        let other = (list + LISTS - 1) % LISTS;
        let steps = vec![
            Step::read(&key(list)),
            Step::append(&key(list), number as i64),
            Step::read(&key(other)),
        ];
        let mut saw = lists[other as usize].clone();
        if spoiled == Some(number) {
            saw.pop().unwrap();
        }
        let answer = vec![lists[list as usize].clone(), {
            let mut own = lists[list as usize].clone();
            own.push(number as i64);
            lists[list as usize] = own;
            saw
        }];
        let at = 100 * number + 3000;
        let id = calls.call("c", "n", Transaction(steps), at - number % 20 * 70);
        calls.ret(id, Told::Done(answer), at + 50 + number % 7 * 90).unwrap();
    }
    calls
}
