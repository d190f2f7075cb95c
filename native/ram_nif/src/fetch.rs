//! Local reads: `ram_request` asks here first, and a read that this node may answer from its own
//! table is answered in the call itself.
//!
//! The caller is on a scheduler. Nothing here waits for more than a moment. Nothing is allocated
//! but the answer, and the parts of a key that is a tuple, a list or a map.

use ram_table::table::Item;
use rustler::codegen_runtime::inventory;
use rustler::{Binary, Encoder, Env, NifResult, Term};
use std::cell::RefCell;

use crate::arguments::{encode_key, table_name};
use crate::config::Mode;
use crate::key;
use crate::member::MemberResource;
use crate::raw::{self, Entry};
use crate::terms;
use crate::value::{self, Found};

mod atoms {
    rustler::atoms! {
        ok, error, encoded, ask,
        // No value should look like it: it is then asked for twice.
        fetch = "ram fetch",
    }
}

thread_local! {
    /// The buffer in which keys are encoded: as long as the longest so far, so below
    /// `key_bytes_max`.
    static KEY: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Makes a function an entry of the library under its own name.
macro_rules! entry {
    ($name:ident / $arity:literal, $name_text:literal) => {
        const _: () = {
            struct Called;
            impl Entry<$arity> for Called {
                fn call<'a>(env: Env<'a>, arguments: [Term<'a>; $arity]) -> NifResult<Term<'a>> {
                    $name(env, arguments)
                }
            }
            inventory::submit!(raw::nif::<Called, $arity>($name_text));
        };
    };
}

entry!(get_now / 4, c"get_now");
entry!(fetch_now / 3, c"fetch_now");
entry!(get_in_now / 5, c"get_in_now");

/// `get_now(Member, Key, Default, Reads) -> Value | Default | 'ram fetch'`. `'ram fetch'`: this is
/// no read, `fetch_now` tells what there is; which may be that the value, or the default, is this
/// very atom.
fn get_now<'a>(env: Env<'a>, [member, key, default, reads]: [Term<'a>; 4]) -> NifResult<Term<'a>> {
    let read = |item: Option<&Item>| value_or(env, item, default);
    let found = with_item(env, member, None, key, reads, read)?;
    Ok(found.ok().flatten().unwrap_or(atoms::fetch().to_term(env)))
}

/// `get_in_now(Member, Table, Key, Default, Reads)`: as `get_now`, in a table; `'ram fetch'`:
/// `lookup_now` tells what there is, or that there is no such table.
fn get_in_now<'a>(
    env: Env<'a>,
    [member, table, key, default, reads]: [Term<'a>; 5],
) -> NifResult<Term<'a>> {
    let table: Binary = table.decode()?;
    let read = |item: Option<&Item>| value_or(env, item, default);
    let found = with_item(env, member, Some(table_name(&table)?), key, reads, read)?;
    Ok(found.ok().flatten().unwrap_or(atoms::fetch().to_term(env)))
}

/// The value, or the default, if it is made at once.
fn value_or<'a>(env: Env<'a>, item: Option<&Item>, default: Term<'a>) -> Option<Term<'a>> {
    let term = match item {
        None => default,
        Some(item) => match value::found_if_short(env, item) {
            Some(Found::Term(term)) => term,
            Some(Found::Encoded(_)) | None => return None,
        },
    };
    (atoms::fetch() != term).then_some(term)
}

enum Read<'a> {
    Absent,
    Found(Found<'a>),
    /// Its term is made when the shard is no more locked.
    Long(Item),
}

/// `fetch_now(Member, Key, Reads) -> {ok, Value} | error | {encoded, Binary} | ask | {error,
/// Reason}`. `ask`: this node may not answer at this moment.
fn fetch_now<'a>(env: Env<'a>, [member, key, reads]: [Term<'a>; 3]) -> NifResult<Term<'a>> {
    let read = |item: Option<&Item>| {
        Some(match item {
            None => Read::Absent,
            Some(item) => match value::found_if_short(env, item) {
                Some(found) => Read::Found(found),
                None => Read::Long(item.clone()),
            },
        })
    };
    let found = match with_item(env, member, None, key, reads, read)? {
        Ok(Some(Read::Found(found))) => found,
        Ok(Some(Read::Long(item))) => value::found(env, &item),
        Ok(Some(Read::Absent)) => return Ok(atoms::error().encode(env)),
        Ok(None) => return Ok(atoms::ask().encode(env)),
        Err(wrong) => return Ok(wrong),
    };
    Ok(match found {
        Found::Term(term) => (atoms::ok(), term).encode(env),
        Found::Encoded(binary) => (atoms::encoded(), binary).encode(env),
    })
}

/// What `read` returns of the item of a key, in the default table or another, if this node may
/// answer; or `{error, Reason}`.
fn with_item<'a, T>(
    env: Env<'a>,
    member: Term<'a>,
    table: Option<&str>,
    key: Term<'a>,
    reads: Term<'a>,
    read: impl FnOnce(Option<&Item>) -> Option<T>,
) -> NifResult<Result<Option<T>, Term<'a>>> {
    let member: &MemberResource = member.decode()?;
    let Mode(mode) = reads.decode()?;
    KEY.with_borrow_mut(|buffer| {
        buffer.clear();
        if let Err(wrong) = encode_key(env, member, key, key::STEPS_MAX, buffer)? {
            return Ok(Err(wrong));
        }
        let found = match table {
            None => member.node.look(mode, buffer, read),
            Some(table) => member.node.look_in(table, mode, buffer, read),
        };
        Ok(found.map_err(|cause| terms::error(env, &cause)))
    })
}
