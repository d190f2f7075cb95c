//! Do keys with a time to live go when it is over, and never before? A judge of expiry.
//!
//! Clients put keys with a time to live or without, touch them, and get them; nobody deletes. So a
//! key that is not there was never put, or has expired. Each value is put once. The times of a
//! history are those of one clock that all share, which is right. Of each key:
//!
//! - *Never early.* A put with a time to live, or a touch, took effect after its call. Whatever
//!   call is found absent returned after that time was over, for one of the puts and touches that
//!   can have been the last one before it. One that is unknown can have been, and also not: it
//!   excuses a key that has gone, and never proves that it should be there.
//! - *Gone is gone.* What was put before a call that found the key absent is not found after it.
//! - *The newest.* What is found was put, and not overwritten before.
//! - *Not late.* Where it can be proven: see below.
//!
//! How long a key may stay is promised of a majority that can talk, and a new leader gives every
//! key its full time again. Clients that ask for it ([`Timed::Settled`]) are told the term that is
//! led: if two of them are told the same term, one leader led from the first to the second. If
//! there was no fault from the first to a call between them, that call finds no key whose time,
//! counted from the first or from when it was given last, was over by more than the bound. All that
//! was unknown before the first has happened then, or never will. So in practice the end of a run
//! shows it, when all faults are healed: between two faults there is no time for it.
//!
//! A pass over the calls of each key, with the puts and touches of that key.

mod explain;
mod judge;

use std::fmt;
use std::sync::Arc;

use crate::calls::{CallId, Calls, Request};
use crate::files::Fault as Disturbance;

/// What is asked of a key, or of the cluster. No time to live: it stays for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Timed {
    Put {
        key: Arc<str>,
        value: Arc<str>,
        ttl_ms: Option<u64>,
    },
    /// Gives the key that time, if it is there.
    Touch {
        key: Arc<str>,
        ttl_ms: Option<u64>,
    },
    Get {
        key: Arc<str>,
    },
    /// Which term is led? Its leader has committed something since the call.
    Settled {
        /// By so much a key may outstay its time.
        bound_ms: u64,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    Done,
    /// Was the key there?
    Touched(bool),
    Found(Option<Arc<str>>),
    Term(u64),
}

impl Request for Timed {
    type Answer = Answer;

    fn fits(&self, answer: &Answer) -> bool {
        matches!(
            (self, answer),
            (Timed::Put { .. }, Answer::Done)
                | (Timed::Touch { .. }, Answer::Touched(_))
                | (Timed::Get { .. }, Answer::Found(_))
                | (Timed::Settled { .. }, Answer::Term(_))
        )
    }
}

impl Timed {
    fn key(&self) -> Option<&Arc<str>> {
        match self {
            Timed::Put { key, .. } | Timed::Touch { key, .. } | Timed::Get { key } => Some(key),
            Timed::Settled { .. } => None,
        }
    }
}

impl fmt::Display for Timed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = |ttl_ms: &Option<u64>| match ttl_ms {
            Some(ms) => format!("for {ms} ms"),
            None => "for good".to_owned(),
        };
        match self {
            Timed::Put { key, value, ttl_ms } => write!(f, "put {key} {value} {}", time(ttl_ms)),
            Timed::Touch { key, ttl_ms } => write!(f, "touch {key} {}", time(ttl_ms)),
            Timed::Get { key } => write!(f, "get {key}"),
            Timed::Settled { .. } => write!(f, "which term is led"),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Found absent; its time was over at this moment at the earliest, if ever.
    Early { not_before_ns: Option<u64> },
    /// Found, though this call had found it absent after it was put.
    Back { absent: CallId },
    /// Found, though nobody can have put it.
    NeverPut,
    /// Found, though this put had replaced it.
    Overwritten { by: CallId },
    /// Found; with its leader since this call, it had to be gone at this moment.
    Late { settled: CallId, gone_ns: u64 },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    pub call: CallId,
    pub fault: Fault,
}

/// How much the judge had to look at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Looked {
    /// Calls that found a key absent after it had been put.
    pub gone: usize,
    /// Calls that found it gone where it is known when it had to be.
    pub in_time: usize,
}

/// The first call that found what cannot be, key by key.
pub fn check(calls: &Calls<Timed>, disturbances: &[Disturbance]) -> Result<Looked, Violation> {
    judge::check(calls, disturbances)
}
