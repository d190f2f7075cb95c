//! Histories of locks, written by hand: a line for each call, `FROM-TO CALL -> OUTCOME`, in
//! milliseconds.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod told;

use ram_check::locks::{Fault, Looked, check};
use told::read;

#[track_caller]
fn looked(text: &str) -> Looked {
    let (_held, found) = read("owned", text, &[]);
    match check(&found.locking, &found.faults) {
        Ok(looked) => looked,
        Err(violation) => panic!("{}", violation.explain(&found.locking)),
    }
}

#[track_caller]
fn refuses(fault: Fault, words: &str, text: &str) {
    let (_held, found) = read("owned", text, &[]);
    let violation = check(&found.locking, &found.faults).unwrap_err();
    let told = violation.explain(&found.locking);
    assert!(told.contains(words), "{told}");
    assert_eq!(violation.fault, fault, "{told}");
}

#[test]
fn holders_one_after_the_other_are_accepted() {
    let text = "
        0-2 lock a -> token 5
        1-40 lock a -> token 6
        3-4 guarded a 5 -> yes
        5-6 lock b -> token 7
        10-12 unlock a 5 -> yes
        20-21 lock a -> held
        50-60 guarded a 6 -> yes
        70-71 drop a 6 -> ok
        80-99 free a -> yes";
    assert_eq!(looked(text), Looked { given: 3, holds: 2, written: 2 });
}

#[test]
fn a_token_that_does_not_grow_is_refused() {
    let text = "0-2 lock a -> token 5\n 3-4 unlock a 5 -> yes\n";
    let shrinks = "beside:\n    lock a -> Token(5)";
    refuses(Fault::TokenShrank, shrinks, &format!("{text} 5-6 lock a -> token 4"));
    refuses(Fault::TokenShrank, "lock a", &format!("{text} 5-6 lock a -> token 5"));
    looked(&format!("{text} 5-6 lock b -> token 4"));
    looked("0-9 lock a -> token 5\n 1-2 lock a -> token 4");
}

#[test]
fn a_resource_that_takes_an_older_token_is_refused() {
    let text = "0-2 lock a -> token 5\n 3-4 unlock a 5 -> yes\n 5-6 lock a -> token 6
        10-12 guarded a 6 -> yes\n";
    refuses(Fault::OldToken, "write to a with 5", &format!("{text} 13-14 guarded a 5 -> yes"));
    looked(&format!("{text} 13-14 guarded a 5 -> no"));
    looked(&format!("{text} 11-14 guarded a 5 -> yes"));
    looked(&format!("{text} 13-14 guarded a 5 -> unknown"));
}

#[test]
fn two_holders_at_once_are_refused_unless_a_node_was_silent_for_long() {
    let text = "0-2 lock a -> token 5\n 10-20 lock a -> token 6\n";
    refuses(Fault::TwoHolders, "lock a -> Token(6)", &format!("{text} 18-30 guarded a 5 -> no"));
    refuses(Fault::TwoHolders, "beside:", &format!("{text} 21-30 unlock a 5 -> no"));
    looked(&format!("{text} 15-30 unlock a 5 -> yes"));
    // What is done with a lock that was given back proves nothing.
    looked(&format!("{text} 15-30 drop a 5 -> ok\n 40-41 guarded a 5 -> no"));
    let late = "0-2 lock a -> token 5\n 100-16000 lock a -> token 6
        16001-16002 guarded a 5 -> no\n";
    looked(&format!("{late} fault 5 8000 halves\n fault 7000 16000 isolate"));
    let short = format!("{late} fault 5 8000 halves\n fault 12000 16000 isolate");
    refuses(Fault::TwoHolders, "beside:", &short);
    // Whoever was given it just now was heard then, whatever had been before.
    let soon = late.replace("0-2", "8998-9000");
    refuses(Fault::TwoHolders, "beside:", &format!("{soon} fault 5 16000 halves"));
    looked(&format!("{soon} fault 9500 9900 churn"));
}

#[test]
fn a_lock_of_the_dead_that_is_never_free_is_refused() {
    let text = "0-2 lock a -> token 5\n 3-4 drop a 5 -> ok\n";
    refuses(Fault::NotFree, "is a free", &format!("{text} 10-900 free a -> no"));
    looked(&format!("{text} 10-900 free a -> unknown"));
}
