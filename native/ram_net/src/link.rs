//! The outbound connection to one peer: connects, runs the handshake, sends the requests, receives
//! the replies.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::split;
use tokio::time::timeout;

use super::connection::{
    CloseReason, ReceiveLimits, Received, Traffic, read_frames, watch_for_stall, write_frames,
};
use super::error::NetError;
use super::frame::Body;
use super::handshake::{Greeting, HandshakeError, initiate};
use super::peer::Peer;
use super::pending_requests::{PendingReply, PendingRequests};
use super::shared::Shared;
use super::stats::Counters;
use super::transport::BoxStream;
use super::unreached::UnreachedCause;

pub(super) const NO_ADDRESS: &str = "its address is not known";

/// Queues a request; without a connection, begins to connect.
pub(super) fn send(
    shared: &Arc<Shared>,
    peer: &Arc<Peer>,
    kind: u8,
    body: Body,
) -> Result<PendingReply, NetError> {
    let (requests, fresh) = peer.pending_requests(&shared.options)?;
    let pending = requests.add(kind, body);
    if fresh {
        connect(shared, peer, requests);
    }
    pending
}

/// Waits for a sign of life, on the connection that stands or on a new one.
pub(super) async fn reach(shared: &Arc<Shared>, peer: &Arc<Peer>) -> Result<(), NetError> {
    loop {
        peer.start_over();
        let (requests, fresh) = peer.pending_requests(&shared.options)?;
        let echo = requests.echo();
        if fresh {
            connect(shared, peer, requests);
        }
        match echo?.await.unwrap_or(Err(NetError::Closed)) {
            // That attempt began before the call, perhaps at another address.
            Err(_) if !fresh => {}
            reached => return reached,
        }
    }
}

fn connect(shared: &Arc<Shared>, peer: &Arc<Peer>, requests: Arc<PendingRequests>) {
    let run = LinkRun {
        shared: Arc::clone(shared),
        peer: Arc::clone(peer),
        requests: Arc::clone(&requests),
        failure: None,
    };
    let task = shared.tasks.spawn(run.run());
    peer.set_task(&requests, task);
}

/// The task of one connection. However it ends, by error, abort or panic, dropping it fails the
/// pending requests.
struct LinkRun {
    shared: Arc<Shared>,
    peer: Arc<Peer>,
    requests: Arc<PendingRequests>,
    failure: Option<NetError>,
}

impl LinkRun {
    async fn run(mut self) {
        self.failure = Some(match self.open().await {
            Ok((stream, greeting)) => self.serve(stream, greeting).await,
            Err(failure) => failure,
        });
    }

    async fn open(&self) -> Result<(BoxStream, Greeting), NetError> {
        let unknown = || self.peer.unreachable(UnreachedCause::NoAddress, &NO_ADDRESS);
        let address = self.peer.next_address().ok_or_else(unknown)?;
        let opened = self.open_at(&address).await;
        opened.inspect_err(|failure| {
            Counters::add(&self.shared.counters.connect_failures, 1);
            let log_interval = self.shared.options.refusal_log_interval;
            self.peer.not_reached(&address, failure, log_interval);
        })
    }

    async fn open_at(&self, address: &str) -> Result<(BoxStream, Greeting), NetError> {
        let options = &self.shared.options;
        let connecting = self.shared.transport.connect(address);
        let mut stream = match timeout(options.connect_timeout, connecting).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(self.peer.unreachable((&error).into(), &error)),
            Err(_) => {
                let late = &"connecting took too long";
                return Err(self.peer.unreachable(UnreachedCause::Timeout, late));
            }
        };
        let greeting = initiate(&mut stream, &self.shared.credentials, self.peer.id());
        match timeout(options.handshake_timeout, greeting).await {
            Ok(Ok(greeting)) => {
                if let Ok(at) = address.parse::<SocketAddr>() {
                    self.shared.handshakes.expect(self.peer.id(), at.ip().into());
                }
                Ok((stream, greeting))
            }
            Ok(Err(error)) => Err(self.refused(&error)),
            Err(_) => Err(self.refused(&HandshakeError::Timeout)),
        }
    }

    fn refused(&self, error: &HandshakeError) -> NetError {
        if let HandshakeError::Refused { code } = error {
            self.shared.service.refused_by(self.peer.id(), *code);
        }
        NetError::of_handshake(self.peer.id(), error)
    }

    fn ended_with(&self, ending: &CloseReason) -> NetError {
        self.peer.unreachable(UnreachedCause::Closed, ending)
    }

    async fn serve(&self, stream: BoxStream, greeting: Greeting) -> NetError {
        let Shared { counters, options, .. } = &*self.shared;
        Counters::add(&counters.connects, 1);
        self.peer.connected(&self.requests, greeting.name);
        let requests = &self.requests;
        let traffic = Traffic::new(counters);
        let budget = || self.shared.members_budget.clone();
        let limits = ReceiveLimits::new(options, None, &budget);
        let (reader, writer) = split(stream);
        let answer = |arrival: Received| {
            if let Received::Frame(frame) = arrival {
                requests.answer(frame.id, frame.body);
            }
        };
        let is_wanted = |id| requests.mark_sent(id);
        let ended = tokio::select! {
            end = read_frames(reader, &limits, &traffic, answer) => end,
            end = write_frames(writer, &requests.outbox, &traffic, is_wanted) => end,
            end = watch_for_stall(requests, &traffic, options.stall_timeout) => end,
        };
        let ending = ended.err().unwrap_or(CloseReason::Here);
        tracing::debug!("the connection to member {} ended: {ending}", self.peer.id());
        self.ended_with(&ending)
    }
}

impl Drop for LinkRun {
    fn drop(&mut self) {
        let failure = self.failure.take().unwrap_or_else(|| self.ended_with(&CloseReason::Here));
        self.peer.ended(&self.shared.options, &self.requests, &failure);
    }
}
