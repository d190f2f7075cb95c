//! Histories of keys with a time to live, written by hand: a line for each call,
//! `FROM-TO CALL -> OUTCOME`, in milliseconds.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod told;

use ram_check::expiry::{Fault, Looked, check};
use told::read;

fn looked(text: &str) -> Looked {
    let (_held, found) = read("timed", text, &[]);
    match check(&found.timed, &found.faults) {
        Ok(looked) => looked,
        Err(violation) => panic!("{}", violation.explain(&found.timed)),
    }
}

#[track_caller]
fn refuses(words: &str, text: &str) -> Fault {
    let (_held, found) = read("timed", text, &[]);
    let violation = check(&found.timed, &found.faults).unwrap_err();
    let told = violation.explain(&found.timed);
    assert!(told.contains(words), "{told}");
    violation.fault
}

#[test]
fn a_key_that_goes_when_its_time_is_over_is_accepted() {
    let text = "
        0-2 put k v1 100 -> ok
        50-60 get k -> found v1
        99-100 get k -> found -
        120-121 get k -> found -
        130-131 touch k 100 -> touched no
        140-141 put k v2 - -> ok
        900-901 get k -> found v2";
    assert_eq!(looked(text).gone, 3);
}

#[test]
fn a_key_that_goes_before_its_time_is_refused() {
    let fault = refuses(
        "had time until 110000000",
        "10-12 put k v1 100 -> ok
         90-109 get k -> found -",
    );
    assert_eq!(fault, Fault::Early { not_before_ns: Some(110_000_000) });
    refuses("had time until", "10-12 put k v1 100 -> ok\n 90-109 touch k 100 -> touched no");
}

#[test]
fn a_key_that_was_put_for_good_or_touched_so_never_goes() {
    refuses(
        "put for good",
        "0-1 put k v1 100 -> ok\n 2-3 put k v2 - -> ok\n 500-501 get k -> found -",
    );
    refuses(
        "put for good",
        "0-1 put k v1 100 -> ok\n 2-3 touch k - -> touched yes\n 500-501 get k -> found -",
    );
}

#[test]
fn a_touch_gives_a_key_its_time_anew() {
    let begin = "0-1 put k v1 100 -> ok\n 80-81 touch k 100 -> touched yes\n";
    refuses("had time until 180000000", &format!("{begin} 178-179 get k -> found -"));
    looked(&format!("{begin} 179-181 get k -> found -"));
}

#[test]
fn a_put_may_shorten_the_time_that_a_key_has() {
    let begin = "0-1 put k v1 1000 -> ok\n 80-81 put k v2 10 -> ok\n";
    refuses("had time until 90000000", &format!("{begin} 85-89 get k -> found -"));
    looked(&format!("{begin} 85-90 get k -> found -"));
}

#[test]
fn what_is_unknown_may_have_given_the_key_a_shorter_time_and_proves_no_longer_one() {
    let begin = "0-1 put k v1 1000 -> ok\n";
    looked(&format!("{begin} 10-20 put k v2 50 -> unknown\n 65-66 get k -> found -"));
    looked(&format!("{begin} 10-20 touch k 50 -> unknown\n 65-66 get k -> found -"));
    refuses(
        "had time until 60000000",
        &format!("{begin} 10-20 touch k 50 -> unknown\n 55-56 get k -> found -"),
    );
    looked("0-1 put k v1 100 -> ok\n 10-20 touch k 1000 -> unknown\n 105-106 get k -> found -");
    // A call that certainly did nothing excuses nothing.
    refuses(
        "had time until",
        &format!("{begin} 10-20 put k v2 50 -> failed\n 65-66 get k -> found -"),
    );
}

#[test]
fn an_unknown_touch_can_have_been_last_only_after_a_known_one_was_called() {
    let text = "0-1 put k v1 1000 -> ok\n 10-20 touch k 50 -> unknown\n
                100-101 touch k 1000 -> touched yes\n 140-141 get k -> found -";
    refuses("had time until 150000000", text);
    looked(&text.replace("140-141", "149-150"));
}

#[test]
fn a_key_that_has_gone_does_not_come_back() {
    let gone = "0-1 put k v1 100 -> ok\n 100-110 get k -> found -\n";
    let fault = refuses("is back", &format!("{gone} 111-112 get k -> found v1"));
    assert!(matches!(fault, Fault::Back { .. }));
    // These two may have been answered the other way round.
    looked(&format!("{gone} 109-112 get k -> found v1"));
    // And this one may have been put late.
    looked(
        "0-1 put k v0 100 -> ok\n 2-90 put k v1 100 -> unknown\n 101-110 get k -> found -\n
         111-112 get k -> found v1",
    );
}

#[test]
fn what_is_found_was_put_and_is_the_newest() {
    refuses("nobody has put", "0-1 put k v1 100 -> ok\n 5-6 get k -> found v2");
    refuses("nobody has put", "0-1 put k v1 100 -> failed\n 5-6 get k -> found v1");
    refuses("nobody has put", "5-6 get k -> found v1\n 7-8 put k v1 100 -> ok");
    let fault = refuses(
        "had replaced",
        "0-1 put k v1 100 -> ok\n 2-3 put k v2 100 -> ok\n 5-6 get k -> found v1",
    );
    assert!(matches!(fault, Fault::Overwritten { .. }));
    looked("0-1 put k v1 100 -> unknown\n 2-3 put k v2 100 -> ok\n 5-6 get k -> found v1");
}

const SETTLED: &str = "0-1 put k v1 100 -> ok
    20-30 settled 40 -> term 7
    400-401 settled 40 -> term 7\n";

#[test]
fn a_key_that_stays_beyond_its_time_and_the_bound_is_refused() {
    let fault =
        refuses("had to be gone at 170000000", &format!("{SETTLED} 171-172 get k -> found v1"));
    assert!(matches!(fault, Fault::Late { gone_ns: 170_000_000, .. }));
    refuses("had to be gone", &format!("{SETTLED} 171-172 touch k 100 -> touched yes"));
    assert_eq!(looked(&format!("{SETTLED} 169-172 get k -> found v1")).in_time, 0);
    assert_eq!(looked(&format!("{SETTLED} 171-172 get k -> found -")).in_time, 1);
}

#[test]
fn what_gave_the_key_its_time_last_counts_and_what_is_unknown_ends_when_the_cluster_is_settled() {
    let late = "\n 171-172 get k -> found v1";
    looked(&format!("{SETTLED} 90-91 touch k 100 -> touched yes {late}"));
    looked(&format!("{SETTLED} 90-91 touch k 100 -> unknown {late}"));
    looked(&format!("{SETTLED} 90-91 touch k - -> touched yes {late}"));
    refuses(
        "had to be gone at 170000000",
        &format!("{SETTLED} 2-90 touch k 100 -> unknown {late}"),
    );
    looked(&format!("{SETTLED} 2-90 touch k 110 -> unknown {late}"));
}

#[test]
fn nothing_is_late_where_the_leader_may_have_changed_or_a_fault_was() {
    let late = "171-172 get k -> found v1\n";
    looked(&SETTLED.replace("400-401 settled 40 -> term 7", late));
    looked(&format!(
        "{late}{}",
        SETTLED.replace("400-401 settled 40 -> term 7", "400-401 settled 40 -> term 8")
    ));
    looked(&format!("{SETTLED}{late} fault 100 110 cut"));
    looked(&format!("{SETTLED}{late} fault 5 25 cut"));
    refuses("had to be gone", &format!("{SETTLED}{late} fault 5 19 cut"));
    refuses("had to be gone", &format!("{SETTLED}{late} fault 200 300 cut"));
}
