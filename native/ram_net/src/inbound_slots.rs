//! Inbound connection slots: at most one accepted connection for each peer.
//!
//! A newer connection of a peer takes the slot of the older one, which is closed first, and whose
//! [`Inbound`](super::Inbound) is dropped before the newer one gets its own: requests of two
//! connections never mix. Unknown peers have few slots; for one more of them, the connection that
//! has held its slot longest is closed.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::identity::PeerId;

pub(super) struct InboundSlots {
    unknown_peers_max: usize,
    /// Guards the exchange of connections.
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    by_peer: BTreeMap<PeerId, Holder>,
    last_serial: u64,
}

/// The connection that has a slot.
#[derive(Debug)]
struct Holder {
    serial: u64,
    /// Dropping it asks the connection to end.
    _keep_open: oneshot::Sender<()>,
    /// Resolves when the connection and its inbound are gone.
    gone: oneshot::Receiver<()>,
}

/// The slot of one connection; dropping it frees the slot, unless a newer connection has it.
pub(super) struct InboundSlot {
    slots: Arc<InboundSlots>,
    peer: PeerId,
    serial: u64,
    /// Resolves when the connection has to end.
    pub replaced: oneshot::Receiver<()>,
    _gone: oneshot::Sender<()>,
}

impl InboundSlots {
    pub fn new(unknown_peers_max: usize) -> Arc<InboundSlots> {
        Arc::new(InboundSlots { unknown_peers_max, state: Mutex::default() })
    }

    /// Takes the slot of `peer`, and waits until the connection that had it has ended.
    pub async fn take(
        self: &Arc<InboundSlots>,
        peer: PeerId,
        is_unknown: impl Fn(PeerId) -> bool,
    ) -> InboundSlot {
        let (keep_open, replaced) = oneshot::channel();
        let (gone_sender, gone) = oneshot::channel();
        let (serial, previous) = {
            let mut state = self.state.lock();
            state.last_serial += 1;
            let serial = state.last_serial;
            if is_unknown(peer) {
                state.close_oldest_unknown(peer, is_unknown, self.unknown_peers_max);
            }
            let holder = Holder { serial, _keep_open: keep_open, gone };
            (serial, state.by_peer.insert(peer, holder))
        };
        let slot =
            InboundSlot { slots: Arc::clone(self), peer, serial, replaced, _gone: gone_sender };
        if let Some(Holder { _keep_open: keep_open, gone, .. }) = previous {
            drop(keep_open);
            let _ = gone.await;
        }
        slot
    }

    pub fn is_taken(&self, peer: PeerId) -> bool {
        self.state.lock().by_peer.contains_key(&peer)
    }

    /// Asks the connection of a peer to end.
    pub fn close(&self, peer: PeerId) {
        self.state.lock().by_peer.remove(&peer);
    }
}

impl State {
    /// Closes the oldest connection of an unknown peer, if unknown peers other than `newcomer` have
    /// taken all their slots.
    fn close_oldest_unknown(
        &mut self,
        newcomer: PeerId,
        is_unknown: impl Fn(PeerId) -> bool,
        unknown_peers_max: usize,
    ) {
        let unknown =
            self.by_peer.iter().filter(|(peer, _)| **peer != newcomer && is_unknown(**peer));
        let unknown: Vec<(u64, PeerId)> = unknown.map(|(peer, of)| (of.serial, *peer)).collect();
        if unknown.len() >= unknown_peers_max
            && let Some((_, oldest)) = unknown.iter().min()
        {
            self.by_peer.remove(oldest);
        }
    }
}

impl Drop for InboundSlot {
    fn drop(&mut self) {
        let mut state = self.slots.state.lock();
        if state.by_peer.get(&self.peer).is_some_and(|holder| holder.serial == self.serial) {
            state.by_peer.remove(&self.peer);
        }
    }
}
