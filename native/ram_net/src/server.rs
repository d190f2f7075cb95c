//! The other members' way to us: taking connections, the handshake, and one seat per member.
//!
//! A stranger costs one of a bounded number of handshake slots, for a bounded time, and a few
//! hundred bytes; who has to leave when there are too many, `handshakes` tells. A proven member
//! takes its seat; whoever sat there before, an older connection of the same member, is closed
//! first, and its `Inbound` dropped before the new one is made: requests of two connections never
//! mix. Requests are handed over in the order they came in.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::split;
use tokio::time::{sleep, timeout};

use super::connection::{Arrival, Ending, Intake, Traffic, is_ping, read_frames, write_frames};
use super::frame::{Outgoing, PING_ID};
use super::handshake::{Greeting, HandshakeError, accept};
use super::handshakes::Place;
use super::identity::PeerId;
use super::outbox::Outbox;
use super::refusal::RefusalKind;
use super::replies::Replies;
use super::shared::Shared;
use super::stats::Counters;
use super::transport::{BoxStream, Listener};

/// After a failed accept, mostly for want of file descriptors: time for some to come back.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// So many are accepted before the other tasks of the thread, Raft among them, have their turn.
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
            greeted = greet(&task_shared, &mut stream, slot.place) => greeted,
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
    place: Place,
) -> Result<Greeting, HandshakeError> {
    let named = || shared.handshakes.named(place);
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
    let is_guest = |peer: PeerId| !shared.service.knows(peer);
    let mut slot = shared.inbound_slots.take(id, is_guest).await;
    let ending = tokio::select! {
        end = exchange(shared, stream, id) => end.err().unwrap_or(Ending::Here),
        _ = &mut slot.replaced => Ending::Replaced,
    };
    if let Ending::Frame(error) = &ending {
        shared.accepted_refusals.note(RefusalKind::BadFrame, &remote, error);
    }
    tracing::debug!("the connection from member {id} ended: {ending}");
    drop(slot);
    if !shared.inbound_slots.is_taken(id) {
        shared.forget_guest(id);
    }
}

async fn exchange(shared: &Shared, stream: BoxStream, id: PeerId) -> Result<(), Ending> {
    let frame_bytes_max = shared.options.frame_bytes_max;
    let outbox = CloseOnDrop(Arc::new(Outbox::new(shared.options.peer_queue_bytes_max)));
    let replies = Replies { outbox: Arc::clone(&outbox.0), frame_bytes_max };
    let mut inbound = shared.service.connected(id, replies);
    let traffic = Traffic::new(&shared.counters);
    let (reader, writer) = split(stream);
    let room = || {
        let is_member = shared.service.knows(id);
        if is_member { shared.members_room.clone() } else { shared.guests_room.clone() }
    };
    let intake = Intake::new(&shared.options, Some(&outbox.0), &room);
    let handle = |arrival: Arrival| match arrival {
        Arrival::Part => inbound.arriving(),
        Arrival::Whole(frame) if is_ping(&frame) => {
            let echo = Outgoing { kind: 0, id: PING_ID, body: Bytes::new().into() };
            // Closed: the writer is about to end this connection.
            let _ = outbox.0.push(echo);
        }
        Arrival::Whole(frame) => inbound.request(frame.id, frame.kind, frame.body),
    };
    tokio::select! {
        end = read_frames(reader, &intake, &traffic, handle) => end,
        end = write_frames(writer, &outbox.0, &traffic, |_| true) => end,
    }
}

/// Replies that come after the connection are told so, and not kept.
struct CloseOnDrop(Arc<Outbox>);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.close();
    }
}
