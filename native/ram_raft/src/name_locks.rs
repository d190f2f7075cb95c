//! A fair lock for each node name: changes of one member are made one after the other, in the order
//! in which they were asked for. Changes of different names do not wait for each other here.
//!
//! Used by `members`. Who holds a lock can ask whether a removal waits behind it.

use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

#[derive(Default)]
pub struct NameLocks {
    /// Guards the queues of the names that have a change now.
    queues: Mutex<BTreeMap<String, Arc<Queue>>>,
}

#[derive(Default)]
struct Queue {
    /// Held by the change that is made now; fair, so the others get it in their order.
    lock: Arc<AsyncMutex<()>>,
    removals_waiting: AtomicUsize,
}

/// The right to change the members of one name, until it is dropped.
pub struct NameLock {
    queue: Arc<Queue>,
    _held: OwnedMutexGuard<()>,
}

impl NameLock {
    /// Is the member to be removed as soon as this change is made?
    pub fn is_removal_waiting(&self) -> bool {
        self.queue.removals_waiting.load(Ordering::Relaxed) > 0
    }
}

impl NameLocks {
    /// Waits for those who asked before.
    pub async fn lock(&self, name: &str, is_removal: bool) -> NameLock {
        let queue = self.queue(name);
        let waiting = is_removal.then(|| Waiting::of(&queue));
        let held = queue.lock.clone().lock_owned().await;
        drop(waiting);
        NameLock { queue, _held: held }
    }

    /// `None`: a change of this name is being made.
    pub fn try_lock(&self, name: &str) -> Option<NameLock> {
        let queue = self.queue(name);
        let held = queue.lock.clone().try_lock_owned().ok()?;
        Some(NameLock { queue, _held: held })
    }

    fn queue(&self, name: &str) -> Arc<Queue> {
        let mut queues = self.queues.lock();
        queues.retain(|_, queue| Arc::strong_count(queue) > 1);
        queues.entry(name.to_owned()).or_default().clone()
    }
}

/// Counts a removal that waits, also when whoever waits for it goes away.
struct Waiting(Arc<Queue>);

impl Waiting {
    fn of(queue: &Arc<Queue>) -> Waiting {
        queue.removals_waiting.fetch_add(1, Ordering::Relaxed);
        Waiting(queue.clone())
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.removals_waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[test]
    fn changes_of_one_name_wait_for_each_other_and_those_of_another_do_not() {
        let names = NameLocks::default();
        let first = names.lock("a", false).now_or_never().unwrap();
        assert!(names.try_lock("a").is_none());
        assert!(names.try_lock("b").is_some());
        let mut second = Box::pin(names.lock("a", false));
        assert!(second.as_mut().now_or_never().is_none());
        drop(first);
        assert!(second.now_or_never().is_some());
        assert!(names.try_lock("a").is_some());
    }

    #[test]
    fn a_change_knows_of_a_removal_that_waits_behind_it_as_long_as_it_waits() {
        let names = NameLocks::default();
        let addition = names.lock("a", false).now_or_never().unwrap();
        let mut removal = Box::pin(names.lock("a", true));
        assert!(!addition.is_removal_waiting());
        assert!(removal.as_mut().now_or_never().is_none());
        assert!(addition.is_removal_waiting());
        drop(removal);
        assert!(!addition.is_removal_waiting());
    }
}
