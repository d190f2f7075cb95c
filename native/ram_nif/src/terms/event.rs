//! What the receiver of a watch is sent.

use ram_core::watch::{Event, Gone, Message};
use ram_table::table::Item;
use rustler::{Binary, Encoder, Env, Term};

use crate::key;
use crate::raw::{binary, term_of_etf};
use crate::value::{self, Found};

mod atoms {
    rustler::atoms! {
        ram_event, put, delete, ok, error, initial_done, lost,
        deleted, expired, owner_down, dropped, unreadable_key, unreadable_value,
    }
}

/// `{ram_event, Watch, Revision, [Change] | initial_done | lost}`
pub fn event<'a>(env: Env<'a>, watch: Term<'a>, message: Message<'_>) -> Term<'a> {
    let (revision, what) = match message {
        Message::Changes { revision, events, with_old } => {
            let changes: Vec<Term> =
                events.iter().map(|event| change(env, event, with_old)).collect();
            (revision, changes.encode(env))
        }
        Message::InitialDone { revision } => (revision, atoms::initial_done().encode(env)),
        Message::Lost { revision } => (revision, atoms::lost().encode(env)),
    };
    (atoms::ram_event(), watch, revision, what).encode(env)
}

/// Is it made in so short a time that it may as well be copied?
pub fn is_short_event(message: Message<'_>) -> bool {
    let is_short = |item: &Option<Item>| item.as_ref().is_none_or(value::is_short);
    match message {
        Message::Changes { events: [event], .. } => is_short(&event.new) && is_short(&event.old),
        Message::Changes { .. } => false,
        Message::InitialDone { .. } | Message::Lost { .. } => true,
    }
}

/// `{put, K, V} | {put, K, V, {ok, Old} | error} | {delete, K, Reason}`
fn change<'a>(env: Env<'a>, event: &Event, with_old: bool) -> Term<'a> {
    let key = key_term(env, event.key());
    match (&event.new, &event.old) {
        (Some(new), Some(old)) if with_old => {
            let old = (atoms::ok(), value_term(env, old, key));
            (atoms::put(), key, value_term(env, new, key), old).encode(env)
        }
        (Some(new), _) if with_old => {
            (atoms::put(), key, value_term(env, new, key), atoms::error()).encode(env)
        }
        (Some(new), _) => (atoms::put(), key, value_term(env, new, key)).encode(env),
        (None, _) => {
            let reason = match event.gone {
                Gone::Deleted => atoms::deleted(),
                Gone::Expired => atoms::expired(),
                Gone::OwnerDown => atoms::owner_down(),
                Gone::Dropped => atoms::dropped(),
            };
            (atoms::delete(), key, reason).encode(env)
        }
    }
}

/// Where this OTP has no term for it, `{unreadable_key, Bytes}`.
fn key_term<'a>(env: Env<'a>, key: &[u8]) -> Term<'a> {
    key::read(env, key).unwrap_or_else(|_| (atoms::unreadable_key(), binary(env, key)).encode(env))
}

/// Where this OTP has no term for it, `{unreadable_value, Key}`.
fn value_term<'a>(env: Env<'a>, item: &Item, key: Term<'a>) -> Term<'a> {
    let decoded = match value::found(env, item) {
        Found::Term(term) => Some(term),
        Found::Encoded(etf) => {
            let etf: Option<Binary> = etf.decode().ok();
            etf.and_then(|etf| term_of_etf(env, &etf))
        }
    };
    decoded.unwrap_or_else(|| (atoms::unreadable_value(), key).encode(env))
}
