//! A sequence lock: readers of several keys learn whether what they have read is of one moment,
//! and write nothing that others have to wait for.
//!
//! The writer makes the sequence odd while it applies a write, and even when it is done. A reader
//! that finds the same even number before and after has seen no write begin, so all that it read
//! was true at once, at any moment between. Else it has to ask again, or on the thread of the
//! writer, between two writes.
//!
//! What is read is under locks of its own, so that a read beside a write is no data race: the
//! sequence only says whether there was one.
//!
//! Source: Hemminger, *fast reader/writer lock for gettimeofday* (Linux 2.5.60, 2003); the fences
//! are those of Boehm, *Can seqlocks get along with programming language memory models?* (MSPC
//! 2012), section 4.

use ram_threads::sync::{AtomicU64, fence};
use std::sync::atomic::Ordering;

/// On a line of its own: the writer writes it often.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Sequence(AtomicU64);

impl Sequence {
    /// For the one writer only.
    pub fn begin_write(&self) {
        self.0.store(self.0.load(Ordering::Relaxed) | 1, Ordering::Relaxed);
        fence(Ordering::Release);
    }

    /// For the one writer only. Nothing happens when none has begun.
    pub fn end_write(&self) {
        let sequence = self.0.load(Ordering::Relaxed);
        self.0.store(sequence + (sequence & 1), Ordering::Release);
    }

    pub fn is_writing(&self) -> bool {
        self.0.load(Ordering::Acquire) & 1 == 1
    }

    /// What `read` returns, if no write was applied meanwhile.
    pub fn consistent<T>(&self, read: impl FnOnce() -> T) -> Option<T> {
        let before = self.0.load(Ordering::Acquire);
        if before & 1 == 1 {
            return None;
        }
        let seen = read();
        fence(Ordering::Acquire);
        (self.0.load(Ordering::Relaxed) == before).then_some(seen)
    }
}
