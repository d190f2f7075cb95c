//! The moves from one place. The rules are numbered in the header of `search`.

use super::{Debt, Move, Place, Search, Then};
use crate::problem::{Demand, Effect, State, Step};

/// The moves from one place, being collected.
pub(super) struct Moves<'a> {
    pub search: &'a Search<'a>,
    /// The first return among the known operations still to be done.
    pub ret_min: usize,
    pub direct: Vec<Move>,
    pub by_unknown: Vec<Move>,
}

impl Moves<'_> {
    /// The moves towards a known operation.
    pub fn of(&mut self, op: usize, step: Step) {
        let state = self.search.place.state;
        if let Some(after) = step.apply(state) {
            self.direct.push(Move { fire: None, then: Then::Do { op, after } });
        }
        match step.demand {
            Demand::Exactly(at) if at != state => {
                let debt = Debt { op, at, from: at };
                self.by_unknown.push(Move { fire: None, then: Then::Owe(debt) });
            }
            Demand::AnythingBut(unwanted) if unwanted == state => self.leave(op, step),
            Demand::Number => self.set_before(op),
            Demand::Zero if !State::ZEROS.contains(&state) => {
                let owe = |at| Then::Owe(Debt { op, at, from: at });
                let moves = State::ZEROS.map(|at| Move { fire: None, then: owe(at) });
                self.by_unknown.extend(moves);
            }
            _ => {}
        }
    }

    /// Rule 4: unknown operations that change the state. Of those that set an unseen one blindly,
    /// one will do: they differ in nothing that is left.
    fn leave(&mut self, op: usize, step: Step) {
        let Place { state, .. } = self.search.place;
        let mut is_unseen_tried = false;
        for (number, class) in self.search.problem.classes.iter().enumerate() {
            let changed = class.step.apply(state).and_then(|at| step.apply(at));
            let (true, Some(after)) = (self.is_available(number), changed) else { continue };
            let is_unseen = self.search.stock.seen_as(after) == State::UNSEEN;
            if is_unseen && class.step.demand == Demand::Anything {
                if is_unseen_tried {
                    continue;
                }
                is_unseen_tried = true;
            }
            self.by_unknown.push(Move { fire: Some(number), then: Then::Do { op, after } });
        }
    }

    /// Rule 5: runs that end with an unknown operation that sets a number or absent.
    fn set_before(&mut self, op: usize) {
        for at in self.search.problem.setters.keys() {
            if *at != self.search.place.state && !matches!(at, State::Text(_)) {
                self.set(Debt { op, at: *at, from: *at });
            }
        }
    }

    /// Rules 1 and 3: unknown operations that set the state in which the debt begins.
    pub fn set(&mut self, debt: Debt) {
        let problem = self.search.problem;
        for number in problem.setters.get(&debt.from).into_iter().flatten() {
            match problem.classes.get(*number).map(|class| class.step.demand) {
                Some(Demand::Exactly(before)) => self.lead(*number, debt, before),
                Some(_) => self.lead(*number, debt, self.search.place.state),
                None => {}
            }
        }
    }

    /// Rule 3: unknown operations that add up to the state in which the debt begins.
    pub fn add(&mut self, debt: Debt) {
        let problem = self.search.problem;
        let State::Integer(sum) = debt.from else { return };
        for number in &problem.adders {
            let Some(class) = problem.classes.get(*number) else { continue };
            let Effect::Add(n) = class.step.effect else { continue };
            self.lead(*number, debt, State::Integer(sum.saturating_sub(n)));
            if sum == n {
                self.lead(*number, debt, State::Absent);
            }
        }
    }

    /// An unknown operation that leads from `before` to where the debt begins.
    fn lead(&mut self, class: usize, debt: Debt, before: State) {
        if !self.is_available(class) {
            return;
        }
        let then = if before == self.search.place.state {
            let known = self.search.problem.known.get(debt.op);
            match known.and_then(|known| known.step.apply(debt.at)) {
                Some(after) => Then::Do { op: debt.op, after },
                None => return,
            }
        } else {
            Then::Owe(Debt { from: before, ..debt })
        };
        self.by_unknown.push(Move { fire: Some(class), then });
    }

    /// Whether one of the class is unused and was called before the first return.
    fn is_available(&self, class: usize) -> bool {
        let used = self.search.used.count(class);
        let calls = self.search.problem.classes.get(class).map(|class| &class.calls);
        calls.and_then(|calls| calls.get(used)).is_some_and(|(call, _)| *call < self.ret_min)
    }
}
