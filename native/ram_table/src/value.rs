//! Stored values: what the table keeps in memory for the bytes of a value.
//!
//! A value is bytes in the log, on the wire and in files, and can be had as bytes at any time. What
//! an item stores is the choice of the member's owner: the bytes themselves ([`Plain`]), or a
//! representation from which its readers are served faster (ram_nif: compiled terms). Nothing in
//! here looks into either, and nothing that is replicated depends on it.

use std::any::Any;
use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;
use triomphe::Arc;

/// What the owner of a member knows of values: how they are stored, and what the replicated state
/// has to know of their meaning. The latter is a function of the bytes, the same on every member
/// whatever it runs on. Called by one thread at a time.
pub trait Values: Send + Sync {
    fn store<'a>(&self, value: &'a [u8]) -> StoredValue<'a>;

    /// Are these two encodings of the same value? Takes from `steps_left` what it costs to know;
    /// `None`: that was not enough. Equal bytes cost nothing.
    fn same(&self, one: &[u8], other: &[u8], steps_left: &mut usize) -> Option<bool>;

    /// The number that `count` makes of the value of a key. `None`: the value is no number.
    fn count(&self, current: Option<&[u8]>, count: &[u8]) -> Option<Vec<u8>>;
}

/// Stores the bytes of the value. A number is an `i64` of 8 bytes, little-endian; so is a count,
/// which is added.
#[derive(Debug, Default)]
pub struct Plain;

impl Values for Plain {
    fn store<'a>(&self, value: &'a [u8]) -> StoredValue<'a> {
        StoredValue::plain(value)
    }

    fn same(&self, one: &[u8], other: &[u8], _steps_left: &mut usize) -> Option<bool> {
        Some(one == other)
    }

    fn count(&self, current: Option<&[u8]>, count: &[u8]) -> Option<Vec<u8>> {
        let number = |bytes: &[u8]| Some(i64::from_le_bytes(bytes.try_into().ok()?));
        let current = current.map_or(Some(0), number)?;
        Some(current.wrapping_add(number(count)?).to_le_bytes().to_vec())
    }
}

/// How the stored bytes of an item stand for those of its value, and whatever they refer to. The
/// owner finds its own type again by `Any`.
pub trait Representation: Any + Send + Sync {
    /// The bytes of the value for which `stored` stands.
    fn value(&self, stored: &[u8]) -> Vec<u8>;

    /// How many those are.
    fn value_bytes(&self, stored: &[u8]) -> usize;
}

/// The representation of an item. Clones share it, so one that refers to nothing serves many items.
/// It is a single word, which an item has in any case.
#[derive(Clone)]
pub struct SharedRepresentation(Arc<Box<dyn Representation>>);

impl SharedRepresentation {
    pub fn new(representation: impl Representation) -> SharedRepresentation {
        SharedRepresentation(Arc::new(Box::new(representation)))
    }
}

impl Deref for SharedRepresentation {
    type Target = dyn Representation;

    fn deref(&self) -> &Self::Target {
        self.0.as_ref().as_ref()
    }
}

impl fmt::Debug for SharedRepresentation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedRepresentation")
    }
}

/// A value on its way into an item.
pub struct StoredValue<'a> {
    pub(crate) bytes: Cow<'a, [u8]>,
    pub(crate) representation: Option<SharedRepresentation>,
}

impl<'a> StoredValue<'a> {
    pub fn plain(value: &'a [u8]) -> StoredValue<'a> {
        StoredValue { bytes: Cow::Borrowed(value), representation: None }
    }

    /// The item stores these bytes and keeps the representation.
    pub fn represented(bytes: Vec<u8>, representation: SharedRepresentation) -> StoredValue<'a> {
        StoredValue { bytes: Cow::Owned(bytes), representation: Some(representation) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_values_are_the_same_when_their_bytes_are() {
        assert_eq!(Plain.same(b"a", b"a", &mut 0), Some(true));
        assert_eq!(Plain.same(b"a", b"b", &mut 0), Some(false));
    }

    #[test]
    fn plain_values_of_eight_bytes_are_counted() {
        let number = |number: i64| number.to_le_bytes();
        for (current, count, sum) in [(7, 5, 12), (7, -8, -1), (i64::MAX, 1, i64::MIN)] {
            let counted = Plain.count(Some(&number(current)), &number(count));
            assert_eq!(counted.as_deref(), Some(&number(sum)[..]));
        }
        assert_eq!(Plain.count(None, &number(5)).as_deref(), Some(&number(5)[..]));
        assert_eq!(Plain.count(Some(b"7 bytes"), &number(5)), None);
        assert_eq!(Plain.count(None, b"7 bytes"), None);
    }
}
