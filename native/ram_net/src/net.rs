//! [`Net`]: the handle to the network that the rest of the member uses.

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

    /// Sets the cookie for later handshakes; connections that were proven stay. An empty cookie
    /// proves nothing, and is ignored.
    pub fn set_cookie(&self, cookie: Vec<u8>) {
        if !cookie.is_empty() {
            self.shared.credentials.cookie.replace(cookie);
        }
    }

    /// Notes the address of a peer. The last one wins, also one from a handshake of that peer.
    pub fn set_address(&self, peer: PeerId, address: String) {
        self.shared.set_address(peer, address, true);
    }

    /// Notes the address of a peer that has none. One that comes at the same time stays.
    pub fn set_address_if_unknown(&self, peer: PeerId, address: &str) {
        self.shared.add_peer(peer).set_address_if_unknown(address);
    }

    /// Notes the address of a peer in the configuration of the cluster. Failing attempts use it and
    /// the noted address by turns: any peer with the cookie can give an address for another one,
    /// and cannot change this one.
    pub fn set_configured_address(&self, peer: PeerId, address: &str) {
        self.shared.add_peer(peer).set_configured_address(address);
    }

    /// Notes the name of a peer, for log lines and the status.
    pub fn set_name(&self, peer: PeerId, name: &str) {
        if let Some(peer) = self.shared.peer(peer) {
            peer.set_name(name);
        }
    }

    /// Checks that this peer answers. Sends a ping on the connection, if there is one; otherwise
    /// notes the address, and connects without regard to the back-off.
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

    /// [`Net::reach`] for several peers at once; `reply` gets the results in the order of `peers`.
    /// May be called from any thread; never calls `reply` after a shutdown.
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

    #[cfg(test)]
    pub fn address(&self, peer: PeerId) -> Option<String> {
        self.shared.peer(peer)?.address()
    }

    /// Closes both connections with a peer and forgets it. It may connect again, if the policy
    /// admits it.
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
    /// The address comes from the caller alone, and not from handshakes, in which any peer with the
    /// cookie can give any address. A peer that admits this member takes the connection for its
    /// newest one and closes the one before; so call this for a peer without a connection of ours.
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
