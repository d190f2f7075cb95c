//! Keys: a byte form of Erlang terms that is equal, and sorts, as the terms do.
//!
//! The table, the log and the peers know keys as bytes only, so three things must hold of them:
//!
//! - **Canonical.** Terms that are `=:=` have the same bytes, on every node and on every OTP
//!   release from 25; other terms have other bytes. (`term_to_binary` gives less, even with
//!   `deterministic`: the order of map keys there follows the order in which a node made its
//!   atoms.)
//! - **Ordered.** Comparing bytes is comparing terms in Erlang's standard order: number < atom <
//!   reference < fun < port < pid < tuple < native record < map < nil < list < bitstring.
//! - **Self-delimiting.** No key is the beginning of another, so a compound is its parts in a row,
//!   and tuples that share their first elements are neighbours: a range of keys is a range of
//!   bytes.
//!
//! # The form
//!
//! ```text
//! 3C..7E  negative numbers   complemented exponent, fraction, kind        (form/number.rs)
//! 80      zero               00 for 0, 01 for -0.0, 02 for 0.0
//! 81..C3  positive numbers   exponent, fraction, kind
//! C8      float in a map key then the float as above
//! CC      atom               UTF-8 text, 00                               (form/text.rs)
//! D0      reference          node, creation, count, words                 (form/identity.rs)
//! D4      fun m:f/a          module, function, arity
//! D8      port               node, id, creation
//! DC      pid                node, id, serial, creation
//! E0      tuple              size, elements
//! E2      native record      module, name, is exported, count, names, values (form/record.rs)
//! E4      map                size, keys ascending, values in key order
//! E8      nil
//! EC      cons               head, tail (any term, so improper lists work)
//! F0      bitstring          bytes, 00, bits used of the last byte
//! ```
//!
//! # Where it differs from Erlang's order, and why
//!
//! - Numbers that Erlang holds for equal (`==`) but not identical are told apart where they stand:
//!   1 before 1.0, 0 before -0.0 before 0.0. So `{1, b}` is before `{1.0, a}`: a prefix of elements
//!   stays a range, and no two keys are equal.
//! - References, ports, pids and external funs sort among themselves by the bytes of
//!   `form/identity.rs`.
//! - Maps with several atoms as keys inside the keys of maps: from OTP 27 on Erlang orders these by
//!   the numbers of the atoms, which each node gives in its own way; here it is their text.
//! - Before OTP 27, `0.0 =:= -0.0`. They are two keys here on every release.
//!
//! Inside map keys, at any depth, Erlang puts all integers before all floats; so do we (C8).
//!
//! # What has no key
//!
//! A fun that is not `fun m:f/a`; a term whose key is longer than the caller's limit; a map nested
//! through `MAP_KEY_DEPTH_MAX` map keys; a native record in `RECORD_DEPTH_MAX` others; a kind of
//! term that a later OTP has and this version does not know. What is inside a term counts as well.

mod encode;
pub mod form;
mod prefix;
mod read;

use rustler::{Env, Term};

pub use encode::{LONG_KEYS, STEPS_MAX, encode};
pub use form::{KeyError, etf};
pub use prefix::{push_prefix, successor};
pub use read::read;

use crate::raw;

/// The term of a key. Atoms that this node has not seen are created, so a key comes from a member
/// of the cluster or from our own disk. Any bytes are safe: what is no key is `Malformed`, and what
/// is the key of a term that only a newer OTP can make is `Unreadable`.
pub fn decode<'a>(env: Env<'a>, key: &[u8]) -> Result<Term<'a>, KeyError> {
    let etf = form::to_etf(key)?;
    raw::term_of_etf(env, &etf).ok_or(KeyError::Unreadable)
}

/// Where all lists are among the keys.
pub fn lists() -> (Vec<u8>, Vec<u8>) {
    (vec![form::tag::NIL], vec![form::tag::CONS + 1])
}
