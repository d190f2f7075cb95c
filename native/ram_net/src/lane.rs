//! The requests of one connection to a peer, from before it stands until after it broke.
//!
//! A lane pairs each request with its reply and knows of each whether it may have been sent: a
//! request counts as sent from the moment the writer takes it. Giving up on a reply frees its slot,
//! and if the request was still waiting it is never sent.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use foldhash::fast::RandomState;
use futures_util::FutureExt;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::error::NetError;
use super::frame::{Body, Outgoing, PING_ID};
use super::identity::PeerId;
use super::outbox::{Outbox, PushError};

/// Requests of one peer that wait for their replies; a peer that takes requests and answers none
/// must not fill our memory with slots.
pub(super) const IN_FLIGHT_MAX: usize = 65_536;

#[derive(Debug)]
pub(super) struct Lane {
    peer: PeerId,
    pub outbox: Outbox,
    last_id: AtomicU64,
    /// Guards the slots and the end of the lane: after it no slot is added.
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    slots: HashMap<u64, Slot, RandomState>,
    /// Who waits for the echo of a ping.
    echoes: Vec<oneshot::Sender<Result<(), NetError>>>,
    failure: Option<NetError>,
}

#[derive(Debug)]
struct Slot {
    reply: oneshot::Sender<Result<Bytes, NetError>>,
    sent: bool,
}

impl Lane {
    pub fn new(peer: PeerId, queued_bytes_max: usize) -> Lane {
        Lane {
            peer,
            outbox: Outbox::new(queued_bytes_max),
            last_id: AtomicU64::new(PING_ID),
            state: Mutex::default(),
        }
    }

    /// Queues a request, and opens the slot for its reply first, lest the reply be faster.
    pub fn request(self: &Arc<Lane>, kind: u8, body: Body) -> Result<PendingReply, NetError> {
        let id = self.last_id.fetch_add(1, Ordering::Relaxed) + 1;
        let (reply, receiver) = oneshot::channel();
        {
            let mut state = self.state.lock();
            if let Some(failure) = &state.failure {
                return Err(failure.clone());
            }
            if state.slots.len() >= IN_FLIGHT_MAX {
                return Err(NetError::Overloaded { peer: self.peer });
            }
            state.slots.insert(id, Slot { reply, sent: false });
        }
        let pending = PendingReply { lane: Arc::clone(self), id, receiver };
        match self.outbox.push_bounded(Outgoing { kind, id, body }) {
            Ok(()) => Ok(pending),
            Err(PushError::Full) => Err(NetError::Overloaded { peer: self.peer }),
            Err(PushError::Closed) => Err(self.failure()),
        }
    }

    /// A ping, and the wait for an echo or for the end of the lane.
    pub fn echo(&self) -> Result<oneshot::Receiver<Result<(), NetError>>, NetError> {
        let (sender, receiver) = oneshot::channel();
        {
            let mut state = self.state.lock();
            if let Some(failure) = &state.failure {
                return Err(failure.clone());
            }
            state.echoes.retain(|waiting| !waiting.is_closed());
            if state.echoes.len() >= IN_FLIGHT_MAX {
                return Err(NetError::Overloaded { peer: self.peer });
            }
            state.echoes.push(sender);
        }
        self.ping();
        Ok(receiver)
    }

    pub fn ping(&self) {
        let body = Body::from(Bytes::new());
        // A closed lane needs no ping.
        let _ = self.outbox.push(Outgoing { kind: 0, id: PING_ID, body });
    }

    /// Asked by the writer as it takes a frame: is it still wanted? If so it counts as sent.
    pub fn mark_sent(&self, id: u64) -> bool {
        if id == PING_ID {
            return true;
        }
        match self.state.lock().slots.get_mut(&id) {
            Some(slot) => {
                slot.sent = true;
                true
            }
            None => false,
        }
    }

    /// Hands a reply to its request, if somebody still waits for it.
    pub fn answer(&self, id: u64, body: Bytes) {
        if id == PING_ID {
            let echoes = std::mem::take(&mut self.state.lock().echoes);
            echoes.into_iter().for_each(|waiting| _ = waiting.send(Ok(())));
            return;
        }
        let slot = self.state.lock().slots.remove(&id);
        if let Some(slot) = slot {
            let _ = slot.reply.send(Ok(body));
        }
    }

    /// Ends the lane: what was not sent fails with `failure`, what may have been sent as broken.
    pub fn close(&self, failure: &NetError) {
        let (slots, echoes) = {
            let mut state = self.state.lock();
            state.failure.get_or_insert_with(|| failure.clone());
            (std::mem::take(&mut state.slots), std::mem::take(&mut state.echoes))
        };
        self.outbox.close();
        echoes.into_iter().for_each(|waiting| _ = waiting.send(Err(failure.clone())));
        // In the order they were asked: the map has another one in each process.
        let mut slots: Vec<(u64, Slot)> = slots.into_iter().collect();
        slots.sort_unstable_by_key(|(id, _)| *id);
        for (_, slot) in slots {
            let failure = failure.clone();
            let failure = if slot.sent { failure.after_sending() } else { failure };
            let _ = slot.reply.send(Err(failure));
        }
    }

    pub fn in_flight_count(&self) -> usize {
        self.state.lock().slots.len()
    }

    /// Frees the slot; tells whether the request may have been sent.
    fn give_up(&self, id: u64) -> bool {
        self.state.lock().slots.remove(&id).is_some_and(|slot| slot.sent)
    }

    fn failure(&self) -> NetError {
        self.state.lock().failure.clone().unwrap_or(NetError::Closed)
    }
}

/// The reply to one request, a future. Dropping it frees the request's place, and unsends the
/// request if it was still queued.
#[derive(Debug)]
pub struct PendingReply {
    lane: Arc<Lane>,
    id: u64,
    receiver: oneshot::Receiver<Result<Bytes, NetError>>,
}

impl PendingReply {
    /// Ends the wait: the reply after all, or a timeout that knows whether the request was sent.
    pub(super) fn timed_out(mut self) -> Result<Bytes, NetError> {
        let sent = self.lane.give_up(self.id);
        match self.receiver.try_recv() {
            Ok(reply) => reply,
            Err(_) => Err(NetError::Timeout { peer: self.lane.peer, sent }),
        }
    }
}

impl Future for PendingReply {
    type Output = Result<Bytes, NetError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // A slot is dropped unanswered only by giving up, which takes this future.
        self.receiver.poll_unpin(cx).map(|reply| reply.unwrap_or(Err(NetError::Closed)))
    }
}

impl Drop for PendingReply {
    fn drop(&mut self) {
        self.lane.give_up(self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::super::frame::Batch;
    use super::super::unreached::UnreachedCause;
    use super::*;
    use bytes::Buf;

    const PEER: PeerId = PeerId(2);

    fn lane() -> Arc<Lane> {
        Arc::new(Lane::new(PEER, 1000))
    }

    fn write(lane: &Lane) -> usize {
        let mut batch = Batch::default();
        let _ = lane.outbox.fill(&mut batch, |id| lane.mark_sent(id)).now_or_never();
        batch.remaining()
    }

    #[test]
    fn replies_find_their_requests_in_any_order() {
        let lane = lane();
        let first = lane.request(1, Body::from(vec![1])).unwrap();
        let second = lane.request(1, Body::from(vec![2])).unwrap();
        lane.answer(second.id, Bytes::from_static(b"b"));
        lane.answer(first.id, Bytes::from_static(b"a"));
        lane.answer(77, Bytes::from_static(b"nobody asked"));
        assert_eq!(first.now_or_never(), Some(Ok(Bytes::from_static(b"a"))));
        assert_eq!(second.now_or_never(), Some(Ok(Bytes::from_static(b"b"))));
    }

    #[test]
    fn a_failure_tells_what_was_sent_from_what_was_not() {
        let lane = lane();
        let sent = lane.request(1, Body::from(vec![1])).unwrap();
        assert!(write(&lane) > 0);
        let unsent = lane.request(1, Body::from(vec![2])).unwrap();
        let (cause, reason) = (UnreachedCause::Closed, "gone".to_owned());
        lane.close(&NetError::Unreachable { peer: PEER, cause, reason });
        assert!(sent.now_or_never().unwrap().unwrap_err().sent());
        assert!(!unsent.now_or_never().unwrap().unwrap_err().sent());
        assert!(matches!(lane.request(1, Body::from(vec![3])), Err(NetError::Unreachable { .. })));
    }

    #[test]
    fn a_dropped_wait_frees_its_slot_and_unsends_its_request() {
        let lane = lane();
        drop(lane.request(1, Body::from(vec![1])).unwrap());
        assert_eq!(lane.in_flight_count(), 0);
        assert_eq!(write(&lane), 0);
    }

    #[test]
    fn a_timeout_knows_whether_the_request_was_sent() {
        let lane = lane();
        let unsent = lane.request(1, Body::from(vec![1])).unwrap();
        assert_eq!(unsent.timed_out(), Err(NetError::Timeout { peer: PEER, sent: false }));
        let sent = lane.request(1, Body::from(vec![1])).unwrap();
        write(&lane);
        assert_eq!(sent.timed_out(), Err(NetError::Timeout { peer: PEER, sent: true }));
    }

    #[test]
    fn requests_in_flight_are_bounded() {
        let lane = Arc::new(Lane::new(PEER, usize::MAX));
        let pending: Vec<_> = (0..IN_FLIGHT_MAX)
            .map(|_| lane.request(1, Body::from(Bytes::new())).unwrap())
            .collect();
        let refused = lane.request(1, Body::from(Bytes::new()));
        assert!(matches!(refused, Err(NetError::Overloaded { .. })));
        drop(pending);
        assert!(lane.request(1, Body::from(Bytes::new())).is_ok());
    }
}
