//! The verdict on a whole history, key by key.
//!
//! Every key gets a small part of the steps first and the undecided ones more later, so that one
//! hard key does not hide a violation in another. The first violation found ends the check.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::budget::{Budget, Meter};
use crate::explain::{Violation, explain};
use crate::history::{History, OpId};
use crate::problem::{Problem, Selection};
use crate::search::{Answer, search};

/// What is known about a history.
#[derive(Debug, Clone)]
pub enum Verdict {
    /// Each key has a valid order: here it is, with the unknown operations that it needs.
    Linearizable(BTreeMap<Arc<str>, Vec<OpId>>),
    /// A key has none.
    Violation(Violation),
    /// The budget was spent on these keys; the others have valid orders.
    Undecided(Vec<Arc<str>>),
}

impl Verdict {
    pub fn is_linearizable(&self) -> bool {
        matches!(self, Verdict::Linearizable(_))
    }
    pub fn is_violation(&self) -> bool {
        matches!(self, Verdict::Violation(_))
    }
}

const STEPS_FIRST: u64 = 100_000;
const STEPS_GROWTH: u64 = 16;

/// Is there, for each key, an order of its operations that explains all outcomes?
pub fn check(history: &History, budget: &Budget) -> Verdict {
    let deadline = budget.deadline();
    let mut undecided: Vec<_> = history.by_key().into_iter().collect();
    let mut orders = BTreeMap::new();
    let mut steps = STEPS_FIRST.min(budget.steps_max);
    loop {
        let meter = Meter { steps, memory_bytes: budget.memory_bytes_max, deadline };
        let mut hard = Vec::new();
        for (key, ids) in undecided {
            match judge(history, &ids, &meter) {
                Judgement::Order(order) => {
                    orders.insert(key, order);
                }
                Judgement::Undecided => hard.push((key, ids)),
                Judgement::Refuted(selection) => {
                    return Verdict::Violation(explain(history, &key, &selection, &meter));
                }
            }
        }
        undecided = hard;
        if undecided.is_empty() {
            return Verdict::Linearizable(orders);
        }
        if meter.is_late() || steps == budget.steps_max {
            return Verdict::Undecided(undecided.into_iter().map(|(key, _)| key).collect());
        }
        steps = steps.saturating_mul(STEPS_GROWTH).min(budget.steps_max);
    }
}

enum Judgement {
    Order(Vec<OpId>),
    /// This selection of the key's operations has no order, hence the key has none.
    Refuted(Selection),
    Undecided,
}

/// Searches with all outcomes, then, if that is too hard, without those of the longest operations.
/// What is under way for long is what makes a search hard, and taking outcomes away only allows
/// more orders: a violation without them is one, an order without them says nothing.
fn judge(history: &History, ids: &[OpId], meter: &Meter) -> Judgement {
    let all: Selection = ids.iter().map(|id| (*id, true)).collect();
    match attempt(history, &all, meter) {
        Answer::Order(order) => return Judgement::Order(order),
        Answer::Impossible => return Judgement::Refuted(all),
        Answer::Undecided => {}
    }
    for share in LONGEST_SHARES {
        let short = without_longest(history, ids, share);
        if let Answer::Impossible = attempt(history, &short, meter) {
            return Judgement::Refuted(short);
        }
    }
    Judgement::Undecided
}

fn attempt(history: &History, selection: &Selection, meter: &Meter) -> Answer {
    if meter.is_late() {
        return Answer::Undecided;
    }
    search(&Problem::new(history, selection), &mut meter.clone())
}

/// One operation of so many is taken as too long: the quickest search first.
const LONGEST_SHARES: [usize; 3] = [4, 8, 16];

fn without_longest(history: &History, ids: &[OpId], share: usize) -> Selection {
    let span = |id: &OpId| {
        let record = history.get(*id)?;
        Some(record.bound()?.at_ns - record.called.at_ns)
    };
    let mut spans: Vec<u64> = ids.iter().filter_map(span).collect();
    spans.sort_unstable();
    let limit = spans.iter().rev().nth(spans.len() / share).copied().unwrap_or(u64::MAX);
    ids.iter().map(|id| (*id, span(id).is_some_and(|span| span <= limit))).collect()
}
