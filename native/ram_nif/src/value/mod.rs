//! Values as compiled terms: what the table holds of a value, made for reads.
//!
//! [`CompiledTerms`] is given to the core when a member starts. The core hands it each value as it
//! comes from the log, in external term format, and keeps in the table what it gets back. A read
//! makes the term of that with [`found`].
//!
//! What the replicated state has to know of values is here too: whether two are the same term
//! (`equal.rs`), and what a counter becomes (`number.rs`). Both are functions of bytes.
//!
//! Any item is safe to read: what an item says is checked while its term is made, and what it
//! refers to is had from the item itself. Of an item that another owner made the term may be wrong.

mod atoms;
mod compile;
mod equal;
mod etf;
mod extent;
mod format;
mod number;
mod read;
mod references;

use ram_table::table::Item;
use ram_table::value::{StoredValue, Values};
use rustler::{Env, Term};

pub use read::{Found, found};

use crate::raw;

/// Making the term of fewer bytes takes so short a time that others may wait for it.
const SHORT_BYTES_MAX: usize = 2 * 1024;

/// Has the core hold values as compiled terms.
pub struct CompiledTerms;

impl Values for CompiledTerms {
    fn store<'a>(&self, value: &'a [u8]) -> StoredValue<'a> {
        compile::compile(value)
    }

    fn same(&self, one: &[u8], other: &[u8], steps_left: &mut usize) -> Option<bool> {
        equal::same(one, other, steps_left)
    }

    fn count(&self, current: Option<&[u8]>, count: &[u8]) -> Option<Vec<u8>> {
        number::count(current, count)
    }
}

/// A count, for [`Values::count`]: the increment, what an absent key counts from, and perhaps a
/// threshold and what the counter is set to beyond it. `None` if one of these is no integer.
pub fn count(increment: Term, default: Term, limit: Option<(Term, Term)>) -> Option<Vec<u8>> {
    // A number: what is no integer is not encoded, however long it is.
    let etf = |term: Term| if term.is_number() { raw::etf_of(term) } else { None };
    let limit = match limit {
        Some((threshold, set_to)) => Some((etf(threshold)?, etf(set_to)?)),
        None => None,
    };
    let limit = limit.as_ref().map(|(threshold, set_to)| (&threshold[..], &set_to[..]));
    number::encode(&etf(increment)?, &etf(default)?, limit)
}

/// Is the term made in so short a time that others may wait for it?
pub fn is_short(item: &Item) -> bool {
    item.stored_bytes().len() <= SHORT_BYTES_MAX
}

/// As [`found`], if the term is made in so short a time that others may wait for it.
pub fn found_if_short<'a>(env: Env<'a>, item: &Item) -> Option<Found<'a>> {
    let stored = item.stored_bytes();
    (stored.len() <= SHORT_BYTES_MAX).then(|| read::made(env, item, stored))
}
