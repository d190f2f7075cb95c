//! Counters of one network, for metrics and tests. They only grow.

use std::sync::atomic::{AtomicU64, Ordering};

use super::identity::PeerId;
use super::refusal::RefusalKind;
use super::unreached::Outage;

#[derive(Debug, Default)]
pub(super) struct Counters {
    pub frames_sent: AtomicU64,
    pub frames_received: AtomicU64,
    pub bytes_sent: AtomicU64,
    pub bytes_received: AtomicU64,
    pub connects: AtomicU64,
    pub connect_failures: AtomicU64,
    pub accepts: AtomicU64,
}

impl Counters {
    pub fn add(counter: &AtomicU64, count: u64) {
        counter.fetch_add(count, Ordering::Relaxed);
    }

    pub fn snapshot(&self, refusals: Vec<(RefusalKind, u64)>) -> NetStats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        NetStats {
            frames_sent: read(&self.frames_sent),
            frames_received: read(&self.frames_received),
            bytes_sent: read(&self.bytes_sent),
            bytes_received: read(&self.bytes_received),
            connects: read(&self.connects),
            connect_failures: read(&self.connect_failures),
            accepts: read(&self.accepts),
            refusals,
        }
    }
}

/// Totals since the network started. Bytes are those of frames, without handshakes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetStats {
    pub frames_sent: u64,
    pub frames_received: u64,
    pub bytes_sent: u64,
    pub bytes_received: u64,
    /// Connections opened by us that passed the handshake.
    pub connects: u64,
    /// Attempts of ours that ended before that.
    pub connect_failures: u64,
    /// Connections opened by others that passed the handshake.
    pub accepts: u64,
    /// Connections to us that we refused, by kind; every kind is listed.
    pub refusals: Vec<(RefusalKind, u64)>,
}

impl NetStats {
    pub fn refused(&self, kind: RefusalKind) -> u64 {
        self.refusals.iter().filter(|(k, _)| *k == kind).map(|(_, count)| count).sum()
    }
}

/// One peer as the network sees it now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerStatus {
    pub id: PeerId,
    /// Its Erlang node, if that is known.
    pub name: Option<String>,
    pub address: Option<String>,
    /// Our connection to it stands.
    pub connected: bool,
    /// Its connection to us stands.
    pub accepted: bool,
    /// Waiting to be written on our connection.
    pub queued_bytes: usize,
    /// Requests of ours without a reply.
    pub in_flight: usize,
    /// Why the last connection, or attempt, of ours ended; none while connected.
    pub last_error: Option<String>,
    /// Attempts that failed since one succeeded.
    pub outage: Option<Outage>,
}
