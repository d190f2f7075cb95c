//! Tickets: each request that waits is answered, or given up by its owner; never both.
//!
//! [`Tickets`] is a map of those who wait. Whoever answers a request takes its ticket; its owner
//! may cancel it at any time. Both remove the entry of the request, and only one of them finds it.
//! So after a successful cancel there is no answer, and after a failed one the answer is there or
//! on its way. `ram_nif` makes messages of it.
//!
//! Under the feature `loom` a lock of loom's stands around the map in place of dashmap's own.

use std::sync::atomic::Ordering;

use crate::sync::AtomicU64;
use entries::Entries;

#[cfg(not(feature = "loom"))]
mod entries {
    use dashmap::DashMap;
    use foldhash::fast::RandomState;

    #[derive(Debug)]
    pub struct Entries<W>(DashMap<u64, W, RandomState>);

    impl<W> Default for Entries<W> {
        fn default() -> Self {
            Entries(DashMap::default())
        }
    }

    impl<W> Entries<W> {
        #[inline]
        pub fn insert(&self, id: u64, waiter: W) {
            self.0.insert(id, waiter);
        }

        #[inline]
        pub fn remove(&self, id: u64) -> Option<W> {
            Some(self.0.remove(&id)?.1)
        }

        pub fn len(&self) -> usize {
            self.0.len()
        }
    }
}

#[cfg(feature = "loom")]
mod entries {
    use crate::sync::Mutex;
    use std::collections::BTreeMap;

    #[derive(Debug)]
    pub struct Entries<W>(Mutex<BTreeMap<u64, W>>);

    impl<W> Default for Entries<W> {
        fn default() -> Self {
            Entries(Mutex::new(BTreeMap::new()))
        }
    }

    impl<W> Entries<W> {
        pub fn insert(&self, id: u64, waiter: W) {
            self.0.lock().insert(id, waiter);
        }

        pub fn remove(&self, id: u64) -> Option<W> {
            self.0.lock().remove(&id)
        }

        pub fn len(&self) -> usize {
            self.0.lock().len()
        }
    }
}

/// Those who wait for an answer.
#[derive(Debug)]
pub struct Tickets<W> {
    waiting: Entries<W>,
    next_id: AtomicU64,
}

impl<W> Default for Tickets<W> {
    fn default() -> Self {
        Tickets { waiting: Entries::default(), next_id: AtomicU64::new(0) }
    }
}

impl<W> Tickets<W> {
    /// From now on `waiter` waits, until its ticket, which is returned, is taken or cancelled.
    pub fn enter(&self, waiter: W) -> u64 {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        self.waiting.insert(id, waiter);
        id
    }

    /// Whom to answer, who waits no more; `None`: it was cancelled, or taken before.
    pub fn take(&self, id: u64) -> Option<W> {
        self.waiting.remove(id)
    }

    /// True when the request was still waiting: then nobody answers it.
    pub fn cancel(&self, id: u64) -> bool {
        self.take(id).is_some()
    }

    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(all(test, not(feature = "loom")))]
mod tests {
    use super::*;

    #[test]
    fn who_is_taken_or_cancelled_is_there_no_more() {
        let tickets = Tickets::default();
        let (first, second) = (tickets.enter('a'), tickets.enter('b'));
        assert_ne!(first, second);
        assert_eq!((tickets.len(), tickets.is_empty()), (2, false));
        assert_eq!(tickets.take(first), Some('a'));
        assert!(tickets.take(first).is_none() && !tickets.cancel(first));
        assert!(tickets.cancel(second));
        assert!(tickets.take(second).is_none());
        assert_eq!((tickets.len(), tickets.is_empty()), (0, true));
    }
}
