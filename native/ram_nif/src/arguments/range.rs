//! Ranges of keys, as `ram_scan:bounds/2` names them.

use std::ops::Bound;

use rustler::{Atom, Env, NifResult, Term};

use super::encode_key;
use super::key::wrong_key;
use crate::key;
use crate::member::MemberResource;

mod atoms {
    rustler::atoms! { empty, unbounded, including, excluding, prefix }
}

/// No encoded key is as large: see `crate::key`.
const ABOVE_ALL: &[u8] = &[0xFF];

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

/// `{Lower, Upper} | {prefix, P} | empty`, where a bound is `unbounded | {including, Key} |
/// {excluding, Key}`; the range, or what is wrong with a key. The steps are those for both ends.
pub fn decode_range<'a>(
    env: Env<'a>,
    member: &MemberResource,
    range: Term<'a>,
    steps_max: usize,
) -> NifResult<Result<KeyRange, Term<'a>>> {
    if atoms::empty() == range {
        let from = Bound::Included(ABOVE_ALL.to_vec());
        return Ok(Ok(KeyRange { from, to: Bound::Unbounded }));
    }
    let (lower, upper): (Term<'a>, Term<'a>) = range.decode()?;
    if atoms::prefix() == lower {
        return prefix_range(env, member, upper, steps_max);
    }
    let mut steps_left = steps_max;
    let from = match decode_bound(env, member, lower, &mut steps_left)? {
        Ok(bound) => bound,
        Err(wrong) => return Ok(Err(wrong)),
    };
    Ok(decode_bound(env, member, upper, &mut steps_left)?.map(|to| KeyRange { from, to }))
}

fn decode_bound<'a>(
    env: Env<'a>,
    member: &MemberResource,
    bound: Term<'a>,
    steps_left: &mut usize,
) -> NifResult<Result<Bound<Vec<u8>>, Term<'a>>> {
    if atoms::unbounded() == bound {
        return Ok(Ok(Bound::Unbounded));
    }
    let (kind, key): (Atom, Term<'a>) = bound.decode()?;
    let bound = match kind {
        kind if kind == atoms::including() => Bound::Included,
        kind if kind == atoms::excluding() => Bound::Excluded,
        _ => return Err(rustler::Error::BadArg),
    };
    let mut bytes = Vec::with_capacity(32);
    let encoded = encode_key(env, member, key, *steps_left, &mut bytes)?;
    Ok(encoded.map(|left| {
        *steps_left = left;
        bound(bytes)
    }))
}

fn prefix_range<'a>(
    env: Env<'a>,
    member: &MemberResource,
    prefix: Term<'a>,
    steps_max: usize,
) -> NifResult<Result<KeyRange, Term<'a>>> {
    let bytes_max = member.node.config().limits.key_bytes_max;
    let mut from = Vec::new();
    match key::push_prefix(prefix, bytes_max, steps_max, &mut from) {
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
