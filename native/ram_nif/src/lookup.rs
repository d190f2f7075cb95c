//! Reads with options: of any table, of several keys, of ranges, of a revision at least. Answered
//! in the call where this node may; else `ask`, and `request::lookup` queues them.
//!
//! Of a table that is not there the answer is `{error, {no_table, Name}}`.

use ram_core::scans::{self, find_table};
use ram_lease::mode::Scope;
use ram_store::answer::Failure;
use ram_table::table::Item;
use ram_table::tables::{TableType, Tables};
use rustler::{Binary, Decoder, Encoder, Env, NifResult, Term};

use crate::arguments::{
    Asked, KeyRange, List, RangeOptions, decode_range, encode_key, encode_keys, table_name,
};
use crate::key;
use crate::member::MemberResource;
use crate::scan;
use crate::terms;

mod atoms {
    rustler::atoms! { all, ask }
}

/// `lookup_now(Member, Table, Key, Asked) -> {value, V, Meta} | {encoded, Binary, Meta} | none |
/// ask | {error, Reason}`
#[rustler::nif]
fn lookup_now<'a>(
    env: Env<'a>,
    member: &'a MemberResource,
    table: Binary<'a>,
    key: Term<'a>,
    Asked(freshness): Asked,
) -> NifResult<Term<'a>> {
    let mut bytes = Vec::with_capacity(32);
    if let Err(wrong) = encode_key(env, member, key, key::STEPS_MAX, &mut bytes)? {
        return Ok(wrong);
    }
    let name = table_name(&table)?;
    let looked = member.node.look_now(freshness, Scope::Keys(&[&bytes]), |tables| {
        find_table(tables, name).map(|table| table.get(&bytes))
    });
    Ok(answer(env, looked, |item| terms::looked_up(env, member.node.uptime(), item)))
}

/// `get_many_now(Member, Table, Keys, Asked) -> {items, [{value, V, Meta} | {encoded, Binary, Meta}
/// | none]} | ask | {error, Reason}`. `{error, {bad_key, long}}`: `get_many` takes the keys.
#[rustler::nif]
fn get_many_now<'a>(
    env: Env<'a>,
    member: &'a MemberResource,
    table: Binary<'a>,
    List(keys): List<Term<'a>>,
    Asked(freshness): Asked,
) -> NifResult<Term<'a>> {
    let keys = match encode_keys(env, member, keys, key::STEPS_MAX)? {
        Ok(keys) => keys,
        Err(wrong) => return Ok(wrong),
    };
    let name = table_name(&table)?;
    let scope: Vec<&[u8]> = keys.iter().map(Vec::as_slice).collect();
    let looked =
        member.node.look_now(freshness, Scope::Keys(&scope), |tables| items(tables, name, &keys));
    Ok(answer(env, looked, |items| terms::looked_up_all(env, member.node.uptime(), items)))
}

/// `range_now(Member, Table, Range, {Reverse, KeysOnly, Limit}, Asked) -> {items, Items, IsMore} |
/// ask | {error, Reason}`. `{error, {bad_key, long}}`: `range` takes the ends.
#[rustler::nif]
fn range_now<'a>(
    env: Env<'a>,
    member: &'a MemberResource,
    table: Binary<'a>,
    keys: Term<'a>,
    options: RangeOptions,
    Asked(freshness): Asked,
) -> NifResult<Term<'a>> {
    let range = match decode_range(env, member, keys, key::STEPS_MAX)? {
        Ok(range) => range,
        Err(wrong) => return Ok(wrong),
    };
    let name = table_name(&table)?;
    let looked = member
        .node
        .look_now(freshness, Scope::All, |tables| in_range(tables, name, &range, options));
    Ok(answer(env, looked, |items| terms::items(env, items, options.limit, options.keys_only)))
}

/// `info_now(Member, Table, Asked) -> {ok, set | ordered_set, Entries, Bytes} | ask | {error,
/// Reason}`
#[rustler::nif]
fn info_now<'a>(
    env: Env<'a>,
    member: &'a MemberResource,
    table: Binary<'a>,
    Asked(freshness): Asked,
) -> NifResult<Term<'a>> {
    let name = table_name(&table)?;
    let looked = member.node.look_now(freshness, Scope::All, |tables| info_of(tables, name));
    Ok(answer(env, looked, |info| terms::info(env, info)))
}

/// `scan_now(Member, Table | all, Asked) -> {ok, Scan, Revision} | ask | {error, Reason}`
#[rustler::nif]
fn scan_now<'a>(
    env: Env<'a>,
    member: &'a MemberResource,
    which: Which,
    Asked(freshness): Asked,
) -> Term<'a> {
    let begin = |tables: &Tables| scans::begin(tables, which.name());
    let looked = member.node.look_now(freshness, Scope::All, begin);
    answer(env, looked, |(snapshots, revision)| {
        scan::opened(env, member.node.scans().open(snapshots, revision))
    })
}

/// `tables_now(Member, Asked) -> {ok, [Name]} | ask | {error, Reason}`, in order.
#[rustler::nif]
fn tables_now<'a>(env: Env<'a>, member: &'a MemberResource, Asked(freshness): Asked) -> Term<'a> {
    let looked = member.node.look_now(freshness, Scope::All, |tables| Ok(tables.names()));
    answer(env, looked, |names| terms::names(env, &names))
}

/// All of one moment.
pub fn info_of(tables: &Tables, name: &str) -> ram_core::Result<terms::Info> {
    let table = find_table(tables, name)?;
    Ok((table.table_type(), table.entries(), table.bytes()))
}

pub fn items(tables: &Tables, name: &str, keys: &[Vec<u8>]) -> ram_core::Result<Vec<Option<Item>>> {
    let table = find_table(tables, name)?;
    Ok(keys.iter().map(|key| table.get(key)).collect())
}

pub fn in_range(
    tables: &Tables,
    name: &str,
    range: &KeyRange,
    options: RangeOptions,
) -> ram_core::Result<Vec<Item>> {
    let table = find_table(tables, name)?;
    if table.table_type() != TableType::OrderedSet {
        return Err(Failure::NotOrdered(name.into()).into());
    }
    Ok(table.range(range.bounds(), options.reverse, options.limit + 1))
}

/// `all`, or the name of a table: what a scan is of.
pub struct Which(Option<String>);

impl<'a> Decoder<'a> for Which {
    fn decode(term: Term<'a>) -> NifResult<Self> {
        if atoms::all() == term {
            return Ok(Which(None));
        }
        Ok(Which(Some(table_name(&term.decode()?)?.to_owned())))
    }
}

impl Which {
    pub fn name(&self) -> Option<&str> {
        self.0.as_deref()
    }
}

fn answer<'a, T>(
    env: Env<'a>,
    looked: ram_core::Result<Option<ram_core::Result<T>>>,
    of: impl FnOnce(T) -> Term<'a>,
) -> Term<'a> {
    match looked {
        Ok(Some(Ok(found))) => of(found),
        Ok(None) => atoms::ask().encode(env),
        Ok(Some(Err(cause))) | Err(cause) => terms::error(env, &cause),
    }
}
