//! Does a lock have one holder, as far as a lock can? A judge of locks with tokens.
//!
//! Clients take locks for processes of their own, show the tokens to a resource that refuses older
//! ones, and unlock, or let the process die. Of each lock:
//!
//! - *Tokens grow.* Who asks after another was given the lock gets a larger token.
//! - *The resource is never shown an older token*, and takes it: not after it took a newer one.
//! - *One holder.* A process that was given the lock, and lives, holds it until it is asked to give
//!   it back or to die: what its client does with the lock meanwhile proves it. Nobody is given it
//!   before that, unless faults excuse it ([`Losses`]): its node may have been silent.
//! - *The dead hold nothing.* At the end, when all who took locks are dead, each is free in time.
//!
//! What is unknown may have been given to somebody, and proves nothing.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::calls::{CallId, Calls, Request};
use crate::files::Fault as Disturbance;
use crate::losses::Losses;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Locking {
    /// For a process that lives until `Unlock` or `Drop`.
    Lock {
        name: Arc<str>,
    },
    /// Writes to the resource.
    Guarded {
        name: Arc<str>,
        token: u64,
    },
    Unlock {
        name: Arc<str>,
        token: u64,
    },
    /// The process dies.
    Drop {
        name: Arc<str>,
        token: u64,
    },
    /// Is it free, or soon? Nobody who took it lives.
    Free {
        name: Arc<str>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    Done,
    Token(u64),
    /// By somebody else, or not known for how long.
    Held,
    /// Of the resource, of an unlock, of a free lock.
    Is(bool),
}

impl Request for Locking {
    type Answer = Answer;

    fn fits(&self, answer: &Answer) -> bool {
        matches!(
            (self, answer),
            (Locking::Lock { .. }, Answer::Token(_) | Answer::Held)
                | (Locking::Drop { .. }, Answer::Done)
                | (
                    Locking::Guarded { .. } | Locking::Unlock { .. } | Locking::Free { .. },
                    Answer::Is(_)
                )
        )
    }
}

impl Locking {
    fn name(&self) -> &Arc<str> {
        match self {
            Locking::Lock { name }
            | Locking::Guarded { name, .. }
            | Locking::Unlock { name, .. }
            | Locking::Drop { name, .. }
            | Locking::Free { name } => name,
        }
    }

    /// What is asked for with a lock that was given.
    fn token(&self) -> Option<u64> {
        match self {
            Locking::Guarded { token, .. }
            | Locking::Unlock { token, .. }
            | Locking::Drop { token, .. } => Some(*token),
            Locking::Lock { .. } | Locking::Free { .. } => None,
        }
    }
}

impl fmt::Display for Locking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Locking::Lock { name } => write!(f, "lock {name}"),
            Locking::Guarded { name, token } => write!(f, "write to {name} with {token}"),
            Locking::Unlock { name, token } => write!(f, "unlock {name} of {token}"),
            Locking::Drop { name, token } => write!(f, "end who has {name} with {token}"),
            Locking::Free { name } => write!(f, "is {name} free"),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Its token is not larger than that of a lock that was given before it was asked for.
    TokenShrank,
    /// The resource took it after a newer one.
    OldToken,
    /// The other one was given the lock while this one held it.
    TwoHolders,
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
    pub fn explain(&self, calls: &Calls<Locking>) -> String {
        let what = match self.fault {
            Fault::TokenShrank => "this token is not larger than one that was given before",
            Fault::OldToken => "the resource was written to with a token older than one before",
            Fault::TwoHolders => "this was given while another held it",
            Fault::NotFree => "this lock is of nobody who lives, and not free",
        };
        calls.beside(what, self.call, self.other)
    }
}

/// How much the judge had to look at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Looked {
    pub given: usize,
    /// Those of which it is known how long they were held at least.
    pub holds: usize,
    pub written: usize,
}

/// A lock that was given.
#[derive(Debug, Clone, Copy)]
struct Given {
    call: CallId,
    token: u64,
    called_ns: u64,
    returned_ns: u64,
    /// Its holder lived at this moment and had not been asked for anything else.
    held_until_ns: u64,
}

pub fn check(calls: &Calls<Locking>, disturbances: &[Disturbance]) -> Result<Looked, Violation> {
    let mut looked = Looked::default();
    let losses = Losses::of(disturbances);
    let mut by_name: BTreeMap<&Arc<str>, Vec<Given>> = BTreeMap::new();
    let until = held_until(calls);
    for (id, call) in calls.iter() {
        let Some((answer, returned_ns)) = call.done() else { continue };
        match (&call.request, *answer) {
            (Locking::Lock { name }, Answer::Token(token)) => {
                let held_until_ns = until.get(&(name, token)).copied().unwrap_or(returned_ns);
                let called_ns = call.called_ns;
                let given = Given { call: id, token, called_ns, returned_ns, held_until_ns };
                looked.given += 1;
                looked.holds += usize::from(held_until_ns > returned_ns);
                by_name.entry(name).or_default().push(given);
            }
            (Locking::Free { .. }, Answer::Is(false)) => {
                return Err(Violation { call: id, other: None, fault: Fault::NotFree });
            }
            _ => {}
        }
    }
    by_name.into_values().try_for_each(|given| holders(given, &losses))?;
    looked.written = resource(calls)?;
    Ok(looked)
}

/// Of each lock that was given, when its client last did something with it, before it gave it back.
fn held_until(calls: &Calls<Locking>) -> BTreeMap<(&Arc<str>, u64), u64> {
    let (mut used, mut given_back) = (BTreeMap::new(), BTreeMap::new());
    for (_, call) in calls.iter() {
        let Some(token) = call.request.token() else { continue };
        let lock = (call.request.name(), token);
        if matches!(call.request, Locking::Guarded { .. }) {
            let at_ns = call.done().map_or(call.called_ns, |(_, at_ns)| at_ns);
            used.entry(lock).and_modify(|last: &mut u64| *last = at_ns.max(*last)).or_insert(at_ns);
        } else {
            let at_ns = call.called_ns;
            given_back
                .entry(lock)
                .and_modify(|first: &mut u64| *first = at_ns.min(*first))
                .or_insert(at_ns);
        }
    }
    used.extend(given_back);
    used
}

/// By falling tokens: each is beside the one of the larger ones that was given first.
fn holders(mut given: Vec<Given>, losses: &Losses) -> Result<(), Violation> {
    given.sort_by_key(|given| std::cmp::Reverse(given.token));
    let mut first: Option<Given> = None;
    let mut last_token = None;
    for one in given {
        let is_new = last_token.replace(one.token) != Some(one.token);
        if let Some(other) = first {
            if !is_new || other.returned_ns < one.called_ns {
                let (call, other) = (one.call, Some(other.call));
                return Err(Violation { call, other, fault: Fault::TokenShrank });
            }
            let is_excused = losses.excuse(one.called_ns, other.returned_ns);
            if other.returned_ns < one.held_until_ns && !is_excused {
                let (call, other) = (other.call, Some(one.call));
                return Err(Violation { call, other, fault: Fault::TwoHolders });
            }
        }
        if first.is_none_or(|first| one.returned_ns < first.returned_ns) {
            first = Some(one);
        }
    }
    Ok(())
}

/// A write that the resource took.
#[derive(Debug, Clone, Copy)]
struct Taken {
    call: CallId,
    token: u64,
    called_ns: u64,
    returned_ns: u64,
}

/// How many writes the resource took.
fn resource(calls: &Calls<Locking>) -> Result<usize, Violation> {
    let mut by_name: BTreeMap<&Arc<str>, Vec<Taken>> = BTreeMap::new();
    for (id, call) in calls.iter() {
        let Some((Answer::Is(true), returned_ns)) = call.done() else { continue };
        if let Locking::Guarded { name, token } = &call.request {
            let (token, called_ns) = (*token, call.called_ns);
            by_name.entry(name).or_default().push(Taken {
                call: id,
                token,
                called_ns,
                returned_ns,
            });
        }
    }
    let count = by_name.values().map(Vec::len).sum();
    by_name.into_values().try_for_each(in_order)?;
    Ok(count)
}

/// By falling tokens: none is written after the first of the larger ones.
fn in_order(mut taken: Vec<Taken>) -> Result<(), Violation> {
    taken.sort_by_key(|taken| std::cmp::Reverse(taken.token));
    let mut first: Option<Taken> = None;
    for of_token in taken.chunk_by(|one, other| one.token == other.token) {
        let is_late = |one: &&Taken| first.is_some_and(|first| first.returned_ns < one.called_ns);
        if let Some(one) = of_token.iter().find(is_late) {
            let other = first.map(|first| first.call);
            return Err(Violation { call: one.call, other, fault: Fault::OldToken });
        }
        first = first.into_iter().chain(of_token.iter().copied()).min_by_key(|one| one.returned_ns);
    }
    Ok(())
}
