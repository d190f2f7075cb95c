//! What callers may read of a running member at once, on their own threads.

use crate::identity::Identity;
use crate::status::{ReadStatus, Role, Status, Suffrage};
use crate::watch::Sizes;
use ram_net::PeerId;
use ram_raft::entry;
use ram_raft::replica::{Replica, role};

/// Shared with the threads of callers; all of it may be read from any of them.
pub struct Running {
    pub identity: Identity,
    pub replica: Replica,
}

impl Running {
    pub fn set_address(&self, id: u64, address: String) {
        self.replica.net.set_address(PeerId(id), address);
    }

    pub fn set_cookie(&self, cookie: Vec<u8>) {
        self.replica.net.set_cookie(cookie);
    }

    fn read_status(&self) -> ReadStatus {
        let reads = &self.replica.reads;
        let left = reads.lease.until().since(reads.clock.now());
        ReadStatus {
            local: reads.counts.local(),
            waited: reads.counts.waited(),
            quorum: reads.counts.quorum(),
            lease: if left.is_zero() { Err(reads.lease.no_lease_reason()) } else { Ok(left) },
        }
    }

    /// Reads no file: a disk that is slow or broken is one of the times when it is asked for.
    pub fn status(&self, watches: Sizes) -> Status {
        let replica = &self.replica;
        let metrics = replica.metrics();
        let tables = replica.applied.tables();
        let last_log_id = replica.newest.log_id();
        let applied = replica.applied.membership();
        let is_known = applied.nodes().next().is_some();
        let membership = if is_known { &applied } else { metrics.membership_config.membership() };
        let voters: Vec<u64> = membership.voter_ids().collect();
        let suffrage = |id| if voters.contains(id) { Suffrage::Voter } else { Suffrage::Learner };
        let members = membership.nodes();
        let heard = membership.nodes().filter_map(|(id, _)| Some((*id, replica.heard.ago(*id)?)));
        let lost_since = replica.quorum.lost_since();
        Status {
            cluster: self.identity.cluster,
            id: self.identity.id,
            address: self.replica.net.advertised(),
            role: match role(&metrics) {
                // It would lead if there were a majority.
                Role::Leader if lost_since.is_some() => Role::Candidate,
                role => role,
            },
            leader: metrics.current_leader.filter(|_| lost_since.is_none()),
            without_quorum: lost_since.map(|since| replica.reads.clock.now().since(since)),
            heard: heard.collect(),
            term: metrics.current_term,
            members: members.map(|(id, member)| (*id, member.clone(), suffrage(id))).collect(),
            last_log_index: last_log_id.as_ref().map_or(0, |log_id| log_id.index()),
            last_log_term: last_log_id.as_ref().map_or(0, entry::term_of),
            joined: last_log_id.is_some(),
            applied_index: replica.applied.index(),
            snapshot_index: metrics.snapshot.map_or(0, |log_id| log_id.index()),
            purged_index: metrics.purged.map_or(0, |log_id| log_id.index()),
            entries: tables.entries(),
            entry_bytes: tables.bytes(),
            applied_groups: replica.applied.groups(),
            reads: self.read_status(),
            watches,
            log: replica.log.stats(),
            net: self.replica.net.stats(),
            peers: self.replica.net.peers(),
            failure: metrics.running_state.err().map(|fatal| fatal.to_string()),
        }
    }
}
