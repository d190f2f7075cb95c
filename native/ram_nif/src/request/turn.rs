//! Turns at contended keys, for updates: counterpart of ram_update.erl. See `ram_raft::turns`.

use ram_core::Error;
use ram_store::proposed::Hint;
use rustler::{Env, NifResult, Term};
use std::time::{Duration, Instant};

use super::{READ_LOST, deadline, queue};
use crate::arguments::with_key;
use crate::member::MemberResource;
use crate::terms;

/// For the way to the leader. Later the turn is over by itself.
const GIVE_BACK: Duration = Duration::from_millis(20);

/// Waits for a turn. The answer is `{turn, unknown | none | {value, Binary}}`, or `{error,
/// timeout}` where there is none.
#[rustler::nif]
fn turn<'a>(
    env: Env<'a>,
    member: &'a MemberResource,
    reference: Term<'a>,
    table: &'a str,
    key: Term<'a>,
    timeout_ms: u64,
) -> NifResult<Term<'a>> {
    with_key(env, member, key, |key| {
        queue(env, member, (reference, READ_LOST), |ticket| {
            let reply = Box::new(move |hint: Result<Hint, Error>| match &hint {
                Ok(Hint::Value(value)) if terms::is_long_value(value) => {
                    ticket.answer_long(|env| terms::turn(env, hint));
                }
                _ => ticket.answer(|env| terms::turn(env, hint)),
            });
            member.node.turn(table, &key, deadline(timeout_ms), reply)
        })
    })
}

/// Gives back a turn that was not used.
#[rustler::nif]
fn give_turn_back<'a>(
    env: Env<'a>,
    member: &'a MemberResource,
    table: &'a str,
    key: Term<'a>,
) -> NifResult<Term<'a>> {
    with_key(env, member, key, |key| {
        terms::done(env, member.node.give_turn_back(table, &key, Instant::now() + GIVE_BACK))
    })
}
