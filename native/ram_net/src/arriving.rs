//! Room for frames on their way to us: what half frames of all connections take together.
//!
//! A frame that fits the read buffer needs no room. A larger one takes room for all that it has
//! announced before it is read on, and gives it back when it is whole; without room its connection
//! is not read. Members share one room and guests another, so that who is no member cannot keep
//! members waiting. In each the largest frame fits, or nothing of that size could be said at all.
//!
//! Whoever has room and brings nothing for a while loses the connection; while others wait for
//! room, so does whoever brings little: [`Pace`].

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

const KIB: usize = 1024;

/// What has to come in one stall timeout while others wait for room. A quarter of what a network of
/// 10 Mbit/s carries in three seconds.
const CONTENDED_BYTES_MIN: usize = 1024 * KIB;

/// Clones share it.
#[derive(Debug, Clone)]
pub(super) struct Room {
    kib: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
}

/// The room of one frame; dropped when the frame is whole, or its connection ends.
#[derive(Debug)]
pub(super) struct Place(#[expect(dead_code, reason = "held")] Option<OwnedSemaphorePermit>);

struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Room {
    pub fn new(bytes: usize) -> Room {
        Room { kib: Arc::new(Semaphore::new(bytes.div_ceil(KIB))), waiting: Arc::default() }
    }

    /// Waits for its turn.
    pub async fn take(&self, bytes: usize) -> Place {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let _waiting = Waiting(&self.waiting);
        let kib = u32::try_from(bytes.div_ceil(KIB)).unwrap_or(u32::MAX);
        // Nobody closes it.
        Place(Arc::clone(&self.kib).acquire_many_owned(kib).await.ok())
    }

    fn is_contended(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }
}

/// How fast a frame comes: the bytes of one stall timeout of waiting for them. Time in which we did
/// not wait does not count.
#[derive(Debug, Default)]
pub(super) struct Pace {
    waited: Duration,
    bytes: usize,
}

impl Pace {
    /// For how long to wait for the next bytes.
    pub fn left(&self, stall_timeout: Duration) -> Duration {
        stall_timeout.saturating_sub(self.waited)
    }

    /// Takes down what a wait brought; false when it is too little.
    pub fn goes_on(
        &mut self,
        waited: Duration,
        bytes: usize,
        room: &Room,
        stall_timeout: Duration,
    ) -> bool {
        self.waited += waited;
        self.bytes = self.bytes.saturating_add(bytes);
        if self.waited < stall_timeout {
            return true;
        }
        let bytes_min = if room.is_contended() { CONTENDED_BYTES_MIN } else { 1 };
        let is_enough = self.bytes >= bytes_min;
        *self = Pace::default();
        is_enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    const STALL: Duration = Duration::from_secs(3);

    #[test]
    fn frames_share_the_room_and_the_next_waits_for_the_first_that_ends() {
        let room = Room::new(10 * KIB);
        let first = room.take(6 * KIB).now_or_never().unwrap();
        let mut second = Box::pin(room.take(6 * KIB));
        assert!((&mut second).now_or_never().is_none() && room.is_contended());
        drop(first);
        assert!(second.now_or_never().is_some() && !room.is_contended());
    }

    #[test]
    fn who_gives_up_waiting_makes_room_for_the_next() {
        let room = Room::new(10 * KIB);
        let _first = room.take(6 * KIB).now_or_never().unwrap();
        assert!(room.take(6 * KIB).now_or_never().is_none());
        assert!(!room.is_contended());
        assert!(room.take(4 * KIB).now_or_never().is_some());
    }

    #[test]
    fn a_slow_frame_goes_on_until_others_wait_and_a_silent_one_does_not() {
        let room = Room::new(KIB);
        let (mut slow, mut silent) = (Pace::default(), Pace::default());
        assert!((0..100).all(|_| slow.goes_on(STALL / 2, 10, &room, STALL)));
        assert!(silent.goes_on(STALL / 2, 0, &room, STALL));
        assert_eq!(silent.left(STALL), STALL / 2);
        assert!(!silent.goes_on(STALL / 2, 0, &room, STALL));
        let _place = room.take(KIB).now_or_never().unwrap();
        let mut waiting = Box::pin(room.take(KIB));
        assert!((&mut waiting).now_or_never().is_none());
        assert!(!(0..2).all(|_| slow.goes_on(STALL / 2, 10, &room, STALL)));
        let mut fast = Pace::default();
        assert!((0..100).all(|_| fast.goes_on(STALL / 2, CONTENDED_BYTES_MIN, &room, STALL)));
    }
}
