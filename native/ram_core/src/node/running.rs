//! What others may ask of a running member without waiting for it.

use openraft::ServerState;
use openraft::async_runtime::WatchReceiver;
use std::sync::Arc;

use super::identity::Identity;
use super::quorum::Quorum;
use super::status::{ReadStatus, Role, Standing, Status};
use crate::log::Log;
use crate::net::{Net, PeerId};
use crate::raft::entry;
use crate::raft::heard::Heard;
use crate::raft::log_store::LogStore;
use crate::raft::state_machine::Applied;
use crate::raft::types::{LogId, Raft};
use crate::reads::Reads;

/// Shared with the threads of callers; all of it may be read from any of them.
pub struct Running {
    pub raft: Raft,
    pub net: Arc<Net>,
    pub log: Log,
    pub identity: Identity,
    pub applied: Applied,
    pub reads: Reads,
    pub heard: Heard,
    pub quorum: Quorum,
}

impl Running {
    pub fn set_address(&self, id: u64, address: String) {
        self.net.set_address(PeerId(id), address);
    }

    /// The newest log entry, also when it was purged.
    fn last_log_id(&self) -> Option<LogId> {
        // A log that cannot be read has failed, which the failure tells.
        LogStore::new(self.log.clone()).last_log_id().ok().flatten()
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

    pub fn status(&self) -> Status {
        let metrics = self.raft.metrics().borrow_watched().clone();
        let table = self.applied.table();
        let last_log_id = self.last_log_id();
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
            last_log_index: metrics.last_log_index.unwrap_or(0),
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
