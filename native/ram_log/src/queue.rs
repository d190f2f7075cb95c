//! What was asked of the log and is not yet written, in the order in which it was asked.
//!
//! Operations leave in batches of whole operations. Lazy values wait beside the queue, the newest
//! of each slot only, so that they take bounded memory; they go along with the batch that empties
//! the queue, at its end, and so never overtake anything.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::io;

use bytes::Bytes;

use super::change::Change;

/// Told when an operation is durable, or why it is not. Runs on the thread of the writer, which
/// waits for it: it must not block.
pub type Done = Box<dyn FnOnce(io::Result<()>) + Send>;

/// An operation with the one who waits for it.
pub(super) struct Asked {
    pub(super) change: Change,
    pub(super) done: Done,
}

impl fmt::Debug for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.change.fmt(f)
    }
}

/// The content of one batch.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) asked: Vec<Asked>,
    lazy: Vec<Change>,
    /// The number of the newest operation in it.
    pub(super) ticket: u64,
}

impl Work {
    pub(super) fn changes(&self) -> impl Iterator<Item = &Change> + Clone {
        self.asked.iter().map(|asked| &asked.change).chain(&self.lazy)
    }
}

#[derive(Debug, Default)]
pub(super) struct Queue {
    asked: VecDeque<Asked>,
    lazy: BTreeMap<u8, Bytes>,
    /// The number of the operation that left last.
    taken: u64,
}

impl Queue {
    /// The number of the operation that is pushed next.
    pub(super) fn next_ticket(&self) -> u64 {
        self.taken.saturating_add(self.asked.len() as u64).saturating_add(1)
    }

    pub(super) fn push(&mut self, asked: Asked) {
        if let Change::State(slot, _) = &asked.change {
            // The older lazy value would be written behind the newer one.
            self.lazy.remove(slot);
        }
        self.asked.push_back(asked);
    }

    pub(super) fn push_lazy(&mut self, slot: u8, body: Bytes) {
        self.lazy.insert(slot, body);
    }

    /// Takes the next batch, of so many bytes at most or one operation; lazy values alone make one
    /// only when there will be no other.
    pub(super) fn take(&mut self, bytes_max: usize, is_last: bool) -> Option<Work> {
        let mut asked = Vec::new();
        let mut bytes: usize = 0;
        while let Some(next) = self.asked.front() {
            bytes = bytes.saturating_add(next.change.bytes());
            if bytes > bytes_max && !asked.is_empty() {
                break;
            }
            asked.extend(self.asked.pop_front());
        }
        let mut lazy = Vec::new();
        if self.asked.is_empty() && (is_last || !asked.is_empty()) {
            let values = std::mem::take(&mut self.lazy);
            lazy.extend(values.into_iter().map(|(slot, body)| Change::State(slot, body)));
        }
        if asked.is_empty() && lazy.is_empty() {
            return None;
        }
        self.taken = self.taken.saturating_add(asked.len() as u64);
        Some(Work { asked, lazy, ticket: self.taken })
    }

    /// Empties the queue without writing it.
    pub(super) fn drain(&mut self) -> Vec<Asked> {
        self.lazy.clear();
        self.asked.drain(..).collect()
    }
}
