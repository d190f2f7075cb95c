//! `ram-sim`: runs seeds and prints the verdict.
//!
//! ```text
//! ram-sim --seeds 200            the seeds 1 to 200
//! ram-sim --seed 7 [--trace]     one seed; --trace prints every event
//!         --seconds 60           virtual seconds with faults, for each seed
//!         --sabotage NAME        arms a fault, and stops at the seed that catches it
//! ```
//!
//! It ends with 1 when something was violated. Built without the feature `sabotage` it refuses
//! `--sabotage`.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use ram_sim::fleet::{self, Order};
use ram_sim::report::Report;
use ram_sim::run::Options;
use ram_sim::{entropy, run};
use std::io::stdout;
use std::process::ExitCode;

const SECONDS: u64 = 60;
const SEEDS_PER_LINE: u64 = 5;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some("one") => one(&arguments),
        _ => match order(&arguments) {
            Ok(order) => many(&order, arguments.iter().any(|argument| argument == "--trace")),
            Err(wrong) => {
                eprintln!("ram-sim: {wrong}");
                ExitCode::from(2)
            }
        },
    }
}

/// The process of one seed: `one SEED SECONDS [trace]`.
fn one(arguments: &[String]) -> ExitCode {
    let number =
        |place: usize| arguments.get(place).and_then(|text| text.parse().ok()).unwrap_or(1);
    let (seed, seconds) = (number(1), number(2));
    let is_traced = arguments.get(3).is_some();
    entropy::seed(seed);
    let run = move || run::run(&Options { seed, seconds, is_traced });
    // A thread of its own: the main one may have drawn the keys of a hash map already.
    let report = std::thread::Builder::new().name("sim".into()).spawn(run).unwrap().join();
    match report {
        Ok(report) => {
            print!("{report}");
            ExitCode::from(u8::from(report.violation.is_some()))
        }
        Err(_) => ExitCode::from(3),
    }
}

fn order(arguments: &[String]) -> Result<Order, String> {
    let mut order =
        Order { first_seed: 1, seeds: 20, seconds: SECONDS, sabotage: None, is_hunt: false };
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        if word == "--trace" {
            continue;
        }
        let value = words.next().ok_or(format!("{word} needs a value"))?;
        let number = value.parse().map_err(|_| format!("{value} is not a number"));
        match word.as_str() {
            "--seed" => (order.first_seed, order.seeds) = (number?, 1),
            "--first" => order.first_seed = number?,
            "--seeds" => order.seeds = number?,
            "--seconds" => order.seconds = number?,
            "--sabotage" => {
                check_sabotage(value)?;
                order.sabotage = Some(value.clone());
                order.is_hunt = true;
            }
            _ => return Err(format!("{word} is not known")),
        }
    }
    Ok(order)
}

#[cfg(feature = "sabotage")]
fn check_sabotage(name: &str) -> Result<(), String> {
    let known = ram_sabotage::Fault::named(name);
    known.map(|_| ()).ok_or(format!("there is no sabotage {name}"))
}

#[cfg(not(feature = "sabotage"))]
fn check_sabotage(_: &str) -> Result<(), String> {
    Err("built without the feature sabotage".into())
}

fn many(order: &Order, is_traced: bool) -> ExitCode {
    let program = std::env::current_exe().expect("the path of this program");
    if is_traced {
        let seed = order.first_seed.to_string();
        let arguments = ["one", &seed, &order.seconds.to_string(), "trace"];
        let status = std::process::Command::new(program).args(arguments).status();
        return ExitCode::from(u8::from(!status.is_ok_and(|status| status.success())));
    }
    let reports = fleet::run(&program, order, |report, done| progress(order, report, done));
    fleet::print_summary(order, &reports, &mut stdout()).expect("standard output");
    ExitCode::from(u8::from(reports.iter().any(|report| report.violation.is_some())))
}

/// A line for each violation, and one now and then: counted, since the clock of this process stands
/// still (`entropy`).
fn progress(order: &Order, report: &Report, done: u64) {
    if let Some(violation) = &report.violation {
        eprintln!("ram-sim: seed {}: {}", report.seed, violation.invariant);
    }
    if done.is_multiple_of(SEEDS_PER_LINE) {
        eprintln!("ram-sim: {done} of {} seeds", order.seeds);
    }
}
