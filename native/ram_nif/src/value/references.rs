//! The long binaries of a value, which its compiled term refers to in the order in which they come.
//! The item of the table keeps them.

//!
//! The core cannot be asked of which type a form is. So the form is asked itself, by a compiled
//! term that is too short to be one: forms of this type answer through a place of the thread, and
//! others know nothing of it.

use once_cell::sync::Lazy;
use ram_core::store::table::Item;
use ram_core::store::value::{AnyForm, Form, Held};
use std::cell::Cell;

use super::compile;
use super::format::{self, U32_BYTES};
use crate::raw::SharedBytes;

thread_local! {
    /// The answer of a form that was asked; none before and after.
    static ANSWER: Cell<Option<SharedBytes>> = const { Cell::new(None) };
}

/// One lies in here itself, which saves its readers a step.
struct References<S>(S);

impl<S: AsRef<[SharedBytes]> + Send + Sync + 'static> Form for References<S> {
    fn value(&self, compiled: &[u8]) -> Vec<u8> {
        compile::etf_of(compiled, self.0.as_ref())
    }

    fn value_bytes(&self, compiled: &[u8]) -> usize {
        let Ok(index) = <[u8; U32_BYTES]>::try_from(compiled) else {
            return format::value_bytes(compiled);
        };
        ANSWER.set(self.get(u32::from_ne_bytes(index)));
        0
    }
}

impl<S: AsRef<[SharedBytes]>> References<S> {
    fn get(&self, index: u32) -> Option<SharedBytes> {
        self.0.as_ref().get(index as usize).cloned()
    }
}

pub fn held_with_one<'a>(compiled: Vec<u8>, shared: SharedBytes) -> Held<'a> {
    Held::as_form(compiled, AnyForm::new(References([shared])))
}

pub fn held_with<'a>(compiled: Vec<u8>, shared: Vec<SharedBytes>) -> Held<'a> {
    static NONE: Lazy<AnyForm> = Lazy::new(|| AnyForm::new(References([])));
    let form = if shared.is_empty() { NONE.clone() } else { AnyForm::new(References(shared)) };
    Held::as_form(compiled, form)
}

/// What an item refers to at this place; none if its form is not of this module.
pub fn get(item: &Item, index: u32) -> Option<SharedBytes> {
    item.form()?.value_bytes(&index.to_ne_bytes());
    ANSWER.take()
}
