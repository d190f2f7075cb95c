//! What clients did to several keys at once, as they recorded it. The judges of accounts and of
//! lists are given [`Calls`]; as in a [`History`](crate::History) nothing is judged here, and only
//! what no client can have seen is refused.
//!
//! Times are nanoseconds of one clock that all clients share. A call is before another when it
//! returned at an earlier time than the other was called; calls that touch at an instant overlap.

use std::fmt;
use std::sync::Arc;

use crate::history::Malformed;

/// What can be asked for, and what the answers to it are.
pub trait Request {
    type Answer: Clone + fmt::Debug;

    /// Can this be the answer to it?
    fn fits(&self, answer: &Self::Answer) -> bool;
}

/// What the client learnt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told<A> {
    Done(A),
    /// It may have happened at any time after its call, or never.
    Unknown,
    /// It certainly did not happen.
    Failed,
}

/// Names a call within its history; counts from 0 in the order recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId(pub(crate) usize);

/// One call of a client. No return means unknown.
#[derive(Debug, Clone)]
pub struct Call<R: Request> {
    pub client: Arc<str>,
    /// The node the client talked to; for the report alone.
    pub node: Arc<str>,
    pub request: R,
    pub called_ns: u64,
    pub returned: Option<(Told<R::Answer>, u64)>,
}

impl<R: Request> Call<R> {
    /// The answer, and when it came.
    pub fn done(&self) -> Option<(&R::Answer, u64)> {
        match &self.returned {
            Some((Told::Done(answer), at_ns)) => Some((answer, *at_ns)),
            _ => None,
        }
    }

    pub fn has_failed(&self) -> bool {
        matches!(self.returned, Some((Told::Failed, _)))
    }

    pub fn is_unknown(&self) -> bool {
        matches!(self.returned, Some((Told::Unknown, _)) | None)
    }

    /// Who, where and when: the end of a line of a report.
    pub(crate) fn by(&self) -> String {
        let end = self.returned.as_ref().map_or("no return".to_owned(), |(_, at)| at.to_string());
        format!("by {} at {}, {} to {end}", self.client, self.node, self.called_ns)
    }
}

/// What all clients did, in the order recorded.
#[derive(Debug, Clone)]
pub struct Calls<R: Request>(Vec<Call<R>>);

impl<R: Request> Default for Calls<R> {
    fn default() -> Calls<R> {
        Calls(Vec::new())
    }
}

impl<R: Request> Calls<R> {
    pub fn call(&mut self, client: &str, node: &str, request: R, called_ns: u64) -> CallId {
        let (client, node) = (client.into(), node.into());
        self.0.push(Call { client, node, request, called_ns, returned: None });
        CallId(self.0.len() - 1)
    }

    /// A call of this history returns. Without it what it did is unknown.
    pub fn ret(&mut self, id: CallId, told: Told<R::Answer>, at_ns: u64) -> Result<(), Malformed> {
        let call = self.0.get_mut(id.0).ok_or(Malformed("no such call"))?;
        if call.returned.is_some() {
            return Err(Malformed("the operation has returned before"));
        }
        if at_ns < call.called_ns {
            return Err(Malformed("the operation returns before its call"));
        }
        if matches!(&told, Told::Done(answer) if !call.request.fits(answer)) {
            return Err(Malformed("the outcome is not one of this kind of operation"));
        }
        call.returned = Some((told, at_ns));
        Ok(())
    }

    pub fn iter(&self) -> impl Iterator<Item = (CallId, &Call<R>)> {
        self.0.iter().enumerate().map(|(number, call)| (CallId(number), call))
    }

    pub fn get(&self, id: CallId) -> Option<&Call<R>> {
        self.0.get(id.0)
    }

    /// What is wrong with a call, and with which other one it cannot be: some lines of a report.
    pub(crate) fn beside(&self, what: &str, call: CallId, other: Option<CallId>) -> String
    where
        R: fmt::Display,
    {
        let line = |id| {
            self.get(id).map_or(String::new(), |call| {
                let answer = call.done().map_or("unknown".into(), |(told, _)| format!("{told:?}"));
                format!("    {} -> {answer}   {}\n", call.request, call.by())
            })
        };
        let other = other.map_or(String::new(), |other| format!("beside:\n{}", line(other)));
        format!("{what}:\n{}{other}", line(call))
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
