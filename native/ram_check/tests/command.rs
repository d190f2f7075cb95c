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
        ("i 2 look x 5", "no operation: look with 1 words"),
        ("i 2 transfer a b 5", "no operation: transfer with 2 words"),
        ("i 2 transfer a b x 5", "not a number: \"x\""),
        ("i 2 open a 5", "not KEY=VALUE: \"a\""),
        ("i 2 lists l+x 5", "not a number: \"x\""),
        ("i 2 timed put k v 5", "no operation: timed put k v"),
        ("i 2 timed put k v x 5", "not a number: \"x\""),
        ("i 2 timed touch k 5", "no operation: timed touch k"),
        ("i 2 timed get k 5\nr 2 ok touched yes 6", "not one of this kind"),
        ("i 2 timed get k 5\nr 2 ok v 6", "no answer: v"),
        ("i 2 named kill a 5", "no operation: named kill a"),
        ("i 2 named whereis a 5\nr 2 ok yes 6", "not one of this kind"),
        ("i 2 named whereis a 5\nr 2 ok p 6", "no answer: p"),
        ("i 2 change k 5", "not KEY=VALUE: \"k\""),
        ("i 2 change 5", "neither a call nor a return"),
        ("i 2 change k! 5\nr 2 ok rev x 6", "not a number: \"x\""),
        ("i 2 content 5\nr 2 ok rev 1 6", "not one of this kind"),
        ("i 2 content k 5", "no operation: content with 1 words"),
        ("i 2 lists 5", "neither a call nor a return"),
        ("i 2 look 5\nr 2 ok 6", "not one of this kind"),
        ("i 2 look 5\nr 2 conflict 6", "no outcome: conflict"),
        ("i 2 lists l 5\nr 2 ok 6", "not one of this kind"),
        ("i 2 lists l 5\nr 2 ok l=1,,2 6", "not a number: \"\""),
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
fn malformed_lines_of_receivers_are_named_and_exit_with_2() {
    let cases = [
        ("x", "nothing that a receiver is sent"),
        ("w some initial 5", "nothing to be watched: some"),
        ("w key k from x 5", "not a number: \"x\""),
        ("m 7 k 5", "no change of a key: \"k\""),
        ("m 7 k!gone 5", "no change of a key: \"k!gone\""),
        ("b 7 x", "not a number: \"x\""),
    ];
    for (line, why) in cases {
        let text = format!("# torn below\n{line}\nm 7 k=");
        let folder = folder(&[("a.history", WRITER), ("r.2.watch", &text)]);
        let (status, text) = ram_check(folder.path(), &[]);
        assert_eq!(status, Some(2), "{line}: {text}");
        assert!(text.contains("r.2.watch:2: ") && text.contains(why), "{line}: {text}");
    }
    let folder = folder(&[("a.history", WRITER), ("r.watch", "")]);
    let (status, text) = ram_check(folder.path(), &[]);
    assert!(status == Some(2) && text.contains("a part has a number"), "{text}");
}

#[test]
fn the_parts_of_a_receiver_are_one_in_the_order_of_their_numbers() {
    let calls = "# node n\ni 1 change k=v 3\nr 1 ok rev 5 9\n";
    let second = "w all from 5 6\nb 4 7\nm 5 k=v 8\n";
    let first = "w all initial 3\nb 4 4\nd 4 5\nm 5 k=";
    let files = [("a.history", calls), ("r.10.watch", second), ("r.9.watch", first)];
    let (status, text) = ram_check(folder(&files).path(), &[]);
    assert_eq!(status, Some(0), "{text}");
    assert!(text.contains("receivers 1, messages 1"), "{text}");
    let gap = "w all from 6 6\nb 5 7\n";
    let files = [("a.history", calls), ("r.10.watch", gap), ("r.9.watch", first)];
    let (status, text) = ram_check(folder(&files).path(), &[]);
    assert!(status == Some(1) && text.contains("VIOLATION in the watches"), "{text}");
}

const BANK: &str = "# node n1\ni 1 open a=5 b=5 1\nr 1 ok 2\ni 2 transfer a b 3 10\nr 2 ok 20\n\
                    i 3 transfer b a 9 21\nr 3 failed 22\n";

#[test]
fn a_bank_and_lists_are_counted_and_exit_with_0() {
    let look = "# node n2\ni 1 look 3\nr 1 ok a=5 b=5 12\ni 2 look 30\nr 2 ok a=2 b=8 31\n";
    let lists = "i 1 lists l m+1 l+2 l 5\nr 1 ok l=- l=2 6\ni 2 lists m 7\nr 2 ok m=1 8\n\
                 i 3 lists l+3 9\nr 3 unknown 10\ni 4 lists l+4 9\n\
                 i 5 lists l 10\nr 5 ok l=2,4 11\n";
    let folder = folder(&[("a.history", BANK), ("b.history", look), ("c.history", lists)]);
    let (status, text) = ram_check(folder.path(), &[]);
    assert_eq!(status, Some(0), "{text}");
    for expected in ["bank      5, unknown 0, failed 1", "lists     5, unknown 2, failed 0"] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
}

#[test]
fn a_violation_of_several_keys_is_told_and_exits_with_1() {
    let look = "# node n2\ni 1 look 9\nr 1 ok a=2 b=5 12\n";
    let lists = "i 1 lists <+1 m+2 5\nr 1 ok 6\ni 2 lists m < 5\nr 2 ok m=2 <=- 8\n";
    let cases = [
        (look, "bank", "the sum is 7, and was 10 when opened"),
        (look, "bank", "    look saw a=2 b=5   by b at n2, 9 to 12\n"),
        (look, "bank", "meanwhile:\n    transfer 3 from a to b ok   by a at n1, 10 to 20\n"),
        (lists, "lists", "anti_dependency_cycle (G-single)"),
        (lists, "lists", "    append 1 to <; append 2 to m   by b at , 5 to 6\n"),
    ];
    for (bad, what, expected) in cases {
        let folder = folder(&[("a.history", BANK), ("b.history", bad)]);
        let page = folder.path().join("page.html");
        let (status, text) = ram_check(folder.path(), &["--report", page.to_str().unwrap()]);
        assert_eq!(status, Some(1), "{text}");
        let verdict = format!("VIOLATION in the {what}");
        assert!(text.contains(&verdict) && text.contains(expected), "{expected}: {text}");
        let page = fs::read_to_string(page).unwrap();
        assert!(page.contains(&expected.replace('<', "&lt;")), "{page}");
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
                i 13 add k 4 17\nr 13 ok 2 18\n\
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
        (Action::Add(4), Outcome::Saw(Some(Value::from(2)))),
        (Action::Write(Value::Text("07".into())), Outcome::Unknown),
        (Action::Read, Outcome::Saw(seven())),
    ];
    for (record, (action, outcome)) in records.iter().zip(&expected) {
        assert_eq!((&record.op.action, record.outcome()), (action, outcome));
        assert_eq!((&*record.client, &*record.op.key), ("client-1", "k"));
    }
    assert_eq!(records.len(), expected.len());
    assert_eq!((&*records[0].node, &*records[6].node), ("a@b", "c@d"));
    assert_eq!((records[6].called.at_ns, records[6].returned.as_ref().unwrap().1.at_ns), (19, 20));
    let fault = |from_ns, to_ns, what: &str| Fault { from_ns, to_ns, what: what.into() };
    assert_eq!(found.faults, [fault(1, 2, "kill a@b"), fault(5, 9, "")]);
}
