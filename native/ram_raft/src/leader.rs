//! The leader's work: proposals, turns at contended keys, read indexes, leases, transfers of the
//! leadership. Asked for by this member itself, or by another through `service`. Membership changes
//! are in `members`.

use bytes::Bytes;
use openraft::async_runtime::WatchReceiver;
use openraft::errors::{ChangeMembershipError, ClientWriteError, RaftError};
use openraft::{ReadPolicy, ServerState};
use std::collections::BTreeMap;

use super::rpc::{Answer, Refusal};
use super::turns::{TurnRequest, Turns};
use super::types::{Member, Payload, TypeConfig};
use crate::Raft;
use ram_lease::Reads;
use ram_lease::grants::{Ask, Grant, Refused};
use ram_limits::PROPOSAL_BYTES_MAX;
use ram_sabotage::{Fault, armed};
use ram_store::answer::Outcome;
use ram_store::codec::DecodeError;
use ram_store::group::{self, Proposal};
use ram_store::proposed::Hint;

type WriteError = RaftError<TypeConfig, ClientWriteError<TypeConfig>>;

/// Proposes an entry of this member and waits until it is applied here. What no member could store
/// or apply does not enter the log: it would end them all.
pub async fn propose(raft: &Raft, turns: &Turns, member: u64, proposal: Bytes) -> Answer<Outcome> {
    let is_own = member == *raft.node_id();
    if let Err(reason) = check(&proposal, is_own || armed(Fault::AcceptDeposedExpiry)).await {
        tracing::error!("a proposal was refused: {reason}");
        return Err(Refusal::Unfit(reason));
    }
    if armed(Fault::ReplyBeforeCommit)
        && let Some(premature) = group::unconditional(&proposal)
    {
        let raft = raft.clone();
        tokio::spawn(async move { raft.client_write(Payload(proposal)).await });
        return Ok(premature);
    }
    let taken = turns.take(member, &proposal);
    let response = raft.client_write(Payload(proposal)).await;
    turns.settle(taken, response.as_ref().ok().map(|response| &response.data));
    Ok(response.map_err(refusal)?.data)
}

/// Waits for a turn of this member at a key, or gives it back: see [`turns`](crate::turns).
pub async fn turn(
    raft: &Raft,
    turns: &Turns,
    member: u64,
    request: TurnRequest,
) -> Answer<Option<Hint>> {
    if raft.metrics().borrow_watched().state != ServerState::Leader {
        turns.clear();
        return Err(Refusal::NotLeader);
    }
    match request {
        TurnRequest::Wait { name } => Ok(turns.wait(member, name).await),
        TurnRequest::GiveBack { name } => {
            turns.give_back(member, &name);
            Ok(None)
        }
    }
}

/// `may_lead`: it may be what a leader writes by itself, which it proposes to nobody else.
async fn check(proposal: &[u8], may_lead: bool) -> Result<(), String> {
    if proposal.len() > PROPOSAL_BYTES_MAX {
        return Err(format!("{} bytes, where {PROPOSAL_BYTES_MAX} are the most", proposal.len()));
    }
    let wrong = |error: DecodeError| error.to_string();
    let decoded = Proposal::decode(proposal).map_err(wrong)?;
    if matches!(decoded, Proposal::Lead(_)) && !may_lead {
        return Err("what a leader writes, of another member".into());
    }
    let mut parts = decoded.parts();
    while parts.check_some().map_err(wrong)? {
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

/// Lets another member take over the lead at once. It is voted for in spite of the vote holds that
/// read leases rest on, and maybe late: so they run out first, and none is granted in this term.
pub async fn transfer(raft: &Raft, reads: &Reads, target: u64) -> Answer<()> {
    reads.barrier.hand_over();
    reads.barrier.run_out().await;
    // A lead that was lost and won again meanwhile may have leases.
    if !reads.barrier.hands_over() {
        return Err(Refusal::NotLeader);
    }
    let sent = raft.trigger().transfer_leader(target).await;
    sent.map_err(|fatal| Refusal::Stopped(fatal.to_string()))
}

/// Makes this member the first of a cluster with these members. That is a vote for itself.
pub async fn initialize(raft: &Raft, reads: &Reads, members: BTreeMap<u64, Member>) -> Answer<()> {
    reads.vote_hold_ends().await;
    match raft.initialize(members).await {
        Ok(()) => Ok(()),
        Err(RaftError::Fatal(fatal)) => Err(Refusal::Stopped(fatal.to_string())),
        // It was done before.
        Err(RaftError::APIError(_)) => Ok(()),
    }
}

pub(super) fn refusal(error: WriteError) -> Refusal {
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
