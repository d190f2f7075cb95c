//! Histories of names, written by hand: a line for each call, `FROM-TO CALL -> OUTCOME`, in
//! milliseconds.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod told;

use ram_check::names::{Fault, Looked, check};
use told::read;

#[track_caller]
fn looked(text: &str) -> Looked {
    beside(text, "")
}

/// `other`: what another client did, as it is in its file.
#[track_caller]
fn beside(text: &str, other: &str) -> Looked {
    let (_held, found) = read("named", text, &[("other.history", other)]);
    match check(&found.naming, &found.faults) {
        Ok(looked) => looked,
        Err(violation) => panic!("{}", violation.explain(&found.naming)),
    }
}

#[track_caller]
fn refuses(fault: Fault, words: &str, text: &str) {
    let (_held, found) = read("named", text, &[]);
    let violation = check(&found.naming, &found.faults).unwrap_err();
    let told = violation.explain(&found.naming);
    assert!(told.contains(words), "{told}");
    assert_eq!(violation.fault, fault, "{told}");
}

#[test]
fn processes_one_after_the_other_are_accepted() {
    let text = "
        0-2 whereis a -> found -
        0-3 register a p -> yes
        1-4 register a q -> no
        1-4 register b s -> yes
        5-6 whereis a -> found p
        10-20 unregister a -> ok
        11-12 whereis a -> found p
        12-13 whereis a -> found -
        14-30 register a r -> yes
        15-16 whereis a -> found r
        40-41 kill a r -> ok
        40-42 whereis a -> found r
        43-44 whereis a -> found r
        80-99 free a -> yes";
    assert_eq!(looked(text), Looked { given: 3, kept: 2, found: 5, sure: 1 });
}

#[test]
fn two_processes_of_a_name_are_refused() {
    let text = "0-2 register a p -> yes\n 10-20 register a q -> yes\n";
    let words = "beside:\n    register a for q -> Is(true)";
    refuses(Fault::TwoProcesses, words, &format!("{text} 21-22 kill a p -> ok"));
    refuses(Fault::TwoProcesses, words, &format!("{text} 21-22 unregister a -> ok"));
    // Also of two that were asked for at once: one of them was first.
    let at_once = "0-9 register a p -> yes\n 1-8 register a q -> yes\n";
    refuses(Fault::TwoProcesses, words, &format!("{at_once} 21-22 unregister a -> ok"));
    looked(&format!("{text} 15-16 kill a p -> ok"));
    looked(&format!("{text} 15-16 unregister a -> ok"));
    looked(&format!("{text} 3-4 unregister a -> unknown"));
    looked("0-2 register a p -> yes\n 10-20 register b q -> yes\n 21-22 kill a p -> ok");
    looked("0-2 register a p -> unknown\n 10-20 register a q -> yes\n 21-22 kill a p -> ok");
}

#[test]
fn a_process_lives_as_long_as_its_client_calls() {
    let text = "0-2 register a p -> yes\n 30-31 whereis b -> found -\n";
    let other = |from, to| format!("i 1 named register a q {from}000000\nr 1 ok yes {to}000000\n");
    let (_held, found) = read("named", text, &[("other.history", &other(10, 29))]);
    let violation = check(&found.naming, &found.faults).unwrap_err();
    assert_eq!(violation.fault, Fault::TwoProcesses);
    beside(text, &other(10, 31));
    beside(&format!("{text} 9-12 kill a p -> unknown"), &other(10, 29));
}

#[test]
fn a_call_that_does_not_find_the_process_that_has_the_name_is_refused() {
    let text = "0-2 register a p -> yes\n 3-40 register a q -> unknown\n";
    let words = "register a for p";
    let kill = "20-21 kill a p -> ok";
    refuses(Fault::NotFound, words, &format!("{text} 10-19 whereis a -> found -\n {kill}"));
    refuses(Fault::NotFound, words, &format!("{text} 10-19 whereis a -> found q\n {kill}"));
    looked(&format!("{text} 10-19 whereis a -> unknown\n {kill}"));
    looked(&format!("{text} 10-20 whereis a -> found -\n {kill}"));
    looked(&format!("{text} 1-19 whereis a -> found -\n {kill}"));
    looked(&format!("{text} 10-19 whereis b -> found -\n {kill}"));
    // Whoever takes it away, and when that had not returned as it was given.
    looked(&format!("{text} 10-19 whereis a -> found -\n 18-50 unregister a -> unknown\n {kill}"));
    looked(&format!("{text} 10-19 whereis a -> found -\n 1-3 unregister a -> ok\n {kill}"));
    let early = format!(
        "0-1 unregister a -> ok\n 1-2 unregister a -> failed
        2-4 register a p -> yes\n 5-6 whereis a -> found -\n {kill}"
    );
    refuses(Fault::NotFound, words, &early);
}

#[test]
fn a_process_that_had_lost_the_name_is_not_found_again() {
    let text = "node n\n 0-2 register a p -> yes\n";
    let found = "30-31 whereis a -> found p";
    let refused = |other: &str| {
        refuses(Fault::Gone, "beside:", &format!("{text} {other}\n {found}\n 3-4 kill a p -> ok"));
    };
    refused("10-19 register a q -> yes");
    refused("10-19 unregister a -> ok");
    refused("9-9 register a q -> unknown\n 10-19 whereis a -> found q");
    refused("node m\n 10-19 whereis a -> found -");
    let accepted = |other: &str| {
        looked(&format!("{text} {other}\n {found}\n 3-4 kill a p -> ok"));
    };
    // Its own node knew that it had ended; the others did not.
    accepted("10-19 whereis a -> found -");
    accepted("10-30 register a q -> yes");
    accepted("2-19 unregister a -> ok");
    accepted("10-19 unregister a -> unknown");
    accepted("10-19 unregister a -> failed");
    accepted("10-19 register a q -> no");
    accepted("10-19 whereis a -> found p");
    accepted("10-19 unregister b -> ok");
    let late = "0-2 register a p -> unknown\n 10-19 unregister a -> ok\n";
    looked(&format!("{late} {found}"));
}

#[test]
fn a_process_that_never_had_the_name_is_refused() {
    let never = |text: &str| refuses(Fault::NeverRegistered, "found a process that never", text);
    never("10-19 whereis a -> found p");
    never("10-19 whereis a -> found p\n 20-21 register a p -> yes");
    never("0-2 register b p -> yes\n 10-19 whereis a -> found p");
    never("0-2 register a p -> no\n 10-19 whereis a -> found p");
    never("0-2 register a p -> failed\n 10-19 whereis a -> found p");
    looked("0-2 register a p -> unknown\n 10-19 whereis a -> found p");
    looked("10-19 whereis a -> found p\n 19-21 register a p -> yes");
}

#[test]
fn a_name_of_the_dead_that_is_never_free_is_refused() {
    let text = "0-2 register a p -> yes\n 3-4 kill a p -> ok\n";
    refuses(Fault::NotFree, "is a free", &format!("{text} 10-900 free a -> no"));
    looked(&format!("{text} 10-900 free a -> unknown"));
}

#[test]
fn a_node_that_was_silent_for_long_or_whose_member_stopped_excuses_a_loss() {
    let lost = |since: u32| {
        format!(
            "{since}-{since} register a p -> yes
            16000-16001 whereis a -> found -\n 16000-16002 register a q -> yes
            16003-16004 kill a p -> ok\n"
        )
    };
    let refused = |text: &str| refuses(Fault::TwoProcesses, "beside:", text);
    looked(&format!("{} fault 5 8000 halves\n fault 9000 16000 isolate", lost(0)));
    refused(&format!("{} fault 5 7000 halves\n fault 12000 16000 isolate", lost(0)));
    // Heard when it was given the name.
    refused(&format!("{} fault 5 8000 halves\n fault 9000 16000 isolate", lost(9000)));
    for kind in ["churn,2", "full_disk,2", "asymmetric_partition,2,1"] {
        looked(&format!("{} fault 9500 10000 {{{kind}}}", lost(9000)));
        refused(&format!("{} fault 5 600 {{{kind}}}", lost(9000)));
    }
    refused(&format!("{} fault 9500 10000 {{kill,2}}", lost(9000)));
    let found = "9000-9001 register a p -> yes\n 16000-16001 whereis a -> found -
        16003-16004 kill a p -> ok\n";
    looked(&format!("{found} fault 9500 10000 {{churn,2}}"));
    // What comes later does not.
    let early = "0-1 register a p -> yes\n 9000-9001 whereis a -> found -
        16003-16004 kill a p -> ok\n fault 5 16000 halves";
    refuses(Fault::NotFound, "beside:", early);
    refuses(Fault::NotFound, "beside:", found);
}
