//! `ram-check FOLDER`: are the histories in this folder linearizable, their transactions strictly
//! serializable, their keys gone in time, their watches told of all?
//!
//! Prints what was read and the verdict; on a violation the key, the operation that cannot be
//! placed and those it contradicts, or what another judge found that cannot be, and with
//! `--report` an HTML page that draws or tells it. Exit status: 0 linearizable, 1 violation, 2
//! malformed input or usage, 3 undecided within the budget.

use std::collections::HashSet;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use ram_check::files::{Folder, read_folder};
use ram_check::{
    Budget, Calls, History, OpId, Outcome, Record, Request, Verdict, Violation, accounts, check,
    expiry, lists, locks, names, report, show_state, watches,
};

const USAGE: &str = "usage: ram-check FOLDER [--report FILE.html] [--budget-s N]";
const BUDGET_S: u64 = 120;

fn main() -> ExitCode {
    match arguments(std::env::args().skip(1)).and_then(|arguments| run(&arguments)) {
        Ok(status) => status,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::from(2)
        }
    }
}

struct Arguments {
    folder: PathBuf,
    report: Option<PathBuf>,
    budget_s: u64,
}

fn arguments(mut words: impl Iterator<Item = String>) -> Result<Arguments, String> {
    let (mut folder, mut report, mut budget_s) = (None, None, BUDGET_S);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--report" => report = Some(words.next().ok_or(USAGE)?.into()),
            "--budget-s" => {
                budget_s = words.next().and_then(|n| n.parse().ok()).ok_or(USAGE)?;
            }
            _ if word.starts_with('-') || folder.is_some() => return Err(USAGE.to_owned()),
            _ => folder = Some(word.into()),
        }
    }
    Ok(Arguments { folder: folder.ok_or(USAGE)?, report, budget_s })
}

fn run(arguments: &Arguments) -> Result<ExitCode, String> {
    let found = read_folder(&arguments.folder).map_err(|error| error.to_string())?;
    print_counts(&found.history);
    print_calls("bank", &found.accounts);
    print_calls("lists", &found.lists);
    print_calls("expiry", &found.timed);
    print_calls("watched", &found.changing);
    print_calls("locks", &found.locking);
    print_calls("names", &found.naming);
    let start = Instant::now();
    let violations = judge_calls(&found);
    let budget = Budget::of_time(Duration::from_secs(arguments.budget_s));
    let verdict = check(&found.history, &budget);
    println!("time      {:.2} s", start.elapsed().as_secs_f64());
    for (what, text) in &violations {
        println!("verdict   VIOLATION in the {what}\n\n{text}");
    }
    let page = match &verdict {
        Verdict::Violation(violation) => {
            print_violation(&found.history, violation);
            Some(report::page(&found.history, &found.faults, violation))
        }
        _ => violations.first().map(|(what, text)| report::text_page(what, text)),
    };
    match (page, verdict) {
        (Some(page), _) => {
            if let Some(path) = &arguments.report {
                std::fs::write(path, page)
                    .map_err(|error| format!("{}: {error}", path.display()))?;
                println!("drawn in  {}", path.display());
            }
            Ok(ExitCode::FAILURE)
        }
        (None, Verdict::Undecided(keys)) => {
            println!("verdict   undecided within the budget, keys: {}", keys.join(" "));
            Ok(ExitCode::from(3))
        }
        (None, _) => {
            println!("verdict   linearizable");
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// What the judges of [`Calls`] found, each the first violation that it met.
fn judge_calls(found: &Folder) -> Vec<(&'static str, String)> {
    let judges =
        [judge_accounts, judge_lists, judge_expiry, judge_watches, judge_locks, judge_names];
    judges.iter().filter_map(|judge| judge(found)).collect()
}

/// Where the violation is, and what it is.
type Judged = Option<(&'static str, String)>;

fn judge_accounts(found: &Folder) -> Judged {
    let violation = accounts::check(&found.accounts)?;
    Some(("bank", violation.explain(&found.accounts)))
}

fn judge_lists(found: &Folder) -> Judged {
    let anomaly = lists::check(&found.lists)?;
    Some(("lists", anomaly.explain(&found.lists)))
}

fn judge_expiry(found: &Folder) -> Judged {
    match expiry::check(&found.timed, &found.faults) {
        Ok(expiry::Looked { gone, in_time }) => {
            println!("expired   {gone} found gone, {in_time} in time");
            None
        }
        Err(violation) => Some(("expiry", violation.explain(&found.timed))),
    }
}

fn judge_watches(found: &Folder) -> Judged {
    match watches::check(&found.changing, &found.receivers) {
        Ok(looked) => {
            let watches::Looked { messages, initial, resumed, lost, compared } = looked;
            println!("receivers {}, messages {messages}", found.receivers.len());
            println!("watches   {initial} anew, {resumed} went on, {lost} lost");
            println!("copies    {compared} compared");
            None
        }
        Err(violation) => Some(("watches", violation.explain(&found.changing, &found.receivers))),
    }
}

fn judge_locks(found: &Folder) -> Judged {
    match locks::check(&found.locking, &found.faults) {
        Ok(locks::Looked { given, holds, written }) => {
            println!("given     {given} locks, {holds} used, {written} writes with tokens");
            None
        }
        Err(violation) => Some(("locks", violation.explain(&found.locking))),
    }
}

fn judge_names(found: &Folder) -> Judged {
    match names::check(&found.naming, &found.faults) {
        Ok(names::Looked { given, kept, found, sure }) => {
            println!("named     {given} names given, {kept} kept, {found} found, {sure} for sure");
            None
        }
        Err(violation) => Some(("names", violation.explain(&found.naming))),
    }
}

fn print_calls<R: Request>(what: &str, calls: &Calls<R>) {
    let unknown = calls.iter().filter(|(_, call)| call.is_unknown()).count();
    let failed = calls.iter().filter(|(_, call)| call.has_failed()).count();
    println!("{what:9} {}, unknown {unknown}, failed {failed}", calls.len());
}

fn print_counts(history: &History) {
    let count = |of: fn(&Record) -> bool| history.records().filter(|(_, r)| of(r)).count();
    let clients: HashSet<&str> = history.records().map(|(_, record)| &*record.client).collect();
    let unknown = count(|record| *record.outcome() == Outcome::Unknown);
    let percent = 100.0 * unknown as f64 / history.len().max(1) as f64;
    println!("ops       {} on {} keys", history.len(), history.by_key().len());
    println!("clients   {}", clients.len());
    println!("unknown   {unknown} ({percent:.2} %)");
    println!("failed    {}", count(|record| *record.outcome() == Outcome::Failed));
}

fn print_violation(history: &History, violation: &Violation) {
    println!("verdict   VIOLATION on key {}", violation.key);
    if !violation.is_smallest {
        println!("(the budget ended before the explanation was as small as it can be)");
    }
    println!("\nThis operation cannot be placed:");
    println!("    {}", line(history, violation.unplaced));
    println!("\nIt contradicts these outcomes (any other may be left out):");
    for id in violation.core.iter().filter(|id| **id != violation.unplaced) {
        println!("    {}", line(history, *id));
    }
    if !violation.sources.is_empty() {
        println!("\nWhat it saw or expected is set by:");
    }
    for id in violation.sources.iter().take(8) {
        println!("    {}", line(history, *id));
    }
    let (count, state) = (violation.prefix.len(), show_state(&violation.state));
    println!("\nBefore it returned, the others have an order, of {count}, that ends at {state}:");
    for id in violation.prefix.iter().skip(count.saturating_sub(8)) {
        println!("    {}", line(history, *id));
    }
}

fn line(history: &History, id: OpId) -> String {
    let Some(record) = history.get(id) else { return String::new() };
    let end = match &record.returned {
        Some((_, at)) => at.at_ns.to_string(),
        None => "no return".to_owned(),
    };
    let from = record.called.at_ns;
    format!("{record}   by {} at {}, {from} to {end}", record.client, record.node)
}
