//! Ranges of keys, as ram_scan.erl names them.

use std::ops::Bound;

use rustler::{Atom, Env, NifResult, Term};

use super::encode_key;
use super::key::wrong_key;
use crate::key;
use crate::member::MemberResource;

mod atoms {
    rustler::atoms! { unbounded, including, excluding, prefix }
}

/// Encoded bounds.
pub struct KeyRange {
    pub from: Bound<Vec<u8>>,
    pub to: Bound<Vec<u8>>,
}

impl KeyRange {
    pub fn bounds(&self) -> (Bound<&[u8]>, Bound<&[u8]>) {
        (self.from.as_ref().map(Vec::as_slice), self.to.as_ref().map(Vec::as_slice))
    }
}

/// `{Lower, Upper} | {prefix, P}`, where a bound is `unbounded | {including, Key} | {excluding,
/// Key}`; the range, or what is wrong with a key.
pub fn decode_range<'a>(
    env: Env<'a>,
    member: &MemberResource,
    range: Term<'a>,
) -> NifResult<Result<KeyRange, Term<'a>>> {
    let (lower, upper): (Term<'a>, Term<'a>) = range.decode()?;
    if atoms::prefix() == lower {
        return prefix_range(env, member, upper);
    }
    let from = match decode_bound(env, member, lower)? {
        Ok(bound) => bound,
        Err(wrong) => return Ok(Err(wrong)),
    };
    Ok(decode_bound(env, member, upper)?.map(|to| KeyRange { from, to }))
}

fn decode_bound<'a>(
    env: Env<'a>,
    member: &MemberResource,
    bound: Term<'a>,
) -> NifResult<Result<Bound<Vec<u8>>, Term<'a>>> {
    if atoms::unbounded() == bound {
        return Ok(Ok(Bound::Unbounded));
    }
    let (kind, key): (Atom, Term<'a>) = bound.decode()?;
    let mut bytes = Vec::with_capacity(32);
    if let Err(wrong) = encode_key(env, member, key, usize::MAX, &mut bytes)? {
        return Ok(Err(wrong));
    }
    match kind {
        kind if kind == atoms::including() => Ok(Ok(Bound::Included(bytes))),
        kind if kind == atoms::excluding() => Ok(Ok(Bound::Excluded(bytes))),
        _ => Err(rustler::Error::BadArg),
    }
}

fn prefix_range<'a>(
    env: Env<'a>,
    member: &MemberResource,
    prefix: Term<'a>,
) -> NifResult<Result<KeyRange, Term<'a>>> {
    let bytes_max = member.node.config().limits.key_bytes_max;
    let mut from = Vec::new();
    match key::push_prefix(prefix, bytes_max, usize::MAX, &mut from) {
        // Every list begins with the empty one.
        Ok(()) if from.is_empty() => {
            let (from, to) = key::lists();
            Ok(Ok(KeyRange { from: Bound::Included(from), to: Bound::Excluded(to) }))
        }
        Ok(()) => {
            let to = key::successor(from.clone()).map_or(Bound::Unbounded, Bound::Excluded);
            Ok(Ok(KeyRange { from: Bound::Included(from), to }))
        }
        Err(why) => wrong_key(env, why, bytes_max).map(Err),
    }
}
