//! Is a name of one process, and does everybody find that one? A judge of names of processes.
//!
//! Clients register names for processes of their own, each process once, ask who has a name, take
//! names away, whoever has them, and kill their processes. Of each name:
//!
//! - *One process.* A process that was given the name, and lives, has it until anybody asks to take
//!   it away, or its client to kill it: what its client calls meanwhile proves that it lives. No
//!   other is given the name before that, unless faults excuse it ([`Losses`]).
//! - *It is found.* While it has the name nobody finds another process, or none, unless faults
//!   excuse that too.
//! - *What is gone stays gone.* It is not found after a call that took the name away, gave it to
//!   another process, or found that it had it no more.
//! - *Found is registered.* Nobody finds a process that never had the name.
//! - *The dead have no name.* At the end, when all these processes are dead, each name is free in
//!   time.
//!
//! Where a process has ended its own node finds it no more, before the others know: that none is
//! found there proves nothing of it. What is unknown may have been done, now or later, and proves
//! nothing. Each call of a name is held against those that were given it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::calls::{Call, CallId, Calls, Request};
use crate::files::Fault as Disturbance;
use crate::losses::Losses;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Naming {
    Register {
        name: Arc<str>,
        process: Arc<str>,
    },
    /// From whoever has it.
    Unregister {
        name: Arc<str>,
    },
    Whereis {
        name: Arc<str>,
    },
    /// The process that was given the name.
    Kill {
        name: Arc<str>,
        process: Arc<str>,
    },
    /// Is it free, or soon? Nobody who registered it lives.
    Free {
        name: Arc<str>,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    Done,
    /// Of a registration, and of a free name.
    Is(bool),
    Found(Option<Arc<str>>),
}

impl Request for Naming {
    type Answer = Answer;

    fn fits(&self, answer: &Answer) -> bool {
        matches!(
            (self, answer),
            (Naming::Register { .. } | Naming::Free { .. }, Answer::Is(_))
                | (Naming::Unregister { .. } | Naming::Kill { .. }, Answer::Done)
                | (Naming::Whereis { .. }, Answer::Found(_))
        )
    }
}

impl Naming {
    fn name(&self) -> &Arc<str> {
        match self {
            Naming::Register { name, .. }
            | Naming::Unregister { name }
            | Naming::Whereis { name }
            | Naming::Kill { name, .. }
            | Naming::Free { name } => name,
        }
    }
}

impl fmt::Display for Naming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Naming::Register { name, process } => write!(f, "register {name} for {process}"),
            Naming::Unregister { name } => write!(f, "unregister {name}"),
            Naming::Whereis { name } => write!(f, "whereis {name}"),
            Naming::Kill { name, process } => write!(f, "kill {process} of {name}"),
            Naming::Free { name } => write!(f, "is {name} free"),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The other process was given the name while this one had it.
    TwoProcesses,
    /// The other process had the name, and this call did not find it.
    NotFound,
    /// The process that it found had lost the name, as the other call shows.
    Gone,
    /// The process that it found never had the name.
    NeverRegistered,
    /// Of the dead.
    NotFree,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    pub call: CallId,
    pub other: Option<CallId>,
    pub fault: Fault,
}

impl Violation {
    pub fn explain(&self, calls: &Calls<Naming>) -> String {
        let what = match self.fault {
            Fault::TwoProcesses => "this was given while another process had the name",
            Fault::NotFound => "this did not find the process that had the name all the while",
            Fault::Gone => "this found a process that had lost the name before",
            Fault::NeverRegistered => "this found a process that never had the name",
            Fault::NotFree => "this name is of nobody who lives, and not free",
        };
        calls.beside(what, self.call, self.other)
    }
}

/// How much the judge had to look at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Looked {
    pub given: usize,
    /// Those of which it is known how long they had the name at least.
    pub kept: usize,
    pub found: usize,
    /// Those that could find no other process.
    pub sure: usize,
}

pub fn check(calls: &Calls<Naming>, disturbances: &[Disturbance]) -> Result<Looked, Violation> {
    let losses = Losses::of(disturbances);
    let mut names: BTreeMap<&Arc<str>, Vec<(CallId, &Call<Naming>)>> = BTreeMap::new();
    let mut lived_ns: BTreeMap<&Arc<str>, u64> = BTreeMap::new();
    for (id, call) in calls.iter() {
        let at_ns = call.returned.as_ref().map_or(call.called_ns, |(_, at_ns)| *at_ns);
        let last_ns = lived_ns.entry(&call.client).or_default();
        *last_ns = at_ns.max(*last_ns);
        names.entry(call.request.name()).or_default().push((id, call));
    }
    let mut looked = Looked::default();
    for calls in names.values() {
        Name::of(calls, &lived_ns).check(&losses, &mut looked)?;
    }
    Ok(looked)
}

/// A process that was given the name.
struct Given<'a> {
    call: CallId,
    process: &'a Arc<str>,
    node: &'a Arc<str>,
    called_ns: u64,
    returned_ns: u64,
    /// It lived at this moment, and nobody had asked to take the name away.
    until_ns: u64,
}

/// At a moment between its call and its return this saw whose the name was, or made it so.
struct Seen<'a> {
    call: CallId,
    request: &'a Naming,
    node: &'a Arc<str>,
    called_ns: u64,
    returned_ns: u64,
    process: Option<&'a Arc<str>>,
}

impl<'a> Seen<'a> {
    fn of((id, call): &(CallId, &'a Call<Naming>)) -> Option<Seen<'a>> {
        let (answer, returned_ns) = call.done()?;
        let process = match (&call.request, answer) {
            (Naming::Register { process, .. }, Answer::Is(true)) => Some(process),
            (Naming::Unregister { .. }, _) => None,
            (Naming::Whereis { .. }, Answer::Found(process)) => process.as_ref(),
            _ => return None,
        };
        let Call { request, node, called_ns, .. } = call;
        Some(Seen { call: *id, request, node, called_ns: *called_ns, returned_ns, process })
    }

    fn is_find(&self) -> bool {
        matches!(self.request, Naming::Whereis { .. })
    }

    /// Had the process surely lost the name when this was seen?
    fn shows_loss_of(&self, given: &Given<'_>) -> bool {
        let is_of_dead = self.is_find() && self.process.is_none() && self.node == given.node;
        given.returned_ns < self.called_ns && self.process != Some(given.process) && !is_of_dead
    }
}

/// The calls of one name.
struct Name<'a> {
    /// By when each process was registered, if it can have the name.
    tried_ns: BTreeMap<&'a Arc<str>, u64>,
    given: Vec<Given<'a>>,
    seen: Vec<Seen<'a>>,
    not_free: Option<CallId>,
}

impl<'a> Name<'a> {
    fn of(calls: &[(CallId, &'a Call<Naming>)], lived_ns: &BTreeMap<&Arc<str>, u64>) -> Name<'a> {
        let (mut killed_ns, mut tried_ns) = (BTreeMap::new(), BTreeMap::new());
        let mut not_free = None;
        for (id, call) in calls.iter().filter(|(_, call)| !call.has_failed()) {
            let answer = call.done().map(|(answer, _)| answer);
            match (&call.request, answer) {
                (Naming::Register { .. }, Some(Answer::Is(false))) => {}
                (Naming::Register { process, .. }, _) => {
                    tried_ns.insert(process, call.called_ns);
                }
                (Naming::Kill { process, .. }, _) => {
                    killed_ns.insert(process, call.called_ns);
                }
                (Naming::Free { .. }, Some(Answer::Is(false))) => not_free = Some(*id),
                _ => {}
            }
        }
        let given = calls.iter().filter_map(|(id, call)| {
            let (Naming::Register { process, .. }, (Answer::Is(true), returned_ns)) =
                (&call.request, call.done()?)
            else {
                return None;
            };
            let (node, called_ns) = (&call.node, call.called_ns);
            let lived_ns = killed_ns.get(process).or(lived_ns.get(&call.client));
            let until_ns = taken_away_ns(calls, called_ns).min(*lived_ns?);
            Some(Given { call: *id, process, node, called_ns, returned_ns, until_ns })
        });
        let (given, seen) = (given.collect(), calls.iter().filter_map(Seen::of).collect());
        Name { tried_ns, given, seen, not_free }
    }

    fn check(&self, losses: &Losses, looked: &mut Looked) -> Result<(), Violation> {
        let finds = || self.seen.iter().filter(|seen| seen.is_find());
        for find in finds() {
            if let Some(process) = find.process {
                looked.found += 1;
                self.found(find, process)?;
            }
        }
        for given in &self.given {
            looked.given += 1;
            looked.kept += usize::from(given.returned_ns < given.until_ns);
            self.is_alone(given, losses)?;
            for find in finds() {
                looked.sure += usize::from(is_found(given, find, losses)?);
            }
        }
        match self.not_free {
            Some(call) => Err(Violation { call, other: None, fault: Fault::NotFree }),
            None => Ok(()),
        }
    }

    /// May it have been found?
    fn found(&self, find: &Seen<'a>, process: &'a Arc<str>) -> Result<(), Violation> {
        let violation = |other, fault| Err(Violation { call: find.call, other, fault });
        if self.tried_ns.get(process).is_none_or(|called_ns| find.returned_ns < *called_ns) {
            return violation(None, Fault::NeverRegistered);
        }
        let given = self.given.iter().find(|given| given.process == process);
        let is_loss = |seen: &&Seen<'a>| {
            seen.returned_ns < find.called_ns
                && given.is_some_and(|given| seen.shows_loss_of(given))
        };
        match self.seen.iter().find(is_loss) {
            Some(seen) => violation(Some(seen.call), Fault::Gone),
            None => Ok(()),
        }
    }

    /// Is no other process given the name, as long as this one has it? Whichever was first, it had
    /// the name when the other one was given it.
    fn is_alone(&self, one: &Given<'a>, losses: &Losses) -> Result<(), Violation> {
        let is_beside = |other: &&Given<'a>| {
            let asked_ns = one.called_ns.min(other.called_ns);
            other.call != one.call
                && one.returned_ns < other.until_ns
                && other.returned_ns < one.until_ns
                && !losses.excuse(asked_ns, one.returned_ns.max(other.returned_ns))
        };
        match self.given.iter().find(is_beside) {
            Some(Given { call: other, .. }) => {
                let (call, other) = (one.call, Some(*other));
                Err(Violation { call, other, fault: Fault::TwoProcesses })
            }
            None => Ok(()),
        }
    }
}

/// `false`: it need not be, since it may not have had the name.
fn is_found(given: &Given<'_>, find: &Seen<'_>, losses: &Losses) -> Result<bool, Violation> {
    let has_it = given.returned_ns < find.called_ns
        && find.returned_ns < given.until_ns
        && !losses.excuse(given.called_ns, find.returned_ns);
    if has_it && find.process != Some(given.process) {
        let (call, other) = (find.call, Some(given.call));
        return Err(Violation { call, other, fault: Fault::NotFound });
    }
    Ok(has_it)
}

/// When anybody first asked to take the name away from whom it was given by a call of that time.
fn taken_away_ns(calls: &[(CallId, &Call<Naming>)], called_ns: u64) -> u64 {
    let asked = calls.iter().filter(|(_, call)| {
        let is_late = call.done().is_none_or(|(_, returned_ns)| called_ns <= returned_ns);
        matches!(call.request, Naming::Unregister { .. }) && is_late && !call.has_failed()
    });
    asked.map(|(_, call)| call.called_ns).min().unwrap_or(u64::MAX)
}
