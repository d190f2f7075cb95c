//! Lists of keys that a leader looks after. Every member keeps them as it applies changes, so that
//! each can lead. Clones share them.

use parking_lot::Mutex;
use std::sync::Arc;
use tokio::sync::Notify;
use tokio::task::yield_now;

use ram_store::owners::Owners;
use ram_store::timers::Timers;

/// What all of them can do.
pub trait Lists: Default {
    /// Is nothing listed, and nothing left to be freed?
    fn is_idle(&self) -> bool;

    /// Frees some of what is listed no more. True: there is more.
    fn free_some(&mut self) -> bool;
}

#[derive(Debug)]
pub struct SharedLists<L> {
    /// Guards the lists, for moments.
    lists: Arc<Mutex<L>>,
    /// Told when there is something in them.
    some: Arc<Notify>,
}

impl<L: Lists> SharedLists<L> {
    pub fn new(some: Arc<Notify>) -> SharedLists<L> {
        SharedLists { lists: Arc::default(), some }
    }

    pub(crate) fn with<T>(&self, call: impl FnOnce(&mut L) -> T) -> T {
        call(&mut self.lists.lock())
    }

    /// As `with`; something may be listed after it.
    pub(crate) fn add<T>(&self, call: impl FnOnce(&mut L) -> T) -> T {
        let (was_idle, added) = self.with(|lists| (lists.is_idle(), call(lists)));
        if was_idle {
            self.some.notify_one();
        }
        added
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.with(|lists| lists.is_idle())
    }

    /// Frees what is listed no more.
    pub(crate) async fn free(&self) {
        while self.with(L::free_some) {
            yield_now().await;
        }
    }
}

impl<L> Clone for SharedLists<L> {
    fn clone(&self) -> SharedLists<L> {
        SharedLists { lists: self.lists.clone(), some: self.some.clone() }
    }
}

impl Lists for Timers {
    fn is_idle(&self) -> bool {
        Timers::is_idle(self)
    }

    fn free_some(&mut self) -> bool {
        Timers::free_some(self)
    }
}

impl Lists for Owners {
    fn is_idle(&self) -> bool {
        Owners::is_idle(self)
    }

    fn free_some(&mut self) -> bool {
        Owners::free_some(self)
    }
}
