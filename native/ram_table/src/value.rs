//! Values: bytes in the log, on the wire and in files; in memory what the owner of a member makes
//! of them.
//!
//! A value comes as bytes and can be had as bytes at any time. What is held in between is the
//! owner's choice: the bytes themselves ([`Plain`]), or a form of them from which its readers are
//! served faster. Nothing in here looks into either, and nothing that is replicated depends on it.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;
use triomphe::Arc;

/// Makes of bytes what is held in memory. Called by one thread at a time.
pub trait Values: Send + Sync {
    fn hold<'a>(&self, value: &'a [u8]) -> Held<'a>;
}

/// Holds the bytes as they are.
#[derive(Debug, Default)]
pub struct Plain;

impl Values for Plain {
    fn hold<'a>(&self, value: &'a [u8]) -> Held<'a> {
        Held::as_it_is(value)
    }
}

/// What bytes are held instead of those of a value, and whatever they refer to.
pub trait Form: Send + Sync {
    /// The bytes of the value that is held as `held`.
    fn value(&self, held: &[u8]) -> Vec<u8>;

    /// How many those are.
    fn value_bytes(&self, held: &[u8]) -> usize;
}

/// A form that items hold. One that refers to nothing may be in many; clones share it. A single
/// word, which an item of the table has whether it has a form or not.
#[derive(Clone)]
pub struct AnyForm(Arc<Box<dyn Form>>);

impl AnyForm {
    pub fn new(form: impl Form + 'static) -> AnyForm {
        AnyForm(Arc::new(Box::new(form)))
    }
}

impl Deref for AnyForm {
    type Target = dyn Form;

    fn deref(&self) -> &Self::Target {
        self.0.as_ref().as_ref()
    }
}

impl fmt::Debug for AnyForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AnyForm")
    }
}

/// A value on its way into an item.
pub struct Held<'a> {
    pub(crate) bytes: Cow<'a, [u8]>,
    pub(crate) form: Option<AnyForm>,
}

impl<'a> Held<'a> {
    pub fn as_it_is(value: &'a [u8]) -> Held<'a> {
        Held { bytes: Cow::Borrowed(value), form: None }
    }

    /// The item has these bytes, and keeps the form.
    pub fn as_form(bytes: Vec<u8>, form: AnyForm) -> Held<'a> {
        Held { bytes: Cow::Owned(bytes), form: Some(form) }
    }
}
