//! How bytes move between members. Bytes have no meaning here: no Raft, no store, no commands.
//!
//! # The story
//!
//! A member listens, and other members are known by their id and found by an address book. Between
//! two members there is one TCP connection per direction: A's requests to B, and B's replies to
//! them, travel on the connection that A opened. Both sides prove the cookie first (`handshake`);
//! then the stream is cut into `frame`s. Many requests are under way at once, and each reply finds
//! its request by an id (`lane`). A request, in files:
//!
//! ```text
//! Net::send -> peer -> lane -> outbox -> frame => frame -> server -> Inbound
//!       PendingReply <- lane <- frame <= frame <- outbox <- Replies
//! ```
//!
//! # What callers may rely on
//!
//! - Sending never waits. Past a bound in bytes it fails with `Overloaded`.
//! - Requests to one peer arrive in the order they were sent, each at most once, while its
//!   connection stands; after a break a suffix of them is lost. Replies come in any order.
//! - An error tells whether the request may have been sent ([`NetError::sent`]). Nothing is
//!   retried.
//! - A peer that owes an answer and is silent is given up after `stall_timeout`; a peer that is
//!   busy is not silent, since pings are answered by its connection and not by its service.
//! - Nobody makes us hold memory without sending bytes, and a stranger not even then.
//! - After [`Net::shutdown`] no task is left. A panic in a [`Service`] ends its connection alone.
//!
//! # What may never enter
//!
//! Meaning (serde, Raft, the store), a retry, an await in the sending path, and a queue without a
//! bound. Sockets are named in [`transport`] alone. Encryption is left out: whoever can alter
//! packets on the way can take over a proven connection. Run members in a network of their own
//! until TLS comes.

#![forbid(unsafe_code)]
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

mod arriving;
mod connection;
mod error;
mod frame;
mod handshake;
mod handshakes;
mod identity;
mod lane;
mod options;
mod outbox;
mod peer;
mod refusal;
mod server;
mod shared;
mod stats;
pub mod transport;
mod unreached;
mod verdict;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

pub use error::NetError;
pub use frame::Body;
pub use identity::{ClusterId, Cookie, PeerId};
pub use lane::PendingReply;
pub use options::NetOptions;
pub use refusal::RefusalKind;
pub use server::Replies;
pub use stats::{NetStats, PeerStatus};
pub use transport::{TcpTransport, Transport};
pub use unreached::{Outage, Unreached, UnreachedCause};

use handshake::Credentials;
use shared::Shared;

/// What the network serves. Its methods run on the network's tasks and must not block.
pub trait Service: Send + Sync {
    /// Whether a proven member may connect; if not, the reason code that it is told.
    fn admit(&self, peer: PeerId, name: &str) -> Result<(), u8>;

    /// Is the peer a member, as far as this one knows? One that is not may connect, as one of few
    /// guests: it may know more than this one does.
    fn knows(&self, peer: PeerId) -> bool;

    /// A member has connected. The answer receives its requests, and is dropped with the
    /// connection, before another connection of the same member begins.
    fn connected(&self, peer: PeerId, replies: Replies) -> Box<dyn Inbound>;

    /// A member's policy refused us, for the reason of this code.
    fn refused_by(&self, peer: PeerId, code: u8);
}

/// The requests of one connection, in the order they arrived. Answers go through [`Replies`].
pub trait Inbound: Send {
    fn request(&mut self, id: u64, kind: u8, body: Bytes);

    /// A part of a large request has come; what was sent after it waits behind it.
    fn arriving(&mut self) {}
}

/// The network of one member. Dropping it closes everything; [`Net::shutdown`] also waits for it.
pub struct Net {
    shared: Arc<Shared>,
    local_port: u16,
}

impl Net {
    /// Listens, and serves from then on. Tasks run on the runtime this is called in.
    pub async fn start(
        options: NetOptions,
        transport: Arc<dyn Transport>,
        service: Arc<dyn Service>,
    ) -> Result<Net, NetError> {
        options.check()?;
        let (host, port) = (options.listen_host.as_str(), options.listen_port);
        let listener = transport.bind(host, port).await.map_err(|error| NetError::Listen {
            address: format!("{host}:{port}"),
            reason: error.to_string(),
        })?;
        let local_port = listener.local_port();
        let credentials = Credentials {
            cookie: options.cookie.clone(),
            cluster: options.cluster,
            id: options.id,
            name: options.node_name.clone(),
            address: options.advertised(local_port)?,
        };
        let shared = Arc::new(Shared::new(options, credentials, transport, service));
        shared.tasks.spawn(server::accept_connections(Arc::clone(&shared), listener));
        Ok(Net { shared, local_port })
    }

    pub fn local_port(&self) -> u16 {
        self.local_port
    }

    /// The address that peers are told.
    pub fn advertised(&self) -> String {
        self.shared.credentials.address.clone()
    }

    /// The cookie of the handshakes that come; connections that stand were proven and stay. An
    /// empty one proves nothing and is not taken.
    pub fn set_cookie(&self, cookie: Vec<u8>) {
        if !cookie.is_empty() {
            self.shared.credentials.cookie.replace(cookie);
        }
    }

    /// Takes down where a peer is. Later news win, also those of the peer's own handshake.
    pub fn set_address(&self, peer: PeerId, address: String) {
        self.shared.set_address(peer, address, true);
    }

    /// Where a peer was when it became a member: tried in turn with what was taken down since, when
    /// that fails. Whoever knows the cookie can say where a peer is, and this it cannot change.
    pub fn set_home(&self, peer: PeerId, address: &str) {
        self.shared.add_peer(peer).set_home(address);
    }

    /// Takes down the name of a peer, for those who read of it.
    pub fn set_name(&self, peer: PeerId, name: &str) {
        if let Some(peer) = self.shared.peer(peer) {
            peer.set_name(name);
        }
    }

    /// Is the peer at this address, and is it who it is taken for? Asks on the connection that
    /// stands; without one the address is taken down, and tried without regard to the back-off.
    pub fn reach(
        &self,
        peer: PeerId,
        address: String,
        limit: Duration,
    ) -> impl Future<Output = Result<(), Unreached>> + Send + 'static {
        let shared = Arc::clone(&self.shared);
        async move {
            let known = shared.peer(peer).filter(|peer| peer.is_connected());
            let peer = known.unwrap_or_else(|| shared.set_address(peer, address, true));
            match tokio::time::timeout(limit, peer.reach(&shared)).await {
                Ok(reached) => reached.map_err(|error| error.unreached()),
                Err(_) => Err(peer.late()),
            }
        }
    }

    /// [`Net::reach`] for several peers at once; `reply` gets the answers in the order of the
    /// question. May be called from any thread; never calls `reply` when this is shut down.
    pub fn reach_all(
        &self,
        peers: Vec<(PeerId, String)>,
        limit: Duration,
        reply: impl FnOnce(Vec<Result<(), Unreached>>) + Send + 'static,
    ) {
        let asked = peers.into_iter().map(|(peer, address)| self.reach(peer, address, limit));
        let answers = futures_util::future::join_all(asked);
        self.shared.tasks.spawn(async move { reply(answers.await) });
    }

    pub fn address(&self, peer: PeerId) -> Option<String> {
        self.shared.peer(peer)?.address()
    }

    /// Closes both connections with a peer and drops what is known of it. It may connect again, if
    /// the policy admits it.
    pub fn forget(&self, peer: PeerId) {
        if let Some(peer) = self.shared.remove_peer(peer) {
            peer.close();
        }
        self.shared.seats.clear(peer);
        self.shared.handshakes.forget(peer);
    }

    pub fn peers(&self) -> Vec<PeerStatus> {
        let seats = &self.shared.seats;
        let status = |peer: &Arc<peer::Peer>| peer.status(seats.is_taken(peer.id()));
        let mut peers: Vec<_> = self.shared.peers().iter().map(status).collect();
        peers.sort_by_key(|peer| peer.id);
        peers
    }

    /// Queues a request and returns the wait for its reply. May be called from any thread.
    pub fn send(
        &self,
        to: PeerId,
        kind: u8,
        body: impl Into<Body>,
    ) -> Result<PendingReply, NetError> {
        let body = body.into();
        let (bytes, bytes_max) = (body.byte_count(), self.shared.options.frame_bytes_max);
        if bytes > bytes_max {
            return Err(NetError::FrameTooLarge { bytes, bytes_max });
        }
        if self.shared.tasks.is_shut_down() {
            return Err(NetError::Closed);
        }
        let peer = self.shared.peer(to).ok_or_else(|| {
            let (cause, reason) = (UnreachedCause::NoAddress, peer::NO_ADDRESS.to_owned());
            NetError::Unreachable { peer: to, cause, reason }
        })?;
        peer.send(&self.shared, kind, body)
    }

    /// [`Net::send`] and its reply, within a time limit.
    pub async fn call(
        &self,
        to: PeerId,
        kind: u8,
        body: impl Into<Body>,
        limit: Duration,
    ) -> Result<Bytes, NetError> {
        let mut pending = self.send(to, kind, body)?;
        match tokio::time::timeout(limit, &mut pending).await {
            Ok(reply) => reply,
            Err(_) => pending.timed_out(),
        }
    }

    pub fn stats(&self) -> NetStats {
        let refusals = RefusalKind::ALL.into_iter();
        let counted = refusals.map(|kind| (kind, self.shared.accepted_refusals.total(kind)));
        self.shared.counters.snapshot(counted.collect())
    }

    /// Closes the listener and all connections, and waits until every task has ended.
    pub async fn shutdown(&self) {
        if let Some(mut tasks) = self.shared.tasks.shut_down() {
            tasks.shutdown().await;
        }
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        drop(self.shared.tasks.shut_down());
    }
}

#[cfg(test)]
mod tests;
