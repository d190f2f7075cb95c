//! The checker against two others on small random histories: `todc-utils`, and all orders tried.
//!
//! Every history is made by executing an order, which makes it linearizable; in four of five some
//! outcomes or times are changed afterwards, and many of these are not. A failure prints its seed:
//! `RAM_SEED=n cargo test -p ram_check --test random`.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod scene;

use std::collections::BTreeSet;

use ram_check::{Action, History, Op, OpId, Outcome, Record, Ties, Value, Verdict};
use scene::{Dice, KEY, end, execute, follow, is_valid_order, seeds, verdict};
use todc_utils::linearizability::{WGLChecker, history};
use todc_utils::specifications::Specification;

const SEEDS: u64 = 8_000;
const OPS_MAX: u64 = 9;

#[test]
fn three_checkers_agree_on_small_random_histories() {
    let (mut good, mut bad) = (0, 0);
    for seed in seeds(SEEDS) {
        let history = random_history(seed);
        let expected = by_trying_all(&history);
        assert_eq!(by_todc(&history), expected, "RAM_SEED={seed} todc-utils {history:#?}");
        match verdict(&history) {
            Verdict::Linearizable(orders) => {
                assert!(expected, "RAM_SEED={seed} accepted: {}", show(&history));
                let order = orders.get(KEY).map(Vec::as_slice).unwrap_or_default();
                assert!(is_valid_order(&history, KEY, order), "RAM_SEED={seed} {order:?}");
                good += 1;
            }
            Verdict::Violation(violation) => {
                assert!(!expected, "RAM_SEED={seed} refused: {}", show(&history));
                assert_explains(&history, &violation, seed);
                bad += 1;
            }
            Verdict::Undecided(_) => unreachable!("RAM_SEED={seed} undecided"),
        }
    }
    println!("{good} linearizable, {bad} not");
    let is_mixed = good > SEEDS / 5 && bad > SEEDS / 5;
    assert!(is_mixed || seeds(SEEDS).count() == 1, "{good} linearizable, {bad} not");
}

#[test]
fn the_verdict_stays_when_times_are_shifted_and_clients_renamed() {
    for seed in seeds(SEEDS / 10) {
        let history = random_history(seed);
        let mut moved = History::new(Ties::Overlap);
        for (_, record) in history.records() {
            let client = format!("another-{}", record.client);
            let from = record.called.at_ns + 1_000_000_007;
            let id = moved.call(&client, "elsewhere", record.op.clone(), from);
            if let Some((outcome, at)) = &record.returned {
                moved.ret(id, outcome.clone(), at.at_ns + 1_000_000_007).unwrap();
            }
        }
        let (before, after) = (verdict(&history), verdict(&moved));
        assert_eq!(before.is_linearizable(), after.is_linearizable(), "RAM_SEED={seed}");
        assert_eq!(before.is_violation(), after.is_violation(), "RAM_SEED={seed}");
    }
}

/// The core is a violation by itself, and taking any outcome of it away ends it.
fn assert_explains(history: &History, violation: &ram_check::Violation, seed: u64) {
    assert!(violation.core.contains(&violation.unplaced), "RAM_SEED={seed}");
    assert!(!by_trying_all(&with_known(history, &violation.core)), "RAM_SEED={seed}");
    for gone in &violation.core {
        let rest: Vec<OpId> = violation.core.iter().copied().filter(|id| id != gone).collect();
        assert!(by_trying_all(&with_known(history, &rest)), "RAM_SEED={seed} {gone:?} is idle");
    }
}

/// The history in which only these operations have their outcomes.
fn with_known(history: &History, ids: &[OpId]) -> History {
    let mut weaker = History::new(Ties::Overlap);
    for (id, record) in history.records().filter(|(_, r)| *r.outcome() != Outcome::Failed) {
        let copy = weaker.call("c", "n", record.op.clone(), record.called.at_ns);
        if let (true, Some((outcome, at))) = (ids.contains(&id), &record.returned) {
            weaker.ret(copy, outcome.clone(), at.at_ns).unwrap();
        }
    }
    weaker
}

// ---- histories ----

fn random_history(seed: u64) -> History {
    let mut dice = Dice(seed);
    let count = 1 + dice.below(OPS_MAX);
    let mut state = None;
    let mut drafts = Vec::new();
    for number in 0..count {
        let action = random_action(&mut dice, seed % 4);
        let mut outcome = Outcome::Failed;
        if let (false, Some((seen, after))) = (dice.chance(5), execute(&action, &state)) {
            (outcome, state) = (seen, after);
            if matches!(action, Action::Add(_)) && dice.chance(50) {
                outcome = Outcome::Saw(state.clone());
            }
        }
        if dice.chance(20) {
            outcome = Outcome::Unknown;
        }
        // Each happens at 100 * (number + 1); the hundreds of others may lie within its span.
        let at = 100 * (number + 1);
        let reach = [30, 150, 400][dice.below(3) as usize];
        let from = (at - dice.below(reach).min(at - 1)) * 100 + number;
        let to = (at + 1 + dice.below(reach)) * 100 + 50 + number;
        drafts.push((action, outcome, from, to));
    }
    for _ in 0..[0, 1, 2, 3, 4][dice.below(5) as usize] {
        let index = dice.below(count) as usize;
        mutate(&mut dice, &mut drafts[index]);
    }
    record(drafts)
}

type Draft = (Action, Outcome, u64, u64);

fn mutate(dice: &mut Dice, (action, outcome, from, to): &mut Draft) {
    if dice.chance(30) {
        let length = *to - *from;
        *from += dice.below(length);
    } else if dice.chance(40) {
        *to = *from + 1 + dice.below(*to - *from);
    } else {
        *outcome = match action {
            Action::Read | Action::Swap(_) => Outcome::Saw(random_state(dice)),
            Action::Cas { .. } if *outcome == Outcome::Ok => Outcome::Conflict,
            Action::Add(_) if dice.chance(50) => {
                Outcome::Saw(Some(Value::from(dice.below(6) as i64 - 1)))
            }
            _ => Outcome::Ok,
        };
    }
}

fn record(drafts: Vec<Draft>) -> History {
    let mut history = History::new(Ties::Overlap);
    for (number, (action, outcome, from, to)) in drafts.into_iter().enumerate() {
        let (client, node) = (format!("c{number}"), format!("n{}", number % 3));
        let id = history.call(&client, &node, Op::new(KEY, action), from);
        history.ret(id, outcome, to).unwrap();
    }
    history
}

/// By theme: registers, registers with compare-and-set, counters, everything.
fn random_action(dice: &mut Dice, theme: u64) -> Action {
    let kinds: &[u64] = match theme {
        0 => &[0, 0, 1, 1, 2],
        1 => &[0, 0, 1, 3, 3, 3, 4],
        2 => &[0, 0, 5, 5, 5, 2],
        _ => &[0, 0, 1, 2, 3, 4, 5, 5],
    };
    match kinds[dice.below(kinds.len() as u64) as usize] {
        0 => Action::Read,
        1 => Action::Write(random_value(dice)),
        2 => Action::Delete,
        3 => Action::Cas { expect: random_state(dice), new: random_state(dice) },
        4 => Action::Swap(random_state(dice)),
        _ => Action::Add(dice.below(5) as i64 - 1),
    }
}

fn random_value(dice: &mut Dice) -> Value {
    match dice.below(6) {
        0 => "x".into(),
        1 => "y".into(),
        number => Value::from(number as i64 - 1),
    }
}

fn random_state(dice: &mut Dice) -> Option<Value> {
    (!dice.chance(25)).then(|| random_value(dice))
}

fn show(history: &History) -> String {
    let line = |record: &Record| {
        format!("\n{}-{:?} {record}", record.called.at_ns, end(record).unwrap_or_default())
    };
    history.records().map(|(_, record)| line(record)).collect()
}

// ---- all orders tried ----

/// Straight from the definition, without memo or reductions.
fn by_trying_all(history: &History) -> bool {
    let records: Vec<&Record> =
        history.records().map(|(_, r)| r).filter(|r| *r.outcome() != Outcome::Failed).collect();
    order_the_rest(&records, &(0..records.len()).collect(), &None)
}

fn order_the_rest(records: &[&Record], left: &BTreeSet<usize>, state: &Option<Value>) -> bool {
    let Some(first_end) = left.iter().filter_map(|i| end(records[*i])).min() else { return true };
    left.iter().any(|next| {
        let may_be_next = records[*next].called.at_ns <= first_end;
        let mut rest = left.clone();
        rest.remove(next);
        may_be_next
            && follow(records[*next], state)
                .is_some_and(|after| order_the_rest(records, &rest, &after))
    })
}

// ---- todc-utils ----

struct Register;

/// An operation with its record; what is unknown returns after everything, so that "never" and
/// "at the very end" are the same.
impl Specification for Register {
    type State = Option<Value>;
    type Operation = Record;

    fn init() -> Self::State {
        None
    }

    fn apply(record: &Record, state: &Self::State) -> (bool, Self::State) {
        match follow(record, state) {
            Some(after) => (true, after),
            None => (false, state.clone()),
        }
    }
}

fn by_todc(history: &History) -> bool {
    let mut events = Vec::new();
    let records = history.records().filter(|(_, r)| *r.outcome() != Outcome::Failed);
    for (process, (_, record)) in records.enumerate() {
        let call = history::Action::Call(record.clone());
        let response = history::Action::Response(record.clone());
        events.push((record.called.at_ns, false, process, call));
        events.push((end(record).unwrap_or(u64::MAX), true, process, response));
    }
    if events.is_empty() {
        return true;
    }
    events.sort_by_key(|(at, is_return, process, _)| (*at, *is_return, *process));
    let actions = events.into_iter().map(|(_, _, process, action)| (process, action)).collect();
    WGLChecker::<Register>::is_linearizable(history::History::from_actions(actions))
}
