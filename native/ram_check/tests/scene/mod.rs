//! What the tests share: histories written by hand, dice, and the judge's sequential model.
//!
//! A scene is one line for each operation on the key `k`, `client@node from-to action -> outcome`:
//!
//!     a@n1 0-10 write 1 -> ok
//!     b@n2 5-   cas 1 2 -> unknown
//!     b@n2 20-30 read -> 1
//!
//! The model here is written apart from the checker's, from the description of the operations.

#![allow(dead_code, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use ram_check::{
    Action, Budget, History, Op, OpId, Outcome, Record, Ties, Value, Verdict, check, parse_state,
};

pub const KEY: &str = "k";

pub fn scene(text: &str) -> History {
    let mut history = History::new(Ties::Overlap);
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    for line in lines {
        let (call, outcome) = line.split_once(" -> ").unwrap();
        let words: Vec<&str> = call.split_whitespace().collect();
        let (client, node) = words[0].split_once('@').unwrap();
        let (from, to) = words[1].split_once('-').unwrap();
        let action = action(&words[2..]);
        let outcome = match outcome {
            "ok" => Outcome::Ok,
            "conflict" => Outcome::Conflict,
            "unknown" => Outcome::Unknown,
            "failed" => Outcome::Failed,
            state => Outcome::Saw(parse_state(state).map(|_| state.into())),
        };
        let id = history.call(client, node, Op::new(KEY, action), from.parse().unwrap());
        if !to.is_empty() {
            history.ret(id, outcome, to.parse().unwrap()).unwrap();
        }
    }
    history
}

fn action(words: &[&str]) -> Action {
    match words {
        ["read"] => Action::Read,
        ["write", value] => Action::Write((*value).into()),
        ["delete"] => Action::Delete,
        ["cas", expect, new] => Action::Cas { expect: parse_state(expect), new: parse_state(new) },
        ["swap", new] => Action::Swap(parse_state(new)),
        ["add", n] => Action::Add(n.parse().unwrap()),
        other => panic!("no action: {other:?}"),
    }
}

pub fn verdict(history: &History) -> Verdict {
    check(history, &Budget::default())
}

/// The state after an action and its outcome in a sequential world. `None`: adding to a text.
pub fn execute(action: &Action, state: &Option<Value>) -> Option<(Outcome, Option<Value>)> {
    let done = |new: &Option<Value>| (Outcome::Ok, new.clone());
    Some(match action {
        Action::Read => (Outcome::Saw(state.clone()), state.clone()),
        Action::Write(value) => (Outcome::Ok, Some(value.clone())),
        Action::Delete => (Outcome::Ok, None),
        Action::Cas { expect, new } if state == expect => done(new),
        Action::Cas { .. } => (Outcome::Conflict, state.clone()),
        Action::Swap(new) => (Outcome::Saw(state.clone()), new.clone()),
        Action::Add(n) => match state {
            None => done(&Some(Value::from(*n))),
            Some(Value::Integer(sum)) => done(&Some(Value::Integer(sum + i128::from(*n)))),
            Some(Value::Text(_)) => return None,
        },
    })
}

/// The state after a recorded operation if it can be done in this state with its outcome.
pub fn follow(record: &Record, state: &Option<Value>) -> Option<Option<Value>> {
    let done = execute(&record.op.action, state);
    if let (Action::Add(_), Outcome::Saw(sum)) = (&record.op.action, record.outcome()) {
        return done.map(|(_, after)| after).filter(|after| after == sum);
    }
    if *record.outcome() == Outcome::Unknown {
        return Some(done.map_or_else(|| state.clone(), |(_, after)| after));
    }
    done.filter(|(outcome, _)| outcome == record.outcome()).map(|(_, after)| after)
}

/// The end of an operation that has one.
pub fn end(record: &Record) -> Option<u64> {
    record.returned.as_ref().filter(|(o, _)| *o != Outcome::Unknown).map(|(_, at)| at.at_ns)
}

/// Whether an order that the checker gave as its reason is one: executed step by step, in real
/// time, each operation once, the known ones all there.
pub fn is_valid_order(history: &History, key: &str, order: &[OpId]) -> bool {
    let mut state = None;
    let mut latest_call = 0;
    let mut seen = std::collections::HashSet::new();
    for id in order {
        let record = history.get(*id).unwrap();
        let Some(after) = follow(record, &state) else { return false };
        state = after;
        latest_call = latest_call.max(record.called.at_ns);
        let in_time = end(record).is_none_or(|end| latest_call <= end);
        if !in_time || !seen.insert(*id) || *record.outcome() == Outcome::Failed {
            return false;
        }
    }
    let known = |record: &Record| {
        &*record.op.key == key && end(record).is_some() && *record.outcome() != Outcome::Failed
    };
    history.records().all(|(id, record)| !known(record) || seen.contains(&id))
}

/// Repeatable numbers (splitmix64, Steele and others 2014).
pub struct Dice(pub u64);

impl Dice {
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
    pub fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// The seeds to run: that of RAM_SEED alone, or this many.
pub fn seeds(count: u64) -> std::ops::Range<u64> {
    match std::env::var("RAM_SEED") {
        Ok(seed) => {
            let seed = seed.parse().unwrap();
            seed..seed + 1
        }
        Err(_) => 0..count,
    }
}
