//! Writes, queued: counterpart of ram_write.erl. What is decided by what is there is in
//! `transaction`.

use ram_core::Error;
use ram_core::handle::Writing;
use ram_store::answer::Answer;
use ram_store::write::{Command, Place, Setting, Write};
use rustler::{Atom, Binary, Env, NifResult, Term};

use super::refusal::Refusal;
use super::transaction::decode_ttl;
use super::{CHANGE_LOST, deadline, queue};
use crate::arguments::{List, decode_range, encode_key};
use crate::key::STEPS_MAX;
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
            let put = Some((value.as_slice(), Setting::Clear));
            let encoded = batch(env, member, table, &[(key, put)], STEPS_MAX);
            submit(env, member, reference, encoded, timeout_ms)
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
    let encoded = batch(env, member, table, &[(key, None)], STEPS_MAX);
    submit(env, member, reference, encoded, timeout_ms)
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
    let puts = puts.iter().map(|(key, value)| (*key, Some((value.as_slice(), ttl_ms))));
    let deletes = deletes.into_iter().map(|key| (key, None));
    let changes: Vec<_> = puts.chain(deletes).collect();
    let encoded = batch(env, member, table, &changes, usize::MAX);
    submit(env, member, reference, encoded, timeout_ms)
}

/// A key with what is put and for how long, or `None`: it is deleted.
type Change<'a, 'v> = (Term<'a>, Option<(&'v [u8], Setting<u64>)>);

/// In so many steps for each key.
fn batch<'a>(
    env: Env<'a>,
    member: &'a MemberResource,
    table: &'a str,
    changes: &[Change<'a, '_>],
    steps_max: usize,
) -> Result<Writing<'a>, Refusal<'a>> {
    let commands = u32::try_from(changes.len()).map_err(|_| rustler::Error::BadArg)?;
    let mut writing = member.node.writing(&Write::Batch { table, commands })?;
    let mut encoded = Vec::with_capacity(32);
    for (key, value) in changes {
        encoded.clear();
        encode_key(env, member, *key, steps_max, &mut encoded)?.map_err(Refusal::Told)?;
        writing.command(&match *value {
            Some((value, ttl_ms)) => Command::put_lasting(Place::of(&encoded), value, ttl_ms),
            None => Command::delete(&encoded),
        })?;
    }
    Ok(writing)
}

/// Deletes the keys of a range of an ordered table.
#[rustler::nif(schedule = "DirtyCpu")]
fn delete_range<'a>(
    env: Env<'a>,
    member: &'a MemberResource,
    reference: Term<'a>,
    table: &'a str,
    range: Term<'a>,
    timeout_ms: u64,
) -> NifResult<Term<'a>> {
    let range = match decode_range(env, member, range, usize::MAX)? {
        Ok(range) => range,
        Err(wrong) => return Ok(wrong),
    };
    let encoded = member.node.writing(&Write::DeleteRange { table, range: range.bounds() });
    submit(env, member, reference, encoded, timeout_ms)
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
    let encoded = member.node.writing(&decode_table(change)?);
    submit(env, member, reference, encoded, timeout_ms)
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

/// Queues a write, unless it was refused while it was encoded: `{ok, Id} | {error, Reason}`.
pub fn submit<'a>(
    env: Env<'a>,
    member: &MemberResource,
    reference: Term<'a>,
    encoded: Result<Writing<'_>, impl Into<Refusal<'a>>>,
    timeout_ms: u64,
) -> NifResult<Term<'a>> {
    match encoded {
        Ok(writing) => Ok(queue(env, member, (reference, CHANGE_LOST), |ticket| {
            let reply = Box::new(move |answer| reply(ticket, answer));
            writing.submit(deadline(timeout_ms), reply)
        })),
        Err(refusal) => refusal.into().answer(env),
    }
}

fn reply(ticket: Ticket, answer: Result<Answer, Error>) {
    if terms::is_long(&answer) {
        ticket.answer_long(|env| terms::answer(env, answer));
    } else {
        ticket.answer(|env| terms::answer(env, answer));
    }
}
