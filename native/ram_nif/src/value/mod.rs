//! Values as compiled terms: what the table holds of a value, made for reads.
//!
//! [`CompiledTerms`] is given to the core when a member starts. The core hands it each value as it
//! comes from the log, in external term format, and keeps in the table what it gets back. A read
//! makes the term of that with [`found`].
//!
//! Any item is safe to read: what an item says is checked while its term is made, and what it
//! refers to is had from the item itself. Of an item that another owner made the term may be wrong.

mod atoms;
mod compile;
mod etf;
mod format;
mod read;
mod references;

use ram_table::table::Item;
use ram_table::value::{StoredValue, Values};

pub use read::{Found, found};

/// Making the term of fewer bytes takes so short a time that others may wait for it.
const SHORT_BYTES_MAX: usize = 2 * 1024;

/// Has the core hold values as compiled terms.
pub struct CompiledTerms;

impl Values for CompiledTerms {
    fn store<'a>(&self, value: &'a [u8]) -> StoredValue<'a> {
        compile::compile(value)
    }

    fn same(&self, one: &[u8], other: &[u8]) -> bool {
        one == other
    }

    fn count(&self, _current: Option<&[u8]>, _count: &[u8]) -> Option<Vec<u8>> {
        None
    }
}

/// Stand-in until counts are merged.
pub fn count(
    _increment: rustler::Term,
    _default: rustler::Term,
    _limit: Option<(rustler::Term, rustler::Term)>,
) -> Option<Vec<u8>> {
    Some(Vec::new())
}

/// Is the term made in so short a time that others may wait for it?
pub fn is_short(item: &Item) -> bool {
    item.stored_bytes().len() <= SHORT_BYTES_MAX
}
