//! Changes of the values, queued.

use ram_store::write::{Command, Comparison, Condition, Place, State, Write};
use rustler::{Binary, Decoder, Env, NifResult, Term};

use super::key::{encode_key, with_key};
use super::{CHANGE_LOST, deadline, queue};
use crate::member::MemberResource;
use crate::terms;

mod atoms {
    rustler::atoms! { absent }
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

/// Two entries of the library that do the same. The second is for a value so large that copying it
/// would hold a scheduler for too long, and runs on a dirty one.
macro_rules! entries {
    ($name:ident, $large:ident, ($($declared:tt)*) => $queue:ident($($argument:ident),*)) => {
        #[rustler::nif]
        fn $name<'a>(
            env: Env<'a>,
            member: &'a MemberResource,
            reference: Term<'a>,
            $($declared)*,
            timeout_ms: u64,
        ) -> NifResult<Term<'a>> {
            $queue(env, member, reference, $($argument,)* timeout_ms)
        }

        #[rustler::nif(schedule = "DirtyCpu")]
        fn $large<'a>(
            env: Env<'a>,
            member: &'a MemberResource,
            reference: Term<'a>,
            $($declared)*,
            timeout_ms: u64,
        ) -> NifResult<Term<'a>> {
            $queue(env, member, reference, $($argument,)* timeout_ms)
        }
    };
}

entries!(put, put_large, (key: Term<'a>, value: Binary<'a>) => queue_put(key, value));

entries!(
    compare_and_set, compare_and_set_large,
    (key: Term<'a>, expect: Expected, value: Binary<'a>) =>
    queue_compare_and_set(key, expect, value)
);

fn queue_put<'a>(
    env: Env<'a>,
    member: &MemberResource,
    reference: Term<'a>,
    key: Term<'a>,
    value: Binary<'a>,
    timeout_ms: u64,
) -> NifResult<Term<'a>> {
    with_key(env, member, key, |key| {
        let command = Command::put(&key, &value);
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
        write(env, member, reference, &Command::delete(&key), timeout_ms)
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
        if let Err(wrong) = encode_key(env, member, key, usize::MAX, &mut keys)? {
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
    let mut writing = member.node.writing(&Write::Batch { table: "", commands: ends.len() as u32 });
    for (key, value) in commands {
        let command = value.map_or_else(|| Command::delete(key), |value| Command::put(key, value));
        if let Err(cause) = writing.command(&command) {
            return Ok(terms::error(env, &cause));
        }
    }
    Ok(queue(env, member, (reference, CHANGE_LOST), |ticket| {
        let reply = Box::new(move |answer| ticket.answer(|env| terms::answer(env, answer)));
        writing.submit(deadline(timeout_ms), reply)
    }))
}

/// `absent | Revision`
struct Expected(State<'static>);

impl<'a> Decoder<'a> for Expected {
    fn decode(term: Term<'a>) -> NifResult<Self> {
        match term.decode::<u64>() {
            Ok(revision) => Ok(Expected(State::Revision(Comparison::Equal, revision))),
            Err(_) if atoms::absent() == term => Ok(Expected(State::Absent)),
            Err(error) => Err(error),
        }
    }
}

fn queue_compare_and_set<'a>(
    env: Env<'a>,
    member: &MemberResource,
    reference: Term<'a>,
    key: Term<'a>,
    Expected(expect): Expected,
    value: Binary<'a>,
    timeout_ms: u64,
) -> NifResult<Term<'a>> {
    with_key(env, member, key, |key| {
        let head = Write::Transaction { table: "", conditions: 1, then: 1, otherwise: 1 };
        let at = Place::of(&key);
        let mut writing = member.node.writing(&head);
        let encoded = writing
            .condition(&Condition::Key { at, is: expect })
            .and_then(|()| writing.command(&Command::put(&key, &value)))
            .and_then(|()| writing.command(&Command::Get { at }));
        if let Err(cause) = encoded {
            return terms::error(env, &cause);
        }
        queue(env, member, (reference, CHANGE_LOST), |ticket| {
            let reply = Box::new(move |answer| ticket.answer(|env| terms::answer(env, answer)));
            writing.submit(deadline(timeout_ms), reply)
        })
    })
}
