//! Histories of a bank, written by hand: a line for each call, `FROM-TO CALL -> OUTCOME`.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use ram_check::accounts::{Balances, Banked, Banking, Fault, check};
use ram_check::{CallId, Calls, Malformed, Told};

fn scene(text: &str) -> (Calls<Banking>, Vec<CallId>) {
    let (mut calls, mut ids) = (Calls::default(), Vec::new());
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (call, outcome) = line.split_once(" -> ").unwrap();
        let words: Vec<&str> = call.split_whitespace().collect();
        let (from, to) = words[0].split_once('-').unwrap();
        let request = match &words[1..] {
            ["open", accounts @ ..] => Banking::Open(balances(accounts)),
            ["look"] => Banking::Look,
            [from, to, amount] => {
                let (from, to) = ((*from).into(), (*to).into());
                Banking::Transfer { from, to, amount: amount.parse().unwrap() }
            }
            other => panic!("no call: {other:?}"),
        };
        let saw: Vec<&str> = outcome.split_whitespace().collect();
        let told = match outcome {
            "unknown" => Told::Unknown,
            "failed" => Told::Failed,
            "ok" => Told::Done(Banked::Done),
            "-" => Told::Done(Banked::Saw(Balances::new())),
            _ => Told::Done(Banked::Saw(balances(&saw))),
        };
        let id = calls.call("c", "n", request, from.parse().unwrap());
        calls.ret(id, told, to.parse().unwrap()).unwrap();
        ids.push(id);
    }
    (calls, ids)
}

fn balances(words: &[&str]) -> Balances {
    let balance = |word: &&str| {
        let (account, balance) = word.split_once('=').unwrap();
        (account.into(), balance.parse().unwrap())
    };
    words.iter().map(balance).collect()
}

#[track_caller]
fn accepts(text: &str) {
    let (calls, _) = scene(text);
    if let Some(violation) = check(&calls) {
        panic!("{}", violation.explain(&calls));
    }
}

/// The call of this line, counted from 0, saw what cannot be.
#[track_caller]
fn refuses(place: usize, fault: Fault, words: &str, text: &str) {
    let (calls, ids) = scene(text);
    let violation = check(&calls).unwrap();
    let told = violation.explain(&calls);
    assert_eq!((violation.call, violation.fault), (ids[place], fault), "{told}");
    assert!(told.contains(words), "{told}");
}

#[test]
fn whatever_is_moved_the_sum_stays() {
    accepts(
        "0-9 look -> -
         0-9 open a=10 b=0 c=5 -> ok
         0-9 look -> a=10 b=0 c=5
         10-20 a b 10 -> ok
         11-30 b a 3 -> unknown
         12-15 c a 6 -> failed
         10-40 look -> a=3 b=7 c=5
         50-51 look -> a=0 b=10 c=5",
    );
    accepts("0-1 open a=1 -> unknown\n 2-3 look -> -\n 4-5 look -> a=1\n 6-7 open a=1 -> failed");
}

#[test]
fn half_a_transfer_is_refused_with_what_was_under_way() {
    let text = "0-9 open a=10 b=0 -> ok
                5-11 b a 1 -> failed
                10-20 a b 4 -> ok
                12-15 a b 1 -> unknown
                15-16 look -> a=6 b=0
                17-20 a b 1 -> ok";
    let fault = Fault::Sum { is: 6, opened: 10 };
    refuses(4, fault.clone(), "the sum is 6, and was 10 when opened:\n    look saw a=6 b=0", text);
    let (calls, ids) = scene(text);
    assert_eq!(check(&calls).unwrap().meanwhile, [ids[2], ids[3]]);
    refuses(
        1,
        Fault::Sum { is: 14, opened: 10 },
        "14",
        "0-1 open a=10 b=0 -> ok\n 2-3 look -> a=10 b=4",
    );
}

#[test]
fn an_account_below_zero_is_refused() {
    let text = "0-9 open a=10 b=0 -> ok\n 10-11 look -> a=11 b=-1";
    refuses(1, Fault::BelowZero("b".into()), "the account b is below zero", text);
}

#[test]
fn a_bank_of_other_accounts_is_refused() {
    let opened = "0-9 open a=10 b=0 -> ok\n";
    refuses(1, Fault::Accounts, "not the accounts", &format!("{opened} 10-11 look -> a=10"));
    refuses(1, Fault::Accounts, "not the accounts", &format!("{opened} 10-11 look -> a=10 c=0"));
    let text = format!("{opened} 10-11 open a=10 b=1 -> unknown");
    refuses(1, Fault::OpenedTwice, "with different accounts", &text);
}

#[test]
fn a_bank_that_was_open_is_not_found_closed() {
    let text = "0-9 open a=10 b=0 -> ok\n 9-11 look -> -\n 10-12 look -> -";
    let (calls, ids) = scene(text);
    assert_eq!(check(&calls).unwrap().fault, Fault::Closed(ids[0]));
    let text = "0-9 open a=1 -> unknown\n 2-4 look -> a=1\n 4-6 look -> -\n 5-6 look -> -";
    let (calls, ids) = scene(text);
    refuses(3, Fault::Closed(ids[1]), "seen open by:\n    look saw a=1", text);
    assert!(check(&calls).unwrap().meanwhile.is_empty());
}

#[test]
fn a_bank_that_nobody_opened_is_not_found_open() {
    refuses(0, Fault::NeverOpened, "nobody has opened it", "0-9 look -> a=1");
    let text = "0-9 look -> a=1\n 10-11 open a=1 -> ok";
    refuses(0, Fault::NeverOpened, "nobody has opened it", text);
    let text = "0-9 open a=1 -> failed\n 10-11 look -> a=1";
    refuses(1, Fault::NeverOpened, "nobody has opened it", text);
}

#[test]
fn what_no_client_can_have_seen_is_malformed() {
    let mut calls = Calls::<Banking>::default();
    let id = calls.call("c", "n", Banking::Look, 5);
    assert_eq!(
        calls.ret(id, Told::Unknown, 4),
        Err(Malformed("the operation returns before its call"))
    );
    assert!(calls.ret(id, Told::Done(Banked::Done), 6).is_err());
    assert_eq!(calls.ret(id, Told::Failed, 5), Ok(()));
    assert_eq!(calls.ret(id, Told::Failed, 5), Err(Malformed("the operation has returned before")));
}
