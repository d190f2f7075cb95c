//! The types openraft is instantiated with.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::fmt;

use ram_store::answer::Outcome;

openraft::declare_raft_types!(
    /// Standard Raft: at most one leader a term.
    pub TypeConfig:
        D = Payload,
        R = Outcome,
        NodeId = u64,
        Node = Member,
        LeaderId = openraft::impls::leader_id_std::LeaderId<u64, u64>,
        AsyncRuntime = super::clock::Runtime,
);

pub type Entry = openraft::alias::EntryOf<TypeConfig>;
pub type LogId = openraft::alias::LogIdOf<TypeConfig>;
pub type Vote = openraft::alias::VoteOf<TypeConfig>;
pub type StoredMembership = openraft::alias::StoredMembershipOf<TypeConfig>;
pub type Metrics = openraft::RaftMetrics<TypeConfig>;
pub type Membership = openraft::Membership<u64, Member>;
pub type SnapshotMeta = openraft::alias::SnapshotMetaOf<TypeConfig>;

/// A member as the membership entries of the log know it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// The Erlang node name.
    pub name: String,
    /// Where it listened when it joined; the address book of `ram_net` knows newer ones.
    pub address: String,
    /// In the first entry of a cluster: its default table is ordered. Elsewhere it means nothing.
    pub founds_ordered: bool,
}

impl Member {
    /// One that joins, or founds a cluster whose default table is a set.
    pub fn new(name: impl Into<String>, address: impl Into<String>) -> Member {
        Member { name: name.into(), address: address.into(), founds_ordered: false }
    }
}

/// A proposal of the store, encoded once by the node that made it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payload(pub Bytes);

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Payload({} bytes)", self.0.len())
    }
}

impl fmt::Display for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}
