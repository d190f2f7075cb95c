//! Reads with options, queued: see `crate::lookup`, whose answers they have.

use ram_core::reading::Freshness;
use ram_core::scans::{begin, find_table};
use ram_lease::mode::Scope;
use ram_table::tables::Tables;
use rustler::{Binary, Env, NifResult, Term};

use super::{READ_LOST, deadline, queue};
use crate::arguments::{
    Asked, List, RangeOptions, decode_range, encode_keys, table_name, with_key,
};
use crate::lookup::{Which, in_range, info_of, items};
use crate::member::MemberResource;
use crate::scan;
use crate::terms;

/// What a request of these keys holds while it waits.
fn bytes_of(keys: &[Vec<u8>]) -> usize {
    keys.iter().map(Vec::len).sum()
}

struct Lookup<'s> {
    freshness: Freshness,
    scope: Scope<'s>,
    bytes: usize,
    timeout_ms: u64,
}

/// Queues it; `look` runs on the thread that applies, `make` makes the message of what it found.
fn look_later<'a, T: Send + 'static>(
    env: Env<'a>,
    member: &MemberResource,
    reference: Term<'a>,
    lookup: Lookup<'_>,
    look: impl FnOnce(&Tables) -> ram_core::Result<T> + Send + 'static,
    make: impl for<'b> FnOnce(Env<'b>, T) -> Term<'b> + Send + 'static,
) -> Term<'a> {
    queue(env, member, (reference, READ_LOST), |ticket| {
        let reply = Box::new(move |found: ram_core::Result<ram_core::Result<T>>| {
            let found = found.and_then(|found| found);
            ticket.answer_long(|env| terms::result(env, found, |found| make(env, found)));
        });
        let Lookup { freshness, scope, bytes, timeout_ms } = lookup;
        member.node.look_later(freshness, scope, (bytes, deadline(timeout_ms)), look, reply)
    })
}

#[rustler::nif]
fn lookup<'a>(
    env: Env<'a>,
    member: &'a MemberResource,
    reference: Term<'a>,
    table: Binary<'a>,
    key: Term<'a>,
    Asked(freshness): Asked,
    timeout_ms: u64,
) -> NifResult<Term<'a>> {
    let name = table_name(&table)?.to_owned();
    with_key(env, member, key, |key| {
        let scoped = key.clone();
        let (scope, bytes) = (&[&scoped[..]], key.len());
        let lookup = Lookup { freshness, scope: Scope::Keys(scope), bytes, timeout_ms };
        let look = move |tables: &Tables| Ok(find_table(tables, &name)?.get(&key));
        let uptime = member.node.uptime().clone();
        look_later(env, member, reference, lookup, look, move |env, item| {
            terms::looked_up(env, &uptime, item)
        })
    })
}

/// Of keys that would hold a scheduler, too.
#[rustler::nif(schedule = "DirtyCpu")]
fn get_many<'a>(
    env: Env<'a>,
    member: &'a MemberResource,
    reference: Term<'a>,
    table: Binary<'a>,
    List(keys): List<Term<'a>>,
    Asked(freshness): Asked,
    timeout_ms: u64,
) -> NifResult<Term<'a>> {
    let name = table_name(&table)?.to_owned();
    let keys = match encode_keys(env, member, keys, usize::MAX)? {
        Ok(keys) => keys,
        Err(wrong) => return Ok(wrong),
    };
    let scoped = keys.clone();
    let scope: Vec<&[u8]> = scoped.iter().map(Vec::as_slice).collect();
    let (scope, bytes) = (Scope::Keys(&scope), bytes_of(&keys));
    let lookup = Lookup { freshness, scope, bytes, timeout_ms };
    let look = move |tables: &Tables| items(tables, &name, &keys);
    let uptime = member.node.uptime().clone();
    Ok(look_later(env, member, reference, lookup, look, move |env, items| {
        terms::looked_up_all(env, &uptime, items)
    }))
}

/// Of ends that would hold a scheduler, too.
#[rustler::nif(schedule = "DirtyCpu")]
fn range<'a>(
    env: Env<'a>,
    member: &'a MemberResource,
    reference: Term<'a>,
    table: Binary<'a>,
    (keys, options): (Term<'a>, RangeOptions),
    Asked(freshness): Asked,
    timeout_ms: u64,
) -> NifResult<Term<'a>> {
    let name = table_name(&table)?.to_owned();
    let range = match decode_range(env, member, keys, usize::MAX)? {
        Ok(range) => range,
        Err(wrong) => return Ok(wrong),
    };
    let lookup = Lookup { freshness, scope: Scope::All, bytes: 0, timeout_ms };
    let look = move |tables: &Tables| in_range(tables, &name, &range, options);
    Ok(look_later(env, member, reference, lookup, look, move |env, found| {
        terms::items(env, found, options.limit, options.keys_only)
    }))
}

#[rustler::nif]
fn info<'a>(
    env: Env<'a>,
    member: &'a MemberResource,
    reference: Term<'a>,
    table: Binary<'a>,
    Asked(freshness): Asked,
    timeout_ms: u64,
) -> NifResult<Term<'a>> {
    let name = table_name(&table)?.to_owned();
    let lookup = Lookup { freshness, scope: Scope::All, bytes: 0, timeout_ms };
    let look = move |tables: &Tables| info_of(tables, &name);
    Ok(look_later(env, member, reference, lookup, look, terms::info))
}

#[rustler::nif]
fn tables<'a>(
    env: Env<'a>,
    member: &'a MemberResource,
    reference: Term<'a>,
    Asked(freshness): Asked,
    timeout_ms: u64,
) -> Term<'a> {
    let lookup = Lookup { freshness, scope: Scope::All, bytes: 0, timeout_ms };
    let look = |tables: &Tables| Ok(tables.names());
    look_later(env, member, reference, lookup, look, |env, names| terms::names(env, &names))
}

#[rustler::nif]
fn scan<'a>(
    env: Env<'a>,
    member: &'a MemberResource,
    reference: Term<'a>,
    which: Which,
    Asked(freshness): Asked,
    timeout_ms: u64,
) -> Term<'a> {
    let scans = member.node.scans().clone();
    let lookup = Lookup { freshness, scope: Scope::All, bytes: 0, timeout_ms };
    let look = move |tables: &Tables| begin(tables, which.name());
    look_later(env, member, reference, lookup, look, move |env, (snapshots, revision)| {
        scan::opened(env, scans.open(snapshots, revision))
    })
}
