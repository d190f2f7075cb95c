//! The verdict on a whole history, key by key.
//!
//! Every key gets a small part of the steps first and the undecided ones more later, so that one
//! hard key does not hide a violation in another. The first violation found ends the check.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

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
        let mut hard = Vec::new();
        for (key, ids) in undecided {
            match attempt(history, &ids, &mut meter(budget, steps, deadline)) {
                Answer::Order(order) => {
                    orders.insert(key, order);
                }
                Answer::Undecided => hard.push((key, ids)),
                Answer::Impossible => {
                    let meter = meter(budget, steps, deadline);
                    return Verdict::Violation(explain(history, &key, &ids, &meter));
                }
            }
        }
        undecided = hard;
        let is_late = deadline.is_some_and(|deadline| Instant::now() >= deadline);
        if undecided.is_empty() {
            return Verdict::Linearizable(orders);
        }
        if is_late || steps == budget.steps_max {
            return Verdict::Undecided(undecided.into_iter().map(|(key, _)| key).collect());
        }
        steps = steps.saturating_mul(STEPS_GROWTH).min(budget.steps_max);
    }
}

fn meter(budget: &Budget, steps: u64, deadline: Option<Instant>) -> Meter {
    Meter { steps, memory_bytes: budget.memory_bytes_max, deadline }
}

fn attempt(history: &History, ids: &[OpId], meter: &mut Meter) -> Answer {
    if meter.is_late() {
        return Answer::Undecided;
    }
    let selection: Selection = ids.iter().map(|id| (*id, true)).collect();
    search(&Problem::new(history, &selection), meter)
}
