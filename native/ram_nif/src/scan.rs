//! Scans: the pages of a table at one revision. Counterpart of ram_scan.erl, which opens them
//! (`lookup`, `request::lookup`) and asks for one page after the other.

use std::ops::Bound;
use std::sync::Arc;

use ram_core::scans::{Cursor, Page, Scan};
use rustler::{Binary, Encoder, Env, NifResult, Term};

use crate::arguments::{RangeOptions, decode_range, encode_key, table_name};
use crate::member::MemberResource;
use crate::raw::{Type, binary};
use crate::terms;

/// A scan that its caller holds; without a caller it is closed.
pub static SCANS: Type<Arc<Scan>> = Type::new();

mod atoms {
    rustler::atoms! { ok, all, done, start, at, after, expired, no_table, set, ordered_set }
}

/// `{ok, Scan, Revision}`
pub fn opened<'a>(env: Env<'a>, scan: Arc<Scan>) -> Term<'a> {
    let revision = scan.revision();
    (atoms::ok(), SCANS.term(env, scan), revision).encode(env)
}

/// `scan_page(Member, {Scan, Table}, Cursor, Range | all, {Reverse, KeysOnly, Limit}) -> {items |
/// mixed, Items, NextCursor | done} | expired | {error, Reason}`. The first cursor is `start`.
#[rustler::nif(schedule = "DirtyCpu")]
fn scan_page<'a>(
    env: Env<'a>,
    member: &'a MemberResource,
    (scan, table): (Term<'a>, Binary<'a>),
    cursor: Term<'a>,
    range: Term<'a>,
    options: RangeOptions,
) -> NifResult<Term<'a>> {
    let scan = SCANS.object(scan).ok_or(rustler::Error::BadArg)?;
    let (table, cursor) = (table_name(&table)?, decode_cursor(cursor)?);
    let RangeOptions { reverse, keys_only, limit } = options;
    let page = if atoms::all() == range {
        scan.page(table, &cursor, (Bound::Unbounded, Bound::Unbounded), reverse, limit)
    } else {
        match decode_range(env, member, range, usize::MAX)? {
            Ok(range) => scan.page(table, &cursor, range.bounds(), reverse, limit),
            Err(wrong) => return Ok(wrong),
        }
    };
    Ok(match page {
        Ok(Page { items, next }) => {
            let (kind, items) = terms::entries(env, &items, keys_only);
            (kind, items, encode_cursor(env, next)).encode(env)
        }
        Err(_) => atoms::expired().encode(env),
    })
}

/// `scan_get(Member, {Scan, Table}, Key) -> {value, V, Meta} | {encoded, Binary, Meta} | none |
/// no_table | expired | {error, Reason}`
#[rustler::nif(schedule = "DirtyCpu")]
fn scan_get<'a>(
    env: Env<'a>,
    member: &'a MemberResource,
    (scan, table): (Term<'a>, Binary<'a>),
    key: Term<'a>,
) -> NifResult<Term<'a>> {
    let scan = SCANS.object(scan).ok_or(rustler::Error::BadArg)?;
    let mut bytes = Vec::with_capacity(32);
    if let Err(wrong) = encode_key(env, member, key, usize::MAX, &mut bytes)? {
        return Ok(wrong);
    }
    Ok(match scan.get(table_name(&table)?, &bytes) {
        Ok(Some(item)) => terms::looked_up(env, member.node.uptime(), item),
        Ok(None) => atoms::no_table().encode(env),
        Err(_) => atoms::expired().encode(env),
    })
}

/// `scan_type(Scan, Table) -> set | ordered_set | no_table | expired`
#[rustler::nif]
fn scan_type<'a>(env: Env<'a>, scan: Term<'a>, table: Binary<'a>) -> NifResult<Term<'a>> {
    let scan = SCANS.object(scan).ok_or(rustler::Error::BadArg)?;
    let table_type = match scan.is_ordered(table_name(&table)?) {
        Ok(Some(true)) => atoms::ordered_set(),
        Ok(Some(false)) => atoms::set(),
        Ok(None) => atoms::no_table(),
        Err(_) => atoms::expired(),
    };
    Ok(table_type.encode(env))
}

/// Nothing is held for it any more.
#[rustler::nif(schedule = "DirtyCpu")]
fn scan_close<'a>(env: Env<'a>, scan: Term<'a>) -> NifResult<Term<'a>> {
    SCANS.object(scan).ok_or(rustler::Error::BadArg)?.close();
    Ok(atoms::ok().encode(env))
}

/// `start | {at, Shard, Read} | {'after', Key :: binary()}`
fn decode_cursor(cursor: Term) -> NifResult<Cursor> {
    if atoms::start() == cursor {
        return Ok(Cursor::Start);
    }
    if let Ok((kind, shard, read)) = cursor.decode::<(rustler::Atom, usize, usize)>() {
        return if kind == atoms::at() {
            Ok(Cursor::At { shard, read })
        } else {
            Err(rustler::Error::BadArg)
        };
    }
    let (kind, key): (rustler::Atom, Binary) = cursor.decode()?;
    if kind == atoms::after() {
        Ok(Cursor::After(key.to_vec()))
    } else {
        Err(rustler::Error::BadArg)
    }
}

fn encode_cursor(env: Env, next: Option<Cursor>) -> Term {
    match next {
        None => atoms::done().encode(env),
        Some(Cursor::Start) => atoms::start().encode(env),
        Some(Cursor::At { shard, read }) => (atoms::at(), shard, read).encode(env),
        Some(Cursor::After(key)) => (atoms::after(), binary(env, &key)).encode(env),
    }
}
