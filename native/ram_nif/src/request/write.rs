//! Writes, queued: counterpart of ram_write.erl. What is decided by what is there is in
//! `transaction`.

use ram_core::Error;
use ram_core::handle::Writing;
use ram_store::answer::Answer;
use ram_store::write::{Command, Place, Setting, Write};
use rustler::{Atom, Binary, Env, NifResult, Term};

use super::refusal::refused;
use super::transaction::decode_ttl;
use super::{CHANGE_LOST, deadline, queue, range};
use crate::arguments::{List, encode_key, with_key};
use crate::member::MemberResource;
use crate::reply::Ticket;
use crate::terms;

mod atoms {
    rustler::atoms! { create, drop, set, ordered_set }
}

/// Two entries of the library that do the same. The second is for a value so large that copying it
/// would hold a scheduler for too long, and runs on a dirty one.
macro_rules! put {
    ($name:ident $(, $schedule:literal)?) => {
        #[rustler::nif $((schedule = $schedule))?]
        fn $name<'a>(
            env: Env<'a>,
            member: &'a MemberResource,
            reference: Term<'a>,
            table: &'a str,
            key: Term<'a>,
            value: Binary<'a>,
            timeout_ms: u64,
        ) -> NifResult<Term<'a>> {
            with_key(env, member, key, |key| {
                let command = Command::put(&key, &value);
                one(env, member, reference, (table, &command), timeout_ms)
            })
        }
    };
}

put!(put);
put!(put_large, "DirtyCpu");

#[rustler::nif]
fn delete<'a>(
    env: Env<'a>,
    member: &'a MemberResource,
    reference: Term<'a>,
    table: &'a str,
    key: Term<'a>,
    timeout_ms: u64,
) -> NifResult<Term<'a>> {
    with_key(env, member, key, |key| {
        one(env, member, reference, (table, &Command::delete(&key)), timeout_ms)
    })
}

/// A batch of one.
fn one<'a>(
    env: Env<'a>,
    member: &MemberResource,
    reference: Term<'a>,
    (table, command): (&str, &Command<'_>),
    timeout_ms: u64,
) -> Term<'a> {
    let writing = member.node.writing(&Write::Batch { table, commands: 1 });
    let written = writing.and_then(|mut writing| writing.command(command).map(|()| writing));
    match written {
        Ok(writing) => submit(env, member, reference, writing, timeout_ms),
        Err(cause) => terms::error(env, &cause),
    }
}

/// Puts `[{Key, Value}]` with this time to live (or `infinity`) and deletes `[Key]`, all in one log
/// entry.
#[rustler::nif(schedule = "DirtyCpu")]
fn write_many<'a>(
    env: Env<'a>,
    member: &'a MemberResource,
    reference: Term<'a>,
    table: &'a str,
    (List(puts), ttl): (List<(Term<'a>, Binary<'a>)>, Term<'a>),
    List(deletes): List<Term<'a>>,
    timeout_ms: u64,
) -> NifResult<Term<'a>> {
    let ttl_ms = decode_ttl(ttl)?.map_or(Setting::Clear, Setting::To);
    let count = u32::try_from(puts.len() + deletes.len()).map_err(|_| rustler::Error::BadArg)?;
    let mut writing = match member.node.writing(&Write::Batch { table, commands: count }) {
        Ok(writing) => writing,
        Err(cause) => return Ok(terms::error(env, &cause)),
    };
    let values = puts.iter().map(|(_, value)| Some(value.as_slice()));
    let keys = puts.iter().map(|(key, _)| *key).chain(deletes);
    let mut encoded = Vec::new();
    for (key, value) in keys.zip(values.chain(std::iter::repeat(None))) {
        encoded.clear();
        if let Err(wrong) = encode_key(env, member, key, usize::MAX, &mut encoded)? {
            return Ok(wrong);
        }
        let command = match value {
            Some(value) => Command::Put { at: Place::of(&encoded), value, ttl_ms },
            None => Command::delete(&encoded),
        };
        if let Err(cause) = writing.command(&command) {
            return Ok(terms::error(env, &cause));
        }
    }
    Ok(submit(env, member, reference, writing, timeout_ms))
}

/// Deletes the keys of an ordered table from one to the other: see [`range`].
#[rustler::nif(schedule = "DirtyCpu")]
fn delete_range<'a>(
    env: Env<'a>,
    member: &'a MemberResource,
    reference: Term<'a>,
    table: &'a str,
    from: Term<'a>,
    to: Term<'a>,
    timeout_ms: u64,
) -> NifResult<Term<'a>> {
    let mut keys = range::Keys::default();
    let range = keys.encode(env, member, (from, to), usize::MAX);
    let written = range.and_then(|range| {
        let writing = member.node.writing(&Write::DeleteRange { table, range })?;
        Ok(submit(env, member, reference, writing, timeout_ms))
    });
    refused(env, written)
}

/// `Change :: {create, Table, set | ordered_set} | {drop, Table}`
#[rustler::nif]
fn change_table<'a>(
    env: Env<'a>,
    member: &'a MemberResource,
    reference: Term<'a>,
    change: Term<'a>,
    timeout_ms: u64,
) -> NifResult<Term<'a>> {
    match member.node.writing(&decode_table(change)?) {
        Ok(writing) => Ok(submit(env, member, reference, writing, timeout_ms)),
        Err(cause) => Ok(terms::error(env, &cause)),
    }
}

fn decode_table(change: Term) -> NifResult<Write> {
    if let Ok((kind, table)) = change.decode::<(Atom, &str)>() {
        return if kind == atoms::drop() {
            Ok(Write::DropTable { table })
        } else {
            Err(rustler::Error::BadArg)
        };
    }
    let (kind, table, table_type): (Atom, &str, Atom) = change.decode()?;
    let ordered = table_type == atoms::ordered_set();
    if kind != atoms::create() || !(ordered || table_type == atoms::set()) {
        return Err(rustler::Error::BadArg);
    }
    Ok(Write::CreateTable { table, ordered })
}

/// Queues a write that is encoded: `{ok, Id} | {error, Reason}`.
pub fn submit<'a>(
    env: Env<'a>,
    member: &MemberResource,
    reference: Term<'a>,
    writing: Writing<'_>,
    timeout_ms: u64,
) -> Term<'a> {
    queue(env, member, (reference, CHANGE_LOST), |ticket| {
        let reply = Box::new(move |answer| reply(ticket, answer));
        writing.submit(deadline(timeout_ms), reply)
    })
}

fn reply(ticket: Ticket, answer: Result<Answer, Error>) {
    if terms::is_long(&answer) {
        ticket.answer_long(|env| terms::answer(env, answer));
    } else {
        ticket.answer(|env| terms::answer(env, answer));
    }
}
