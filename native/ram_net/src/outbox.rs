//! The send queue of one connection. Pushing a frame never waits; one writer takes the frames.
//!
//! It is bounded in bytes. A request over the bound is refused. A reply is always taken: the reader
//! of requests waits for [`Outbox::room`] before it reads the next request.

use std::collections::VecDeque;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::frame::{Batch, HEADER_BYTES, Outgoing};

/// The memory that a queued frame takes besides its bytes, so that empty bodies are bounded too.
const ENTRY_BYTES: usize = 128;

#[derive(Debug, PartialEq, Eq)]
pub(super) enum PushError {
    Full,
    Closed,
}

#[derive(Debug)]
pub(super) struct Outbox {
    /// Guards the queue and its accounts, which change together.
    state: Mutex<State>,
    /// Wakes the writer.
    more: Notify,
    /// Wakes the reader that waits for the queue to shrink.
    less: Notify,
    queued_bytes_max: usize,
}

#[derive(Debug, Default)]
struct State {
    frames: VecDeque<Outgoing>,
    queued_bytes: usize,
    closed: bool,
}

impl Outbox {
    pub fn new(queued_bytes_max: usize) -> Outbox {
        Outbox {
            state: Mutex::default(),
            more: Notify::new(),
            less: Notify::new(),
            queued_bytes_max,
        }
    }

    /// Queues a frame if it keeps within the bound.
    pub fn push_bounded(&self, frame: Outgoing) -> Result<(), PushError> {
        self.push_up_to(frame, self.queued_bytes_max)
    }

    /// Queues a frame without regard to the bound.
    pub fn push(&self, frame: Outgoing) -> Result<(), PushError> {
        self.push_up_to(frame, usize::MAX)
    }

    fn push_up_to(&self, frame: Outgoing, queued_bytes_max: usize) -> Result<(), PushError> {
        let mut state = self.state.lock();
        if state.closed {
            return Err(PushError::Closed);
        }
        let queued_bytes = state.queued_bytes.saturating_add(cost_bytes(&frame));
        // An empty queue takes any one frame: the largest allowed must not be unsendable.
        if queued_bytes > queued_bytes_max && !state.frames.is_empty() {
            return Err(PushError::Full);
        }
        state.queued_bytes = queued_bytes;
        state.frames.push_back(frame);
        drop(state);
        self.more.notify_one();
        Ok(())
    }

    /// Waits for frames and moves as many into `batch` as one write should hold, without those that
    /// `keep` does not want. Returns how many, or `None` when closed.
    pub async fn fill(&self, batch: &mut Batch, keep: impl Fn(u64) -> bool) -> Option<u64> {
        loop {
            let mut count = 0;
            {
                let mut state = self.state.lock();
                if state.closed {
                    return None;
                }
                while !batch.is_full()
                    && let Some(frame) = state.frames.pop_front()
                {
                    state.queued_bytes = state.queued_bytes.saturating_sub(cost_bytes(&frame));
                    if keep(frame.id) {
                        batch.push(&frame);
                        count += 1;
                    }
                }
            }
            self.less.notify_one();
            if count > 0 {
                batch.seal();
                return Some(count);
            }
            self.more.notified().await;
        }
    }

    /// Waits until the queue is within its bound, or closed. For one waiter at a time.
    pub async fn room(&self) {
        loop {
            {
                let state = self.state.lock();
                if state.closed || state.queued_bytes <= self.queued_bytes_max {
                    return;
                }
            }
            self.less.notified().await;
        }
    }

    /// Drops all queued frames, and refuses later ones.
    pub fn close(&self) {
        let frames = {
            let mut state = self.state.lock();
            state.closed = true;
            state.queued_bytes = 0;
            std::mem::take(&mut state.frames)
        };
        // Outside the lock: freeing 64 MiB takes its time.
        drop(frames);
        self.more.notify_one();
        self.less.notify_one();
    }

    pub fn queued_bytes(&self) -> usize {
        self.state.lock().queued_bytes
    }
}

fn cost_bytes(frame: &Outgoing) -> usize {
    ENTRY_BYTES + HEADER_BYTES + frame.body.byte_count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Buf;
    use futures_util::FutureExt;

    fn frame(id: u64, body_bytes: usize) -> Outgoing {
        Outgoing { kind: 0, id, body: vec![0; body_bytes].into() }
    }

    #[test]
    fn a_request_over_the_bound_is_refused_and_room_comes_back_with_the_writer() {
        let outbox = Outbox::new(1000);
        assert_eq!(outbox.push_bounded(frame(1, 800)), Ok(()));
        assert_eq!(outbox.push_bounded(frame(2, 800)), Err(PushError::Full));
        let mut batch = Batch::default();
        assert_eq!(outbox.fill(&mut batch, |_| true).now_or_never(), Some(Some(1)));
        assert_eq!(outbox.push_bounded(frame(3, 800)), Ok(()));
    }

    #[test]
    fn empty_bodies_are_bounded_too() {
        let outbox = Outbox::new(10_000);
        let taken = (0..1000).take_while(|id| outbox.push_bounded(frame(*id, 0)).is_ok()).count();
        assert!(taken < 100, "{taken}");
    }

    #[test]
    fn the_reader_waits_while_replies_pile_up() {
        let outbox = Outbox::new(1000);
        assert_eq!(outbox.push(frame(1, 5000)), Ok(()));
        assert_eq!(outbox.room().now_or_never(), None);
        let mut batch = Batch::default();
        assert_eq!(outbox.fill(&mut batch, |_| true).now_or_never(), Some(Some(1)));
        assert_eq!(outbox.room().now_or_never(), Some(()));
    }

    #[test]
    fn many_small_frames_become_one_write() {
        let outbox = Outbox::new(1 << 20);
        (1..=100).for_each(|id| outbox.push(frame(id, 10)).unwrap());
        let mut batch = Batch::default();
        assert_eq!(outbox.fill(&mut batch, |_| true).now_or_never(), Some(Some(100)));
        assert_eq!(batch.chunk().len(), 100 * (HEADER_BYTES + 10));
    }

    #[test]
    fn an_unwanted_frame_is_never_written() {
        let outbox = Outbox::new(1000);
        outbox.push(frame(1, 10)).unwrap();
        let mut batch = Batch::default();
        assert_eq!(outbox.fill(&mut batch, |_| false).now_or_never(), None);
        assert_eq!((batch.remaining(), outbox.queued_bytes()), (0, 0));
    }

    #[test]
    fn a_closed_outbox_takes_nothing_and_wakes_its_writer() {
        let outbox = Outbox::new(1000);
        outbox.push(frame(1, 10)).unwrap();
        outbox.close();
        assert_eq!(outbox.push(frame(2, 10)), Err(PushError::Closed));
        let mut batch = Batch::default();
        assert_eq!(outbox.fill(&mut batch, |_| true).now_or_never(), Some(None));
        assert_eq!(outbox.room().now_or_never(), Some(()));
    }
}
