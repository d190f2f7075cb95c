//! The command and the files it reads: what is printed, drawn and answered as exit status.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use ram_check::files::{Fault, read_folder};
use ram_check::{Action, Outcome, Value};
use tempfile::TempDir;

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

fn ram_check(folder: &Path, more: &[&str]) -> (Option<i32>, String) {
    let Output { status, stdout, stderr } =
        Command::new(env!("CARGO_BIN_EXE_ram-check")).arg(folder).args(more).output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap() + &String::from_utf8(stderr).unwrap())
}

const WRITER: &str = "# node ram1@127.0.0.1\n\
                      i 1 write k 1 100\nr 1 ok 200\n\
                      i 2 write k <2> 300\nr 2 ok 400\n\
                      i 3 add n 1 500\nr 3 unknown 900\n";
const READER: &str = "# started by hand\n# node ram2@127.0.0.1\ni 1 read k 350\nr 1 ok 1 450\n";
const STALE: &str = "# node ram2@127.0.0.1\ni 1 read k 500\nr 1 ok 1 600\n";

#[test]
fn a_linearizable_folder_is_counted_and_exits_with_0() {
    let folder = folder(&[("a.history", WRITER), ("b.history", READER), ("notes.txt", "?")]);
    let (status, text) = ram_check(folder.path(), &[]);
    assert_eq!(status, Some(0), "{text}");
    for expected in ["ops       4 on 2 keys", "clients   2", "1 (25.00 %)", "linearizable"] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
}

#[test]
fn a_violation_is_named_drawn_and_exits_with_1() {
    let faults = "310 420 cut ram2 | ram1 & ram3\n";
    let folder = folder(&[("a.history", WRITER), ("b.history", STALE), ("faults", faults)]);
    let page = folder.path().join("page.html");
    let (status, text) = ram_check(folder.path(), &["--report", page.to_str().unwrap()]);
    assert_eq!(status, Some(1), "{text}");
    let unplaced = "    read saw 1   by b at ram2@127.0.0.1, 500 to 600\n";
    assert!(text.contains("VIOLATION on key k") && text.contains(unplaced), "{text}");
    assert!(text.contains("write <2> ok   by a at ram1@127.0.0.1, 300 to 400"), "{text}");
    let source = "set by:\n    write 1 ok   by a at ram1@127.0.0.1, 100 to 200\n";
    assert!(text.contains(source), "{text}");
    let page = fs::read_to_string(page).unwrap();
    for expected in ["<svg", "b  ram2@127.0.0.1", "cut ram2 | ram1 &amp; ram3", "write &lt;2&gt;"] {
        assert!(page.contains(expected), "{expected}: {page}");
    }
}

#[test]
fn a_spent_budget_exits_with_3() {
    let folder = folder(&[("a.history", WRITER), ("b.history", STALE)]);
    let (status, text) = ram_check(folder.path(), &["--budget-s", "0"]);
    assert_eq!(status, Some(3), "{text}");
    assert!(text.contains("undecided"), "{text}");
}

#[test]
fn wrong_usage_exits_with_2() {
    let folder = folder(&[("a.history", WRITER)]);
    for more in [&["--report"][..], &["--budget-s", "x"], &["--frobnicate"], &["another"]] {
        let (status, text) = ram_check(folder.path(), more);
        assert_eq!(status, Some(2), "{text}");
        assert!(text.contains("usage"), "{text}");
    }
    assert_eq!(ram_check(&folder.path().join("nowhere"), &[]).0, Some(2));
    assert_eq!(ram_check(tempfile::tempdir().unwrap().path(), &[]).0, Some(2));
}

#[test]
fn malformed_lines_are_named_and_exit_with_2() {
    let cases = [
        ("x", "neither a call nor a return"),
        ("i 2 read k", "neither a call nor a return"),
        ("i 2 read  5", "one space"),
        ("i 2 read k 5 6", "no operation: read with 1 words"),
        ("i two read k 5", "not a number: \"two\""),
        ("i 2 increment k 5", "no operation: increment"),
        ("i 2 write k - 5", "a write needs a value"),
        ("i 2 write k  5", "one space"),
        ("i 2 cas k 1 5", "no operation: cas with 1 words"),
        ("i 2 add k x 5", "not a number: \"x\""),
        ("i 1 read k 5", "called a second time"),
        ("r 2 ok 5", "was not called"),
        ("r 1 conflict 5", "not one of this kind"),
        ("r 1 ok 5", "not one of this kind"),
        ("r 1 done 5", "no outcome: done"),
        ("r 1 ok 7 0", "before its call"),
        ("r 1 ok 7 9\nr 1 ok 7 9", "has returned before"),
        ("r 1 ok 7 5ns", "not a number: \"5ns\""),
        ("", "one space"),
    ];
    for (lines, why) in cases {
        let text = format!("i 1 read k 1\n{lines}\nr 1 unknown 6\n");
        let folder = folder(&[("a.history", WRITER), ("bad.history", &text)]);
        let (status, text) = ram_check(folder.path(), &[]);
        assert_eq!(status, Some(2), "{lines}: {text}");
        let line = 1 + lines.split('\n').count().max(1);
        let place = format!("bad.history:{line}: ");
        assert!(text.contains(&place) && text.contains(why), "{lines}: {text}");
    }
}

#[test]
fn a_last_line_cut_anywhere_is_as_if_it_were_not_there() {
    let whole = "i 1 write k 1 100\ni 2 read k 300\n";
    let last = "r 2 ok 77 12345";
    for end in 0..=last.len() {
        let text = format!("{whole}{}", &last[..end]);
        let folder = folder(&[("a.history", &text)]);
        let history = read_folder(folder.path()).unwrap().history;
        assert_eq!(history.len(), 2, "{text}");
        assert!(history.records().all(|(_, r)| *r.outcome() == Outcome::Unknown), "{text}");
    }
}

#[test]
fn every_form_of_line_is_read() {
    let text = "# node a@b\n\
                i 7 cas k - new 10\nr 7 conflict 11\n\
                i 8 swap k 5 12\nr 8 ok - 13\n\
                i 9 delete k 14\nr 9 failed 15\n\
                # node c@d\n\
                i 10 add k -2 16\nr 10 ok 17\n\
                i 11 write k 07 18\ni 12 read k 19\nr 12 ok 7 20\n";
    let folder = folder(&[("client-1.history", text), ("faults", "1 2 kill a@b\n\n5 9 \n3")]);
    let found = read_folder(folder.path()).unwrap();
    let records: Vec<_> = found.history.records().map(|(_, record)| record).collect();
    let seven = || Some(Value::from(7));
    let expected = [
        (Action::Cas { expect: None, new: Some("new".into()) }, Outcome::Conflict),
        (Action::Swap(Some(Value::from(5))), Outcome::Saw(None)),
        (Action::Delete, Outcome::Failed),
        (Action::Add(-2), Outcome::Ok),
        (Action::Write(Value::Text("07".into())), Outcome::Unknown),
        (Action::Read, Outcome::Saw(seven())),
    ];
    for (record, (action, outcome)) in records.iter().zip(&expected) {
        assert_eq!((&record.op.action, record.outcome()), (action, outcome));
        assert_eq!((&*record.client, &*record.op.key), ("client-1", "k"));
    }
    assert_eq!(records.len(), expected.len());
    assert_eq!((&*records[0].node, &*records[5].node), ("a@b", "c@d"));
    assert_eq!((records[5].called.at_ns, records[5].returned.as_ref().unwrap().1.at_ns), (19, 20));
    let fault = |from_ns, to_ns, what: &str| Fault { from_ns, to_ns, what: what.into() };
    assert_eq!(found.faults, [fault(1, 2, "kill a@b"), fault(5, 9, "")]);
}
