//! Many seeds, each in a process of its own (see the crate's door), as many at once as there are
//! processors. One in which something goes round without ever waiting makes no virtual time: it is
//! killed, and has violated `time_goes_on`.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use crate::report::{Report, Violation};

/// How often a process is looked after.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// So often at most: ten minutes, a hundred times what a minute of virtual time takes.
const LOOKS_MAX: u32 = 10 * 60 * 50;

#[derive(Debug, Clone)]
pub struct Order {
    pub first_seed: u64,
    pub seeds: u64,
    pub seconds: u64,
    /// The fault of `ram_sabotage` to arm.
    pub sabotage: Option<String>,
    /// Stop at the first violation.
    pub is_hunt: bool,
}

/// Runs the seeds with `program`, `ram-sim` itself. The reports come in the order of the seeds;
/// `told` gets each as it comes, and how many have come.
pub fn run(program: &Path, order: &Order, told: impl Fn(&Report, u64) + Sync) -> Vec<Report> {
    let next = AtomicU64::new(order.first_seed);
    let is_over = AtomicBool::new(false);
    let reports = Mutex::new(BTreeMap::new());
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= order.first_seed.saturating_add(order.seeds) {
                        return;
                    }
                    let report = run_one(program, order, seed);
                    if report.violation.is_some() && order.is_hunt {
                        is_over.store(true, Ordering::Relaxed);
                    }
                    let mut reports = reports.lock().unwrap();
                    told(&report, reports.len() as u64 + 1);
                    reports.insert(seed, report);
                }
            });
        }
    });
    reports.into_inner().unwrap().into_values().collect()
}

pub fn run_one(program: &Path, order: &Order, seed: u64) -> Report {
    let mut command = Command::new(program);
    command.args(["one", &seed.to_string(), &order.seconds.to_string()]);
    command.env_remove("RAM_SABOTAGE");
    if let Some(fault) = &order.sabotage {
        command.env("RAM_SABOTAGE", fault);
    }
    let died = |invariant: &str, detail: String| {
        let violation = Violation { invariant: invariant.into(), detail, at_ns: 0 };
        Report { seed, violation: Some(violation), ..Report::default() }
    };
    let (printed, errors) = match output(&mut command) {
        Ok(Some(output)) => output,
        Ok(None) => return died("time_goes_on", "something runs and never waits".into()),
        Err(error) => return died("no_panic", error.to_string()),
    };
    let report = Report::parse(&printed);
    let mut report = report.unwrap_or_else(|| died("no_panic", format!("no report; {errors}")));
    if let Some(violation) = &mut report.violation
        && violation.invariant == "no_panic"
    {
        violation.detail = format!("{}\n{errors}", violation.detail);
    }
    report
}

/// What it has printed, and the errors of it; `None` when it had to be killed. The clock of this
/// process stands still (`entropy`), so it is sleeps that are counted.
fn output(command: &mut Command) -> io::Result<Option<(String, String)>> {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let (mut printed, mut errors) = (Vec::new(), Vec::new());
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let has_ended = thread::scope(|scope| {
        scope.spawn(|| out.map(|mut out| out.read_to_end(&mut printed)));
        scope.spawn(|| err.map(|mut err| err.read_to_end(&mut errors)));
        for _ in 0..LOOKS_MAX {
            if child.try_wait()?.is_some() {
                return Ok(true);
            }
            thread::sleep(LOOK_EVERY);
        }
        child.kill()?;
        child.wait()?;
        io::Result::Ok(false)
    })?;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ok(has_ended.then(|| (text(printed), text(errors))))
}

/// The sums of many reports, and every violation with the command that shows it again.
pub fn print_summary(
    order: &Order,
    reports: &[Report],
    out: &mut impl io::Write,
) -> io::Result<()> {
    let mut sum = Report::default();
    for report in reports {
        sum.virtual_ms += report.virtual_ms;
        for (name, count) in &report.counts {
            sum.count(name.clone(), *count);
        }
    }
    writeln!(out, "seeds: {}", reports.len())?;
    writeln!(out, "virtual seconds: {}", sum.virtual_ms / 1000)?;
    for (name, count) in &sum.counts {
        writeln!(out, "{name}: {count}")?;
    }
    let violations = reports.iter().filter(|report| report.violation.is_some());
    for report in violations.clone() {
        print_violation(order, report, out)?;
    }
    match violations.count() {
        0 => writeln!(out, "verdict: all hold"),
        count => writeln!(out, "verdict: {count} seeds show a violation"),
    }
}

fn print_violation(order: &Order, report: &Report, out: &mut impl io::Write) -> io::Result<()> {
    let Some(Violation { invariant, detail, at_ns }) = &report.violation else { return Ok(()) };
    let seconds = *at_ns as f64 / 1e9;
    writeln!(out, "\nseed {} at {seconds:.3} virtual seconds: {invariant}", report.seed)?;
    writeln!(out, "  {detail}")?;
    let sabotage = order.sabotage.as_ref().map(|fault| format!(" --sabotage {fault}"));
    let sabotage = sabotage.unwrap_or_default();
    let (seed, length) = (report.seed, order.seconds);
    writeln!(out, "again: ram-sim --seed {seed} --seconds {length}{sabotage}")
}
