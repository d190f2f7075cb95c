//! Reads that this node answers from its own table, in the call itself.
//!
//! The caller is on a scheduler: nothing here waits for more than a moment, and nothing is
//! allocated but the answer, and the parts of a key that is a tuple, a list or a map.

use ram_core::Error;
use ram_core::reads::mode::ReadMode;
use ram_core::store::table::Item;
use rustler::{Decoder, Encoder, Env, NifResult, Term};
use std::cell::RefCell;

use crate::member::MemberResource;
use crate::request;
use crate::terms;
use crate::value::{self, Found};

mod atoms {
    rustler::atoms! { ok, error, encoded, ask, lease, quorum, local }
}

thread_local! {
    /// Where keys are encoded; as long as the longest so far, so below `key_bytes_max`.
    static KEY: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

enum Looked<'a> {
    Absent,
    Found(Found<'a>),
    /// To be copied when nobody waits for it.
    Long(Item),
}

/// `lease | quorum | local`
pub struct Mode(pub ReadMode);

impl<'a> Decoder<'a> for Mode {
    fn decode(term: Term<'a>) -> NifResult<Self> {
        let modes = [
            (atoms::lease(), ReadMode::Lease),
            (atoms::local(), ReadMode::Local),
            (atoms::quorum(), ReadMode::Quorum),
        ];
        let named = modes.iter().find(|(name, _)| *name == term);
        named.map(|(_, mode)| Mode(*mode)).ok_or(rustler::Error::BadArg)
    }
}

/// `fetch_now(Member, Key, Reads) -> {ok, Value} | error | {encoded, Binary} | ask | {error,
/// Reason}`. `ask`: this node may not answer at this moment.
pub fn now<'a>(
    env: Env<'a>,
    member: Term<'a>,
    key: Term<'a>,
    reads: Term<'a>,
) -> NifResult<Term<'a>> {
    let member: &MemberResource = member.decode()?;
    let Mode(mode) = reads.decode()?;
    KEY.with_borrow_mut(|buffer| {
        buffer.clear();
        if let Err(wrong) = request::encode_key(env, member, key, buffer)? {
            return Ok(wrong);
        }
        let looked = member.node.look(mode, buffer, |item| look(env, item));
        Ok(answer(env, looked))
    })
}

fn look<'a>(env: Env<'a>, item: Option<&Item>) -> Looked<'a> {
    match item {
        None => Looked::Absent,
        Some(item) if value::is_short(item) => Looked::Found(value::found(env, item)),
        Some(item) => Looked::Long(item.clone()),
    }
}

fn answer<'a>(env: Env<'a>, looked: Result<Option<Looked<'a>>, Error>) -> Term<'a> {
    let found = match looked {
        Ok(Some(Looked::Found(found))) => found,
        Ok(Some(Looked::Long(item))) => value::found(env, &item),
        Ok(Some(Looked::Absent)) => return atoms::error().encode(env),
        Ok(None) => return atoms::ask().encode(env),
        Err(cause) => return terms::error(env, &cause),
    };
    match found {
        Found::Term(term) => (atoms::ok(), term).encode(env),
        Found::Encoded(binary) => (atoms::encoded(), binary).encode(env),
    }
}
