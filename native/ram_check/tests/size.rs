//! Histories of the size a torture run makes, and harder ones than it should make.
//!
//! The full size, 200,000 operations of 20 clients on 50 keys with 3 % unknown, is for release:
//! `cargo test --release -p ram_check --test size -- --ignored --nocapture`.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod scene;

use std::time::{Duration, Instant};

use ram_check::{Action, Budget, History, Op, Outcome, Ties, Value, Verdict, check};
use scene::{Dice, execute, is_valid_order, seeds, verdict};

/// A workload: clients in closed loops, each operation done somewhere within its span.
#[derive(Clone, Copy)]
struct Load {
    ops: u64,
    keys: u64,
    clients: u64,
    unknown_percent: u64,
    /// How many values there are to write; 0: every value is written once.
    values: u64,
    /// Whether some keys are counters.
    counts: bool,
}

const FULL: Load =
    Load { ops: 200_000, keys: 50, clients: 20, unknown_percent: 3, values: 0, counts: true };

#[test]
#[ignore = "for release: the full size"]
fn the_full_size_is_checked_in_ten_seconds() {
    for values in [0, 5] {
        for seed in seeds(3) {
            let took = accept(Load { values, ..FULL }, seed);
            assert!(took < Duration::from_secs(10), "RAM_SEED={seed} values {values}: {took:?}");
        }
    }
}

#[test]
fn twenty_thousand_operations_are_ordered() {
    accept(Load { ops: 20_000, ..FULL }, 1);
    accept(Load { ops: 20_000, values: 5, ..FULL }, 2);
}

#[test]
fn twenty_clients_on_one_hot_key_are_ordered() {
    for seed in 0..3 {
        let load = Load { ops: 2_000, keys: 1, counts: false, ..FULL };
        accept(load, seed);
        accept(Load { ops: 200, values: 5, ..load }, seed);
        accept(Load { ops: 300, counts: true, ..load }, seed);
    }
}

#[test]
#[ignore = "for release: values that repeat and sums, each with twenty operations under way"]
fn twenty_clients_on_one_hot_key_of_the_hardest_kinds_are_ordered() {
    for seed in seeds(3) {
        let load = Load { ops: 2_000, keys: 1, ..FULL };
        accept(Load { values: 5, counts: false, ..load }, seed);
        accept(load, seed);
    }
}

#[test]
fn a_third_of_the_outcomes_may_be_unknown() {
    for seed in 0..3 {
        let load = Load { ops: 4_000, keys: 4, unknown_percent: 33, ..FULL };
        accept(load, seed);
        accept(Load { values: 5, ..load }, seed);
    }
}

#[test]
fn one_stale_read_among_many_operations_is_found_and_explained_by_few() {
    for (values, seed) in [(0, 1), (0, 2), (0, 3)] {
        let load = Load { ops: 20_000, keys: 10, values, counts: false, ..FULL };
        let history = spoil(&execute_load(load, seed));
        let start = Instant::now();
        let Verdict::Violation(violation) = verdict(&history) else { unreachable!("{seed}") };
        println!("violation explained in {:?}", start.elapsed());
        assert!(violation.core.len() <= 5, "{seed}: {}", violation.core.len());
    }
}

#[test]
fn one_stale_read_of_twenty_clients_on_one_hot_key_is_found() {
    for seed in 0..3 {
        let load = Load { ops: 600, keys: 1, counts: false, ..FULL };
        let verdict = verdict(&spoil(&execute_load(load, seed)));
        let Verdict::Violation(violation) = verdict else { unreachable!("{seed}: {verdict:?}") };
        assert!(violation.core.len() <= 5, "{seed}: {}", violation.core.len());
    }
}

#[test]
#[ignore = "for release: as above, twenty thousand operations"]
fn one_stale_read_among_very_many_of_a_hot_key_is_never_taken_as_right() {
    for seed in seeds(4) {
        let load = Load { ops: 20_000, keys: 1, counts: false, ..FULL };
        let history = spoil(&execute_load(load, seed));
        let start = Instant::now();
        let verdict = check(&history, &Budget::of_time(Duration::from_secs(25)));
        println!("seed {seed}: violation {} in {:?}", verdict.is_violation(), start.elapsed());
        assert!(!verdict.is_linearizable(), "{seed}");
    }
}

#[test]
fn a_spent_budget_is_undecided_and_never_a_verdict() {
    let history = spoil(&execute_load(Load { ops: 3_000, keys: 1, ..FULL }, 1));
    for steps_max in [0, 1, 100, 1_000] {
        let verdict = check(&history, &Budget { steps_max, ..Budget::default() });
        assert!(matches!(verdict, Verdict::Undecided(_)), "{steps_max} steps: {verdict:?}");
    }
    let no_memory = Budget { memory_bytes_max: 10_000, ..Budget::default() };
    assert!(matches!(check(&history, &no_memory), Verdict::Undecided(_)));
    let no_time = Budget::of_time(Duration::ZERO);
    assert!(matches!(check(&history, &no_time), Verdict::Undecided(_)));
}

fn accept(load: Load, seed: u64) -> Duration {
    let history = execute_load(load, seed);
    let start = Instant::now();
    let verdict = verdict(&history);
    let took = start.elapsed();
    println!("{} operations, values {}, seed {seed}: {took:?}", load.ops, load.values);
    let Verdict::Linearizable(orders) = verdict else { unreachable!("seed {seed}: {verdict:?}") };
    assert!(orders.iter().all(|(key, order)| is_valid_order(&history, key, order)), "{seed}");
    took
}

/// Gives the last read of a key that saw a number the answer of a read long before it.
fn spoil(history: &History) -> History {
    let reads: Vec<_> = history
        .records()
        .filter(|(_, r)| matches!(r.op.action, Action::Read) && &*r.op.key == "k0")
        .filter(|(_, r)| matches!(r.outcome(), Outcome::Saw(Some(Value::Integer(_)))))
        .map(|(id, r)| (id, r.outcome().clone()))
        .collect();
    let (old, late) = (&reads[reads.len() / 4].1, reads[reads.len() * 3 / 4].0);
    let mut spoilt = History::new(Ties::Overlap);
    for (id, record) in history.records() {
        let op = record.op.clone();
        let copy = spoilt.call(&record.client, &record.node, op, record.called.at_ns);
        let (outcome, at) = record.returned.clone().unwrap();
        let outcome = if id == late { old.clone() } else { outcome };
        spoilt.ret(copy, outcome, at.at_ns).unwrap();
    }
    spoilt
}

struct Draft {
    client: u64,
    op: Op,
    from: u64,
    to: u64,
    /// When it is done; `None`: never.
    at: Option<u64>,
    is_known: bool,
}

fn execute_load(load: Load, seed: u64) -> History {
    let mut dice = Dice(seed);
    let mut drafts: Vec<Draft> = draft(load, &mut dice);
    drafts.sort_by_key(|draft| draft.at);
    let mut history = History::new(Ties::Overlap);
    let mut states = std::collections::HashMap::new();
    for mut draft in drafts {
        let state = states.entry(draft.op.key.clone()).or_insert(None);
        if let Action::Cas { expect, .. } = &mut draft.op.action {
            // A guess that is often right, as of a client that read before.
            *expect = if dice.chance(70) { state.clone() } else { Some(Value::from(-1)) };
        }
        let done = draft.at.and_then(|_| execute(&draft.op.action, state));
        let outcome = match done {
            Some((outcome, after)) => {
                *state = after;
                outcome
            }
            None => Outcome::Failed,
        };
        let outcome = if draft.is_known { outcome } else { Outcome::Unknown };
        let (client, node) = (format!("c{}", draft.client), format!("n{}", draft.client % 3));
        let id = history.call(&client, &node, draft.op, draft.from);
        history.ret(id, outcome, draft.to).unwrap();
    }
    history
}

fn draft(load: Load, dice: &mut Dice) -> Vec<Draft> {
    let mut clocks = vec![0; load.clients as usize];
    let draft = |number: u64| {
        let client = number % load.clients;
        let clock = &mut clocks[client as usize];
        // A millisecond or so; now and then a fault makes it a hundred.
        let span_max = if dice.chance(1) { 100_000_000 } else { 1_000_000 };
        let span = 1 + dice.below(span_max);
        let from = *clock + dice.below(200_000);
        let to = from + span;
        *clock = to;
        let is_known = !dice.chance(load.unknown_percent);
        let late = if is_known { 0 } else { span * 4 };
        let at = (is_known || dice.chance(50)).then(|| from + dice.below(span + late));
        Draft { client, op: random_op(load, number, dice), from, to, at, is_known }
    };
    (0..load.ops).map(draft).collect()
}

fn random_op(load: Load, number: u64, dice: &mut Dice) -> Op {
    let key = dice.below(load.keys);
    let is_counter = load.counts && key.is_multiple_of(5);
    let value = if load.values == 0 { number } else { dice.below(load.values) };
    let new = Value::from(value as i64);
    let action = match (is_counter, dice.below(10)) {
        (_, 0..4) => Action::Read,
        (true, 4..9) => Action::Add(1),
        (true, _) => Action::Swap(Some(Value::from(0))),
        (false, 4..6) => Action::Write(new),
        (false, 6) => Action::Swap(Some(new)),
        (false, 7) => Action::Delete,
        (false, _) => Action::Cas { expect: None, new: Some(new) },
    };
    Op::new(&format!("k{key}"), action)
}
