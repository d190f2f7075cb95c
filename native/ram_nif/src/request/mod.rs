//! The requests of a running member: counterpart of ram_request.erl, ram_read.erl, ram_lookup.erl
//! ram_update.erl and ram_write.erl.
//!
//! Each takes the caller's reference, puts the request into the member's queue and returns `{ok,
//! Id}`; the answer comes as a message (see `reply`). `{error, Reason}` means that the request was
//! not queued and no message will come. Nothing here waits.

mod lookup;
mod members;
mod owner;
mod refusal;
mod transaction;
mod turn;
mod write;

use bytes::Bytes;
use ram_core::Error;
use ram_core::backup::Task;
use ram_table::table::Item;
use rustler::{Encoder, Env, NifResult, Term};
use std::time::{Duration, Instant};

use crate::arguments::{List, with_key};
use crate::config::Mode;
use crate::member::MemberResource;
use crate::reply::Ticket;
use crate::terms;
use crate::value;

pub fn deadline(timeout_ms: u64) -> Instant {
    Instant::now() + timeout(timeout_ms)
}

/// A year is as good as ever, and cannot overflow the clock.
fn timeout(timeout_ms: u64) -> Duration {
    Duration::from_millis(timeout_ms.min(31_536_000_000))
}

/// What a change is answered when the member ends with it under way: the others may have it.
const CHANGE_LOST: Error = Error::Timeout;
pub const READ_LOST: Error = Error::Stopped;

/// Makes the caller wait and queues its request: `{ok, Id} | {error, Reason}`.
pub fn queue<'a>(
    env: Env<'a>,
    member: &MemberResource,
    (reference, lost): (Term<'a>, Error),
    submit: impl FnOnce(Ticket) -> Result<(), Error>,
) -> Term<'a> {
    let Some(ticket) = member.waiters.enter(env, reference, lost) else {
        return terms::error(env, &Error::Overloaded);
    };
    let id = ticket.id();
    match submit(ticket) {
        Ok(()) => (terms::ok(), id).encode(env),
        Err(cause) => terms::error(env, &cause),
    }
}

#[rustler::nif]
fn read<'a>(
    env: Env<'a>,
    member: &'a MemberResource,
    reference: Term<'a>,
    key: Term<'a>,
    reads: Mode,
    timeout_ms: u64,
) -> NifResult<Term<'a>> {
    with_key(env, member, key, |key| {
        queue(env, member, (reference, READ_LOST), |ticket| {
            let reply = Box::new(move |item: Result<Option<Item>, Error>| match &item {
                Ok(Some(found)) if !value::is_short(found) => {
                    ticket.answer_long(|env| terms::item(env, item));
                }
                _ => ticket.answer(|env| terms::item(env, item)),
            });
            member.node.read(reads.0, Bytes::from(key), deadline(timeout_ms), reply)
        })
    })
}

#[rustler::nif]
fn sync<'a>(
    env: Env<'a>,
    member: &'a MemberResource,
    reference: Term<'a>,
    timeout_ms: u64,
) -> Term<'a> {
    queue(env, member, (reference, READ_LOST), |ticket| {
        let reply = Box::new(move |done| ticket.answer(|env| terms::done(env, done)));
        member.node.sync(deadline(timeout_ms), reply)
    })
}

/// The answer comes when the file is there, whatever its size; `timeout_ms` bounds the steps that
/// need the cluster.
#[rustler::nif]
fn backup<'a>(
    env: Env<'a>,
    member: &'a MemberResource,
    reference: Term<'a>,
    path: String,
    timeout_ms: u64,
) -> Term<'a> {
    queue_file(env, member, reference, (Task::Backup, path), timeout_ms)
}

#[rustler::nif]
fn restore<'a>(
    env: Env<'a>,
    member: &'a MemberResource,
    reference: Term<'a>,
    path: String,
    timeout_ms: u64,
) -> Term<'a> {
    queue_file(env, member, reference, (Task::Restore, path), timeout_ms)
}

fn queue_file<'a>(
    env: Env<'a>,
    member: &MemberResource,
    reference: Term<'a>,
    (task, path): (Task, String),
    timeout_ms: u64,
) -> Term<'a> {
    let lost = if task == Task::Restore { CHANGE_LOST } else { READ_LOST };
    queue(env, member, (reference, lost), |ticket| {
        let reply = Box::new(move |done| ticket.answer(|env| terms::done(env, done)));
        member.node.back_up(task, path.into(), timeout(timeout_ms), reply)
    })
}

/// Are these members, `[{Id, Address}]`, where they are said to be, and are they who they are said
/// to be? The answer is `{ok, [ok | {unreached, Cause, Text}]}`, in the order of the question.
#[rustler::nif]
fn reach<'a>(
    env: Env<'a>,
    member: &'a MemberResource,
    reference: Term<'a>,
    List(peers): List<(u64, String)>,
    limit_ms: u64,
) -> Term<'a> {
    queue(env, member, (reference, READ_LOST), |ticket| {
        let reply = Box::new(move |reached| ticket.answer(|env| terms::reached(env, reached)));
        member.node.reach(peers, timeout(limit_ms), reply)
    })
}

/// True: the request was still waiting and no message will come. False: the message is there or on
/// its way.
#[rustler::nif]
fn cancel(member: &MemberResource, id: u64) -> bool {
    member.waiters.cancel(id)
}
