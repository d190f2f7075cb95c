//! A value behind a big-reader lock: read by any number of threads, changed by one at a time.
//!
//! The lock is several, one for each reader stripe. A reader takes the one of its thread, a change
//! takes all of them, so readers share no word that they write (`ram_threads::stripe`). The ordered
//! table keeps its tree in one.
//!
//! A file with `unsafe`: the value lies in a cell, and it is these locks that say who may read it
//! and who may change it. `tests/loom.rs` checks that in all orders.

use ram_threads::stripe;
use ram_threads::sync::{IS_MODEL, RwLock, UnsafeCell};
use std::fmt;

/// A change takes them all, so not one for each thread there might be.
const LOCKS_MAX: usize = if IS_MODEL { 2 } else { 16 };

/// Away from its neighbours: a processor fetches lines of memory in pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
struct StripeLock(RwLock<()>);

pub struct Striped<T> {
    /// One for each stripe of readers; a power of two.
    locks: Box<[StripeLock]>,
    /// Read by who holds a lock, changed by who holds all of them.
    value: UnsafeCell<T>,
}

// SAFETY: a reference lets a thread read the value beside others (`T: Sync`) and, under all locks,
// move it in and out (`T: Send`).
unsafe impl<T: Send + Sync> Sync for Striped<T> {}

impl<T> fmt::Debug for Striped<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Striped")
    }
}

impl<T> Striped<T> {
    pub fn new(value: T) -> Self {
        let locks = (0..stripe::count(LOCKS_MAX)).map(|_| StripeLock::default()).collect();
        Striped { locks, value: UnsafeCell::new(value) }
    }

    /// Calls `read` with the value, which nobody changes until it returns. For moments: a change
    /// waits for it, and then every reader for the change.
    pub fn read<R>(&self, read: impl FnOnce(&T) -> R) -> R {
        let stripe = stripe::of_this_thread() & (self.locks.len() - 1);
        let _held = self.locks.get(stripe).map(|lock| lock.0.read());
        // SAFETY: the value is changed in this file alone, by those who hold all locks, of which
        // one is held here until `read` has returned: there is one for each number below `len`.
        self.value.with(|value| read(unsafe { &*value }))
    }

    /// Calls `change` with the value when no reader has it, as one change for them.
    pub fn write<R>(&self, change: impl FnOnce(&mut T) -> R) -> R {
        let _held: [_; LOCKS_MAX] =
            std::array::from_fn(|stripe| Some(self.locks.get(stripe)?.0.write()));
        // SAFETY: all locks are held until `change` has returned: there are at most `LOCKS_MAX`.
        self.value.with_mut(|value| change(unsafe { &mut *value }))
    }
}

#[cfg(test)]
mod tests;
