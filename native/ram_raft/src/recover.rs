//! Forced recovery after the loss of a majority: one survivor becomes the only voter of a new
//! cluster.
//!
//! This is outside of Raft. It is done on a stopped member, for an operator who says that the
//! others are gone for good. The survivor's log is all there is: a change that only others had
//! acknowledged is lost, and one that was never acknowledged but is in this log is kept. The new
//! cluster has a new id, so a member of the old one that comes back is refused.

use openraft::EntryPayload;
use openraft::RaftLogReader;
use openraft::entry::RaftEntry;
use openraft::storage::RaftLogStorage;
use std::collections::BTreeMap;
use std::io;

use super::entry;
use super::log_store::LogStore;
use super::types::{Entry, LogId, Member, Membership, Vote};
use ram_limits::COUNTER_MAX;

/// A term beyond those of the log, and of the vote, if elections can have led to that. If not, the
/// vote came from a damaged member, and may be given up: it binds this member towards members
/// of the old cluster, of which none is heard any more, and no leader of the new one has a term
/// yet.
fn next_term(vote: Option<&Vote>, last: Option<&LogId>) -> io::Result<u64> {
    let logged = last.map_or(0, entry::term_of);
    let voted = vote.map_or(0, |vote| vote.leader_id.term);
    let term = next(voted.max(logged)).or_else(|| next(logged));
    term.ok_or_else(|| io::Error::other(format!("the last entry has term {logged}, beyond all")))
}

fn next(number: u64) -> Option<u64> {
    (number < COUNTER_MAX).then(|| number.saturating_add(1))
}

/// Writes an entry that makes `id` the only member, in a term that no leader of the old cluster
/// had. Returns its log id.
pub async fn make_sole_voter(mut store: LogStore, id: u64, member: Member) -> io::Result<LogId> {
    let vote = store.read_vote().await?;
    let last = store.last_log_id()?;
    let term = next_term(vote.as_ref(), last.as_ref())?;
    let index = last.map_or(Some(0), |log_id| next(log_id.index()));
    let index = index.ok_or_else(|| io::Error::other("the log ends at an index of no log"))?;
    let membership = Membership::from(BTreeMap::from([(id, member)]));
    let sole =
        Entry { log_id: entry::log_id(term, index), payload: EntryPayload::Membership(membership) };
    let log_id = sole.log_id();
    store.save_vote(&Vote::new(term, id)).await?;
    store.append_alone(&sole).await?;
    Ok(log_id)
}
