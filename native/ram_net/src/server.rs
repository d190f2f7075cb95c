//! The other members' way to us: taking connections, the handshake, and one seat per member.
//!
//! A stranger costs one of a bounded number of handshake slots, for a bounded time, and a few
//! hundred bytes; who has to leave when there are too many, `handshakes` tells. A proven member
//! takes its seat; whoever sat there before, an older connection of the same member, is closed
//! first, and its `Inbound` dropped before the new one is made: requests of two connections never
//! mix. Requests are handed over in the order they came in.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::io::split;
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

use super::connection::{Arrival, Ending, Intake, Traffic, is_ping, read_frames, write_frames};
use super::error::NetError;
use super::frame::{Body, Outgoing, PING_ID};
use super::handshake::{Greeting, HandshakeError, accept};
use super::handshakes::Place;
use super::identity::PeerId;
use super::outbox::Outbox;
use super::refusal::RefusalKind;
use super::shared::Shared;
use super::stats::Counters;
use super::transport::{BoxStream, Listener};

/// After a failed accept, mostly for want of file descriptors: time for some to come back.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// So many are accepted before the other tasks of the thread, Raft among them, have their turn.
const ACCEPTED_AT_ONCE_MAX: u32 = 16;

/// Sends replies on the connection the requests came on.
#[derive(Debug, Clone)]
pub struct Replies {
    outbox: Arc<Outbox>,
    frame_bytes_max: usize,
}

impl Replies {
    /// Queues the reply to request `id`; never waits. `Closed` when the connection is gone.
    pub fn send(&self, id: u64, body: impl Into<Body>) -> Result<(), NetError> {
        let body = body.into();
        let (bytes, bytes_max) = (body.byte_count(), self.frame_bytes_max);
        if bytes > bytes_max {
            return Err(NetError::FrameTooLarge { bytes, bytes_max });
        }
        self.outbox.push(Outgoing { kind: 0, id, body }).map_err(|_| NetError::Closed)
    }

    /// Hangs up: the connection is closed, and the peer's unanswered requests fail there.
    pub fn close(&self) {
        self.outbox.close();
    }

    /// Replies that wait for the peer to read.
    pub fn queued_bytes(&self) -> usize {
        self.outbox.queued_bytes()
    }
}

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
    let mut seat = Seat::take(shared, id).await;
    let ending = tokio::select! {
        end = exchange(shared, stream, id) => end.err().unwrap_or(Ending::Here),
        _ = &mut seat.replaced => Ending::Replaced,
    };
    if let Ending::Frame(error) = &ending {
        shared.accepted_refusals.note(RefusalKind::BadFrame, &remote, error);
    }
    tracing::debug!("the connection from member {id} ended: {ending}");
    drop(seat);
    if !shared.seats.is_taken(id) {
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

/// Who sits where: the accepted connection of each member.
#[derive(Debug, Default)]
pub(super) struct Seats {
    /// Guards the exchange of occupants.
    occupants: Mutex<Occupants>,
}

#[derive(Debug, Default)]
struct Occupants {
    by_peer: BTreeMap<PeerId, Occupant>,
    last_serial: u64,
}

#[derive(Debug)]
struct Occupant {
    serial: u64,
    /// Dropping it asks the connection to end.
    _stay: oneshot::Sender<()>,
    /// Resolves when the connection and its inbound are gone.
    gone: oneshot::Receiver<()>,
}

impl Seats {
    pub fn is_taken(&self, peer: PeerId) -> bool {
        self.occupants.lock().by_peer.contains_key(&peer)
    }

    /// Closes the connection of a peer.
    pub fn clear(&self, peer: PeerId) {
        self.occupants.lock().by_peer.remove(&peer);
    }
}

impl Occupants {
    /// Guests have few seats: the one that has been there for longest goes.
    fn make_room(&mut self, shared: &Shared, newcomer: PeerId) {
        let is_guest = |peer: &PeerId| *peer != newcomer && !shared.service.knows(*peer);
        let guests = self.by_peer.iter().filter(|(peer, _)| is_guest(peer));
        let guests: Vec<(u64, PeerId)> = guests.map(|(peer, of)| (of.serial, *peer)).collect();
        if guests.len() >= shared.options.guests_max
            && let Some((_, oldest)) = guests.iter().min()
        {
            self.by_peer.remove(oldest);
        }
    }
}

struct Seat {
    shared: Arc<Shared>,
    peer: PeerId,
    serial: u64,
    replaced: oneshot::Receiver<()>,
    _gone: oneshot::Sender<()>,
}

impl Seat {
    /// Takes the seat, and waits until its last occupant has gone.
    async fn take(shared: &Arc<Shared>, peer: PeerId) -> Seat {
        let (stay, replaced) = oneshot::channel();
        let (gone_sender, gone) = oneshot::channel();
        let (serial, previous) = {
            let mut occupants = shared.seats.occupants.lock();
            occupants.last_serial += 1;
            let serial = occupants.last_serial;
            if !shared.service.knows(peer) {
                occupants.make_room(shared, peer);
            }
            (serial, occupants.by_peer.insert(peer, Occupant { serial, _stay: stay, gone }))
        };
        let seat = Seat { shared: Arc::clone(shared), peer, serial, replaced, _gone: gone_sender };
        if let Some(Occupant { _stay: stay, gone, .. }) = previous {
            drop(stay);
            let _ = gone.await;
        }
        seat
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut occupants = self.shared.seats.occupants.lock();
        if occupants.by_peer.get(&self.peer).is_some_and(|sitting| sitting.serial == self.serial) {
            occupants.by_peer.remove(&self.peer);
        }
    }
}
