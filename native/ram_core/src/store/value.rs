//! Values: bytes in the log, on the wire and in files; in memory what the owner of a member makes
//! of them.
//!
//! A value comes as bytes and can be had as bytes at any time. What is held in between is the
//! owner's choice: the bytes themselves ([`Plain`]), or a form from which its readers are served
//! faster. Nothing in here looks into either, and nothing that is replicated depends on the form.
//!
//! Several values may share one piece of memory, which is freed with the last of them. A few that
//! live on would keep much that is dead, so the store walks its table while the owner says that
//! it is worth it, and asks for each value whether it should move ([`sweep`](super::sweep)).

use std::any::Any;
use std::fmt;

/// Makes of bytes what is held in memory. Called by one thread at a time.
pub trait Values: Send + Sync {
    fn hold(&self, bytes: &[u8]) -> Held;

    /// Should values move, when `sharing` of those in the table share memory with others?
    fn is_wasteful(&self, _sharing: u64) -> bool {
        false
    }

    /// The same value in other memory; `None` when it is well where it is.
    fn moved(&self, _held: &Held) -> Option<Held> {
        None
    }
}

/// Holds the bytes as they are.
#[derive(Debug, Default)]
pub struct Plain;

impl Values for Plain {
    fn hold(&self, _bytes: &[u8]) -> Held {
        Held::by_item()
    }
}

/// Where a value is.
pub struct Held(Option<Box<dyn Keep>>);

/// A value that is kept elsewhere.
pub trait Keep: Any + Send + Sync {
    fn bytes(&self) -> Vec<u8>;

    /// How many bytes those are.
    fn length_bytes(&self) -> usize;

    /// Is its memory made for several values?
    fn is_shared(&self) -> bool {
        false
    }
}

impl Held {
    /// The item has its bytes.
    pub fn by_item() -> Held {
        Held(None)
    }

    pub fn by(kept: impl Keep) -> Held {
        Held(Some(Box::new(kept)))
    }

    pub fn kept(&self) -> Option<&dyn Keep> {
        self.0.as_deref()
    }

    pub fn is_shared(&self) -> bool {
        self.kept().is_some_and(Keep::is_shared)
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Held({})", if self.0.is_some() { "elsewhere" } else { "by the item" })
    }
}
