//! The long binaries of a value, which its compiled term refers to.
//!
//! A compiled term has them sealed (`SharedBytes::sealed`), so that a read need not look for them.
//! The item of the table has both, the compiled term and, as its representation, what keeps them.
//! Items do not change, and nobody else seals or unseals: so what an item has sealed is there while
//! the item is.

use once_cell::sync::Lazy;
use ram_table::table::Item;
use ram_table::value::{Representation, SharedRepresentation, StoredValue};
use rustler::{Env, Term};

use super::compile;
use super::format::value_bytes;
use crate::raw::{self, SEALED_BYTES, SharedBytes};

struct References<S>(S);

impl<S: AsRef<[SharedBytes]> + Send + Sync + 'static> Representation for References<S> {
    fn value(&self, compiled: &[u8]) -> Vec<u8> {
        compile::etf_of(compiled, self.0.as_ref())
    }

    fn value_bytes(&self, compiled: &[u8]) -> usize {
        value_bytes(compiled)
    }
}

/// Appends a copy of the bytes, sealed. What is returned has to be held with them.
pub fn push(compiled: &mut Vec<u8>, bytes: &[u8]) -> SharedBytes {
    let shared = SharedBytes::new(bytes);
    compiled.extend_from_slice(&shared.sealed());
    shared
}

pub fn held_with_one<'a>(compiled: Vec<u8>, shared: SharedBytes) -> StoredValue<'a> {
    StoredValue::represented(compiled, SharedRepresentation::new(References([shared])))
}

pub fn held_with<'a>(compiled: Vec<u8>, shared: Vec<SharedBytes>) -> StoredValue<'a> {
    static NONE: Lazy<SharedRepresentation> =
        Lazy::new(|| SharedRepresentation::new(References([])));
    let form = if shared.is_empty() {
        NONE.clone()
    } else {
        SharedRepresentation::new(References(shared))
    };
    StoredValue::represented(compiled, form)
}

/// A binary of what an item has sealed at this place; none where it has not.
pub fn binary<'a>(env: Env<'a>, item: &Item, at: usize) -> Option<Term<'a>> {
    item.representation()?;
    raw::unsealed(env, item.stored_bytes().get(at..)?.first_chunk::<SEALED_BYTES>()?)
}
