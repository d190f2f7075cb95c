//! The way to one peer: its address, and the connection that requests travel on.
//!
//! There is no connection until the first request. While one is being made, requests queue in its
//! lane; when it fails or breaks, they all fail, and for a back-off time further requests fail at
//! once with the same reason. The first request after that tries again. Retrying a request is not
//! done here: only the caller knows whether it may be sent twice. News of the peer (a new address,
//! a connection from it) ends the back-off.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::split;
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout};

use super::connection::{Arrival, Ending, Traffic, read_frames, watch_for_stall, write_frames};
use super::error::NetError;
use super::frame::Body;
use super::handshake::{HandshakeError, initiate};
use super::lane::{Lane, PendingReply};
use super::options::{NetOptions, PeerId};
use super::shared::Shared;
use super::stats::{Counters, PeerStatus};
use super::transport::BoxStream;

pub(super) struct Peer {
    id: PeerId,
    /// Guards the decision whether to connect, so that there is one connection at most.
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    address: Option<String>,
    link: Option<Link>,
    /// Attempts that failed since one succeeded.
    failures: u32,
    retry_at: Option<Instant>,
    last_error: Option<NetError>,
}

/// A connection, or the attempt at one.
struct Link {
    lane: Arc<Lane>,
    connected: bool,
    /// None for the moment between the decision to connect and the task that does.
    task: Option<AbortHandle>,
}

impl Peer {
    pub fn new(id: PeerId) -> Peer {
        Peer { id, state: Mutex::default() }
    }

    pub fn id(&self) -> PeerId {
        self.id
    }

    pub fn address(&self) -> Option<String> {
        self.state.lock().address.clone()
    }

    pub fn set_address(&self, address: String) {
        let mut state = self.state.lock();
        if state.address.as_ref() != Some(&address) {
            state.address = Some(address);
            state.end_backoff();
        }
    }

    /// The peer has shown that it is alive.
    pub fn seen(&self) {
        self.state.lock().end_backoff();
    }

    pub fn status(&self, accepted: bool) -> PeerStatus {
        let state = self.state.lock();
        let lane = state.link.as_ref().map(|link| &link.lane);
        PeerStatus {
            id: self.id,
            address: state.address.clone(),
            connected: state.link.as_ref().is_some_and(|link| link.connected),
            accepted,
            queued_bytes: lane.map_or(0, |lane| lane.outbox.queued_bytes()),
            in_flight: lane.map_or(0, |lane| lane.in_flight_count()),
            last_error: state.last_error.as_ref().map(NetError::to_string),
        }
    }

    pub fn send(
        self: &Arc<Peer>,
        shared: &Arc<Shared>,
        kind: u8,
        body: Body,
    ) -> Result<PendingReply, NetError> {
        let (lane, fresh) = self.lane(&shared.options)?;
        let pending = lane.request(kind, body);
        if fresh {
            self.connect(shared, lane);
        }
        pending
    }

    /// Ends the connection; its requests fail.
    pub fn close(&self) {
        let link = self.state.lock().link.take();
        if let Some(link) = link {
            link.lane.close(&self.unreachable(&Ending::Here));
            if let Some(task) = link.task {
                task.abort();
            }
        }
    }

    /// The lane for a request, and whether it still has to be connected.
    fn lane(&self, options: &NetOptions) -> Result<(Arc<Lane>, bool), NetError> {
        let mut state = self.state.lock();
        if let Some(link) = &state.link {
            return Ok((Arc::clone(&link.lane), false));
        }
        if state.retry_at.is_some_and(|retry_at| Instant::now() < retry_at)
            && let Some(error) = &state.last_error
        {
            return Err(error.clone());
        }
        let lane = Arc::new(Lane::new(self.id, options.peer_queue_bytes_max));
        state.link = Some(Link { lane: Arc::clone(&lane), connected: false, task: None });
        Ok((lane, true))
    }

    fn connect(self: &Arc<Peer>, shared: &Arc<Shared>, lane: Arc<Lane>) {
        let run = LinkRun {
            shared: Arc::clone(shared),
            peer: Arc::clone(self),
            lane: Arc::clone(&lane),
            failure: None,
        };
        let task = shared.tasks.spawn(run.run());
        let mut state = self.state.lock();
        match &mut state.link {
            Some(link) if Arc::ptr_eq(&link.lane, &lane) => link.task = task,
            // Closed in between: the task must not outlive its lane.
            _ => {
                drop(state);
                task.inspect(AbortHandle::abort);
            }
        }
    }

    fn connected(&self, lane: &Arc<Lane>) {
        let mut state = self.state.lock();
        state.end_backoff();
        state.last_error = None;
        if let Some(link) = state.link_of(lane) {
            link.connected = true;
        }
    }

    /// Closes the lane of an ended link; the next request may connect after the back-off.
    fn ended(&self, options: &NetOptions, lane: &Arc<Lane>, failure: &NetError) {
        {
            let mut state = self.state.lock();
            if state.link_of(lane).is_some() {
                state.link = None;
                let backoff = backoff(options, self.id, state.failures);
                state.failures = state.failures.saturating_add(1);
                state.retry_at = Some(Instant::now() + backoff);
                state.last_error = Some(failure.clone());
            }
        }
        lane.close(failure);
    }

    fn unreachable(&self, reason: &dyn ToString) -> NetError {
        NetError::Unreachable { peer: self.id, reason: reason.to_string() }
    }
}

impl State {
    fn end_backoff(&mut self) {
        self.failures = 0;
        self.retry_at = None;
    }

    fn link_of(&mut self, lane: &Arc<Lane>) -> Option<&mut Link> {
        self.link.as_mut().filter(|link| Arc::ptr_eq(&link.lane, lane))
    }
}

/// The life of one link. However it ends, by error, abort or panic, dropping it settles its
/// requests.
struct LinkRun {
    shared: Arc<Shared>,
    peer: Arc<Peer>,
    lane: Arc<Lane>,
    failure: Option<NetError>,
}

impl LinkRun {
    async fn run(mut self) {
        self.failure = Some(match self.open().await {
            Ok(stream) => self.serve(stream).await,
            Err(failure) => failure,
        });
    }

    async fn open(&self) -> Result<BoxStream, NetError> {
        let options = &self.shared.options;
        let address = self.peer.address();
        let address = address.ok_or_else(|| self.peer.unreachable(&"its address is not known"))?;
        let connecting = self.shared.transport.connect(&address);
        let mut stream = match timeout(options.connect_timeout, connecting).await {
            Ok(connected) => connected.map_err(|error| self.peer.unreachable(&error))?,
            Err(_) => return Err(self.peer.unreachable(&"connecting took too long")),
        };
        let greeting = initiate(&mut stream, &self.shared.credentials, self.peer.id);
        match timeout(options.handshake_timeout, greeting).await {
            Ok(Ok(_)) => Ok(stream),
            Ok(Err(error)) => Err(self.refused(&address, &error)),
            Err(_) => Err(self.refused(&address, &HandshakeError::Timeout)),
        }
    }

    fn refused(&self, address: &str, error: &HandshakeError) -> NetError {
        self.shared.opened_refusals.note(error.into(), address, error);
        if let HandshakeError::Refused { code } = error {
            self.shared.service.refused_by(self.peer.id, *code);
        }
        NetError::of_handshake(self.peer.id, error)
    }

    async fn serve(&self, stream: BoxStream) -> NetError {
        let Shared { counters, options, .. } = &*self.shared;
        Counters::add(&counters.connects, 1);
        self.peer.connected(&self.lane);
        let lane = &self.lane;
        let traffic = Traffic::new(counters);
        let (reader, writer) = split(stream);
        let answer = |arrival: Arrival| {
            if let Arrival::Whole(frame) = arrival {
                lane.answer(frame.id, frame.body);
            }
        };
        let ended = tokio::select! {
            end = read_frames(reader, options.frame_bytes_max, None, &traffic, answer) => end,
            end = write_frames(writer, &lane.outbox, &traffic, |id| lane.mark_sent(id)) => end,
            end = watch_for_stall(lane, &traffic, options.stall_timeout) => end,
        };
        let ending = ended.err().unwrap_or(Ending::Here);
        tracing::debug!("the connection to member {} ended: {ending}", self.peer.id);
        self.peer.unreachable(&ending)
    }
}

impl Drop for LinkRun {
    fn drop(&mut self) {
        let failure = self.failure.take().unwrap_or_else(|| self.peer.unreachable(&Ending::Here));
        self.peer.ended(&self.shared.options, &self.lane, &failure);
    }
}

/// Doubles with each failure, up to the maximum; then shortened by up to half, differently for each
/// pair of members, so that they do not all knock at once. No randomness, so that a simulation
/// repeats.
fn backoff(options: &NetOptions, peer: PeerId, failures: u32) -> Duration {
    let doubled = options.backoff_min.saturating_mul(1 << failures.min(20));
    let mut pair = crc32fast::Hasher::new();
    for number in [options.id.0, peer.0, u64::from(failures)] {
        pair.update(&number.to_be_bytes());
    }
    let eighths = 4 + pair.finalize() % 5;
    doubled.min(options.backoff_max) * eighths / 8
}

#[cfg(test)]
mod tests {
    use super::super::options::{ClusterId, Cookie};
    use super::*;

    #[test]
    fn the_back_off_doubles_up_to_its_maximum_and_differs_between_members() {
        let of = |id: u64| {
            let cookie = Cookie::new("c");
            NetOptions::new(PeerId(id), ClusterId([0; 16]), "ram@box", cookie)
        };
        let options = of(1);
        for failures in 0..100 {
            let full = options.backoff_min.saturating_mul(1 << failures.min(6));
            let full = full.min(options.backoff_max);
            let got = backoff(&options, PeerId(2), failures);
            assert!(got <= full && got >= full / 2, "{failures}: {got:?}");
        }
        let waits: std::collections::HashSet<_> =
            (1..20).map(|id| backoff(&of(id), PeerId(99), 9)).collect();
        assert!(waits.len() > 2, "{waits:?}");
    }
}
