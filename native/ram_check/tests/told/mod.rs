//! Histories as text, for the judges that read folders: a line for each call,
//! `FROM-TO CALL -> OUTCOME`, or `fault FROM TO WORDS`, in milliseconds; `node NAME` for what
//! follows.

use ram_check::files::{Folder, read_folder};
use std::fs;
use tempfile::TempDir;

/// `kind` is the first word of each call, if not empty; `others` are more files.
pub fn read(kind: &str, text: &str, others: &[(&str, &str)]) -> (TempDir, Folder) {
    let folder = tempfile::tempdir().unwrap();
    let (mut history, mut faults) = ("# node n\n".to_owned(), String::new());
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    for (number, line) in lines.enumerate() {
        if let Some(fault) = line.strip_prefix("fault ") {
            let words: Vec<&str> = fault.splitn(3, ' ').collect();
            faults += &format!("{} {} {}\n", ns(words[0]), ns(words[1]), words[2]);
            continue;
        }
        if line.starts_with("node ") {
            history += &format!("# {line}\n");
            continue;
        }
        let (call, outcome) = line.split_once(" -> ").unwrap();
        let (times, call) = call.split_once(' ').unwrap();
        let (from, to) = times.split_once('-').unwrap();
        let call = format!("{kind} {call}");
        let (call, is_told) = (call.trim(), matches!(outcome, "ok" | "unknown" | "failed"));
        let outcome = if is_told { outcome.to_owned() } else { format!("ok {outcome}") };
        history += &format!("i {number} {call} {}\nr {number} {outcome} {}\n", ns(from), ns(to));
    }
    fs::write(folder.path().join("c.history"), history).unwrap();
    fs::write(folder.path().join("faults"), faults).unwrap();
    for (name, text) in others {
        fs::write(folder.path().join(name), text).unwrap();
    }
    let found = read_folder(folder.path()).unwrap();
    (folder, found)
}

fn ns(ms: &str) -> String {
    format!("{ms}000000")
}
