//! The state that the parts of one network share, and their tasks.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::task::{AbortHandle, JoinSet};

use super::handshake::Credentials;
use super::handshakes::Handshakes;
use super::identity::PeerId;
use super::inbound_slots::InboundSlots;
use super::options::NetOptions;
use super::peer::Peer;
use super::receive_budget::ReceiveBudget;
use super::refusal::RefusalLog;
use super::service::Service;
use super::stats::Counters;
use super::transport::Transport;

pub(super) struct Shared {
    pub options: NetOptions,
    pub credentials: Credentials,
    pub transport: Arc<dyn Transport>,
    pub service: Arc<dyn Service>,
    pub counters: Counters,
    /// Refusals of connections made to us. A peer tells itself of those that we made.
    pub accepted_refusals: RefusalLog,
    pub handshakes: Arc<Handshakes>,
    pub inbound_slots: Arc<InboundSlots>,
    /// The receive budgets of members, and of unknown peers.
    pub members_budget: ReceiveBudget,
    pub unknown_peers_budget: ReceiveBudget,
    pub tasks: Tasks,
    peers: Mutex<BTreeMap<PeerId, Arc<Peer>>>,
}

impl Shared {
    pub fn new(
        options: NetOptions,
        credentials: Credentials,
        transport: Arc<dyn Transport>,
        service: Arc<dyn Service>,
    ) -> Shared {
        Shared {
            accepted_refusals: RefusalLog::new(options.refusal_log_interval),
            members_budget: ReceiveBudget::new(options.receiving_bytes_max),
            unknown_peers_budget: ReceiveBudget::new(options.unknown_peers_receiving_bytes_max),
            handshakes: Handshakes::new(options.handshakes_max),
            inbound_slots: InboundSlots::new(options.unknown_peers_max),
            options,
            credentials,
            transport,
            service,
            counters: Counters::default(),
            tasks: Tasks::new(),
            peers: Mutex::default(),
        }
    }

    pub fn peer(&self, id: PeerId) -> Option<Arc<Peer>> {
        self.peers.lock().get(&id).cloned()
    }

    pub fn peers(&self) -> Vec<Arc<Peer>> {
        self.peers.lock().values().cloned().collect()
    }

    pub fn remove_peer(&self, id: PeerId) -> Option<Arc<Peer>> {
        self.peers.lock().remove(&id)
    }

    pub fn add_peer(&self, id: PeerId) -> Arc<Peer> {
        match self.peers.lock().entry(id) {
            Entry::Occupied(entry) => Arc::clone(entry.get()),
            Entry::Vacant(entry) => Arc::clone(entry.insert(Arc::new(Peer::new(id)))),
        }
    }

    /// Notes the address of a peer; the last one wins. `is_given`: by the owner of this
    /// network, and not by the peer itself.
    pub fn set_address(&self, id: PeerId, address: String, is_given: bool) -> Arc<Peer> {
        let peer = self.add_peer(id);
        peer.set_address(address, is_given);
        peer
    }

    /// Forgets an unknown peer, unless the owner of this network has given its address.
    pub fn forget_unknown_peer(&self, id: PeerId) {
        let is_unknown = |peer: &Arc<Peer>| !peer.is_address_given() && !self.service.knows(id);
        if let Some(peer) = self.peer(id).filter(is_unknown) {
            self.remove_peer(id);
            peer.close();
        }
    }
}

/// Every task of a network, so that shutting down leaves none behind. A panic in one ends that one.
pub(super) struct Tasks {
    runtime: Handle,
    /// Guards the set; none after shutdown, so that nothing new begins.
    set: Mutex<Option<JoinSet<()>>>,
}

impl Tasks {
    fn new() -> Tasks {
        Tasks { runtime: Handle::current(), set: Mutex::new(Some(JoinSet::new())) }
    }

    /// Starts a task, unless shut down. Never call it with a lock held that the task's drop takes.
    pub fn spawn<F>(&self, task: F) -> Option<AbortHandle>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let mut set = self.set.lock();
        let Some(running) = set.as_mut() else {
            drop(set);
            // The task is dropped here, outside the lock, and its guards clean up.
            drop(task);
            return None;
        };
        while let Some(finished) = running.try_join_next() {
            if let Err(error) = finished
                && error.is_panic()
            {
                tracing::error!("a network task panicked: {error}");
            }
        }
        Some(running.spawn_on(task, &self.runtime))
    }

    pub fn is_shut_down(&self) -> bool {
        self.set.lock().is_none()
    }

    /// Aborts all tasks; the answer can be awaited for their end.
    pub fn shut_down(&self) -> Option<JoinSet<()>> {
        let mut running = self.set.lock().take()?;
        running.abort_all();
        Some(running)
    }
}
