//! Is there an order? Wing and Gong's search ("Testing and verifying concurrent objects", 1993)
//! with Lowe's memo ("Testing for linearizability", 2017).
//!
//! An operation may come next when no operation still to be ordered returned before its call. The
//! search goes depth-first through these, and never twice into the same position: the set of known
//! operations done, and the state. The memo is exact, no hash stands for a set.
//!
//! Unknown operations would double the positions each. They are used *for a purpose* only. Among
//! the valid orders that extend a position take one with the fewest unknown operations, and among
//! those one where they stand as late as possible. A *run* is the unknown ones right before a known
//! operation K (none ends the order: it could be left out). In that order:
//!
//! 1. Each unknown one changes the state, and no state repeats within a run; else a piece of the
//!    run could be left out. One that sets the state blindly begins its run, as what is before it in
//!    the run could be left out.
//! 2. K sets the state blindly: no run; it could be left out.
//! 3. K demands a state: no run if that state is there (left out, rule 1); else a run that ends in it.
//! 4. K demands another state than s: no run if the state is not s (K could stand before the run);
//!    else a run of one (K could stand before the rest of it).
//! 5. K adds: no run, or one that ends with an unknown operation that sets the state. Unknown adds
//!    at its end could stand after K, since adding commutes.
//!
//! Moving an unknown one later is always allowed, as it has no return. So only such runs are
//! searched, backwards from what they must end in ([`Debt`]).
//!
//! Two more exact prunings. *Quiet first*: a known operation that can be done now and never changes the
//! state is done at once, with no alternative: in any valid continuation it can be moved to the
//! front. *Dominance*: a position is refused if it was entered before with at most as many used of
//! each class of unknown operations; what can be done now could be done then.

use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;

use crate::budget::Meter;
use crate::history::OpId;
use crate::problem::{Demand, Effect, Known, Problem, State, Step};

/// The answer for one key.
#[derive(Debug)]
pub(crate) enum Answer {
    /// A valid order, of all known operations and the unknown ones it needs.
    Order(Vec<OpId>),
    Impossible,
    Undecided,
}

/// Known operation `op` is to be done in state `at`; the unknown ones chosen so far, from last to
/// first, lead there from `from`. The debt is paid when `from` is the present state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Debt {
    op: usize,
    at: State,
    from: State,
}

/// How many of each class of unknown operations are used. Shared with the memo, never changed.
type Used = Rc<[u32]>;

#[derive(Debug, Clone)]
struct Place {
    state: State,
    debt: Option<Debt>,
    /// All known operations from here on are still to be done.
    untouched: usize,
    used: Used,
}

/// A set of known operations done, a state, a debt.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Position {
    state: State,
    debt: Option<Debt>,
    untouched: usize,
    /// The operations before `untouched` that are still to be done.
    left: Box<[u32]>,
}

/// One move: an unknown operation or none, then a known operation done or a debt.
#[derive(Debug, Clone, Copy)]
struct Move {
    fire: Option<usize>,
    then: Then,
}

#[derive(Debug, Clone, Copy)]
enum Then {
    Do { op: usize, after: State },
    Owe(Debt),
}

pub(crate) fn search(problem: &Problem, meter: &mut Meter) -> Answer {
    let used = vec![0; problem.classes.len()].into();
    let place = Place { state: State::Absent, debt: None, untouched: 0, used };
    let left = (0..problem.known.len()).collect();
    let (memo, made, open) = (HashMap::new(), Vec::new(), Vec::new());
    Search { problem, place, left, memo, made, open }.run(meter)
}

struct Search<'a> {
    problem: &'a Problem,
    place: Place,
    /// Known operations to be done, in order of their calls.
    left: BTreeSet<usize>,
    memo: HashMap<Position, Vec<Used>>,
    /// The moves made, each with the place it was made from.
    made: Vec<(Move, Place)>,
    /// The moves not yet tried: of the beginning, and after each move made. The best is last.
    open: Vec<Vec<Move>>,
}

impl Search<'_> {
    fn run(mut self, meter: &mut Meter) -> Answer {
        while !self.left.is_empty() {
            let (is_new, bytes) = self.remember();
            if !meter.step(bytes) {
                return Answer::Undecided;
            }
            let moves = if is_new { self.moves() } else { Vec::new() };
            self.open.push(moves);
            if !self.advance() {
                return Answer::Impossible;
            }
        }
        Answer::Order(self.order())
    }

    /// Whether the place is new, and how many bytes it takes to remember it.
    fn remember(&mut self) -> (bool, usize) {
        let Place { state, debt, untouched, .. } = self.place;
        let left: Box<[u32]> = self.left.range(..untouched).map(|op| *op as u32).collect();
        let bytes = size_of::<Position>() + 64 + left.len() * 4 + self.place.used.len() * 4;
        let seen = self.memo.entry(Position { state, debt, untouched, left }).or_default();
        let used = &self.place.used;
        let is_dominated = |before: &Used| before.iter().zip(used.iter()).all(|(b, u)| b <= u);
        if seen.iter().any(is_dominated) {
            return (false, 0);
        }
        seen.push(self.place.used.clone());
        (true, bytes)
    }

    /// Makes the next move, going back as far as it must; false when there is none.
    fn advance(&mut self) -> bool {
        while let Some(moves) = self.open.last_mut() {
            if let Some(next) = moves.pop() {
                self.make(next);
                return true;
            }
            self.open.pop();
            if let Some((last, place)) = self.made.pop() {
                self.place = place;
                if let Then::Do { op, .. } = last.then {
                    self.left.insert(op);
                }
            }
        }
        false
    }

    fn make(&mut self, next: Move) {
        self.made.push((next, self.place.clone()));
        if let Some(class) = next.fire {
            let count = |(number, used): (usize, &u32)| used + u32::from(number == class);
            self.place.used = self.place.used.iter().enumerate().map(count).collect();
        }
        match next.then {
            Then::Owe(debt) => self.place.debt = Some(debt),
            Then::Do { op, after } => {
                self.left.remove(&op);
                self.place.untouched = self.place.untouched.max(op + 1);
                self.place.state = after;
                self.place.debt = None;
            }
        }
    }

    /// What may come next, the best last.
    fn moves(&self) -> Vec<Move> {
        let (next, ret_min) = self.next_known();
        let mut moves = Moves { search: self, ret_min, direct: Vec::new(), by_unknown: Vec::new() };
        match self.place.debt {
            Some(debt) => {
                moves.set(debt);
                moves.add(debt);
            }
            None => {
                for (op, known) in next {
                    if let (true, Some(after)) =
                        (known.step.is_quiet(), known.step.apply(self.place.state))
                    {
                        return vec![Move { fire: None, then: Then::Do { op, after } }];
                    }
                    moves.of(op, known.step);
                }
            }
        }
        moves.direct.reverse();
        moves.by_unknown.append(&mut moves.direct);
        moves.by_unknown
    }

    /// The known operations that may come next, soonest return first, and the first return.
    fn next_known(&self) -> (Vec<(usize, &Known)>, usize) {
        let mut ret_min = usize::MAX;
        let mut next: Vec<(usize, &Known)> = Vec::new();
        for op in &self.left {
            let Some(known) = self.problem.known.get(*op) else { continue };
            // From here on calls are later still, and so are the returns.
            if known.call > ret_min {
                break;
            }
            ret_min = ret_min.min(known.ret);
            next.push((*op, known));
        }
        next.sort_by_key(|(_, known)| known.ret);
        (next, ret_min)
    }

    /// The operations in the order found. The unknown ones of a run were chosen from its end.
    fn order(&self) -> Vec<OpId> {
        let mut used = vec![0; self.problem.classes.len()];
        let mut run: Vec<usize> = Vec::new();
        let mut order = Vec::new();
        for (made, _) in &self.made {
            run.extend(made.fire);
            let Then::Do { op, .. } = made.then else { continue };
            for class in run.drain(..).rev() {
                let Some(count) = used.get_mut(class) else { continue };
                let calls = self.problem.classes.get(class).map(|class| &class.calls);
                order.extend(calls.and_then(|calls| calls.get(*count)).map(|(_, id)| *id));
                *count += 1;
            }
            order.extend(self.problem.known.get(op).map(|known| known.id));
        }
        order
    }
}

/// The moves from one place, being collected.
struct Moves<'a> {
    search: &'a Search<'a>,
    ret_min: usize,
    direct: Vec<Move>,
    by_unknown: Vec<Move>,
}

impl Moves<'_> {
    /// The moves towards a known operation; the rules are numbered in the module's header.
    fn of(&mut self, op: usize, step: Step) {
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
            _ => {}
        }
    }

    /// Rule 4: any unknown operation that changes the state.
    fn leave(&mut self, op: usize, step: Step) {
        let state = self.search.place.state;
        for (number, class) in self.search.problem.classes.iter().enumerate() {
            let changed = class.step.apply(state).and_then(|at| step.apply(at));
            if let (true, Some(after)) = (self.is_available(number), changed) {
                self.by_unknown.push(Move { fire: Some(number), then: Then::Do { op, after } });
            }
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
    fn set(&mut self, debt: Debt) {
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
    fn add(&mut self, debt: Debt) {
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
        let used = self.search.place.used.get(class).copied().unwrap_or_default() as usize;
        let calls = self.search.problem.classes.get(class).map(|class| &class.calls);
        calls.and_then(|calls| calls.get(used)).is_some_and(|(call, _)| *call < self.ret_min)
    }
}
