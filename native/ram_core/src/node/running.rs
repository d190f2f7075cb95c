//! What others may ask of a running member without waiting for it.

use openraft::ServerState;
use openraft::async_runtime::WatchReceiver;
use std::sync::Arc;

use super::identity::Identity;
use super::quorum::Quorum;
use super::status::{ReadStatus, Role, Standing, Status};
use ram_lease::Reads;
use ram_log::Log;
use ram_net::{Net, PeerId};
use ram_raft::entry;
use ram_raft::heard::Heard;
use ram_raft::log_store::Newest;
use ram_raft::state_machine::Applied;
#[cfg(feature = "simulation")]
use ram_raft::terms::Terms;
use ram_raft::types::Raft;

/// Shared with the threads of callers; all of it may be read from any of them.
pub struct Running {
    pub raft: Raft,
    pub net: Arc<Net>,
    pub log: Log,
    pub newest: Newest,
    pub identity: Identity,
    pub applied: Applied,
    pub reads: Reads,
    #[cfg(feature = "simulation")]
    pub terms: Terms,
    pub heard: Heard,
    pub quorum: Quorum,
}

impl Running {
    pub fn set_address(&self, id: u64, address: String) {
        self.net.set_address(PeerId(id), address);
    }

    pub fn set_cookie(&self, cookie: Vec<u8>) {
        self.net.set_cookie(cookie);
    }

    fn read_status(&self) -> ReadStatus {
        let reads = &self.reads;
        let left = reads.lease.until().since(reads.clock.now());
        ReadStatus {
            local: reads.counts.local(),
            waited: reads.counts.waited(),
            quorum: reads.counts.quorum(),
            lease: if left.is_zero() { Err(reads.lease.cause()) } else { Ok(left) },
        }
    }

    /// Is it a member, and the only one in every configuration that it knows of?
    pub fn is_alone(&self) -> bool {
        let metrics = self.raft.metrics().borrow_watched().clone();
        let newest = metrics.membership_config.membership().clone();
        [newest, self.applied.membership()].iter().all(|membership| {
            let mut ids = membership.nodes().map(|(id, _)| *id);
            ids.next() == Some(self.identity.id) && ids.next().is_none()
        })
    }

    /// Reads no file: a disk that is slow or broken is one of the times when it is asked for.
    pub fn status(&self) -> Status {
        let metrics = self.raft.metrics().borrow_watched().clone();
        let table = self.applied.table();
        let last_log_id = self.newest.log_id();
        let applied = self.applied.membership();
        let is_known = applied.nodes().next().is_some();
        let membership = if is_known { &applied } else { metrics.membership_config.membership() };
        let voters: Vec<u64> = membership.voter_ids().collect();
        let standing = |id| if voters.contains(id) { Standing::Voter } else { Standing::Learner };
        let members = membership.nodes();
        let heard = membership.nodes().filter_map(|(id, _)| Some((*id, self.heard.ago(*id)?)));
        let lost_since = self.quorum.lost_since();
        Status {
            cluster: self.identity.cluster,
            id: self.identity.id,
            address: self.net.advertised(),
            role: match (&metrics.running_state, metrics.state) {
                (Err(_), _) | (_, ServerState::Shutdown) => Role::Down,
                // It would lead if there were a majority.
                (_, ServerState::Leader) if lost_since.is_some() => Role::Candidate,
                (_, ServerState::Leader) => Role::Leader,
                (_, ServerState::Candidate) => Role::Candidate,
                (_, ServerState::Follower) => Role::Follower,
                (_, ServerState::Learner) => Role::Learner,
            },
            leader: metrics.current_leader.filter(|_| lost_since.is_none()),
            without_quorum: lost_since.map(|since| self.reads.clock.now().since(since)),
            heard: heard.collect(),
            term: metrics.current_term,
            members: members.map(|(id, member)| (*id, member.clone(), standing(id))).collect(),
            last_log_index: last_log_id.as_ref().map_or(0, |log_id| log_id.index()),
            last_log_term: last_log_id.as_ref().map_or(0, entry::term_of),
            joined: last_log_id.is_some(),
            applied_index: self.applied.index(),
            snapshot_index: metrics.snapshot.map_or(0, |log_id| log_id.index()),
            purged_index: metrics.purged.map_or(0, |log_id| log_id.index()),
            entries: table.entries(),
            entry_bytes: table.bytes(),
            applied_groups: self.applied.groups(),
            reads: self.read_status(),
            log: self.log.stats(),
            net: self.net.stats(),
            peers: self.net.peers(),
            failure: metrics.running_state.err().map(|fatal| fatal.to_string()),
        }
    }
}
