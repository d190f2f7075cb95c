//! Seeds in the ordinary tests: a few new ones, the same one twice, and every one that ever failed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use ram_sim::fleet::{self, Order};
use ram_sim::report::Report;
use std::path::Path;

fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_ram-sim"))
}

fn order(first_seed: u64, seeds: u64, seconds: u64) -> Order {
    Order { first_seed, seeds, seconds, sabotage: None, is_hunt: false }
}

fn run(seed: u64, seconds: u64) -> Report {
    fleet::run_one(program(), &order(seed, 1, seconds), seed)
}

#[track_caller]
fn holds(seed: u64, seconds: u64) {
    let report = run(seed, seconds);
    assert_eq!(report.violation, None, "ram-sim --seed {seed} --seconds {seconds}");
}

#[test]
fn one_seed_gives_one_run() {
    let (first, second) = (run(7, 12), run(7, 12));
    assert!(first.counts["operations"] > 100, "{first}");
    assert_eq!(first.to_string(), second.to_string());
    assert_ne!(first.trace, run(8, 12).trace);
}

#[test]
fn a_few_seeds_hold() {
    let order = order(100, 4, 12);
    let reports = fleet::run(program(), &order, |_, _| {});
    let mut summary = Vec::new();
    fleet::print_summary(&order, &reports, &mut summary).unwrap();
    let failed = reports.iter().any(|report| report.violation.is_some());
    assert!(!failed, "{}", String::from_utf8_lossy(&summary));
}

/// Two members lost power; each told of its clock that it had begun at the same moment as before,
/// so the leader took them for clocks that had stood still. When they were a part of the majority
/// that answered, a silence of half a second ended what its member owned
/// (`ram_lease::majority_clock::Reading`).
#[test]
#[ignore = "a minute of virtual time: make sim runs it"]
fn seed_277_clocks_that_begin_anew_are_not_taken_for_those_before() {
    holds(277, 60);
}

/// A disk was lost while the removal of another member was half done, which left no majority. That
/// was the simulator asking for too much; it waits for changes to settle since.
#[test]
#[ignore = "a minute of virtual time: make sim runs it"]
fn seed_25_loses_no_disk_while_a_removal_is_half_done() {
    holds(25, 60);
}

/// The leader was lost before it dropped the former self of a member, whose new one was a voter by
/// then and asked for nothing more (`raft::members::Members::finish_changes`).
#[test]
#[ignore = "a minute of virtual time: make sim runs it"]
fn seed_8_a_former_self_that_a_lost_leader_left_goes() {
    holds(8, 60);
}

/// The leader was lost between the two steps of joint consensus, and nobody finished the change:
/// both majorities were needed from then on (`raft::members::Members::finish_changes`).
#[test]
#[ignore = "a minute of virtual time: make sim runs it"]
fn seed_15_a_membership_change_left_half_done_is_finished() {
    holds(15, 60);
}

#[test]
#[ignore = "a minute of virtual time: make sim runs it"]
fn seed_12_a_membership_change_left_half_done_is_finished() {
    holds(12, 60);
}

#[test]
#[ignore = "a minute of virtual time: make sim runs it"]
fn seed_22_a_membership_change_left_half_done_is_finished() {
    holds(22, 60);
}

/// A leader that heard of no majority any more was refused whatever it proposed, and proposed it
/// again without a pause (`raft::rounds::lead`).
#[test]
#[ignore = "a minute of virtual time: make sim runs it"]
fn seed_53_a_leader_that_is_refused_waits() {
    holds(53, 60);
}

#[test]
#[ignore = "a minute of virtual time: make sim runs it"]
fn seed_67_a_leader_that_is_refused_waits() {
    holds(67, 60);
}

/// A connection that had lost a segment was kept for longer than the owner timeout, and what the
/// member owned went though it could be reached (`core::opening`).
#[test]
#[ignore = "a minute of virtual time: make sim runs it"]
fn seed_83_a_dead_connection_is_no_silence_of_its_member() {
    holds(83, 60);
}

/// Whether a member hears its leader was read by the clock of another host (`impostor`).
#[test]
#[ignore = "a minute of virtual time: make sim runs it"]
fn seed_35_an_unknown_peer_is_judged_by_the_clock_of_the_member() {
    holds(35, 60);
}
