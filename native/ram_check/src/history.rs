//! What clients did and saw, as they recorded it.
//!
//! The simulator records into a [`History`] directly, `files` fills one from the files of a torture
//! run. Nothing is judged here; only what no client can have seen (a return before its call, an
//! answer of another operation's kind) is refused as [`Malformed`].
//!
//! Times are nanoseconds of one clock that all clients share.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// A value of a register. Decimal integers are numbers, so that `add` can count with them; all
/// else is text and only compared. Integers beyond 128 bits are text.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Value {
    Integer(i128),
    Text(Arc<str>),
}

impl From<&str> for Value {
    /// "07" and "+7" are not how a number is written, hence text.
    fn from(token: &str) -> Value {
        match token.parse::<i128>() {
            Ok(number) if number.to_string() == token => Value::Integer(number),
            _ => Value::Text(token.into()),
        }
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Value {
        Value::Integer(number.into())
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Integer(number) => write!(f, "{number}"),
            Value::Text(text) => write!(f, "{text}"),
        }
    }
}

/// The token of a register's state: `-` is absent.
pub fn show_state(state: &Option<Value>) -> String {
    state.as_ref().map_or_else(|| "-".to_owned(), Value::to_string)
}

/// The state a token stands for.
pub fn parse_state(token: &str) -> Option<Value> {
    (token != "-").then(|| token.into())
}

/// What is asked of a register.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    Read,
    Write(Value),
    Delete,
    /// Stores `new` if the register is `expect`; `None` is absent.
    Cas {
        expect: Option<Value>,
        new: Option<Value>,
    },
    /// Stores the new state and answers what was there.
    Swap(Option<Value>),
    /// Adds to a number; absent counts as zero. Refused on text.
    Add(i64),
}

/// An action on a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Op {
    pub key: Arc<str>,
    pub action: Action,
}

impl Op {
    pub fn new(key: &str, action: Action) -> Op {
        Op { key: key.into(), action }
    }
    pub fn read(key: &str) -> Op {
        Op::new(key, Action::Read)
    }
    pub fn write(key: &str, value: impl Into<Value>) -> Op {
        Op::new(key, Action::Write(value.into()))
    }
    pub fn delete(key: &str) -> Op {
        Op::new(key, Action::Delete)
    }
    pub fn cas(key: &str, expect: Option<Value>, new: impl Into<Value>) -> Op {
        Op::new(key, Action::Cas { expect, new: Some(new.into()) })
    }
    pub fn swap(key: &str, new: impl Into<Value>) -> Op {
        Op::new(key, Action::Swap(Some(new.into())))
    }
    pub fn add(key: &str, n: i64) -> Op {
        Op::new(key, Action::Add(n))
    }
}

/// What the client learnt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// A write, delete or add was done; a compare-and-set met what it expected.
    Ok,
    /// A read or swap was done and saw this; an add was done and made it this.
    Saw(Option<Value>),
    /// A compare-and-set did not meet what it expected, and changed nothing.
    Conflict,
    /// It may have happened at any time after its call, or never.
    Unknown,
    /// It certainly did not happen.
    Failed,
}

/// Names an operation within its history; counts from 0 in the order of calls recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OpId(pub(crate) usize);

/// A moment of a history: its time, and its number among the moments recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    pub at_ns: u64,
    pub(crate) recorded: u64,
}

/// One operation from call to return. No return means unknown.
#[derive(Debug, Clone)]
pub struct Record {
    pub client: Arc<str>,
    /// The node the client talked to; for the report alone.
    pub node: Arc<str>,
    pub op: Op,
    pub called: Moment,
    pub returned: Option<(Outcome, Moment)>,
}

impl Record {
    pub fn outcome(&self) -> &Outcome {
        self.returned.as_ref().map_or(&Outcome::Unknown, |(outcome, _)| outcome)
    }

    /// The end that bounds the operation; an unknown one has none.
    pub(crate) fn bound(&self) -> Option<Moment> {
        match &self.returned {
            Some((Outcome::Unknown, _)) | None => None,
            Some((_, moment)) => Some(*moment),
        }
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.op.action {
            Action::Read => write!(f, "read")?,
            Action::Write(value) => write!(f, "write {value}")?,
            Action::Delete => write!(f, "delete")?,
            Action::Cas { expect, new } => {
                write!(f, "cas {} to {}", show_state(expect), show_state(new))?;
            }
            Action::Swap(new) => write!(f, "swap {}", show_state(new))?,
            Action::Add(n) => write!(f, "add {n}")?,
        }
        match self.outcome() {
            Outcome::Ok => write!(f, " ok"),
            Outcome::Saw(state) => write!(f, " saw {}", show_state(state)),
            Outcome::Conflict => write!(f, " conflict"),
            Outcome::Unknown => write!(f, " unknown"),
            Outcome::Failed => write!(f, " failed"),
        }
    }
}

/// How moments of equal time stand to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Ties {
    /// They happened in the order recorded. For a recorder that is one thread, as the simulator
    /// is: much happens at one virtual instant, and its order is real.
    #[default]
    AsRecorded,
    /// Nobody knows, so operations that touch at an instant overlap. For files of many clients.
    Overlap,
}

/// A return that no client can have seen; says what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed(pub &'static str);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Malformed {}

/// What all clients did, in the order recorded.
#[derive(Debug, Clone, Default)]
pub struct History {
    records: Vec<Record>,
    ties: Ties,
    moments: u64,
}

impl History {
    pub fn new(ties: Ties) -> History {
        History { ties, ..History::default() }
    }

    /// A client calls. Clients may have several operations under way.
    pub fn call(&mut self, client: &str, node: &str, op: Op, at_ns: u64) -> OpId {
        let called = self.moment(at_ns);
        let (client, node) = (client.into(), node.into());
        self.records.push(Record { client, node, op, called, returned: None });
        OpId(self.records.len() - 1)
    }

    /// An operation of this history returns. Without it the outcome is unknown.
    pub fn ret(&mut self, id: OpId, outcome: Outcome, at_ns: u64) -> Result<(), Malformed> {
        let moment = self.moment(at_ns);
        let record = self.records.get_mut(id.0).ok_or(Malformed("no such call"))?;
        if record.returned.is_some() {
            return Err(Malformed("the operation has returned before"));
        }
        if at_ns < record.called.at_ns {
            return Err(Malformed("the operation returns before its call"));
        }
        if !fits(&record.op.action, &outcome) {
            return Err(Malformed("the outcome is not one of this kind of operation"));
        }
        record.returned = Some((outcome, moment));
        Ok(())
    }

    pub fn records(&self) -> impl Iterator<Item = (OpId, &Record)> {
        self.records.iter().enumerate().map(|(number, record)| (OpId(number), record))
    }

    pub fn get(&self, id: OpId) -> Option<&Record> {
        self.records.get(id.0)
    }

    pub fn len(&self) -> usize {
        self.records.len()
    }

    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// The operations of each key, in the order recorded.
    pub fn by_key(&self) -> BTreeMap<Arc<str>, Vec<OpId>> {
        let mut keys: BTreeMap<Arc<str>, Vec<OpId>> = BTreeMap::new();
        for (id, record) in self.records() {
            keys.entry(record.op.key.clone()).or_default().push(id);
        }
        keys
    }

    /// What moments are sorted by: at one instant calls come first where ties overlap.
    pub(crate) fn rank(&self, moment: Moment, is_return: bool) -> (u64, bool, u64) {
        let late = is_return && self.ties == Ties::Overlap;
        (moment.at_ns, late, moment.recorded)
    }

    fn moment(&mut self, at_ns: u64) -> Moment {
        self.moments += 1;
        Moment { at_ns, recorded: self.moments }
    }
}

fn fits(action: &Action, outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Unknown | Outcome::Failed => true,
        Outcome::Saw(Some(Value::Integer(_))) if matches!(action, Action::Add(_)) => true,
        Outcome::Saw(_) => matches!(action, Action::Read | Action::Swap(_)),
        Outcome::Conflict => matches!(action, Action::Cas { .. }),
        Outcome::Ok => !matches!(action, Action::Read | Action::Swap(_)),
    }
}
