//! What only the leader can do, asked by this member itself or by another through `service`.

use bytes::Bytes;
use openraft::ChangeMembers;
use openraft::async_runtime::WatchReceiver;
use openraft::errors::{ChangeMembershipError, ClientWriteError, RaftError};
use openraft::{ReadPolicy, ServerState};
use std::collections::{BTreeMap, BTreeSet};

use super::rpc::{Answer, MemberChange, Refusal};
use super::types::{Member, Membership, Metrics, Payload, Raft, TypeConfig};
use crate::codec::DecodeError;
use crate::limits::PROPOSAL_BYTES_MAX;
use crate::reads::Reads;
use crate::reads::grants::{Ask, Grant, Refused};
use crate::sabotage::{self, Fault};
use crate::store::command::{self, Outcome, Proposal};

type WriteError = RaftError<TypeConfig, ClientWriteError<TypeConfig>>;

/// Proposes an entry and waits until it is applied here. What no member could store or apply does
/// not enter the log: it would end them all.
pub async fn propose(raft: &Raft, proposal: Bytes) -> Answer<Outcome> {
    if let Err(reason) = check(&proposal).await {
        tracing::error!("a proposal was refused: {reason}");
        return Err(Refusal::Unfit(reason));
    }
    if sabotage::armed(Fault::ReplyBeforeCommit)
        && let Some(premature) = command::unconditional(&proposal)
    {
        let raft = raft.clone();
        tokio::spawn(async move { raft.client_write(Payload(proposal)).await });
        return Ok(premature);
    }
    let response = raft.client_write(Payload(proposal)).await.map_err(refusal)?;
    Ok(response.data)
}

async fn check(proposal: &[u8]) -> Result<(), String> {
    if proposal.len() > PROPOSAL_BYTES_MAX {
        return Err(format!("{} bytes, where {PROPOSAL_BYTES_MAX} are the most", proposal.len()));
    }
    let wrong = |error: DecodeError| error.to_string();
    let mut commands = Proposal::decode(proposal).map_err(wrong)?.commands();
    while commands.check_some().map_err(wrong)? {
        tokio::task::yield_now().await;
    }
    Ok(())
}

/// The index a member must have applied before it may answer reads that were asked before this
/// call: ReadIndex, section 6.4 of Ongaro's thesis. A new leader answers with the index of its own
/// first entry at least, so it confirms nothing that a former leader committed unseen.
pub async fn read_index(raft: &Raft) -> Answer<u64> {
    match raft.get_read_linearizer(ReadPolicy::ReadIndex).await {
        Ok(linearizer) => Ok(linearizer.read_log_id().index()),
        Err(RaftError::Fatal(fatal)) => Err(Refusal::Stopped(fatal.to_string())),
        Err(RaftError::APIError(_)) => Err(Refusal::NotLeader),
    }
}

/// Grants a read lease to who asks for it, if this member leads in the term it asks for.
pub fn grant_lease(raft: &Raft, reads: &Reads, ask: &Ask) -> Result<Grant, Refused> {
    reads.barrier.grant(ask, || {
        let metrics = raft.metrics();
        let metrics = metrics.borrow_watched();
        let leads = metrics.state == ServerState::Leader && metrics.current_term == ask.term;
        leads.then(|| metrics.membership_config.membership().get_joint_config().clone())
    })
}

/// Lets another member take over the lead at once. It is voted for in spite of the promises that
/// read leases rest on, and maybe late: so they run out first, and none is granted in this term.
pub async fn transfer(raft: &Raft, reads: &Reads, heir: u64) -> Answer<()> {
    reads.barrier.hand_over();
    reads.barrier.run_out().await;
    // A lead that was lost and won again meanwhile may have leases.
    if !reads.barrier.hands_over() {
        return Err(Refusal::NotLeader);
    }
    let sent = raft.trigger().transfer_leader(heir).await;
    sent.map_err(|fatal| Refusal::Stopped(fatal.to_string()))
}

pub async fn change_member(raft: &Raft, reads: &Reads, change: MemberChange) -> Answer<()> {
    // The state of the cluster, not of a leader that was deposed without knowing it.
    read_index(raft).await?;
    match change {
        MemberChange::Add { id, member } => add(raft, reads, id, member).await,
        MemberChange::Remove { name } => remove(raft, reads, &name).await,
    }
}

/// Adds a learner, waits until it has caught up, and makes it a voter; in the same change another
/// member of its name, its former self, goes. Changes are relative, so that two at once do not undo
/// each other.
async fn add(raft: &Raft, reads: &Reads, id: u64, member: Member) -> Answer<()> {
    let now = membership(raft);
    let name = member.name.clone();
    let is_done = now.voter_ids().any(|voter| voter == id) && !is_joint(&now);
    if !is_done {
        raft.add_learner(id, member, true).await.map_err(refusal)?;
        let promote = ChangeMembers::AddVoterIds(BTreeSet::from([id]));
        let replace = ChangeMembers::RemoveVoters(ids_named(&membership(raft), &name, Some(id)));
        change(raft, reads, ChangeMembers::Batch(vec![promote, replace])).await?;
    }
    // Also what a leader that was lost halfway has left.
    drop_learners(raft, reads, ids_named(&membership(raft), &name, Some(id))).await
}

async fn remove(raft: &Raft, reads: &Reads, name: &str) -> Answer<()> {
    let now = membership(raft);
    let gone = ids_named(&now, name, None);
    if gone.is_empty() {
        return Err(Refusal::UnknownMember);
    }
    let voters: BTreeSet<u64> = now.voter_ids().collect();
    let left: BTreeSet<u64> = voters.difference(&gone).copied().collect();
    if left.is_empty() {
        return Err(Refusal::LastMember);
    }
    if gone.contains(raft.node_id()) {
        return hand_over(raft, reads, &left).await;
    }
    if left != voters {
        change(raft, reads, ChangeMembers::RemoveVoters(gone.clone())).await?;
    }
    drop_learners(raft, reads, gone).await
}

/// A leader that is to be removed leads no further: the next one removes it.
async fn hand_over(raft: &Raft, reads: &Reads, left: &BTreeSet<u64>) -> Answer<()> {
    let replication = raft.metrics().borrow_watched().replication.clone().unwrap_or_default();
    let heir = left.iter().max_by_key(|id| replication.get(id).and_then(|log_id| *log_id));
    if let Some(heir) = heir {
        transfer(raft, reads, *heir).await?;
    }
    Err(Refusal::NotLeader)
}

/// While the majorities change, no read lease rests on one of them.
async fn change(raft: &Raft, reads: &Reads, change: ChangeMembers<u64, Member>) -> Answer<()> {
    let _pause = reads.barrier.pause();
    reads.barrier.run_out().await;
    raft.change_membership(change, false).await.map_err(refusal)?;
    Ok(())
}

/// Did a leader that was lost leave a change half done?
pub fn is_half_done(metrics: &Metrics) -> bool {
    is_joint(metrics.membership_config.membership()) || !former_selves(metrics).is_empty()
}

/// Ends a change that its leader left between the two steps of joint consensus, or before the
/// former self of a member was dropped. Until then both the former and the new majority are needed,
/// which is less than the cluster could bear; or the leader goes on calling one that is no more.
pub async fn finish_change(raft: &Raft, reads: &Reads) -> Answer<()> {
    if is_joint(&membership(raft)) {
        // From a joint configuration the change of nothing leads to the newer of the two.
        change(raft, reads, ChangeMembers::AddVoterIds(BTreeSet::new())).await?;
    }
    let gone = former_selves(&raft.metrics().borrow_watched());
    drop_learners(raft, reads, gone).await
}

fn is_joint(membership: &Membership) -> bool {
    membership.get_joint_config().len() > 1
}

/// Learners whose node runs as a voter by now. A node is one member at a time, so a voter of the
/// same name that has acknowledged what is newer than the learner came after it. The learner that
/// is about to take the place of a voter is told from it so: that voter is gone.
fn former_selves(metrics: &Metrics) -> BTreeSet<u64> {
    let newest = &metrics.membership_config;
    let acked = metrics.replication.clone().unwrap_or_default();
    let is_here = |id| id == metrics.id || acked.get(&id).is_some_and(|at| at >= newest.log_id());
    let name_of = |id| newest.membership().get_node(&id).map(|member| &member.name);
    let here: BTreeSet<_> =
        newest.voter_ids().filter(|id| is_here(*id)).filter_map(name_of).collect();
    let is_former = |id: &u64| name_of(*id).is_some_and(|name| here.contains(name));
    newest.membership().learner_ids().filter(is_former).collect()
}

async fn drop_learners(raft: &Raft, reads: &Reads, ids: BTreeSet<u64>) -> Answer<()> {
    let now = membership(raft);
    let ids: BTreeSet<u64> = ids.into_iter().filter(|id| now.get_node(id).is_some()).collect();
    if ids.is_empty() {
        return Ok(());
    }
    change(raft, reads, ChangeMembers::RemoveNodes(ids)).await
}

/// The newest membership this member knows of, committed or not.
pub fn membership(raft: &Raft) -> Membership {
    raft.metrics().borrow_watched().membership_config.membership().clone()
}

fn ids_named(membership: &Membership, name: &str, except: Option<u64>) -> BTreeSet<u64> {
    let named =
        membership.nodes().filter(|(id, member)| member.name == name && Some(**id) != except);
    named.map(|(id, _)| *id).collect()
}

/// Makes this member the first of a cluster with these members. That is a vote for itself.
pub async fn initialize(raft: &Raft, reads: &Reads, members: BTreeMap<u64, Member>) -> Answer<()> {
    reads.promise_ends().await;
    match raft.initialize(members).await {
        Ok(()) => Ok(()),
        Err(RaftError::Fatal(fatal)) => Err(Refusal::Stopped(fatal.to_string())),
        // It was done before.
        Err(RaftError::APIError(_)) => Ok(()),
    }
}

fn refusal(error: WriteError) -> Refusal {
    match error {
        RaftError::Fatal(fatal) => Refusal::Stopped(fatal.to_string()),
        RaftError::APIError(ClientWriteError::ForwardToLeader(_)) => Refusal::NotLeader,
        RaftError::APIError(ClientWriteError::LogEntryDiscarded(_)) => Refusal::Unknown,
        RaftError::APIError(ClientWriteError::PreconditionFailed(_)) => Refusal::Busy,
        RaftError::APIError(ClientWriteError::ChangeMembershipError(error)) => match error {
            ChangeMembershipError::EmptyMembership(_) => Refusal::LastMember,
            ChangeMembershipError::LearnerNotFound(_) => Refusal::UnknownMember,
            _ => Refusal::Busy,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::super::entry::log_id;
    use super::super::types::StoredMembership;
    use super::*;
    use std::sync::Arc;

    const LEADER: u64 = 1;
    const OTHER: u64 = 2;
    const OLD: u64 = 3;
    const NEW: u64 = 4;

    /// Three voters and a learner, since index 10; the leader has heard of these indexes.
    fn metrics(voter: u64, learner: u64, acked: &[(u64, u64)]) -> Metrics {
        let member = |name: &str| Member { name: name.into(), address: String::new() };
        let members =
            [(LEADER, member("a")), (OTHER, member("b")), (OLD, member("c")), (NEW, member("c"))];
        assert!(members.iter().any(|(id, _)| *id == learner));
        let voters = BTreeSet::from([LEADER, OTHER, voter]);
        let membership = Membership::new(vec![voters], BTreeMap::from(members)).unwrap();
        let stored = StoredMembership::new(Some(log_id(5, 10)), membership);
        let mut metrics = Metrics::new_initial(LEADER);
        metrics.membership_config = Arc::new(stored);
        let acked = acked.iter().map(|(id, index)| (*id, Some(log_id(5, *index))));
        metrics.replication = Some(acked.collect());
        metrics
    }

    #[test]
    fn a_learner_is_a_former_self_when_its_node_has_answered_as_a_voter_since() {
        let left_behind = metrics(NEW, OLD, &[(OTHER, 12), (NEW, 10)]);
        assert_eq!(former_selves(&left_behind), BTreeSet::from([OLD]));
        let not_yet_known = metrics(NEW, OLD, &[(OTHER, 12), (NEW, 9)]);
        assert_eq!(former_selves(&not_yet_known), BTreeSet::new());
    }

    #[test]
    fn a_learner_that_is_to_take_the_place_of_a_lost_voter_stays() {
        for acked in [vec![(OTHER, 12)], vec![(OTHER, 12), (OLD, 9), (NEW, 12)]] {
            assert_eq!(former_selves(&metrics(OLD, NEW, &acked)), BTreeSet::new());
        }
    }
}
