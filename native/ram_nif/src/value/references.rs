//! The long binaries of a value, which its compiled term refers to.
//!
//! A compiled term has them sealed (`SharedBytes::sealed`), so that a read need not look for them.
//! The item of the table has both, the compiled term and, as its form, what keeps them. Items do
//! not change, and nobody else seals or unseals: so what an item has sealed is there while the item
//! is.

use once_cell::sync::Lazy;
use ram_core::store::table::Item;
use ram_core::store::value::{AnyForm, Form, Held};
use rustler::{Env, Term};

use super::compile;
use super::format::value_bytes;
use crate::raw::{self, SEALED_BYTES, SharedBytes};

struct References<S>(S);

impl<S: AsRef<[SharedBytes]> + Send + Sync> Form for References<S> {
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

pub fn held_with_one<'a>(compiled: Vec<u8>, shared: SharedBytes) -> Held<'a> {
    Held::as_form(compiled, AnyForm::new(References([shared])))
}

pub fn held_with<'a>(compiled: Vec<u8>, shared: Vec<SharedBytes>) -> Held<'a> {
    static NONE: Lazy<AnyForm> = Lazy::new(|| AnyForm::new(References([])));
    let form = if shared.is_empty() { NONE.clone() } else { AnyForm::new(References(shared)) };
    Held::as_form(compiled, form)
}

/// A binary of what an item has sealed at this place; none where it has not.
pub fn binary<'a>(env: Env<'a>, item: &Item, at: usize) -> Option<Term<'a>> {
    item.form()?;
    raw::unsealed(env, item.held_bytes().get(at..)?.first_chunk::<SEALED_BYTES>()?)
}
