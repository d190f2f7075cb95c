//! What requests are made of, as terms: counterpart of ram_options.erl. Used by all that answers or
//! queues them; names none of these.

mod key;
mod range;

use ram_core::reading::Freshness;
use rustler::{Binary, Decoder, NifResult, Term};

pub use key::{encode_key, encode_keys, with_key};
pub use range::{KeyRange, decode_range};

use crate::config::Mode;

/// Items that a range is answered with in one call: below a millisecond.
const ITEMS_MAX: usize = 1000;

/// A proper list. rustler's decoder of lists alone panics at the end of an improper one.
pub struct List<T>(pub Vec<T>);

impl<'a, T: Decoder<'a>> Decoder<'a> for List<T> {
    fn decode(term: Term<'a>) -> NifResult<Self> {
        term.list_length()?;
        term.decode().map(List)
    }
}

/// `{Reads, AtLeast}`
pub struct Asked(pub Freshness);

impl<'a> Decoder<'a> for Asked {
    fn decode(term: Term<'a>) -> NifResult<Self> {
        let (Mode(mode), at_least) = term.decode()?;
        Ok(Asked(Freshness { mode, at_least }))
    }
}

/// The name of a table, UTF-8; empty for the default one.
pub fn table_name<'a>(name: &'a Binary) -> NifResult<&'a str> {
    std::str::from_utf8(name).map_err(|_| rustler::Error::BadArg)
}

/// What a range is asked with: `{Reverse, KeysOnly, Limit}`.
#[derive(Clone, Copy)]
pub struct RangeOptions {
    pub reverse: bool,
    pub keys_only: bool,
    /// One more is looked for, so that the caller knows whether there is more.
    pub limit: usize,
}

impl<'a> Decoder<'a> for RangeOptions {
    fn decode(term: Term<'a>) -> NifResult<Self> {
        let (reverse, keys_only, limit): (bool, bool, usize) = term.decode()?;
        Ok(RangeOptions { reverse, keys_only, limit: limit.min(ITEMS_MAX) })
    }
}
