//! One key's operations, made ready to be ordered.
//!
//! Known operations must be in the order, between their call and their return. Unknown ones may be
//! in it, anywhere after their call. Three reductions are made here, each exact:
//!
//! - *What says nothing is dropped*: failed operations; unknown reads; unknown operations that
//!   change nothing. Leaving them out of an order, or putting them anywhere, keeps it valid.
//! - *Unknown operations with one effect are one class*, of which only a count is used. In a valid
//!   order that uses a later-called one and, at a later place or nowhere, an earlier-called one,
//!   the two can change places: the effect is the same, the earlier-called one was called even
//!   sooner, and neither has a return. So some valid order uses each class in order of calls.
//! - *Values that no operation looks at are one value* ([`State::UNSEEN`]). An operation looks at a
//!   value when it read or swapped it out, or compares with it, whatever its outcome. Two registers
//!   that hold different such values allow the same operations with the same results, except
//!   that numbers can be told apart by adding to them; so where a key has an `add`, numbers stay.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::history::{Action, History, OpId, Outcome, Record, Value};

/// A register, as far as its operations can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum State {
    Absent,
    Integer(i128),
    /// Texts and unseen values are numbered.
    Text(u32),
}

impl State {
    pub const UNSEEN: State = State::Text(0);
    /// What counts as 0.
    pub const ZEROS: [State; 2] = [State::Absent, State::Integer(0)];
}

/// What a register must be for an operation to be done with its outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Demand {
    Anything,
    Exactly(State),
    AnythingBut(State),
    Number,
    /// The number 0, or absent, which counts as 0.
    Zero,
}

impl Demand {
    /// Of an addition to this number.
    fn before(number: i128) -> Demand {
        if number == 0 { Demand::Zero } else { Demand::Exactly(State::Integer(number)) }
    }
}

/// What is done to the register.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Effect {
    Keep,
    Set(State),
    Add(i128),
}

/// An operation with its outcome. An unknown one whose demand is not met does nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Step {
    pub demand: Demand,
    pub effect: Effect,
}

impl Step {
    /// The register afterwards, if the step can be done now.
    pub fn apply(&self, state: State) -> Option<State> {
        let met = match self.demand {
            Demand::Anything => true,
            Demand::Exactly(wanted) => state == wanted,
            Demand::AnythingBut(unwanted) => state != unwanted,
            Demand::Number => !matches!(state, State::Text(_)),
            Demand::Zero => State::ZEROS.contains(&state),
        };
        let after = match (self.effect, state) {
            (Effect::Keep, _) => state,
            (Effect::Set(new), _) => new,
            (Effect::Add(n), State::Integer(number)) => State::Integer(number.saturating_add(n)),
            (Effect::Add(n), _) => State::Integer(n),
        };
        met.then_some(after)
    }

    /// Whether it leaves the register as it is wherever it can be done.
    pub fn is_quiet(&self) -> bool {
        match (self.demand, self.effect) {
            (_, Effect::Keep) => true,
            (Demand::Exactly(seen), Effect::Set(new)) => seen == new,
            _ => false,
        }
    }
}

/// An operation that must be ordered. `call` and `ret` are ranks among the moments of the key.
#[derive(Debug)]
pub(crate) struct Known {
    pub id: OpId,
    pub call: usize,
    pub ret: usize,
    pub step: Step,
}

/// Unknown operations of one effect, in order of their calls.
#[derive(Debug)]
pub(crate) struct Class {
    pub step: Step,
    pub calls: Vec<(usize, OpId)>,
}

/// What is to be ordered: the known operations in order of their calls, and the classes.
#[derive(Debug, Default)]
pub(crate) struct Problem {
    pub known: Vec<Known>,
    pub classes: Vec<Class>,
    /// The classes that can set a register to this state.
    pub setters: BTreeMap<State, Vec<usize>>,
    pub adders: Vec<usize>,
}

/// Operations of one key to be ordered. Those marked false are taken as unknown whatever they
/// returned, which only allows more: `explain` uses it.
pub(crate) type Selection = Vec<(OpId, bool)>;

impl Problem {
    pub fn new(history: &History, selection: &Selection) -> Problem {
        let chosen: Vec<(OpId, &Record, bool)> = selection
            .iter()
            .filter_map(|(id, known)| Some((*id, history.get(*id)?, *known)))
            .filter(|(_, record, _)| *record.outcome() != Outcome::Failed)
            .collect();
        let values = Values::seen_in(chosen.iter().map(|(_, record, _)| *record));
        let ranks = Ranks::new(history, &chosen);
        let mut problem = Problem::default();
        let mut classes: HashMap<Step, Vec<(usize, OpId)>> = HashMap::new();
        for (id, record, known) in &chosen {
            let call = ranks.calls.get(id).copied().unwrap_or_default();
            let outcome = if *known { record.outcome() } else { &Outcome::Unknown };
            let Some(step) = values.step(&record.op.action, outcome) else { continue };
            match ranks.returns.get(id) {
                Some(ret) => problem.known.push(Known { id: *id, call, ret: *ret, step }),
                None => classes.entry(step).or_default().push((call, *id)),
            }
        }
        problem.known.sort_by_key(|known| known.call);
        problem.index(classes);
        problem
    }

    fn index(&mut self, classes: HashMap<Step, Vec<(usize, OpId)>>) {
        let all = classes.into_iter().filter(|(step, _)| !step.is_quiet());
        self.classes = all.map(|(step, calls)| Class { step, calls }).collect();
        for class in &mut self.classes {
            class.calls.sort_unstable();
        }
        // The order of a hash map differs between runs; the search must not.
        self.classes.sort_by_key(|class| class.calls.first().copied());
        for (number, class) in self.classes.iter().enumerate() {
            match class.step.effect {
                Effect::Set(state) => self.setters.entry(state).or_default().push(number),
                Effect::Add(_) => self.adders.push(number),
                Effect::Keep => {}
            }
        }
    }
}

/// Where each call and return stands among the moments of the key.
struct Ranks {
    calls: HashMap<OpId, usize>,
    returns: HashMap<OpId, usize>,
}

impl Ranks {
    fn new(history: &History, chosen: &[(OpId, &Record, bool)]) -> Ranks {
        let mut moments = Vec::with_capacity(chosen.len() * 2);
        for (id, record, known) in chosen {
            moments.push((history.rank(record.called, false), *id, false));
            if let Some(returned) = record.bound().filter(|_| *known) {
                moments.push((history.rank(returned, true), *id, true));
            }
        }
        moments.sort_unstable();
        let mut ranks = Ranks { calls: HashMap::new(), returns: HashMap::new() };
        for (rank, (_, id, is_return)) in moments.into_iter().enumerate() {
            let side = if is_return { &mut ranks.returns } else { &mut ranks.calls };
            side.insert(id, rank);
        }
        ranks
    }
}

/// The values that operations look at, numbered.
struct Values<'a> {
    seen: HashSet<&'a Value>,
    texts: HashMap<&'a Value, u32>,
    counts: bool,
}

impl<'a> Values<'a> {
    fn seen_in(records: impl Iterator<Item = &'a Record>) -> Values<'a> {
        let mut values = Values { seen: HashSet::new(), texts: HashMap::new(), counts: false };
        for record in records {
            values.counts |= matches!(record.op.action, Action::Add(_));
            let compared = match &record.op.action {
                Action::Cas { expect, .. } => expect.as_ref(),
                _ => None,
            };
            let saw = match record.outcome() {
                Outcome::Saw(state) => state.as_ref(),
                _ => None,
            };
            for value in compared.into_iter().chain(saw) {
                let number = values.texts.len() as u32 + 1;
                values.seen.insert(value);
                values.texts.entry(value).or_insert(number);
            }
        }
        values
    }

    fn state(&self, value: &Option<Value>) -> State {
        match value {
            None => State::Absent,
            Some(Value::Integer(number)) if self.counts || self.is_seen(value) => {
                State::Integer(*number)
            }
            Some(text) => self.texts.get(text).map_or(State::UNSEEN, |number| State::Text(*number)),
        }
    }

    fn is_seen(&self, value: &Option<Value>) -> bool {
        value.as_ref().is_some_and(|value| self.seen.contains(value))
    }

    /// What an action with an outcome asks of the register. `None`: it says nothing.
    fn step(&self, action: &Action, outcome: &Outcome) -> Option<Step> {
        let (demand, effect) = match (action, outcome) {
            (Action::Read, Outcome::Saw(saw)) => (Demand::Exactly(self.state(saw)), Effect::Keep),
            (Action::Read, _) => return None,
            (Action::Write(value), _) => {
                (Demand::Anything, Effect::Set(self.state(&Some(value.clone()))))
            }
            (Action::Delete, _) => (Demand::Anything, Effect::Set(State::Absent)),
            (Action::Cas { expect, .. }, Outcome::Conflict) => {
                (Demand::AnythingBut(self.state(expect)), Effect::Keep)
            }
            (Action::Cas { expect, new }, _) => {
                (Demand::Exactly(self.state(expect)), Effect::Set(self.state(new)))
            }
            (Action::Swap(new), Outcome::Saw(saw)) => {
                (Demand::Exactly(self.state(saw)), Effect::Set(self.state(new)))
            }
            (Action::Swap(new), _) => (Demand::Anything, Effect::Set(self.state(new))),
            (Action::Add(n), Outcome::Saw(Some(Value::Integer(sum)))) => {
                let n = i128::from(*n);
                (Demand::before(sum.saturating_sub(n)), Effect::Add(n))
            }
            (Action::Add(n), _) => (Demand::Number, Effect::Add((*n).into())),
        };
        Some(Step { demand, effect })
    }
}
