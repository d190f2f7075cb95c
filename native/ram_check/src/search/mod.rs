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
//!    run could be left out. One that sets the state blindly begins its run, as what is before it
//!    in the run could be left out.
//! 2. K sets the state blindly: no run; it could be left out.
//! 3. K demands a state: no run if that state is there (left out, rule 1); else a run that ends in
//!    it. Where K demands zero and is content with two states, neither needs a run to the other,
//!    since K makes the same of both.
//! 4. K demands another state than s: no run if the state is not s (K could stand before the run);
//!    else a run of one (K could stand before the rest of it).
//! 5. K adds: no run, or one that ends with an unknown operation that sets the state. Unknown adds
//!    at its end could stand after K, since adding commutes.
//!
//! Moving an unknown one later is always allowed, as it has no return. So only such runs are
//! searched, backwards from what they must end in ([`Debt`]).
//!
//! Five more exact prunings. *Quiet first*: a known operation that can be done now and never
//! changes the state is done at once, with no alternative: in any valid continuation it can be
//! moved to the front. *Dominance*: a position is refused if it was entered before with at most as
//! many used of each class of unknown operations; what can be done now could be done then. *Lost
//! values*: a state may not be left while a known operation still demands it and nothing is left
//! to set it again. (Where a key has an `add`, sums can come back, and numbers are exempt.)
//! *Unseen states*: a state that nothing left demands, compares with or counts on is as good as
//! any other such, as in `problem`; all are one. *Twins*: of known operations that may come next
//! and ask and do the same, only the one that returns first is tried. Where another, B, is next in
//! a valid order, it can change places with that one, A: A may be next too; and what stands before
//! A's place was called before A's return, hence before B's.

mod moves;
mod stock;
mod used;

use std::collections::{BTreeSet, HashMap, HashSet};

use crate::budget::Meter;
use crate::history::OpId;
use crate::problem::{Known, Problem, State};
use moves::Moves;
use stock::Stock;
use used::{Leaf, Used};

/// What the memo takes for an entry besides the position: its list, its share of free room.
const BYTES_OF_AN_ENTRY: usize = 128;

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

#[derive(Debug, Clone, Copy)]
struct Place {
    state: State,
    debt: Option<Debt>,
    /// All known operations from here on are still to be done.
    untouched: usize,
    used: Leaf,
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
    let place = Place { state: State::Absent, debt: None, untouched: 0, used: Used::NONE };
    let used = Used::new(problem.classes.len());
    let left = (0..problem.known.len()).collect();
    let (memo, made, open) = (HashMap::new(), Vec::new(), Vec::new());
    let stock = Stock::of(problem);
    Search { problem, place, left, stock, used, memo, made, open }.run(meter)
}

struct Search<'a> {
    problem: &'a Problem,
    place: Place,
    /// Known operations to be done, in order of their calls.
    left: BTreeSet<usize>,
    stock: Stock,
    used: Used,
    memo: HashMap<Position, Vec<Leaf>>,
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
            let moves = if is_new && !self.is_hopeless() { self.moves() } else { Vec::new() };
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
        let bytes = size_of::<Position>() + left.len() * 4 + Used::BYTES + BYTES_OF_AN_ENTRY;
        let seen = self.memo.entry(Position { state, debt, untouched, left }).or_default();
        if seen.iter().any(|before| self.used.is_within_present(*before)) {
            return (false, 0);
        }
        seen.push(self.place.used);
        (true, bytes)
    }

    /// Whether the last move left a state that cannot come back and is still demanded.
    fn is_hopeless(&self) -> bool {
        let left = self.made.last().map(|(_, before)| before.state);
        left.is_some_and(|left| left != self.place.state && self.stock.is_lost(left))
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
                self.count(last, 1);
                if let Some(class) = last.fire {
                    self.used.pop(class);
                }
                if let Then::Do { op, .. } = last.then {
                    self.left.insert(op);
                }
            }
        }
        false
    }

    /// Takes what a move uses from the stock, or puts it back.
    fn count(&mut self, of: Move, change: i64) {
        if let Some(class) = of.fire.and_then(|class| self.problem.classes.get(class)) {
            self.stock.count_unknown(class.step, change);
        }
        if let Then::Do { op, .. } = of.then
            && let Some(known) = self.problem.known.get(op)
        {
            self.stock.count_known(known.step, change);
        }
    }

    fn make(&mut self, next: Move) {
        self.count(next, -1);
        self.made.push((next, self.place));
        if let Some(class) = next.fire {
            self.place.used = self.used.push(self.place.used, class);
        }
        match next.then {
            Then::Owe(debt) => self.place.debt = Some(debt),
            Then::Do { op, after } => {
                self.left.remove(&op);
                self.place.untouched = self.place.untouched.max(op + 1);
                self.place.state = self.stock.seen_as(after);
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
        let mut steps = HashSet::new();
        next.retain(|(_, known)| steps.insert(self.stock.step_seen_as(known.step)));
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
