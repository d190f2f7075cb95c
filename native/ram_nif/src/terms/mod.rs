//! Values of the core as terms.

mod event;
mod lookup;
mod status;

use ram_core::Error;
use ram_core::identity::ClusterId;
use ram_net::{Unreached, UnreachedCause};
use ram_store::answer::{Answer, Failure, Found as Held};
use ram_store::proposed::Hint;
use ram_store::write::Owner;
use ram_table::table::Item;
use rustler::{Atom, Encoder, Env, Term};

pub use event::{event, is_short_event};
pub use lookup::{Info, entries, info, items, looked_up, looked_up_all, names};
pub use status::status;

use crate::raw::{binary, term_of_etf};
use crate::value::{self, Found};

mod atoms {
    rustler::atoms! {
        ok, error, none, infinity, value, encoded, ran, forgotten, deleted, turn, unknown,
        // reasons
        config, value_too_large, key_too_large, batch_too_large, bad_key, not_member,
        last_member, not_reached, not_caught_up, other_cluster, joined, unreadable, in_use,
        not_erased, refused, overloaded, timeout, noproc, removed, failed, file, not_empty,
        partly, no_table, exists, too_many_tables, not_ordered, not_an_integer, results_too_large,
        ranges_too_large, compared_too_large, compacted,
        // events
        ram_member,
        // why a peer is not reached
        unreached, no_address, unknown_host, connection_refused, no_route, not_ours, version,
        wrong_cookie, wrong_cluster, wrong_peer, not_admitted, closed,
    }
}
pub use atoms::ok;

/// Answers up to this size are copied.
const COPIED_BYTES_MAX: usize = 2 * 1024;
const COPIED_RESULTS_MAX: usize = 64;

/// `{error, Reason}`, see ram_error.erl for the reasons.
pub fn error<'a>(env: Env<'a>, error: &Error) -> Term<'a> {
    (atoms::error(), reason(env, error)).encode(env)
}

pub fn reason<'a>(env: Env<'a>, error: &Error) -> Term<'a> {
    let text = |text: &str| binary(env, text.as_bytes());
    match error {
        Error::Config { key, reason } => (atoms::config(), text(key), text(reason)).encode(env),
        Error::ValueTooLarge { bytes, bytes_max } => {
            (atoms::value_too_large(), *bytes, *bytes_max).encode(env)
        }
        Error::KeyTooLarge { bytes_max } => (atoms::key_too_large(), *bytes_max).encode(env),
        Error::BatchTooLarge { bytes_max } => (atoms::batch_too_large(), *bytes_max).encode(env),
        Error::Refused(why) => (atoms::refused(), text(why)).encode(env),
        Error::UnknownMember(name) => (atoms::not_member(), text(name)).encode(env),
        Error::LastMember(name) => (atoms::last_member(), text(name)).encode(env),
        Error::Removed(name) => (atoms::removed(), text(name)).encode(env),
        Error::NotReached { name, address, cause } => {
            (atoms::not_reached(), text(name), text(address), text(cause)).encode(env)
        }
        Error::NotCaughtUp { name, address, why } => {
            (atoms::not_caught_up(), text(name), text(address), text(why)).encode(env)
        }
        Error::OtherCluster => atoms::other_cluster().encode(env),
        Error::Joined => atoms::joined().encode(env),
        Error::Unreadable(what) => (atoms::unreadable(), text(what)).encode(env),
        Error::InUse(what) => (atoms::in_use(), text(what)).encode(env),
        Error::NotErased(what) => (atoms::not_erased(), text(what)).encode(env),
        Error::File(what) => (atoms::file(), text(what)).encode(env),
        Error::NotEmpty => atoms::not_empty().encode(env),
        Error::Compacted { oldest } => (atoms::compacted(), *oldest).encode(env),
        Error::Unfit(failure) => unfit(env, failure),
        Error::Partly { restored, total, cause } => {
            (atoms::partly(), *restored, *total, reason(env, cause)).encode(env)
        }
        Error::Overloaded => atoms::overloaded().encode(env),
        Error::Timeout => atoms::timeout().encode(env),
        Error::Stopped => atoms::noproc().encode(env),
        Error::Failed(cause) => (atoms::failed(), text(cause)).encode(env),
    }
}

fn unfit<'a>(env: Env<'a>, failure: &Failure) -> Term<'a> {
    let text = |text: &str| binary(env, text.as_bytes());
    match failure {
        Failure::NoTable(name) => (atoms::no_table(), text(name)).encode(env),
        Failure::TableExists => atoms::exists().encode(env),
        Failure::TooManyTables { tables_max } => {
            (atoms::too_many_tables(), *tables_max).encode(env)
        }
        Failure::NotOrdered(name) => (atoms::not_ordered(), text(name)).encode(env),
        Failure::NotANumber { command } => (atoms::not_an_integer(), *command).encode(env),
        Failure::RangesTooLarge { entries_max } => {
            (atoms::ranges_too_large(), *entries_max).encode(env)
        }
        Failure::ComparedTooLarge { steps_max } => {
            (atoms::compared_too_large(), *steps_max).encode(env)
        }
        Failure::ResultsTooLarge { bytes_max } => {
            (atoms::results_too_large(), *bytes_max).encode(env)
        }
    }
}

pub fn none(env: Env) -> Term {
    atoms::none().encode(env)
}

pub fn bad_key(env: Env, why: Atom) -> Term {
    (atoms::error(), (atoms::bad_key(), why)).encode(env)
}

/// `{ok, Revision} | {ran, Succeeded, Revision, [Result] | forgotten} | {deleted, Revision, Count}
/// | {error, Reason}`
pub fn answer<'a>(env: Env<'a>, answer: ram_core::Result<Answer>) -> Term<'a> {
    match answer {
        Ok(Answer::Done { revision }) => (atoms::ok(), revision).encode(env),
        Ok(Answer::Ran { succeeded, revision, results }) => {
            let results = match results {
                Some(results) => {
                    results.iter().map(|held| held_then(env, held)).collect::<Vec<_>>().encode(env)
                }
                None => atoms::forgotten().encode(env),
            };
            (atoms::ran(), succeeded, revision, results).encode(env)
        }
        Ok(Answer::Deleted { revision, entries }) => {
            (atoms::deleted(), revision, entries).encode(env)
        }
        Ok(Answer::Failed(failure)) => error(env, &Error::Unfit(failure)),
        // The proposer sends such a write again.
        Ok(Answer::Deferred) => error(env, &Error::Timeout),
        Err(cause) => error(env, &cause),
    }
}

/// `none | {Value, Revision, CreatedRevision, Version, TtlMs | infinity, Pid | Node | none}`, with
/// the value in external term format.
fn held_then<'a>(env: Env<'a>, held: &Option<Held>) -> Term<'a> {
    match held {
        Some(held) => {
            let value = binary(env, &held.value);
            let ttl = match held.ttl_ms {
                0 => atoms::infinity().encode(env),
                ttl_ms => ttl_ms.encode(env),
            };
            let owner = owner_term(env, &held.owner);
            (value, held.revision, held.created_revision, held.version, ttl, owner).encode(env)
        }
        None => atoms::none().encode(env),
    }
}

/// `Pid | Node | none`, of an owner as it is stored.
pub fn owner_term<'a>(env: Env<'a>, owner: &[u8]) -> Term<'a> {
    let name = Owner::decode(owner).map(|owner| owner.name);
    name.and_then(|name| term_of_etf(env, name)).unwrap_or_else(|| atoms::none().encode(env))
}

/// Does it take so long to copy that an environment of its own is worth it?
pub fn is_long(answer: &ram_core::Result<Answer>) -> bool {
    let Ok(Answer::Ran { results: Some(results), .. }) = answer else { return false };
    let bytes = |held: &Held| held.value.len();
    let bytes: usize = results.iter().flatten().map(bytes).sum();
    bytes > COPIED_BYTES_MAX || results.len() > COPIED_RESULTS_MAX
}

/// `{turn, unknown | none | {value, Binary}} | {error, Reason}`
pub fn turn<'a>(env: Env<'a>, hint: ram_core::Result<Hint>) -> Term<'a> {
    result(env, hint, |hint| {
        let held = match &hint {
            Hint::Unknown => atoms::unknown().encode(env),
            Hint::Absent => atoms::none().encode(env),
            Hint::Value(value) => (atoms::value(), binary(env, value)).encode(env),
        };
        (atoms::turn(), held).encode(env)
    })
}

pub fn is_long_value(value: &[u8]) -> bool {
    value.len() > COPIED_BYTES_MAX
}

/// `{value, Value, Revision} | {encoded, Binary, Revision} | none | {error, Reason}`
pub fn item<'a>(env: Env<'a>, item: ram_core::Result<Option<Item>>) -> Term<'a> {
    match item {
        Ok(Some(item)) => match value::found(env, &item) {
            Found::Term(term) => (atoms::value(), term, item.revision()).encode(env),
            Found::Encoded(etf) => (atoms::encoded(), etf, item.revision()).encode(env),
        },
        Ok(None) => atoms::none().encode(env),
        Err(cause) => error(env, &cause),
    }
}

/// What `of` makes of the value, or `{error, Reason}`.
pub fn result<'a, T>(
    env: Env<'a>,
    result: ram_core::Result<T>,
    of: impl FnOnce(T) -> Term<'a>,
) -> Term<'a> {
    result.map_or_else(|cause| error(env, &cause), of)
}

/// `ok | {error, Reason}`
pub fn done<'a>(env: Env<'a>, done: ram_core::Result<()>) -> Term<'a> {
    result(env, done, |()| atoms::ok().encode(env))
}

pub fn cluster<'a>(env: Env<'a>, cluster: &ClusterId) -> Term<'a> {
    binary(env, &cluster.0)
}

pub fn removed<'a>(env: Env<'a>) -> Term<'a> {
    (atoms::ram_member(), atoms::removed()).encode(env)
}

pub fn failed<'a>(env: Env<'a>, cause: &str) -> Term<'a> {
    (atoms::ram_member(), (atoms::failed(), binary(env, cause.as_bytes()))).encode(env)
}

/// `{ok, [ok | {unreached, Cause, Text}]} | {error, Reason}`
pub fn reached<'a>(
    env: Env<'a>,
    answers: ram_core::Result<Vec<Result<(), Unreached>>>,
) -> Term<'a> {
    let each = |answer: &Result<(), Unreached>| match answer {
        Ok(()) => atoms::ok().encode(env),
        Err(Unreached { cause, text }) => {
            (atoms::unreached(), unreached(*cause), binary(env, text.as_bytes())).encode(env)
        }
    };
    result(env, answers, |answers| {
        let answers: Vec<Term> = answers.iter().map(each).collect();
        (atoms::ok(), answers).encode(env)
    })
}

fn unreached(cause: UnreachedCause) -> Atom {
    match cause {
        UnreachedCause::NoAddress => atoms::no_address(),
        UnreachedCause::UnknownHost => atoms::unknown_host(),
        UnreachedCause::ConnectionRefused => atoms::connection_refused(),
        UnreachedCause::NoRoute => atoms::no_route(),
        UnreachedCause::Timeout => atoms::timeout(),
        UnreachedCause::NotOurs => atoms::not_ours(),
        UnreachedCause::Version => atoms::version(),
        UnreachedCause::WrongCookie => atoms::wrong_cookie(),
        UnreachedCause::WrongCluster => atoms::wrong_cluster(),
        UnreachedCause::WrongPeer => atoms::wrong_peer(),
        UnreachedCause::NotAdmitted => atoms::not_admitted(),
        UnreachedCause::Closed => atoms::closed(),
        UnreachedCause::Failed => atoms::failed(),
    }
}
