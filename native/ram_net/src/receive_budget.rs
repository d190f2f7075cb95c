//! The receive budget: a bound on the memory of large frames while they arrive, of all connections
//! together.
//!
//! A frame that fits the read buffer needs no reservation. For a larger frame its connection
//! reserves the announced length before it reads on, and frees it when the frame is whole; while
//! the budget is used up, the connection is not read. Members share one budget and unknown peers
//! another, so that unknown peers cannot make members wait. The largest frame fits in each.
//!
//! A connection with a reservation that receives nothing for a stall timeout is closed. While other
//! connections wait for the budget, one that receives little is closed as well: [`ReceiveRate`].

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

const KIB: usize = 1024;

/// The least to receive in one stall timeout while others wait for the budget. A quarter of what a
/// network of 10 Mbit/s carries in three seconds.
const CONTENDED_BYTES_MIN: usize = 1024 * KIB;

/// Clones share the budget.
#[derive(Debug, Clone)]
pub(super) struct ReceiveBudget {
    kib: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
}

/// The reservation of one frame; dropped when the frame is whole, or its connection ends.
#[derive(Debug)]
pub(super) struct Reservation(#[expect(dead_code, reason = "held")] Option<OwnedSemaphorePermit>);

struct Waiter<'a>(&'a AtomicUsize);

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl ReceiveBudget {
    pub fn new(bytes: usize) -> ReceiveBudget {
        ReceiveBudget {
            kib: Arc::new(Semaphore::new(bytes.div_ceil(KIB))),
            waiting: Arc::default(),
        }
    }

    /// Waits until the budget has so many bytes left, in the order of the calls.
    pub async fn take(&self, bytes: usize) -> Reservation {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let _waiting = Waiter(&self.waiting);
        let kib = u32::try_from(bytes.div_ceil(KIB)).unwrap_or(u32::MAX);
        // Nobody closes it.
        Reservation(Arc::clone(&self.kib).acquire_many_owned(kib).await.ok())
    }

    fn is_contended(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }
}

/// How fast a frame arrives: the bytes received in one stall timeout of waiting. Time in which the
/// connection was not read does not count.
#[derive(Debug, Default)]
pub(super) struct ReceiveRate {
    waited: Duration,
    bytes: usize,
}

impl ReceiveRate {
    /// How long to wait for the next bytes.
    pub fn left(&self, stall_timeout: Duration) -> Duration {
        stall_timeout.saturating_sub(self.waited)
    }

    /// Notes the bytes that a wait brought; false when they are too few.
    pub fn note(
        &mut self,
        waited: Duration,
        bytes: usize,
        budget: &ReceiveBudget,
        stall_timeout: Duration,
    ) -> bool {
        self.waited += waited;
        self.bytes = self.bytes.saturating_add(bytes);
        if self.waited < stall_timeout {
            return true;
        }
        let bytes_min = if budget.is_contended() { CONTENDED_BYTES_MIN } else { 1 };
        let is_enough = self.bytes >= bytes_min;
        *self = ReceiveRate::default();
        is_enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    const STALL: Duration = Duration::from_secs(3);

    #[test]
    fn frames_share_the_budget_and_the_next_waits_for_the_first_that_ends() {
        let budget = ReceiveBudget::new(10 * KIB);
        let first = budget.take(6 * KIB).now_or_never().unwrap();
        let mut second = Box::pin(budget.take(6 * KIB));
        assert!((&mut second).now_or_never().is_none() && budget.is_contended());
        drop(first);
        assert!(second.now_or_never().is_some() && !budget.is_contended());
    }

    #[test]
    fn a_waiter_that_gives_up_leaves_its_turn_to_the_next() {
        let budget = ReceiveBudget::new(10 * KIB);
        let _first = budget.take(6 * KIB).now_or_never().unwrap();
        assert!(budget.take(6 * KIB).now_or_never().is_none());
        assert!(!budget.is_contended());
        assert!(budget.take(4 * KIB).now_or_never().is_some());
    }

    #[test]
    fn a_slow_frame_goes_on_until_others_wait_and_a_silent_one_does_not() {
        let budget = ReceiveBudget::new(KIB);
        let (mut slow, mut silent) = (ReceiveRate::default(), ReceiveRate::default());
        assert!((0..100).all(|_| slow.note(STALL / 2, 10, &budget, STALL)));
        assert!(silent.note(STALL / 2, 0, &budget, STALL));
        assert_eq!(silent.left(STALL), STALL / 2);
        assert!(!silent.note(STALL / 2, 0, &budget, STALL));
        let _reservation = budget.take(KIB).now_or_never().unwrap();
        let mut waiting = Box::pin(budget.take(KIB));
        assert!((&mut waiting).now_or_never().is_none());
        assert!(!(0..2).all(|_| slow.note(STALL / 2, 10, &budget, STALL)));
        let mut fast = ReceiveRate::default();
        assert!((0..100).all(|_| fast.note(STALL / 2, CONTENDED_BYTES_MIN, &budget, STALL)));
    }
}
