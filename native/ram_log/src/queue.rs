//! The write queue: submitted operations that are not yet written, in the order of submission.
//!
//! The flush loop takes them in batches of whole operations. Lazily set values are kept beside the
//! queue, only the newest one of each name, so that they take bounded memory. They are written at
//! the end of the batch that empties the queue, and so never before an earlier operation.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::io;

use bytes::Bytes;

use super::operation::Operation;

/// The callback of an operation: called when it is durable, or with the reason why it is not. The
/// flush loop calls it and waits for it, so it must not block.
pub type Done = Box<dyn FnOnce(io::Result<()>) + Send>;

/// An operation and the callback that gets its result.
pub(super) struct QueuedOperation {
    pub(super) operation: Operation,
    pub(super) done: Done,
}

impl fmt::Debug for QueuedOperation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.operation.fmt(f)
    }
}

/// The content of one batch.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) queued: Vec<QueuedOperation>,
    lazy: Vec<Operation>,
    /// The sequence number of the newest operation in it.
    pub(super) sequence: u64,
}

impl Batch {
    pub(super) fn operations(&self) -> impl Iterator<Item = &Operation> + Clone {
        self.queued.iter().map(|queued| &queued.operation).chain(&self.lazy)
    }
}

#[derive(Debug, Default)]
pub(super) struct Queue {
    queued: VecDeque<QueuedOperation>,
    lazy: BTreeMap<u8, Bytes>,
    /// The sequence number of the last operation that was taken.
    taken: u64,
}

impl Queue {
    /// The sequence number of the operation that is pushed next.
    pub(super) fn next_sequence(&self) -> u64 {
        self.taken.saturating_add(self.queued.len() as u64).saturating_add(1)
    }

    pub(super) fn push(&mut self, queued: QueuedOperation) {
        if let Operation::SetValue(name, _) = &queued.operation {
            // The older lazy value would be written after this newer one.
            self.lazy.remove(name);
        }
        self.queued.push_back(queued);
    }

    pub(super) fn push_lazy(&mut self, name: u8, body: Bytes) {
        self.lazy.insert(name, body);
    }

    /// Takes the next batch: at most `bytes_max` bytes, or one operation. Lazy values alone make a
    /// batch only when `is_last`, since no other batch follows.
    pub(super) fn take(&mut self, bytes_max: usize, is_last: bool) -> Option<Batch> {
        let mut queued = Vec::new();
        let mut bytes: usize = 0;
        while let Some(next) = self.queued.front() {
            bytes = bytes.saturating_add(next.operation.bytes());
            if bytes > bytes_max && !queued.is_empty() {
                break;
            }
            queued.extend(self.queued.pop_front());
        }
        let mut lazy = Vec::new();
        if self.queued.is_empty() && (is_last || !queued.is_empty()) {
            let values = std::mem::take(&mut self.lazy);
            lazy.extend(values.into_iter().map(|(name, body)| Operation::SetValue(name, body)));
        }
        if queued.is_empty() && lazy.is_empty() {
            return None;
        }
        self.taken = self.taken.saturating_add(queued.len() as u64);
        Some(Batch { queued, lazy, sequence: self.taken })
    }

    /// Removes all operations without writing them.
    pub(super) fn drain(&mut self) -> Vec<QueuedOperation> {
        self.lazy.clear();
        self.queued.drain(..).collect()
    }
}
