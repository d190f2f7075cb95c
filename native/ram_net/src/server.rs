//! The server side: accepts connections, runs the handshake, and serves the requests of one
//! connection for each peer.
//!
//! A connection without a proof takes one of a bounded number of slots (`handshakes`), for a
//! bounded time, and a few hundred bytes. A proven connection takes the inbound slot of its peer
//! (`inbound_slots`). Requests go to the service in the order of their arrival.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::split;
use tokio::time::{sleep, timeout};

use super::connection::{
    CloseReason, ReceiveLimits, Received, Traffic, is_ping, read_frames, write_frames,
};
use super::frame::{Outgoing, PING_ID};
use super::handshake::{Greeting, HandshakeError, accept};
use super::handshakes::SlotId;
use super::identity::PeerId;
use super::outbox::Outbox;
use super::refusal::RefusalKind;
use super::replies::Replies;
use super::shared::Shared;
use super::stats::Counters;
use super::transport::{BoxStream, Listener};

/// The pause after a failed accept, in which file descriptors may be freed: most failures are for
/// want of them.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The connections accepted before the other tasks of the thread, Raft among them, have their turn.
const ACCEPTED_AT_ONCE_MAX: u32 = 16;

pub(super) async fn accept_connections(shared: Arc<Shared>, listener: Box<dyn Listener>) {
    let mut accepted: u32 = 0;
    loop {
        match listener.accept().await {
            Ok((stream, remote)) => receive(&shared, stream, remote),
            Err(error) => {
                shared.accepted_refusals.note(RefusalKind::Crowded, &"nobody", &error);
                sleep(ACCEPT_PAUSE).await;
            }
        }
        accepted = accepted.wrapping_add(1);
        if accepted.is_multiple_of(ACCEPTED_AT_ONCE_MAX) {
            tokio::task::yield_now().await;
        }
    }
}

fn receive(shared: &Arc<Shared>, mut stream: BoxStream, remote: SocketAddr) {
    let mut slot = shared.handshakes.enter(remote.ip().into());
    let task_shared = Arc::clone(shared);
    shared.tasks.spawn(async move {
        let refusals = &task_shared.accepted_refusals;
        let greeted = tokio::select! {
            greeted = greet(&task_shared, &mut stream, slot.id) => greeted,
            _ = &mut slot.evicted => {
                let detail = "too many handshakes at once, and the oldest of them";
                return refusals.note(RefusalKind::Crowded, &remote, &detail);
            }
        };
        drop(slot);
        match greeted {
            Ok(greeting) => serve(&task_shared, stream, greeting, remote).await,
            Err(error) => refusals.note((&error).into(), &remote, &error),
        }
    });
}

async fn greet(
    shared: &Shared,
    stream: &mut BoxStream,
    slot: SlotId,
) -> Result<Greeting, HandshakeError> {
    let named = || shared.handshakes.named(slot);
    let admit = |greeting: &Greeting| shared.service.admit(greeting.id, &greeting.name);
    let greeting = accept(stream, &shared.credentials, named, admit);
    let limit = shared.options.handshake_timeout;
    timeout(limit, greeting).await.unwrap_or(Err(HandshakeError::Timeout))
}

async fn serve(shared: &Arc<Shared>, stream: BoxStream, greeting: Greeting, remote: SocketAddr) {
    let Greeting { id, address, name } = greeting;
    Counters::add(&shared.counters.accepts, 1);
    let peer = shared.set_address(id, address, false);
    peer.set_name(&name);
    peer.seen();
    if shared.service.knows(id) {
        shared.handshakes.know(id, remote.ip().into());
    }
    let is_unknown = |peer: PeerId| !shared.service.knows(peer);
    let mut slot = shared.inbound_slots.take(id, is_unknown).await;
    let ending = tokio::select! {
        end = exchange(shared, stream, id) => end.err().unwrap_or(CloseReason::Here),
        _ = &mut slot.replaced => CloseReason::Replaced,
    };
    if let CloseReason::Frame(error) = &ending {
        shared.accepted_refusals.note(RefusalKind::BadFrame, &remote, error);
    }
    tracing::debug!("the connection from member {id} ended: {ending}");
    drop(slot);
    if !shared.inbound_slots.is_taken(id) {
        shared.forget_unknown_peer(id);
    }
}

async fn exchange(shared: &Shared, stream: BoxStream, id: PeerId) -> Result<(), CloseReason> {
    let frame_bytes_max = shared.options.frame_bytes_max;
    let outbox = CloseOnDrop(Arc::new(Outbox::new(shared.options.peer_queue_bytes_max)));
    let replies = Replies { outbox: Arc::clone(&outbox.0), frame_bytes_max };
    let mut inbound = shared.service.connected(id, replies);
    let traffic = Traffic::new(&shared.counters);
    let (reader, writer) = split(stream);
    let budget = || {
        let is_member = shared.service.knows(id);
        if is_member { shared.members_budget.clone() } else { shared.unknown_peers_budget.clone() }
    };
    let limits = ReceiveLimits::new(&shared.options, Some(&outbox.0), &budget);
    let handle = |arrival: Received| match arrival {
        Received::Part => inbound.receiving(),
        Received::Frame(frame) if is_ping(&frame) => {
            let echo = Outgoing { kind: 0, id: PING_ID, body: Bytes::new().into() };
            // Closed: the writer is about to end this connection.
            let _ = outbox.0.push(echo);
        }
        Received::Frame(frame) => inbound.request(frame.id, frame.kind, frame.body),
    };
    tokio::select! {
        end = read_frames(reader, &limits, &traffic, handle) => end,
        end = write_frames(writer, &outbox.0, &traffic, |_| true) => end,
    }
}

/// Replies after the end of the connection get an error, and are not stored.
struct CloseOnDrop(Arc<Outbox>);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.close();
    }
}
