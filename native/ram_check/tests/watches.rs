//! What writers were told and receivers were sent, written by hand: a line for each call,
//! `FROM-TO CALL -> OUTCOME`, in milliseconds; and the lines of a receiver without their times.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod told;

use ram_check::files::Folder;
use ram_check::watches::{Fault, Looked, check};
use tempfile::TempDir;
use told::read;

/// Three writes, of which one is of two keys and one deletes, then the table.
const WRITES: &str = "
    0-1 change a=1 b=2 -> rev 10
    2-3 change b=3 -> rev 11
    4-5 change a! c=4 -> rev 12
    90-91 content -> b=3 c=4";
/// What a receiver of all is sent of these.
const ALL: &str = "w all initial, b 9, d 9, m 10 a=1 b=2, m 11 b=3, m 12 a!deleted c=4";

fn scene(writes: &str, receivers: &[&str]) -> (TempDir, Folder) {
    let name = |number: usize| format!("r{number}.1.watch");
    let lines = |events: &str| {
        let lines = events.split(", ").enumerate();
        lines.map(|(number, line)| format!("{line} {number}\n")).collect::<String>()
    };
    let files: Vec<(String, String)> =
        receivers.iter().enumerate().map(|(n, events)| (name(n), lines(events))).collect();
    let files: Vec<(&str, &str)> = files.iter().map(|(n, text)| (&**n, &**text)).collect();
    read("", writes, &files)
}

#[track_caller]
fn accepts(writes: &str, receivers: &[&str]) -> Looked {
    let (_held, found) = scene(writes, receivers);
    match check(&found.changing, &found.receivers) {
        Ok(looked) => looked,
        Err(violation) => panic!("{}", violation.explain(&found.changing, &found.receivers)),
    }
}

#[track_caller]
fn refuses(words: &str, writes: &str, receivers: &[&str]) -> Fault {
    let (_held, found) = scene(writes, receivers);
    let violation = check(&found.changing, &found.receivers).unwrap_err();
    let told = violation.explain(&found.changing, &found.receivers);
    assert!(told.contains(words), "{told}");
    violation.fault
}

#[test]
fn receivers_of_all_a_key_and_a_range_that_are_sent_all_are_accepted() {
    let key = "w key b initial, b 9, d 9, m 10 b=2, m 11 b=3, l 12, w key b from 13, b 12";
    let range = "w range b z initial, b 10, m 10 b=2, d 10, m 11 b=3<2, m 12 c=4<-";
    let prefix = "w prefix a initial, b 9, d 9, m 10 a=1, m 12 a!deleted";
    let late = "w all initial, b 12, m 12 c=4, m 12 b=3, d 12";
    let looked = accepts(WRITES, &[ALL, key, range, prefix, late]);
    assert_eq!((looked.compared, looked.resumed, looked.initial), (5, 1, 5));
    assert_eq!(looked.lost, 1);
}

#[test]
fn a_receiver_goes_on_or_begins_anew_also_in_another_process() {
    let went_on = "w all initial, b 9, d 9, m 10 a=1 b=2, w all from 11, b 10, m 11 b=3, l 11,
        w all from 12, c, w all initial, b 12, m 12 b=3 c=4, d 12"
        .replace("\n        ", " ");
    let looked = accepts(WRITES, &[&went_on]);
    assert_eq!((looked.initial, looked.resumed, looked.compared), (2, 1, 1));
}

#[test]
fn a_revision_that_comes_twice_or_after_a_later_one_is_refused() {
    let twice = ALL.replace("m 11 b=3", "m 11 b=3, m 11 b=3");
    assert_eq!(refuses("after revision 11", WRITES, &[&twice]), Fault::Order { after: 11 });
    let turned = "w all initial, b 9, d 9, m 11 b=3";
    refuses("revision 10 was not sent", WRITES, &[turned]);
    refuses(
        "after revision 10",
        WRITES,
        &["w all initial, b 10, m 10 a=1 b=2, d 10, m 10 a=1 b=2"],
    );
    refuses("after revision 12", WRITES, &[&format!("{ALL}, l 11")]);
    refuses("after revision 9", WRITES, &["w all initial, b 9, m 8 a=1"]);
    refuses("after revision 9", WRITES, &["w all initial, b 9, d 8"]);
}

#[test]
fn an_acknowledged_write_that_was_not_sent_is_a_gap() {
    let gap = ALL.replace(", m 11 b=3", "");
    let fault = refuses("revision 11 was not sent, which changed b", WRITES, &[&gap]);
    assert!(matches!(fault, Fault::Gap { revision: 11, .. }));
    let deleted = "0-1 change a=1 -> rev 10\n 2-3 change a! -> rev 11\n 4-5 change b=2 -> rev 12";
    let missed = "w all initial, b 9, d 9, m 10 a=1, m 12 b=2";
    refuses("revision 11 was not sent, which changed a", deleted, &[missed]);
    accepts(deleted, &[&missed.replace("m 12", "m 11 a!deleted, m 12")]);
    let lost = "w all initial, b 9, d 9, m 10 a=1 b=2, l 11";
    refuses("revision 11 was not sent", WRITES, &[lost]);
    accepts(WRITES, &["w all initial, b 9, d 9, m 10 a=1 b=2, l 10"]);
    let before =
        "w all initial, b 9, d 9, m 10 a=1 b=2, l 10, w all from 11, b 11, m 12 a!deleted c=4";
    refuses("revision 11 was not sent", WRITES, &[before]);
}

#[test]
fn what_another_receiver_was_sent_is_a_gap_too() {
    let expires = WRITES.replace("2-3 change b=3 -> rev 11", "2-3 change b=3 -> unknown");
    refuses("revision 11 was not sent", &expires, &[ALL, &ALL.replace(", m 11 b=3", "")]);
    let expired = format!("{ALL}, m 13 c!expired, m 14 d=6");
    let missed = format!("{ALL}, m 14 d=6");
    let more = WRITES.replace("90-91 content -> b=3 c=4", "6-7 change d=6 -> rev 14");
    accepts(&more, &[&expired, &expired]);
    refuses("revision 13 was not sent", &more, &[&expired, &missed]);
}

#[test]
fn a_message_without_all_of_a_write_is_refused() {
    refuses("not sent b", WRITES, &[&ALL.replace("m 10 a=1 b=2", "m 10 a=1")]);
    refuses("not sent a", WRITES, &[&ALL.replace("a!deleted c=4", "c=4")]);
    refuses("not sent b", WRITES, &[&ALL.replace("m 10 a=1 b=2", "m 10 a=1, m 10 b=2")]);
}

#[test]
fn an_unknown_write_has_one_revision_and_is_whole() {
    let writes = WRITES.replace("0-1 change a=1 b=2 -> rev 10", "0-1 change a=1 b=2 -> unknown");
    accepts(&writes, &[ALL]);
    let halves = ALL.replace("m 10 a=1 b=2", "m 9 a=1, m 10 b=2").replace("b 9, d 9", "b 8, d 8");
    assert!(matches!(refuses("as well", &writes, &[&halves]), Fault::Twice { .. }));
    refuses("not sent b", &writes, &[ALL, &ALL.replace("m 10 a=1 b=2", "m 10 a=1")]);
}

#[test]
fn a_change_that_does_not_fit_the_copy_is_refused() {
    refuses("b holds 2", WRITES, &[&ALL.replace("b=3", "b=3<1")]);
    refuses("b holds 2", WRITES, &[&ALL.replace("b=3", "b=3<-")]);
    accepts(WRITES, &[&ALL.replace("b=3", "b=3<2")]);
    let never_there =
        "w all initial, b 9, d 9, m 10 a=1 b=2, m 11 b=3, m 12 a!deleted c=4, m 13 d!expired";
    refuses("d holds nothing", WRITES, &[never_there]);
    refuses("b holds 3", WRITES, &["w all initial, b 11, m 11 a=1 b=3, m 11 b=3"]);
}

#[test]
fn what_nobody_wrote_or_what_is_of_another_write_is_refused() {
    refuses("nobody has written", WRITES, &[&ALL.replace("b=3", "b=5")]);
    refuses("nobody has written", WRITES, &["w all initial, b 11, m 11 a=7"]);
    refuses("something else", WRITES, &[&ALL.replace("m 11 b=3", "m 11 b!deleted")]);
    let failed = WRITES.replace("2-3 change b=3 -> rev 11", "2-3 change b=3 -> failed");
    refuses("nobody has written", &failed, &[ALL]);
    refuses("is not of a", WRITES, &["w key b initial, b 9, d 9, m 10 a=1 b=2"]);
}

#[test]
fn a_copy_that_is_not_the_table_in_the_end_is_refused() {
    let fault = refuses("c holds 4", &WRITES.replace("b=3 c=4", "b=3"), &[ALL]);
    assert!(matches!(fault, Fault::Table { .. }));
    // A key that has expired unsaid, and one that is in no copy.
    refuses("d holds nothing", &WRITES.replace("b=3 c=4", "b=3 c=4 d=5"), &[ALL]);
    // Who has not heard the last write, or watches no more, has no copy to compare.
    let looked =
        accepts(WRITES, &["w all initial, b 9, d 9, m 10 a=1 b=2", &format!("{ALL}, l 12")]);
    assert_eq!(looked.compared, 0);
}

#[test]
fn a_watch_that_begins_before_an_acknowledged_write_is_refused() {
    let begins = "w all initial, b 9, d 9, m 10 a=1 b=2, m 11 b=3, m 12 a!deleted c=4";
    let (_held, mut found) = scene(WRITES, &[begins]);
    found.receivers[0].events[0].0 = 2_000_000;
    let violation = check(&found.changing, &found.receivers).unwrap_err();
    assert!(matches!(violation.fault, Fault::Stale { acknowledged: 10, .. }), "{violation:?}");
    found.receivers[0].events[0].0 = 1_000_000;
    check(&found.changing, &found.receivers).unwrap();
}

#[test]
fn messages_without_a_watch_are_refused_and_so_is_a_start_elsewhere() {
    refuses("no watch", WRITES, &["m 10 a=1 b=2"]);
    refuses("no watch", WRITES, &[&format!("{ALL}, l 12, m 13 c!expired")]);
    refuses("no watch", WRITES, &["w all initial, b 9, c"]);
    refuses("does not go on", WRITES, &[&format!("{ALL}, l 12, w all from 14, b 13")]);
}

#[test]
fn writes_whose_revisions_are_the_same_or_go_back_are_refused() {
    refuses("cannot be", &WRITES.replace("rev 11", "rev 10"), &[]);
    let fault = refuses("cannot be", &WRITES.replace("rev 12", "rev 9"), &[]);
    assert!(matches!(fault, Fault::Revisions { .. }));
    // Those that overlap may have either order.
    accepts("0-5 change a=1 -> rev 11\n 3-5 change b=2 -> rev 10", &[]);
}
