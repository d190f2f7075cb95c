//! A violation made small enough to be understood.
//!
//! A history cut at a moment, with what was under way taken as unknown, is linearizable if the
//! whole is. So there is a first return that cannot be explained: that operation is the one that
//! cannot be *placed*. Of what came before, most does not matter: whatever can be taken as unknown
//! with the violation still there is left out (taking an outcome away only allows more orders).
//! What remains is the *core*: a violation by itself, in which every outcome is needed.
//!
//! A search that ends with its budget counts as "no violation" here, so the explanation may be
//! larger than it could be, never wrong.

use std::sync::Arc;

use crate::budget::Meter;
use crate::history::{Action, History, OpId, Outcome, Value};
use crate::problem::{Problem, Selection};
use crate::search::{Answer, search};

/// A key whose operations have no valid order.
#[derive(Debug, Clone)]
pub struct Violation {
    pub key: Arc<str>,
    /// Up to its return the history cannot be ordered, without its outcome it can.
    pub unplaced: OpId,
    /// Operations whose outcomes contradict each other, `unplaced` among them, by time of call.
    pub core: Vec<OpId>,
    /// Operations that set what `unplaced` saw or expected, whatever their outcome.
    pub sources: Vec<OpId>,
    /// A valid order of what had returned before `unplaced` did. On a hard key the longest
    /// operations count as unknown.
    pub prefix: Vec<OpId>,
    /// The register after `prefix`.
    pub state: Option<Value>,
    /// False if the budget ended before the explanation was as small as it can be: then
    /// `unplaced` may be later than the first that cannot be placed, and `core` larger.
    pub is_smallest: bool,
}

/// Steps of all searches of one explanation.
const STEPS_MAX: u64 = 20_000_000;

/// Explains why a selection of a key's operations cannot be ordered.
pub(crate) fn explain(
    history: &History,
    key: &Arc<str>,
    selection: &Selection,
    meter: &Meter,
) -> Violation {
    let mut trials =
        Trials { history, meter, steps_left: STEPS_MAX.min(meter.steps.saturating_mul(8)) };
    let (before, violating) = trials.shortest_prefix(selection);
    let unplaced = returns(history, &violating).last().copied().unwrap_or(OpId(0));
    let prefix = match trials.search(&before) {
        Answer::Order(order) => order,
        _ => Vec::new(),
    };
    let mut core = trials.core(violating, unplaced);
    core.sort_by_key(|id| history.get(*id).map(|record| history.rank(record.called, false)));
    let state = replay(history, &prefix);
    let sources = sources(history, selection, unplaced);
    let is_smallest = !trials.is_spent();
    Violation { key: key.clone(), unplaced, core, sources, prefix, state, is_smallest }
}

struct Trials<'a> {
    history: &'a History,
    meter: &'a Meter,
    steps_left: u64,
}

impl Trials<'_> {
    fn search(&mut self, selection: &Selection) -> Answer {
        if self.is_spent() {
            return Answer::Undecided;
        }
        let steps = self.meter.steps.min(self.steps_left);
        let mut meter = Meter { steps, ..self.meter.clone() };
        let answer = search(&Problem::new(self.history, selection), &mut meter);
        self.steps_left -= steps - meter.steps;
        answer
    }

    fn is_spent(&self) -> bool {
        self.steps_left == 0 || self.meter.is_late()
    }

    fn violates(&mut self, selection: &Selection) -> bool {
        matches!(self.search(selection), Answer::Impossible)
    }

    /// The history before the first return that cannot be explained, and with it.
    fn shortest_prefix(&mut self, all: &Selection) -> (Selection, Selection) {
        let ends = returns(self.history, all);
        let (mut fine, mut violating) = (0, ends.len());
        while violating - fine > 1 {
            let middle = fine.midpoint(violating);
            if self.violates(&self.cut(all, &ends, middle)) {
                violating = middle;
            } else {
                fine = middle;
            }
        }
        (self.cut(all, &ends, fine), self.cut(all, &ends, violating))
    }

    /// The operations called before the last of the first `count` returns; those that return
    /// later are unknown. The operation of the next return is kept, as one of these.
    fn cut(&self, all: &Selection, ends: &[OpId], count: usize) -> Selection {
        let end = |id: &OpId| {
            let returned = self.history.get(*id)?.bound()?;
            Some(self.history.rank(returned, true))
        };
        let last = count.checked_sub(1).and_then(|last| ends.get(last)).and_then(end);
        let horizon = ends.get(count).and_then(end).or(last);
        let called =
            |id: &OpId| self.history.get(*id).map(|record| self.history.rank(record.called, false));
        let seen = all.iter().filter(|(id, _)| called(id) < horizon);
        let is_past = |id: &OpId| end(id).is_some_and(|end| Some(end) <= last);
        seen.map(|(id, known)| (*id, *known && is_past(id))).collect()
    }

    /// Takes outcomes away, in ever smaller pieces, while the violation stays (Zeller's ddmin).
    fn core(&mut self, mut selection: Selection, unplaced: OpId) -> Vec<OpId> {
        let mut piece = selection.len();
        while piece > 0 {
            let mut start = 0;
            while start < selection.len() {
                let mut trial = selection.clone();
                let weakened = trial.iter_mut().skip(start).take(piece);
                weakened.filter(|(id, _)| *id != unplaced).for_each(|(_, known)| *known = false);
                if trial != selection && self.violates(&trial) {
                    selection = trial;
                }
                start += piece;
            }
            piece /= 2;
        }
        selection.iter().filter(|(_, known)| *known).map(|(id, _)| *id).collect()
    }
}

/// The operations that returned with a known outcome, by time of return.
fn returns(history: &History, selection: &Selection) -> Vec<OpId> {
    let known = selection.iter().filter(|(_, known)| *known);
    let mut ends: Vec<_> = known
        .filter_map(|(id, _)| {
            let record = history.get(*id).filter(|r| *r.outcome() != Outcome::Failed)?;
            Some((history.rank(record.bound()?, true), *id))
        })
        .collect();
    ends.sort_unstable();
    ends.into_iter().map(|(_, id)| id).collect()
}

fn sources(history: &History, all: &Selection, unplaced: OpId) -> Vec<OpId> {
    let seen = history.get(unplaced).map(|record| match (&record.op.action, record.outcome()) {
        (Action::Add(_), _) => &None,
        (_, Outcome::Saw(saw)) => saw,
        (Action::Cas { expect, .. }, _) => expect,
        _ => &None,
    });
    let Some(Some(seen)) = seen else { return Vec::new() };
    let sets_it = |id: &&OpId| match history.get(**id).map(|record| &record.op.action) {
        Some(Action::Write(new)) => new == seen,
        Some(Action::Cas { new, .. } | Action::Swap(new)) => new.as_ref() == Some(seen),
        _ => false,
    };
    all.iter().map(|(id, _)| id).filter(sets_it).copied().collect()
}

/// The register after these operations.
fn replay(history: &History, order: &[OpId]) -> Option<Value> {
    order.iter().filter_map(|id| history.get(*id)).fold(None, |state, record| {
        match &record.op.action {
            Action::Write(value) => Some(value.clone()),
            Action::Delete => None,
            Action::Swap(new) => new.clone(),
            Action::Cas { expect, new } if *expect == state => new.clone(),
            Action::Add(n) => match state {
                Some(Value::Integer(number)) => {
                    Some(Value::Integer(number.saturating_add((*n).into())))
                }
                None => Some(Value::from(*n)),
                text => text,
            },
            Action::Read | Action::Cas { .. } => state,
        }
    })
}
