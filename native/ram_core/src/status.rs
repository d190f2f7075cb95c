//! The status of a member, as `ram:status/0` tells it.

use crate::identity::ClusterId;
use crate::watch::Sizes;
use ram_lease::lease::NoLeaseReason;
use ram_log::LogStats;
use ram_net::{NetStats, PeerStatus};
pub use ram_raft::replica::Role;
use ram_raft::types::Member;
use std::time::Duration;

#[derive(Debug, Clone)]
pub struct Status {
    pub cluster: ClusterId,
    pub id: u64,
    /// `host:port` that peers are told.
    pub address: String,
    pub role: Role,
    pub leader: Option<u64>,
    pub term: u64,
    /// For how long there has been no majority, if there is none.
    pub without_quorum: Option<Duration>,
    /// How long ago the other members were heard, if they were since the start.
    pub heard: Vec<(u64, Duration)>,
    /// The membership as of `applied_index`; before there is one, the newest in the log.
    pub members: Vec<(u64, Member, Suffrage)>,
    /// Its log has, or had, an entry: this member belongs to a cluster that was made.
    pub joined: bool,
    pub last_log_index: u64,
    /// The term of the last log entry: with the index it tells whose log goes farther.
    pub last_log_term: u64,
    pub applied_index: u64,
    pub snapshot_index: u64,
    /// Entries up to this index are not in the log any more.
    pub purged_index: u64,
    /// Keys in the table.
    pub entries: u64,
    /// Bytes of all keys and values.
    pub entry_bytes: u64,
    /// Log entries with commands that were applied here since the start.
    pub applied_groups: u64,
    pub reads: ReadStatus,
    pub watches: Sizes,
    pub log: LogStats,
    pub net: NetStats,
    pub peers: Vec<PeerStatus>,
    /// Why it stopped by itself.
    pub failure: Option<String>,
}

/// How reads were answered here since the start, and whether they can be answered here alone.
#[derive(Debug, Clone, Copy)]
pub struct ReadStatus {
    /// At once.
    pub local: u64,
    /// By this member alone, when an entry that may change the key was applied.
    pub waited: u64,
    /// After a majority confirmed the leader.
    pub quorum: u64,
    /// What is left of the read lease, or why there is none.
    pub lease: Result<Duration, NoLeaseReason>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Suffrage {
    Voter,
    Learner,
}
