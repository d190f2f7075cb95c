//! The range of a request: `From` and `To` are `first | last | {key, Key}`. Both keys are in it;
//! from the last, or to the first, there is nothing.

use ram_store::write::Range;
use rustler::{Atom, Env, Term};
use std::ops::Bound;

use super::refusal::Refusal;
use crate::arguments::encode_key;
use crate::member::MemberResource;

mod atoms {
    rustler::atoms! { first, last, key }
}

/// No encoded key is as large: see `crate::key`.
const ABOVE_ALL: &[u8] = &[0xFF];
const BELOW_ALL: &[u8] = &[];

/// Where the keys of a range are encoded.
#[derive(Default)]
pub struct Keys {
    from: Vec<u8>,
    to: Vec<u8>,
}

impl Keys {
    pub fn encode<'a>(
        &mut self,
        env: Env<'a>,
        member: &MemberResource,
        (from, to): (Term<'a>, Term<'a>),
        steps_max: usize,
    ) -> Result<Range<'_>, Refusal<'a>> {
        let from = if atoms::first() == from {
            Bound::Unbounded
        } else if atoms::last() == from {
            Bound::Included(ABOVE_ALL)
        } else {
            encode(env, member, from, steps_max, &mut self.from)?;
            Bound::Included(self.from.as_slice())
        };
        let to = if atoms::last() == to {
            Bound::Unbounded
        } else if atoms::first() == to {
            Bound::Excluded(BELOW_ALL)
        } else {
            encode(env, member, to, steps_max, &mut self.to)?;
            Bound::Included(self.to.as_slice())
        };
        Ok((from, to))
    }
}

fn encode<'a>(
    env: Env<'a>,
    member: &MemberResource,
    end: Term<'a>,
    steps_max: usize,
    out: &mut Vec<u8>,
) -> Result<(), Refusal<'a>> {
    let (kind, key): (Atom, Term) = end.decode()?;
    if kind != atoms::key() {
        return Err(rustler::Error::BadArg.into());
    }
    encode_key(env, member, key, steps_max, out)?.map_err(Refusal::Told)
}
