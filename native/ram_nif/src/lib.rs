//! The NIF library of `ram`: terms in, messages out, no decisions.

#![deny(unsafe_code)]

mod arguments;
mod config;
mod fetch;
mod key;
mod logging;
mod lookup;
mod member;
mod owner;
#[allow(unsafe_code)]
mod raw;
mod reply;
mod request;
mod scan;
mod terms;
mod thread;
mod value;
mod watch;

use rustler::{Binary, Env, Error, NewBinary, NifResult, Term};

use key::KeyError;
use ram_table::value::Values;
use value::CompiledTerms;

/// What `ram_nif:key_encode/1` allows, in bytes.
const KEY_BYTES_MAX: usize = 1 << 20;

#[rustler::nif(schedule = "DirtyCpu")]
fn key_encode<'a>(env: Env<'a>, term: Term<'a>) -> NifResult<Binary<'a>> {
    let mut key = Vec::with_capacity(64);
    key::encode(term, KEY_BYTES_MAX, usize::MAX, &mut key).map_err(|_| Error::BadArg)?;
    let mut binary = NewBinary::new(env, key.len());
    binary.as_mut_slice().copy_from_slice(&key);
    Ok(binary.into())
}

#[rustler::nif]
fn key_decode<'a>(env: Env<'a>, key: Binary<'a>) -> NifResult<Term<'a>> {
    key::decode(env, &key).map_err(|error| match error {
        KeyError::Unreadable => Error::RaiseAtom("unreadable_key"),
        _ => Error::BadArg,
    })
}

/// What the replicated state knows of values, for tests of it against the virtual machine.
#[rustler::nif(schedule = "DirtyCpu")]
fn value_same(one: Binary, other: Binary) -> bool {
    let mut steps_left = usize::MAX;
    CompiledTerms.same(&one, &other, &mut steps_left) == Some(true)
}

/// What is no value stands for that of an absent key, and what is no pair for no limit.
#[rustler::nif(schedule = "DirtyCpu")]
fn value_count<'a>(
    env: Env<'a>,
    current: Term<'a>,
    increment: Term<'a>,
    default: Term<'a>,
    limit: Term<'a>,
) -> NifResult<Term<'a>> {
    let count = value::count(increment, default, limit.decode().ok()).ok_or(Error::BadArg)?;
    let current = current.decode::<Binary>().ok();
    let counted = CompiledTerms.count(current.as_deref(), &count);
    Ok(counted.map_or_else(|| terms::none(env), |value| raw::binary(env, &value)))
}

/// Before anybody can call the library.
fn load(env: Env, _info: Term) -> bool {
    ram_threads::run_inside(thread::run);
    member::MEMBERS.open(env, c"member")
        && key::LONG_KEYS.open(env, c"key")
        && scan::SCANS.open(env, c"scan")
        && watch::WATCHES.open_monitoring(env, c"watch")
        && owner::OWNERS.open_monitoring(env, c"owner")
        && raw::open_shared(env, c"blob")
}

rustler::init!("ram_nif", load = load);
