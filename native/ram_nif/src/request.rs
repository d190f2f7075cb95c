//! The requests of a running member: counterpart of ram_request.erl.
//!
//! Each takes the caller's reference, puts the request into the member's queue and returns `{ok,
//! Id}`; the answer comes as a message (see `reply`). `{error, Reason}` means that the request was
//! not queued and no message will come. Nothing here waits.

use bytes::Bytes;
use ram_core::Error;
use ram_core::node::Change;
use ram_core::node::backup::Task;
use ram_core::raft::rpc::MemberChange;
use ram_core::raft::types::Member;
use ram_core::store::command::{Command, Expect};
use ram_core::store::table::Item;
use rustler::{Atom, Binary, Decoder, Encoder, Env, NifResult, Term};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::fetch::Mode;
use crate::key::{self, KeyError};
use crate::member::MemberResource;
use crate::reply::Ticket;
use crate::terms;
use crate::value;

mod atoms {
    rustler::atoms! { absent, initialize, add, remove, remove_one, local_fun, too_deep }
}

fn deadline(timeout_ms: u64) -> Instant {
    Instant::now() + timeout(timeout_ms)
}

/// A year is as good as ever, and cannot overflow the clock.
fn timeout(timeout_ms: u64) -> Duration {
    Duration::from_millis(timeout_ms.min(31_536_000_000))
}

/// What a change is answered when the member ends with it under way: the others may have it.
const CHANGE_LOST: Error = Error::Timeout;
const READ_LOST: Error = Error::Stopped;

/// Makes the caller wait and queues its request: `{ok, Id} | {error, Reason}`.
fn queue<'a>(
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

/// The encoded key, or what is wrong with it.
fn encoded_key<'a>(
    env: Env<'a>,
    member: &MemberResource,
    key: Term<'a>,
) -> NifResult<Result<Vec<u8>, Term<'a>>> {
    let mut bytes = Vec::with_capacity(32);
    Ok(encode_key(env, member, key, &mut bytes)?.map(|()| bytes))
}

/// Appends the encoded key, or tells what is wrong with it.
pub fn encode_key<'a>(
    env: Env<'a>,
    member: &MemberResource,
    key: Term<'a>,
    out: &mut Vec<u8>,
) -> NifResult<Result<(), Term<'a>>> {
    let bytes_max = member.node.config().limits.key_bytes_max;
    match key::encode(key, bytes_max, out) {
        Ok(()) => Ok(Ok(())),
        Err(KeyError::LocalFun) => Ok(Err(terms::bad_key(env, atoms::local_fun()))),
        Err(KeyError::TooDeep) => Ok(Err(terms::bad_key(env, atoms::too_deep()))),
        Err(KeyError::TooLarge) => Ok(Err(terms::error(env, &Error::KeyTooLarge { bytes_max }))),
        Err(KeyError::Unsupported | KeyError::Malformed | KeyError::Unreadable) => {
            Err(rustler::Error::BadArg)
        }
    }
}

/// Runs `with` on the encoded key, or tells what is wrong with the key.
fn with_key<'a>(
    env: Env<'a>,
    member: &MemberResource,
    key: Term<'a>,
    with: impl FnOnce(Vec<u8>) -> Term<'a>,
) -> NifResult<Term<'a>> {
    Ok(encoded_key(env, member, key)?.map_or_else(|wrong| wrong, with))
}

fn write<'a>(
    env: Env<'a>,
    member: &MemberResource,
    reference: Term<'a>,
    command: &Command<'_>,
    timeout_ms: u64,
) -> Term<'a> {
    queue(env, member, (reference, CHANGE_LOST), |ticket| {
        let reply = Box::new(move |answer| ticket.answer(|env| terms::answer(env, answer)));
        member.node.write(command, deadline(timeout_ms), reply)
    })
}

#[rustler::nif]
fn put<'a>(
    env: Env<'a>,
    member: &'a MemberResource,
    reference: Term<'a>,
    key: Term<'a>,
    value: Binary<'a>,
    timeout_ms: u64,
) -> NifResult<Term<'a>> {
    queue_put(env, member, reference, key, &value, timeout_ms)
}

/// As put, for a value so large that copying it would hold a scheduler for too long.
#[rustler::nif(schedule = "DirtyCpu")]
fn put_large<'a>(
    env: Env<'a>,
    member: &'a MemberResource,
    reference: Term<'a>,
    key: Term<'a>,
    value: Binary<'a>,
    timeout_ms: u64,
) -> NifResult<Term<'a>> {
    queue_put(env, member, reference, key, &value, timeout_ms)
}

fn queue_put<'a>(
    env: Env<'a>,
    member: &MemberResource,
    reference: Term<'a>,
    key: Term<'a>,
    value: &[u8],
    timeout_ms: u64,
) -> NifResult<Term<'a>> {
    with_key(env, member, key, |key| {
        let command = Command::Put { key: &key, value };
        write(env, member, reference, &command, timeout_ms)
    })
}

#[rustler::nif]
fn delete<'a>(
    env: Env<'a>,
    member: &'a MemberResource,
    reference: Term<'a>,
    key: Term<'a>,
    timeout_ms: u64,
) -> NifResult<Term<'a>> {
    with_key(env, member, key, |key| {
        write(env, member, reference, &Command::Delete { key: &key }, timeout_ms)
    })
}

/// Puts `[{Key, Value}]` and deletes `[Key]`, all in one log entry.
#[rustler::nif(schedule = "DirtyCpu")]
fn write_many<'a>(
    env: Env<'a>,
    member: &'a MemberResource,
    reference: Term<'a>,
    puts: Vec<(Term<'a>, Binary<'a>)>,
    deletes: Vec<Term<'a>>,
    timeout_ms: u64,
) -> NifResult<Term<'a>> {
    // One buffer for all keys: there may be millions.
    let (mut keys, mut ends) = (Vec::new(), Vec::with_capacity(puts.len() + deletes.len()));
    for key in puts.iter().map(|(key, _)| *key).chain(deletes) {
        if let Err(wrong) = encode_key(env, member, key, &mut keys)? {
            return Ok(wrong);
        }
        if let Err(cause) = member.node.config().limits.check_batch(keys.len()) {
            return Ok(terms::error(env, &cause));
        }
        ends.push(keys.len());
    }
    let starts = std::iter::once(0).chain(ends.iter().copied());
    let keys = starts.zip(&ends).map(|(start, end)| keys.get(start..*end).unwrap_or_default());
    let values = puts.iter().map(|(_, value)| Some(value.as_slice()));
    let commands = keys.zip(values.chain(std::iter::repeat(None)));
    let commands = commands.map(|(key, value)| match value {
        Some(value) => Command::Put { key, value },
        None => Command::Delete { key },
    });
    Ok(queue(env, member, (reference, CHANGE_LOST), |ticket| {
        let reply = Box::new(move |answer| ticket.answer(|env| terms::answer(env, answer)));
        member.node.write_all(commands, deadline(timeout_ms), reply)
    }))
}

#[rustler::nif]
fn compare_and_set<'a>(
    env: Env<'a>,
    member: &'a MemberResource,
    reference: Term<'a>,
    key: Term<'a>,
    expect: Expected,
    value: Binary<'a>,
    timeout_ms: u64,
) -> NifResult<Term<'a>> {
    queue_compare_and_set(env, member, reference, (key, expect), &value, timeout_ms)
}

#[rustler::nif(schedule = "DirtyCpu")]
fn compare_and_set_large<'a>(
    env: Env<'a>,
    member: &'a MemberResource,
    reference: Term<'a>,
    key: Term<'a>,
    expect: Expected,
    value: Binary<'a>,
    timeout_ms: u64,
) -> NifResult<Term<'a>> {
    queue_compare_and_set(env, member, reference, (key, expect), &value, timeout_ms)
}

/// `absent | Revision`
struct Expected(Expect);

impl<'a> Decoder<'a> for Expected {
    fn decode(term: Term<'a>) -> NifResult<Self> {
        match term.decode::<u64>() {
            Ok(revision) => Ok(Expected(Expect::Revision(revision))),
            Err(_) if atoms::absent() == term => Ok(Expected(Expect::Absent)),
            Err(error) => Err(error),
        }
    }
}

fn queue_compare_and_set<'a>(
    env: Env<'a>,
    member: &MemberResource,
    reference: Term<'a>,
    (key, Expected(expect)): (Term<'a>, Expected),
    value: &[u8],
    timeout_ms: u64,
) -> NifResult<Term<'a>> {
    with_key(env, member, key, |key| {
        let command = Command::CompareAndSet { key: &key, expect, value: Some(value) };
        write(env, member, reference, &command, timeout_ms)
    })
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

/// `Change :: {initialize, [{Id, Name, Address}]} | {add, Id, Name, Address} | {remove, Name}`
#[rustler::nif]
fn change<'a>(
    env: Env<'a>,
    member: &'a MemberResource,
    reference: Term<'a>,
    what: Term<'a>,
    timeout_ms: u64,
) -> NifResult<Term<'a>> {
    let change = decode_change(what)?;
    Ok(queue(env, member, (reference, CHANGE_LOST), |ticket| {
        let reply = Box::new(move |done| ticket.answer(|env| terms::done(env, done)));
        member.node.change(change, deadline(timeout_ms), reply)
    }))
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

fn decode_change(change: Term) -> NifResult<Change> {
    let is = |atom: Atom, expected: Atom| {
        if atom == expected { Ok(()) } else { Err(rustler::Error::BadArg) }
    };
    if let Ok((kind, id, name, address)) = change.decode::<(Atom, u64, String, String)>() {
        is(kind, atoms::add())?;
        return Ok(Change::Member(MemberChange::Add { id, member: Member { name, address } }));
    }
    if let Ok((kind, id, name)) = change.decode::<(Atom, u64, String)>() {
        is(kind, atoms::remove_one())?;
        return Ok(Change::Member(MemberChange::RemoveOne { id, name }));
    }
    if let Ok((kind, name)) = change.decode::<(Atom, String)>() {
        is(kind, atoms::remove())?;
        return Ok(Change::Member(MemberChange::Remove { name }));
    }
    let (kind, members): (Atom, Vec<(u64, String, String)>) = change.decode()?;
    is(kind, atoms::initialize())?;
    let members = members.into_iter();
    let members: BTreeMap<u64, Member> =
        members.map(|(id, name, address)| (id, Member { name, address })).collect();
    Ok(Change::Initialize(members))
}

/// Are these members, `[{Id, Address}]`, where they are said to be, and are they who they are said
/// to be? The answer is `{ok, [ok | {unreached, Cause, Text}]}`, in the order of the question.
#[rustler::nif]
fn reach<'a>(
    env: Env<'a>,
    member: &'a MemberResource,
    reference: Term<'a>,
    peers: Vec<(u64, String)>,
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
