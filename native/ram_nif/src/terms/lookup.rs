//! What lookups are answered with.

use ram_lease::uptime::Uptime;
use ram_table::item::Life;
use ram_table::table::Item;
use ram_table::tables::TableType;
use rustler::{Atom, Encoder, Env, Term};

use super::owner_term;
use crate::key;
use crate::raw::binary;
use crate::value::{self, Found};

mod atoms {
    rustler::atoms! {
        ok, none, value, encoded, items, mixed, set, ordered_set, infinity,
        // Stand where a key or a value would.
        unreadable = "ram unreadable", encoded_value = "ram encoded",
    }
}

/// `{value, V, {Revision, CreatedRevision, Version, LeftMs | infinity, Pid | Node | none}} |
/// {encoded, Binary, _} | none`
pub fn looked_up<'a>(env: Env<'a>, uptime: &Uptime, item: Option<Item>) -> Term<'a> {
    let none = atoms::none().encode(env);
    let Some(item) = item else { return none };
    let meta = item.meta();
    let left = match meta.life {
        Some(Life { ttl_ms, since_ms, .. }) => uptime.left_ms(ttl_ms, since_ms).encode(env),
        None => atoms::infinity().encode(env),
    };
    let owner = if item.has_owner() { owner_term(env, item.owner()) } else { none };
    let meta = (meta.revision, meta.created_revision, meta.version, left, owner);
    match value::found(env, &item) {
        Found::Term(term) => (atoms::value(), term, meta).encode(env),
        Found::Encoded(etf) => (atoms::encoded(), etf, meta).encode(env),
    }
}

/// `{items, [_]}` of [`looked_up`].
pub fn looked_up_all<'a>(env: Env<'a>, uptime: &Uptime, items: Vec<Option<Item>>) -> Term<'a> {
    let items: Vec<Term<'a>> = items.into_iter().map(|item| looked_up(env, uptime, item)).collect();
    (atoms::items(), items).encode(env)
}

/// `{items, [{K, V} | K], IsMore}`. Where this OTP has no term for a key, or a value has to be
/// decoded by the caller, `{'ram encoded', K, Binary}` or `{'ram unreadable', KeyBinary}` stands in
/// the list, and it is `{mixed, Items, IsMore}`. Those beyond the limit only tell that there is
/// more.
pub fn items<'a>(env: Env<'a>, mut items: Vec<Item>, limit: usize, keys_only: bool) -> Term<'a> {
    let is_more = items.len() > limit;
    items.truncate(limit);
    let (kind, items) = entries(env, &items, keys_only);
    (kind, items, is_more).encode(env)
}

/// The first two parts of [`items`].
pub fn entries<'a>(env: Env<'a>, items: &[Item], keys_only: bool) -> (Atom, Vec<Term<'a>>) {
    let mut is_mixed = false;
    let entries = items.iter().map(|item| entry(env, item, keys_only, &mut is_mixed)).collect();
    (if is_mixed { atoms::mixed() } else { atoms::items() }, entries)
}

fn entry<'a>(env: Env<'a>, item: &Item, keys_only: bool, is_mixed: &mut bool) -> Term<'a> {
    let Ok(key) = key::read(env, item.key()) else {
        *is_mixed = true;
        return (atoms::unreadable(), binary(env, item.key())).encode(env);
    };
    if keys_only {
        return key;
    }
    match value::found(env, item) {
        Found::Term(value) => (key, value).encode(env),
        Found::Encoded(etf) => {
            *is_mixed = true;
            (atoms::encoded_value(), key, etf).encode(env)
        }
    }
}

/// What a table is, its entries, and the bytes of these.
pub type Info = (TableType, u64, u64);

/// `{ok, set | ordered_set, Entries, Bytes}`
pub fn info<'a>(env: Env<'a>, (table_type, entries, bytes): Info) -> Term<'a> {
    let table_type = match table_type {
        TableType::Set => atoms::set(),
        TableType::OrderedSet => atoms::ordered_set(),
    };
    (atoms::ok(), table_type, entries, bytes).encode(env)
}

/// `{ok, [Name]}`
pub fn names<'a>(env: Env<'a>, names: &[String]) -> Term<'a> {
    let names: Vec<Term<'a>> = names.iter().map(|name| binary(env, name.as_bytes())).collect();
    (atoms::ok(), names).encode(env)
}
