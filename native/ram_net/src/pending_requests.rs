//! The pending requests of a peer: those of one connection to it, from before the connection is
//! made until it has ended.
//!
//! They match each reply to its request by id, and know of each request whether it may have been
//! sent: it counts as sent from the moment the writer takes it. When the caller drops its
//! [`PendingReply`], the request is forgotten, and never sent if it was still queued.

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

/// The most requests to one peer without a reply: a peer that takes requests and answers none
/// must not fill our memory.
pub(super) const IN_FLIGHT_MAX: usize = 65_536;

#[derive(Debug)]
pub(super) struct PendingRequests {
    peer: PeerId,
    pub outbox: Outbox,
    last_id: AtomicU64,
    /// Guards the requests and the failure: after a failure no request is added.
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    by_id: HashMap<u64, PendingRequest, RandomState>,
    /// Callers that wait for the echo of a ping.
    echoes: Vec<oneshot::Sender<Result<(), NetError>>>,
    failure: Option<NetError>,
}

#[derive(Debug)]
struct PendingRequest {
    reply: oneshot::Sender<Result<Bytes, NetError>>,
    sent: bool,
}

impl PendingRequests {
    pub fn new(peer: PeerId, queued_bytes_max: usize) -> PendingRequests {
        PendingRequests {
            peer,
            outbox: Outbox::new(queued_bytes_max),
            last_id: AtomicU64::new(PING_ID),
            state: Mutex::default(),
        }
    }

    /// Queues a request. It is noted first, since the reply may come before this returns.
    pub fn add(
        self: &Arc<PendingRequests>,
        kind: u8,
        body: Body,
    ) -> Result<PendingReply, NetError> {
        let id = self.last_id.fetch_add(1, Ordering::Relaxed) + 1;
        let (reply, receiver) = oneshot::channel();
        {
            let mut state = self.state.lock();
            if let Some(failure) = &state.failure {
                return Err(failure.clone());
            }
            if state.by_id.len() >= IN_FLIGHT_MAX {
                return Err(NetError::Overloaded { peer: self.peer });
            }
            state.by_id.insert(id, PendingRequest { reply, sent: false });
        }
        let pending = PendingReply { requests: Arc::clone(self), id, receiver };
        match self.outbox.push_bounded(Outgoing { kind, id, body }) {
            Ok(()) => Ok(pending),
            Err(PushError::Full) => Err(NetError::Overloaded { peer: self.peer }),
            Err(PushError::Closed) => Err(self.failure()),
        }
    }

    /// Sends a ping. The receiver gets its echo, or the failure of the connection.
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
        // After the end of the connection no ping is needed.
        let _ = self.outbox.push(Outgoing { kind: 0, id: PING_ID, body });
    }

    /// Called by the writer as it takes a frame. Is the request still wanted? If so it counts as
    /// sent.
    pub fn mark_sent(&self, id: u64) -> bool {
        if id == PING_ID {
            return true;
        }
        match self.state.lock().by_id.get_mut(&id) {
            Some(request) => {
                request.sent = true;
                true
            }
            None => false,
        }
    }

    /// Hands a reply to its request, if its caller still waits.
    pub fn answer(&self, id: u64, body: Bytes) {
        if id == PING_ID {
            let echoes = std::mem::take(&mut self.state.lock().echoes);
            echoes.into_iter().for_each(|waiting| _ = waiting.send(Ok(())));
            return;
        }
        let request = self.state.lock().by_id.remove(&id);
        if let Some(request) = request {
            let _ = request.reply.send(Ok(body));
        }
    }

    /// Fails all requests: those not sent with `failure`, those that may have been sent as broken.
    pub fn close(&self, failure: &NetError) {
        let (requests, echoes) = {
            let mut state = self.state.lock();
            state.failure.get_or_insert_with(|| failure.clone());
            (std::mem::take(&mut state.by_id), std::mem::take(&mut state.echoes))
        };
        self.outbox.close();
        echoes.into_iter().for_each(|waiting| _ = waiting.send(Err(failure.clone())));
        // In the order of their ids: the order of the map differs from process to process.
        let mut requests: Vec<(u64, PendingRequest)> = requests.into_iter().collect();
        requests.sort_unstable_by_key(|(id, _)| *id);
        for (_, request) in requests {
            let failure = failure.clone();
            let failure = if request.sent { failure.after_sending() } else { failure };
            let _ = request.reply.send(Err(failure));
        }
    }

    pub fn in_flight_count(&self) -> usize {
        self.state.lock().by_id.len()
    }

    /// Forgets the request; returns whether it may have been sent.
    fn give_up(&self, id: u64) -> bool {
        self.state.lock().by_id.remove(&id).is_some_and(|request| request.sent)
    }

    fn failure(&self) -> NetError {
        self.state.lock().failure.clone().unwrap_or(NetError::Closed)
    }
}

/// The reply to one request, a future. Dropping it forgets the request, which is not sent if it was
/// still queued.
#[derive(Debug)]
pub struct PendingReply {
    requests: Arc<PendingRequests>,
    id: u64,
    receiver: oneshot::Receiver<Result<Bytes, NetError>>,
}

impl PendingReply {
    /// Ends the wait. Returns the reply if it has come, or a timeout with whether the request was
    /// sent.
    pub(super) fn timed_out(mut self) -> Result<Bytes, NetError> {
        let sent = self.requests.give_up(self.id);
        match self.receiver.try_recv() {
            Ok(reply) => reply,
            Err(_) => Err(NetError::Timeout { peer: self.requests.peer, sent }),
        }
    }
}

impl Future for PendingReply {
    type Output = Result<Bytes, NetError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // Only `give_up` drops a request without an answer, and that takes this future.
        self.receiver.poll_unpin(cx).map(|reply| reply.unwrap_or(Err(NetError::Closed)))
    }
}

impl Drop for PendingReply {
    fn drop(&mut self) {
        self.requests.give_up(self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::super::frame::Batch;
    use super::super::unreached::UnreachedCause;
    use super::*;
    use bytes::Buf;

    const PEER: PeerId = PeerId(2);

    fn requests() -> Arc<PendingRequests> {
        Arc::new(PendingRequests::new(PEER, 1000))
    }

    fn write(requests: &PendingRequests) -> usize {
        let mut batch = Batch::default();
        let _ = requests.outbox.fill(&mut batch, |id| requests.mark_sent(id)).now_or_never();
        batch.remaining()
    }

    #[test]
    fn replies_find_their_requests_in_any_order() {
        let requests = requests();
        let first = requests.add(1, Body::from(vec![1])).unwrap();
        let second = requests.add(1, Body::from(vec![2])).unwrap();
        requests.answer(second.id, Bytes::from_static(b"b"));
        requests.answer(first.id, Bytes::from_static(b"a"));
        requests.answer(77, Bytes::from_static(b"nobody asked"));
        assert_eq!(first.now_or_never(), Some(Ok(Bytes::from_static(b"a"))));
        assert_eq!(second.now_or_never(), Some(Ok(Bytes::from_static(b"b"))));
    }

    #[test]
    fn a_failure_tells_what_was_sent_from_what_was_not() {
        let requests = requests();
        let sent = requests.add(1, Body::from(vec![1])).unwrap();
        assert!(write(&requests) > 0);
        let unsent = requests.add(1, Body::from(vec![2])).unwrap();
        let (cause, reason) = (UnreachedCause::Closed, "gone".to_owned());
        requests.close(&NetError::Unreachable { peer: PEER, cause, reason });
        assert!(sent.now_or_never().unwrap().unwrap_err().sent());
        assert!(!unsent.now_or_never().unwrap().unwrap_err().sent());
        assert!(matches!(requests.add(1, Body::from(vec![3])), Err(NetError::Unreachable { .. })));
    }

    #[test]
    fn a_dropped_wait_forgets_its_request_and_never_sends_it() {
        let requests = requests();
        drop(requests.add(1, Body::from(vec![1])).unwrap());
        assert_eq!(requests.in_flight_count(), 0);
        assert_eq!(write(&requests), 0);
    }

    #[test]
    fn a_timeout_knows_whether_the_request_was_sent() {
        let requests = requests();
        let unsent = requests.add(1, Body::from(vec![1])).unwrap();
        assert_eq!(unsent.timed_out(), Err(NetError::Timeout { peer: PEER, sent: false }));
        let sent = requests.add(1, Body::from(vec![1])).unwrap();
        write(&requests);
        assert_eq!(sent.timed_out(), Err(NetError::Timeout { peer: PEER, sent: true }));
    }

    #[test]
    fn requests_in_flight_are_bounded() {
        let requests = Arc::new(PendingRequests::new(PEER, usize::MAX));
        let pending: Vec<_> = (0..IN_FLIGHT_MAX)
            .map(|_| requests.add(1, Body::from(Bytes::new())).unwrap())
            .collect();
        let refused = requests.add(1, Body::from(Bytes::new()));
        assert!(matches!(refused, Err(NetError::Overloaded { .. })));
        drop(pending);
        assert!(requests.add(1, Body::from(Bytes::new())).is_ok());
    }
}
