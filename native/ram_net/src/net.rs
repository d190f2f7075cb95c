//! [`Net`]: what the rest of the member holds of the network.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::error::NetError;
use super::frame::Body;
use super::handshake::{Credentials, HandshakeError, initiate};
use super::identity::PeerId;
use super::options::NetOptions;
use super::peer::Peer;
use super::pending_requests::PendingReply;
use super::refusal::RefusalKind;
use super::service::Service;
use super::shared::Shared;
use super::stats::{NetStats, PeerStatus};
use super::transport::Transport;
use super::unreached::{Unreached, UnreachedCause};
use super::{link, server};

/// The network of one member. Dropping it closes everything; [`Net::shutdown`] also waits for it.
pub struct Net {
    pub(super) shared: Arc<Shared>,
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
            match tokio::time::timeout(limit, link::reach(&shared, &peer)).await {
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
        self.shared.inbound_slots.close(peer);
        self.shared.handshakes.forget(peer);
    }

    pub fn peers(&self) -> Vec<PeerStatus> {
        let slots = &self.shared.inbound_slots;
        let status = |peer: &Arc<Peer>| peer.status(slots.is_taken(peer.id()));
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
            let (cause, reason) = (UnreachedCause::NoAddress, link::NO_ADDRESS.to_owned());
            NetError::Unreachable { peer: to, cause, reason }
        })?;
        link::send(&self.shared, &peer, kind, body)
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

    /// The reason code with which the peer at `address` refuses this member, by a handshake and no
    /// more. `None`: it admits it, is not there, or is another.
    ///
    /// The address comes from the caller alone. What the address book says, which any peer that
    /// knows the cookie can tell, plays no part. A peer that admits this member takes the
    /// connection for its new one, and drops the last; so ask one that has none.
    pub async fn refusal_at(&self, peer: PeerId, address: &str, limit: Duration) -> Option<u8> {
        let asked = async {
            let mut stream = self.shared.transport.connect(address).await.ok()?;
            match initiate(&mut stream, &self.shared.credentials, peer).await {
                Err(HandshakeError::Refused { code }) => Some(code),
                Ok(_) | Err(_) => None,
            }
        };
        tokio::time::timeout(limit, asked).await.ok().flatten()
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
