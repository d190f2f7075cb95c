//! Transactions, queued: conditions, the commands for when all of them hold, and those for when one
//! does not.
//!
//! ```text
//! Parts      :: {[Condition], [Command], [Command]}
//! Table      :: <<"name">>, <<>> for the default one; in a part also none: that of the transaction
//! Condition  :: {Table, Key, absent | present | {value, Value} | {rev, '<' | '=' | '>', Revision}}
//!             | {unchanged, Table, Range, Revision, Entries}       see `arguments::decode_range`
//! Command    :: {put, Table, Key, Value} | {put, Table, Key, Value, Ttl | keep}
//!             | {put, Table, Key, Value, Ttl, Owner} | {delete, Table, Key} | {get, Table, Key}
//!             | {touch, Table, Key, Ttl}
//!             | {count, Table, Key, Increment, Default, none | {Threshold, SetTo}}
//! Ttl        :: Milliseconds | infinity
//! Owner      :: what `owner_here` or `owner` answered
//! ```

use ram_core::handle::Writing;
use ram_limits::{TRANSACTION_PARTS_MAX, TTL_MS_MAX};
use ram_store::write::{
    Command, Comparison, Condition, EncodedOwner, Place, Setting, State, Write,
};
use rustler::types::tuple::get_tuple;
use rustler::{Atom, Binary, Decoder, Env, NifResult, Term};

use super::refusal::Refusal;
use super::write::submit;
use crate::arguments::{List, decode_range, encode_key};
use crate::key::STEPS_MAX;
use crate::member::MemberResource;
use crate::value;

mod atoms {
    rustler::atoms! {
        none, absent, present, value, rev, less = "<", equal = "=", greater = ">", unchanged,
        put, delete, get, count, touch, keep, infinity,
    }
}

/// Two entries of the library that do the same. The first takes so many steps for its keys, all
/// together, as a scheduler may be held; the second runs on a dirty one.
macro_rules! transaction {
    ($name:ident, $steps_max:expr $(, $schedule:literal)?) => {
        #[rustler::nif $((schedule = $schedule))?]
        fn $name<'a>(
            env: Env<'a>,
            member: &'a MemberResource,
            reference: Term<'a>,
            table: &'a str,
            parts: (List<Term<'a>>, List<Term<'a>>, List<Term<'a>>),
            timeout_ms: u64,
        ) -> NifResult<Term<'a>> {
            let (List(conditions), List(then), List(otherwise)) = parts;
            let parts = Parts { table, conditions, then, otherwise };
            let encoded = parts.encode(env, member, $steps_max);
            submit(env, member, reference, encoded, timeout_ms)
        }
    };
}

transaction!(transaction, STEPS_MAX);
transaction!(transaction_large, usize::MAX, "DirtyCpu");

struct Parts<'a> {
    table: &'a str,
    conditions: Vec<Term<'a>>,
    then: Vec<Term<'a>>,
    otherwise: Vec<Term<'a>>,
}

impl<'a> Parts<'a> {
    fn encode(
        &self,
        env: Env<'a>,
        member: &'a MemberResource,
        steps_max: usize,
    ) -> Result<Writing<'a>, Refusal<'a>> {
        let head = Write::Transaction {
            table: self.table,
            conditions: count(&self.conditions)?,
            then: count(&self.then)?,
            otherwise: count(&self.otherwise)?,
        };
        let parts = self.conditions.len() + self.then.len() + self.otherwise.len();
        let (writing, steps_max) = (member.node.writing(&head)?, steps_max / parts.max(1));
        let mut encoder = Encoder { env, member, steps_max, writing, key: Vec::new() };
        self.conditions.iter().try_for_each(|condition| encoder.condition(*condition))?;
        self.then.iter().try_for_each(|command| encoder.command(*command))?;
        self.otherwise.iter().try_for_each(|command| encoder.command(*command))?;
        Ok(encoder.writing)
    }
}

/// More than a member takes would be a defect of the caller's module.
fn count<'a>(parts: &[Term<'a>]) -> Result<u32, Refusal<'a>> {
    match u32::try_from(parts.len()) {
        Ok(count) if parts.len() <= TRANSACTION_PARTS_MAX => Ok(count),
        _ => Err(rustler::Error::BadArg.into()),
    }
}

struct Encoder<'a> {
    env: Env<'a>,
    member: &'a MemberResource,
    /// For each key.
    steps_max: usize,
    writing: Writing<'a>,
    /// The buffer in which keys are encoded.
    key: Vec<u8>,
}

impl<'a> Encoder<'a> {
    fn encode_key(&mut self, key: Term<'a>) -> Result<(), Refusal<'a>> {
        self.key.clear();
        encode_key(self.env, self.member, key, self.steps_max, &mut self.key)?
            .map_err(Refusal::Told)?;
        Ok(())
    }

    fn condition(&mut self, condition: Term<'a>) -> Result<(), Refusal<'a>> {
        let Ok((Named(table), key, is)) = condition.decode::<(Named, Term, Term)>() else {
            return self.unchanged(condition);
        };
        let expected: Expected = is.decode()?;
        self.encode_key(key)?;
        let at = Place { table, key: &self.key };
        Ok(self.writing.condition(&Condition::Key { at, is: expected.state() })?)
    }

    fn unchanged(&mut self, condition: Term<'a>) -> Result<(), Refusal<'a>> {
        type Unchanged<'a> = (Atom, Named<'a>, Term<'a>, u64, u64);
        let (kind, Named(table), range, revision, entries): Unchanged<'a> = condition.decode()?;
        if kind != atoms::unchanged() {
            return Err(rustler::Error::BadArg.into());
        }
        let range = decode_range(self.env, self.member, range, self.steps_max)?;
        let range = range.map_err(Refusal::Told)?;
        let range = range.bounds();
        Ok(self.writing.condition(&Condition::Unchanged { table, range, revision, entries })?)
    }

    fn command(&mut self, command: Term<'a>) -> Result<(), Refusal<'a>> {
        let parts = get_tuple(command)?;
        let [kind, table, key, ref more @ ..] = *parts.as_slice() else {
            return Err(rustler::Error::BadArg.into());
        };
        let Named(table) = table.decode()?;
        self.encode_key(key)?;
        let at = Place { table, key: &self.key };
        Ok(match *more {
            [] if atoms::get() == kind => self.writing.command(&Command::Get { at }),
            [] if atoms::delete() == kind => self.writing.command(&Command::Delete { at }),
            [value] if atoms::put() == kind => {
                let value: Binary = value.decode()?;
                self.writing.command(&Command::put_at(at, &value))
            }
            [value, ttl] if atoms::put() == kind => {
                let (value, keep): (Binary, _) = (value.decode()?, atoms::keep());
                let ttl_ms = if keep == ttl { Setting::Keep } else { setting(decode_ttl(ttl)?) };
                self.writing.command(&Command::put_lasting(at, &value, ttl_ms))
            }
            [value, ttl, owner] if atoms::put() == kind => {
                let (value, owner): (Binary, Binary) = (value.decode()?, owner.decode()?);
                let (ttl_ms, owner) = (setting(decode_ttl(ttl)?), EncodedOwner(&owner));
                let owner = Setting::To(owner);
                self.writing.command(&Command::Put { at, value: &value, ttl_ms, owner })
            }
            [ttl] if atoms::touch() == kind => {
                self.writing.command(&Command::Touch { at, ttl_ms: decode_ttl(ttl)? })
            }
            [increment, default, limit] if atoms::count() == kind => {
                let limit = if atoms::none() == limit { None } else { Some(limit.decode()?) };
                let count = value::count(increment, default, limit);
                let count = count.ok_or(rustler::Error::BadArg)?;
                self.writing.command(&Command::Count { at, count: &count })
            }
            _ => return Err(rustler::Error::BadArg.into()),
        }?)
    }
}

fn setting(ttl_ms: Option<u64>) -> Setting<u64> {
    ttl_ms.map_or(Setting::Clear, Setting::To)
}

/// `Milliseconds | infinity`: one that a member does not take would be a defect of the caller's
/// module.
pub fn decode_ttl(ttl: Term) -> NifResult<Option<u64>> {
    if atoms::infinity() == ttl {
        return Ok(None);
    }
    match ttl.decode()? {
        ttl_ms @ 1..=TTL_MS_MAX => Ok(Some(ttl_ms)),
        _ => Err(rustler::Error::BadArg),
    }
}

/// `none | Table`
struct Named<'a>(Option<&'a str>);

impl<'a> Decoder<'a> for Named<'a> {
    fn decode(term: Term<'a>) -> NifResult<Self> {
        if atoms::none() == term { Ok(Named(None)) } else { term.decode().map(Some).map(Named) }
    }
}

enum Expected<'a> {
    Absent,
    Present,
    Value(Binary<'a>),
    Revision(Comparison, u64),
}

impl Expected<'_> {
    fn state(&self) -> State<'_> {
        match self {
            Expected::Absent => State::Absent,
            Expected::Present => State::Present,
            Expected::Value(value) => State::Value(value),
            Expected::Revision(comparison, revision) => State::Revision(*comparison, *revision),
        }
    }
}

impl<'a> Decoder<'a> for Expected<'a> {
    fn decode(term: Term<'a>) -> NifResult<Self> {
        if atoms::absent() == term {
            return Ok(Expected::Absent);
        }
        if atoms::present() == term {
            return Ok(Expected::Present);
        }
        if let Ok((kind, value)) = term.decode::<(Atom, Binary)>() {
            return if kind == atoms::value() {
                Ok(Expected::Value(value))
            } else {
                Err(rustler::Error::BadArg)
            };
        }
        let (kind, comparison, revision): (Atom, Atom, u64) = term.decode()?;
        let comparison = match comparison {
            is if is == atoms::less() => Comparison::Less,
            is if is == atoms::equal() => Comparison::Equal,
            is if is == atoms::greater() => Comparison::Greater,
            _ => return Err(rustler::Error::BadArg),
        };
        if kind != atoms::rev() {
            return Err(rustler::Error::BadArg);
        }
        Ok(Expected::Revision(comparison, revision))
    }
}
