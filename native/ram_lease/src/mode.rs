//! What a reader asks for, and which way its answer comes: the one place where that is decided, for
//! reads in the call of a reader and for those that wait.

use super::{Reads, Unanswerable};

/// Who answers a read, and how new the answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadMode {
    /// The asked member, after a majority has confirmed the leader. Linearizable.
    Quorum,
    /// The asked member alone while it holds a read lease; else as `Quorum`. Linearizable.
    Lease,
    /// The asked member alone, with what it has: maybe something old, and without a majority too.
    Local,
}

/// How the answer to one read comes about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadPath {
    /// It is in the table. Whoever is told so takes the table after that: see `answer`.
    Now,
    /// It is in the table when this index is applied.
    Applied { index: u64 },
    /// It is in the table when the index is applied that a majority confirms.
    Quorum,
}

/// The keys that a read looks at.
#[derive(Debug, Clone, Copy)]
pub enum Scope<'a> {
    Keys(&'a [&'a [u8]]),
    /// A range, or a whole table: whatever is pending may be in it.
    All,
}

impl Reads {
    /// Which way a read of this key goes that is asked now. Takes no part in anything: atomics, and
    /// the clock.
    pub fn read_path(&self, mode: ReadMode, key: &[u8]) -> ReadPath {
        self.path(mode, || self.pending.is_pending(key))
    }

    /// As [`Reads::read_path`], of a read that looks at several keys.
    pub fn read_path_of(&self, mode: ReadMode, scope: Scope<'_>) -> ReadPath {
        self.path(mode, || match scope {
            Scope::Keys(keys) => keys.iter().any(|key| self.pending.is_pending(key)),
            Scope::All => self.pending.is_any_pending(),
        })
    }

    fn path(&self, mode: ReadMode, is_pending: impl FnOnce() -> bool) -> ReadPath {
        let why = match mode {
            ReadMode::Local => return ReadPath::Now,
            ReadMode::Quorum => return ReadPath::Quorum,
            ReadMode::Lease => match self.may_answer(is_pending) {
                Ok(()) => return ReadPath::Now,
                Err(why) => why,
            },
        };
        // Asked after the marks were seen: once it is applied, the table shows all that was
        // committed when the lease was looked at.
        let marked = self.pending.last_marked();
        match why {
            Unanswerable::Pending => ReadPath::Applied { index: marked },
            Unanswerable::Behind { from_index } => {
                ReadPath::Applied { index: from_index.max(marked) }
            }
            Unanswerable::NoLease => ReadPath::Quorum,
        }
    }
}
