//! A violation made small enough to be understood.
//!
//! A history cut at a moment, with what was under way taken as unknown, is linearizable if the whole
//! is. So there is a first return that cannot be explained: that operation is the one that cannot
//! be *placed*. Of what came before, most does not matter: whatever can be taken as unknown with
//! the violation still there is left out (taking an outcome away only allows more orders). What
//! remains is the *core*: a violation by itself, in which every outcome is needed.
//!
//! A search that ends with its budget counts as "no violation" here, so the explanation may be larger
//! than it could be, never wrong.

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
    /// A valid order of what had returned before `unplaced` did.
    pub prefix: Vec<OpId>,
    /// The register after `prefix`.
    pub state: Option<Value>,
}

/// Searches of one explanation, each with at most the steps that found the violation.
const SEARCHES_MAX: usize = 500;

pub(crate) fn explain(history: &History, key: &Arc<str>, ids: &[OpId], meter: &Meter) -> Violation {
    let mut trials = Trials { history, meter, left: SEARCHES_MAX };
    let (before, violating) = trials.shortest_prefix(ids);
    let unplaced = returns(history, &violating).last().copied().unwrap_or(OpId(0));
    let prefix = match trials.search(&before) {
        Some(Answer::Order(order)) => order,
        _ => Vec::new(),
    };
    let mut core = trials.core(violating, unplaced);
    core.sort_by_key(|id| history.get(*id).map(|record| history.rank(record.called, false)));
    let state = replay(history, &prefix);
    Violation { key: key.clone(), unplaced, core, prefix, state }
}

struct Trials<'a> {
    history: &'a History,
    meter: &'a Meter,
    left: usize,
}

impl Trials<'_> {
    fn search(&mut self, selection: &Selection) -> Option<Answer> {
        self.left = self.left.checked_sub(1)?;
        Some(search(&Problem::new(self.history, selection), &mut self.meter.clone()))
    }

    fn violates(&mut self, selection: &Selection) -> bool {
        matches!(self.search(selection), Some(Answer::Impossible))
    }

    /// The history before the first return that cannot be explained, and with it.
    fn shortest_prefix(&mut self, ids: &[OpId]) -> (Selection, Selection) {
        let all: Selection = ids.iter().map(|id| (*id, true)).collect();
        let ends = returns(self.history, &all);
        let (mut fine, mut violating) = (0, ends.len());
        while violating - fine > 1 {
            let middle = fine.midpoint(violating);
            if self.violates(&self.cut(ids, &ends, middle)) {
                violating = middle;
            } else {
                fine = middle;
            }
        }
        (self.cut(ids, &ends, fine), self.cut(ids, &ends, violating))
    }

    /// The operations called before the last of the first `count` returns; those that return
    /// later are unknown. The operation of the next return is kept, as one of these.
    fn cut(&self, ids: &[OpId], ends: &[OpId], count: usize) -> Selection {
        let end = |id: &OpId| {
            let returned = self.history.get(*id)?.bound()?;
            Some(self.history.rank(returned, true))
        };
        let last = count.checked_sub(1).and_then(|last| ends.get(last)).and_then(end);
        let horizon = ends.get(count).and_then(end).or(last);
        let called =
            |id: &OpId| self.history.get(*id).map(|record| self.history.rank(record.called, false));
        let seen = ids.iter().filter(|id| called(id) < horizon);
        seen.map(|id| (*id, end(id).is_some_and(|end| Some(end) <= last))).collect()
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
