//! The way out of a lost majority: one survivor becomes the only voter of a new cluster.
//!
//! This is outside of Raft, and done on a stopped member by the hand of an operator who says that
//! the others are gone for good. The survivor's log is all there is: a change that was acknowledged
//! by others alone is lost, and one that was never acknowledged but reached this log is kept. The
//! cluster gets a new id, so that a member of the old one that comes back after all is a stranger
//! and not a rival.

use openraft::EntryPayload;
use openraft::RaftLogReader;
use openraft::entry::RaftEntry;
use openraft::storage::RaftLogStorage;
use std::collections::BTreeMap;
use std::io;

use super::entry;
use super::log_store::LogStore;
use super::types::{Entry, LogId, Member, Membership, Vote};

/// Writes an entry that makes `id` the only member, in a term that no leader of the old cluster
/// had. Returns its log id.
pub async fn make_sole_voter(mut store: LogStore, id: u64, member: Member) -> io::Result<LogId> {
    let vote = store.read_vote().await?;
    let last = store.last_log_id()?;
    let voted_term = vote.map_or(0, |vote: Vote| vote.leader_id.term);
    let term = voted_term.max(last.as_ref().map_or(0, entry::term_of)) + 1;
    let index = last.map_or(0, |log_id| log_id.index() + 1);
    let membership = Membership::from(BTreeMap::from([(id, member)]));
    let sole =
        Entry { log_id: entry::log_id(term, index), payload: EntryPayload::Membership(membership) };
    let log_id = sole.log_id();
    store.save_vote(&Vote::new(term, id)).await?;
    store.append_alone(&sole).await?;
    Ok(log_id)
}
