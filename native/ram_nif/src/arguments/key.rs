//! The key of a request.

use ram_core::Error;
use rustler::{Encoder, Env, NifResult, Term};

use crate::key::{self, KeyError};
use crate::member::MemberResource;
use crate::terms;

mod atoms {
    rustler::atoms! { local_fun, long, too_deep }
}

/// The encoded key, or what is wrong with it.
fn encoded_key<'a>(
    env: Env<'a>,
    member: &MemberResource,
    key: Term<'a>,
) -> NifResult<Result<Vec<u8>, Term<'a>>> {
    let mut bytes = Vec::with_capacity(32);
    Ok(encode_key(env, member, key, key::STEPS_MAX, &mut bytes)?.map(|_| bytes))
}

/// `{ok, LongKey} | {error, Reason}`: takes the place of a key that is `{bad_key, long}`.
#[rustler::nif(schedule = "DirtyCpu")]
fn long_key<'a>(env: Env<'a>, member: &'a MemberResource, key: Term<'a>) -> NifResult<Term<'a>> {
    let mut bytes = Vec::new();
    let encoded = encode_key(env, member, key, usize::MAX, &mut bytes)?;
    let held = |_| (terms::ok(), key::LONG_KEYS.term(env, bytes)).encode(env);
    Ok(encoded.map_or_else(|wrong| wrong, held))
}

/// Appends the encoded key and returns how many steps are left, or tells what is wrong with it.
pub fn encode_key<'a>(
    env: Env<'a>,
    member: &MemberResource,
    key: Term<'a>,
    steps_max: usize,
    out: &mut Vec<u8>,
) -> NifResult<Result<usize, Term<'a>>> {
    let bytes_max = member.node.config().limits.key_bytes_max;
    match key::encode(key, bytes_max, steps_max, out) {
        Ok(steps_left) => Ok(Ok(steps_left)),
        Err(why) => wrong_key(env, why, bytes_max).map(Err),
    }
}

/// What is wrong with a key, or with what keys begin with.
pub fn wrong_key(env: Env<'_>, why: KeyError, bytes_max: usize) -> NifResult<Term<'_>> {
    match why {
        KeyError::LocalFun => Ok(terms::bad_key(env, atoms::local_fun())),
        KeyError::Long => Ok(terms::bad_key(env, atoms::long())),
        KeyError::TooDeep => Ok(terms::bad_key(env, atoms::too_deep())),
        KeyError::TooLarge => Ok(terms::error(env, &Error::KeyTooLarge { bytes_max })),
        KeyError::Unsupported | KeyError::Malformed | KeyError::Unreadable => {
            Err(rustler::Error::BadArg)
        }
    }
}

/// Runs `with` on the encoded key, or tells what is wrong with the key.
pub fn with_key<'a>(
    env: Env<'a>,
    member: &MemberResource,
    key: Term<'a>,
    with: impl FnOnce(Vec<u8>) -> Term<'a>,
) -> NifResult<Term<'a>> {
    Ok(encoded_key(env, member, key)?.map_or_else(|wrong| wrong, with))
}

/// The encoded keys, in so many steps for all, or what is wrong with one of them.
pub fn encode_keys<'a>(
    env: Env<'a>,
    member: &MemberResource,
    keys: Vec<Term<'a>>,
    steps_max: usize,
) -> NifResult<Result<Vec<Vec<u8>>, Term<'a>>> {
    let (mut encoded, mut steps_left) = (Vec::with_capacity(keys.len()), steps_max);
    for key in keys {
        let mut bytes = Vec::with_capacity(32);
        steps_left = match encode_key(env, member, key, steps_left, &mut bytes)? {
            Ok(steps_left) => steps_left,
            Err(wrong) => return Ok(Err(wrong)),
        };
        encoded.push(bytes);
    }
    Ok(Ok(encoded))
}
