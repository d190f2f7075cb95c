//! What is left to be demanded and to be set: tells when a state is lost, and when it is unseen.

use std::collections::{HashMap, HashSet};

use crate::problem::{Demand, Effect, Problem, State, Step};

/// How often each state is still demanded by known operations, and can still be set.
#[derive(Default)]
pub(super) struct Stock {
    demands: HashMap<State, i64>,
    conflicts: HashMap<State, i64>,
    /// What unknown operations compare with. One more or less makes no difference here.
    compared: HashSet<State>,
    setters: HashMap<State, i64>,
    counts: bool,
}

impl Stock {
    pub fn of(problem: &Problem) -> Stock {
        let mut stock = Stock::default();
        for known in &problem.known {
            stock.counts |= matches!(known.step.effect, Effect::Add(_));
            stock.count_known(known.step, 1);
        }
        for class in &problem.classes {
            stock.counts |= matches!(class.step.effect, Effect::Add(_));
            stock.count_unknown(class.step, class.calls.len() as i64);
        }
        stock
    }

    pub fn count_known(&mut self, step: Step, change: i64) {
        match step.demand {
            Demand::Exactly(state) => *self.demands.entry(state).or_default() += change,
            Demand::AnythingBut(state) => *self.conflicts.entry(state).or_default() += change,
            // Where there is an `add`, numbers and absence are neither lost nor unseen.
            Demand::Anything | Demand::Number | Demand::Zero => {}
        }
        // What demands the state that it sets does not bring it back.
        if let (Effect::Set(state), false) = (step.effect, step.is_quiet()) {
            *self.setters.entry(state).or_default() += change;
        }
    }

    pub fn count_unknown(&mut self, step: Step, change: i64) {
        if let Demand::Exactly(state) = step.demand {
            self.compared.insert(state);
        }
        if let Effect::Set(state) = step.effect {
            *self.setters.entry(state).or_default() += change;
        }
    }

    /// Whether a state, once left, is gone for those that still demand it.
    pub fn is_lost(&self, state: State) -> bool {
        let may_be_sum = self.counts && matches!(state, State::Integer(_));
        has(&self.demands, state) && !has(&self.setters, state) && !may_be_sum
    }

    /// The state, or `UNSEEN` if what is left cannot tell it from that.
    pub fn seen_as(&self, state: State) -> State {
        let is_number = self.counts && !matches!(state, State::Text(_));
        let is_seen = has(&self.demands, state)
            || has(&self.conflicts, state)
            || self.compared.contains(&state);
        if is_number || is_seen { state } else { State::UNSEEN }
    }

    /// A step, with what it sets as it is seen.
    pub fn step_seen_as(&self, step: Step) -> Step {
        match step.effect {
            Effect::Set(state) => Step { effect: Effect::Set(self.seen_as(state)), ..step },
            _ => step,
        }
    }
}

fn has(of: &HashMap<State, i64>, state: State) -> bool {
    of.get(&state).is_some_and(|count| *count > 0)
}
