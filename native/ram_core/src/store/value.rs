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
use std::sync::Arc;

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

/// Where a value is. A word, since most values are small and in the item itself.
#[derive(Clone)]
pub struct Held(Option<Box<(Arc<dyn Keep>, usize)>>);

/// Memory with values in it.
pub trait Keep: Any + Send + Sync {
    /// The bytes of the value that is held with this word.
    fn bytes(&self, word: usize) -> Vec<u8>;

    /// Is it made for several values?
    fn is_shared(&self) -> bool;
}

impl Held {
    /// The item has its bytes.
    pub fn by_item() -> Held {
        Held(None)
    }

    /// `word` says which value of the keeper it is, and means something to that one alone.
    pub fn by(keeper: Arc<dyn Keep>, word: usize) -> Held {
        Held(Some(Box::new((keeper, word))))
    }

    pub fn keeper(&self) -> Option<(&Arc<dyn Keep>, usize)> {
        self.0.as_deref().map(|(keeper, word)| (keeper, *word))
    }

    pub fn is_shared(&self) -> bool {
        self.keeper().is_some_and(|(keeper, _)| keeper.is_shared())
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Held({})", if self.0.is_some() { "elsewhere" } else { "by the item" })
    }
}
