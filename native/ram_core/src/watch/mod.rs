//! Watches: who is told of changes, and of which; a publish-subscribe hub on the thread that
//! applies.
//!
//! The state machine tells the [`Hub`] of each change of each write ([`Observer`]); the hub sends
//! them to the watches whose keys they are, in the order of their revisions, one message a write.
//! Callers on any thread have a [`Control`] of their watch.
//!
//! Guarantees:
//! - A watch that began at revision R is sent each later change of its keys once, in order, with
//!   all changes that one write made of its keys in one message, until it ends. If it ends but by
//!   its owner's call or death, its last message is [`Message::Lost`]: there is no gap without it.
//! - Nothing is sent of what is not committed, since nothing is applied that is not.
//! - A receiver has at most so many events unacknowledged as its watch has credit, but for one
//!   write that has more. What waits for credit is bounded in bytes: beyond, the watch is lost.
//!   What came before it began (its table's content, the history) is not queued but read when
//!   there is credit.
//! - No watch waits for another: a send never blocks, and long work is done in steps.
//!
//! The credit is that of flow control by windows (TCP; HTTP/2, RFC 9113, 5.2). The names are those
//! of etcd, where it has them; its faults (events lost between a read and the watch, sent twice
//! after a reconnect, or after a cancel) are named tests in `tests`.
//!
//! Nothing in here knows a socket, a clock or Erlang; `watches` alone knows other threads.

mod event;
mod history;
mod hub;
mod index;
mod observed;
mod ranges;
mod source;
mod watcher;
mod watches;

pub use event::Event;
pub use hub::Hub;
pub use ram_store::observe::{Change, Gone, Observer};
pub use source::Initial;
pub use watches::{Control, Sizes, Watches};

use std::ops::{Bound, RangeBounds};

/// The keys of a watch, encoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Keys {
    One(Vec<u8>),
    /// Of an ordered table.
    Range(Bound<Vec<u8>>, Bound<Vec<u8>>),
    All,
}

impl Keys {
    pub fn has(&self, key: &[u8]) -> bool {
        match self {
            Keys::One(one) => one == key,
            Keys::Range(from, to) => {
                let range = (from.as_ref().map(Vec::as_slice), to.as_ref().map(Vec::as_slice));
                RangeBounds::<[u8]>::contains(&range, key)
            }
            Keys::All => true,
        }
    }
}

/// What is watched, and how.
#[derive(Debug, Clone)]
pub struct Spec {
    /// Its name; empty for the default one.
    pub table: String,
    pub keys: Keys,
    /// Changes of this revision and later ones; without it, those after the watch began.
    pub from: Option<u64>,
    /// A revision that is not reached yet is waited for; else it counts as compacted: whoever has
    /// seen the one before it has seen another history.
    pub may_wait: bool,
    /// First what the keys hold.
    pub initial: bool,
    /// With what a key held before.
    pub old: bool,
    /// The credit.
    pub events_max: usize,
    /// What may wait for credit.
    pub bytes_max: u64,
}

/// What a watch is sent.
#[derive(Debug, Clone, Copy)]
pub enum Message<'a> {
    /// All that one write changed, or some of what was there at that revision.
    Changes { revision: u64, events: &'a [&'a Event], with_old: bool },
    /// All that was there at this revision has been sent.
    InitialDone { revision: u64 },
    /// The last message. All up to this revision was sent; 0: not even what was there.
    Lost { revision: u64 },
}

/// Sends messages to the receiver of one watch, at once: it never blocks.
pub trait Deliver: Send {
    /// False: the receiver is gone for good.
    fn deliver(&self, message: Message<'_>) -> bool;
}

/// The history does not go back so far; this is the oldest revision that it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compacted {
    pub oldest: u64,
}

#[cfg(test)]
mod tests;
