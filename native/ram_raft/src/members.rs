//! Membership changes, made by the leader: joint consensus (Ongaro's thesis, section 4.3). A new
//! voter is a learner first, until it has caught up (`catch_up`).
//!
//! Invariants:
//! - A learner that is promoted has applied what was committed when it was added, and has just
//!   said so.
//! - An addition ends with a voter, or with the learner taken out again. If the leader is lost
//!   halfway, the next leader finishes the addition when it is asked again, or takes the learner
//!   out.
//! - Changes of one name are made one after the other (`name_locks`).
//! - A removal leaves a majority that answers.
//! - An id that was removed never comes back: [`Applied::is_removed`].
//!
//! What remains: from the moment the leader has appended the joint configuration the new majority
//! is needed. Of two voters that is both. So if a cluster of one loses its second member during the
//! two steps (a round trip and two syncs), it commits nothing until that member is back, with all
//! the data it needs. A moment later the same loss is that of one of two voters, which no protocol
//! survives.

use openraft::async_runtime::WatchReceiver;
use openraft::{ChangeMembers, ServerState};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex as AsyncMutex;
use tokio::time::{Instant, sleep};

use super::catch_up::{self, Learner, Unready};
use super::leader::{self, refusal};
use super::name_locks::{NameLock, NameLocks};
use super::rpc::{Answer, MemberChange, Refusal};
use super::state_machine::Applied;
use super::types::{Member, Membership};
use crate::Raft;
use ram_lease::Reads;
use ram_net::{Net, PeerId};
use ram_sabotage::{Fault, armed};

const CHECK_EVERY: Duration = Duration::from_secs(1);
/// A learner that no addition works on is taken out after so long. A caller whose leader was lost
/// finds the next one sooner.
const ABANDONED: Duration = Duration::from_secs(10);
/// A voter that has not answered for so long does not count for a removal: more than a busy member
/// needs, and than one attempt to connect.
const ANSWER_MAX: Duration = Duration::from_secs(2);
const RETRY_EVERY: Duration = Duration::from_millis(10);

type Change = ChangeMembers<u64, Member>;

/// Clones share the names and the lock.
#[derive(Clone)]
pub struct Members {
    raft: Raft,
    net: Arc<Net>,
    reads: Reads,
    applied: Applied,
    names: Arc<NameLocks>,
    /// Held while the configuration in the log changes, so that a change which takes two steps is
    /// not taken for one that was left between them.
    changing: Arc<AsyncMutex<()>>,
    /// The round of a learner that is no longer than this is its last. For about as long writers
    /// may wait for it when it has become a voter.
    round_max: Duration,
}

impl Members {
    pub fn new(
        raft: Raft,
        net: Arc<Net>,
        reads: Reads,
        applied: Applied,
        round_max: Duration,
    ) -> Members {
        let (names, changing) = (Arc::default(), Arc::default());
        Members { raft, net, reads, applied, names, changing, round_max }
    }

    /// Makes a change, or finds it made: it may be asked for again, here or of another leader.
    pub async fn change(&self, change: MemberChange) -> Answer<()> {
        let is_removal = !matches!(change, MemberChange::Add { .. });
        let were_there = ids_named(&self.membership(), change.name(), None);
        let lock = self.names.lock(change.name(), is_removal).await;
        self.know_the_state().await?;
        match change {
            MemberChange::Add { id, member } => self.add(&lock, id, member).await,
            MemberChange::Remove { name } => {
                let gone = ids_named(&self.membership(), &name, None);
                // The change before this one has removed them.
                if gone.is_empty() && were_there.iter().any(|id| self.applied.is_removed(*id)) {
                    return Ok(());
                }
                self.remove(gone).await
            }
            MemberChange::RemoveOne { id, .. } if self.applied.is_removed(id) => Ok(()),
            MemberChange::RemoveOne { id, .. } => {
                let is_there = self.membership().get_node(&id).is_some();
                self.remove(is_there.then_some(id).into_iter().collect()).await
            }
        }
    }

    /// Renames when this member has applied what is committed: it is the leader, and not one that
    /// was deposed without knowing it.
    async fn know_the_state(&self) -> Answer<u64> {
        let index = leader::read_index(&self.raft).await?;
        let applied = self.applied.watch().wait_for(|applied| *applied >= index).await.is_ok();
        applied.then_some(index).ok_or(Refusal::NotLeader)
    }

    /// Adds a learner, and makes it a voter once it has caught up; in the same change another
    /// member of its name, its former self, goes.
    async fn add(&self, lock: &NameLock, id: u64, member: Member) -> Answer<()> {
        if self.applied.is_removed(id) {
            return Err(Refusal::Removed);
        }
        let term = self.term();
        self.finish_joint().await?;
        let now = self.membership();
        let name = member.name.clone();
        if !now.voter_ids().any(|voter| voter == id) {
            let mut learner = Learner::new(self.net.clone(), id);
            if now.get_node(&id).is_none() {
                self.net.set_address(PeerId(id), member.address.clone());
                // Before anything is changed: there is nothing to undo then.
                self.hear_from(&mut learner, lock, &member).await?;
                // One that leads again has answered a caller who may not wait any more.
                if self.term() != term {
                    return Err(Refusal::NotLeader);
                }
                let nodes = BTreeMap::from([(id, member.clone())]);
                self.change_now(ChangeMembers::AddNodes(nodes)).await?;
            }
            if let Err(refusal) = self.promote(&mut learner, lock, id, &member).await {
                if refusal.is_final() {
                    self.drop_learners(BTreeSet::from([id])).await?;
                }
                return Err(refusal);
            }
        }
        // Also what a leader that was lost halfway has left.
        self.drop_learners(ids_named(&self.membership(), &name, Some(id))).await
    }

    async fn hear_from(
        &self,
        learner: &mut Learner,
        lock: &NameLock,
        member: &Member,
    ) -> Answer<()> {
        if is_unready_allowed() {
            return Ok(());
        }
        let heard = learner.has_applied(0, || lock.is_removal_waiting()).await;
        heard.map_err(|unready| unready.refusal(member.clone()))
    }

    /// Waits until the learner has caught up, and makes it a voter.
    async fn promote(
        &self,
        learner: &mut Learner,
        lock: &NameLock,
        id: u64,
        member: &Member,
    ) -> Answer<()> {
        loop {
            self.rounds(learner, lock, member).await?;
            let pause = self.reads.barrier.pause();
            self.reads.barrier.run_out().await;
            // Once more, since the leases took their time.
            let committed = leader::read_index(&self.raft).await?;
            if is_unready_allowed() || learner.has_applied_within(self.round_max, committed).await {
                let former = ids_named(&self.membership(), &member.name, Some(id));
                let promote = ChangeMembers::AddVoterIds(BTreeSet::from([id]));
                let batch = vec![promote, ChangeMembers::RemoveVoters(former)];
                return self.change_now(ChangeMembers::Batch(batch)).await;
            }
            drop(pause);
        }
    }

    /// Rounds of replication until one of them is short.
    async fn rounds(&self, learner: &mut Learner, lock: &NameLock, member: &Member) -> Answer<()> {
        while !is_unready_allowed() {
            let begun = Instant::now();
            let committed = leader::read_index(&self.raft).await?;
            let round = learner.has_applied(committed, || lock.is_removal_waiting()).await;
            round.map_err(|unready| unready.refusal(member.clone()))?;
            if begun.elapsed() <= self.round_max {
                break;
            }
        }
        Ok(())
    }

    async fn remove(&self, gone: BTreeSet<u64>) -> Answer<()> {
        if gone.is_empty() {
            return Err(Refusal::UnknownMember);
        }
        let voters: BTreeSet<u64> = self.membership().voter_ids().collect();
        let left: BTreeSet<u64> = voters.difference(&gone).copied().collect();
        if left.is_empty() {
            return Err(Refusal::LastMember);
        }
        if left != voters {
            self.majority_answers(&left).await?;
            self.finish_joint().await?;
            if gone.contains(self.raft.node_id()) {
                return self.hand_over(&left).await;
            }
            self.change_without_leases(ChangeMembers::RemoveVoters(gone.clone())).await?;
            self.forget(&gone);
        }
        self.drop_learners(gone).await
    }

    /// A leader that is to be removed leads no further: the next one removes it.
    async fn hand_over(&self, left: &BTreeSet<u64>) -> Answer<()> {
        let metrics = self.raft.metrics().borrow_watched().clone();
        let replication = metrics.replication.unwrap_or_default();
        let target = left.iter().max_by_key(|id| replication.get(id).and_then(|log_id| *log_id));
        if let Some(target) = target {
            leader::transfer(&self.raft, &self.reads, *target).await?;
        }
        Err(Refusal::NotLeader)
    }

    /// Do so many of these voters answer that they can commit? Otherwise the first that does not
    /// is named.
    async fn majority_answers(&self, voters: &BTreeSet<u64>) -> Answer<()> {
        let own = *self.raft.node_id();
        let asked = voters.iter().filter(|id| **id != own).map(|id| async move {
            let answer = catch_up::ask(&self.net, *id, ANSWER_MAX).await;
            answer.err().map(|cause| (*id, cause))
        });
        let answers = futures_util::future::join_all(asked).await;
        let silent: Vec<(u64, String)> = answers.into_iter().flatten().collect();
        let answering = voters.len().saturating_sub(silent.len());
        if answering > voters.len() / 2 {
            return Ok(());
        }
        let Some((id, cause)) = silent.into_iter().next() else { return Ok(()) };
        let member = self.membership().get_node(&id).cloned().unwrap_or_default();
        Err(Unready::Silent(cause).refusal(member))
    }

    /// Ends a change that its leader left between the two steps of joint consensus. Until then both
    /// the former and the new majority are needed, which is less than the cluster could bear.
    async fn finish_joint(&self) -> Answer<()> {
        let is_half_done = || is_joint(&self.membership());
        if !is_half_done() {
            return Ok(());
        }
        let _pause = self.reads.barrier.pause();
        self.reads.barrier.run_out().await;
        let _changing = self.changing.lock().await;
        if !is_half_done() {
            return Ok(());
        }
        // From a joint configuration the change of nothing leads to the newer of the two.
        let rest = ChangeMembers::AddVoterIds(BTreeSet::new());
        self.raft.change_membership(rest, false).await.map_err(refusal)?;
        Ok(())
    }

    /// While the members change, no read lease rests on one of them.
    async fn change_without_leases(&self, change: Change) -> Answer<()> {
        let _pause = self.reads.barrier.pause();
        self.reads.barrier.run_out().await;
        self.change_now(change).await
    }

    async fn change_now(&self, change: Change) -> Answer<()> {
        let _changing = self.changing.lock().await;
        self.raft.change_membership(change, false).await.map_err(refusal)?;
        Ok(())
    }

    /// Takes learners out, after whatever change is under way.
    async fn drop_learners(&self, ids: BTreeSet<u64>) -> Answer<()> {
        loop {
            let now = self.membership();
            let is_there = |id: &u64| now.get_node(id).is_some();
            let left: BTreeSet<u64> = ids.iter().copied().filter(is_there).collect();
            if left.is_empty() {
                return Ok(());
            }
            match self.change_without_leases(ChangeMembers::RemoveNodes(left)).await {
                Err(Refusal::Busy) => sleep(RETRY_EVERY).await,
                Err(refusal) => return Err(refusal),
                Ok(()) => {
                    self.forget(&ids);
                    return Ok(());
                }
            }
        }
    }

    /// Who was removed is told so when it connects again: its connections end.
    fn forget(&self, gone: &BTreeSet<u64>) {
        gone.iter().for_each(|id| self.net.forget(PeerId(*id)));
    }

    /// The leader finishes what a former one left half done: joint configurations, and learners
    /// that nobody adds any more. To be awaited as long as the member runs.
    pub async fn finish_changes(self) {
        let mut abandoned = BTreeMap::new();
        loop {
            sleep(CHECK_EVERY).await;
            if !self.leads() {
                abandoned.clear();
                continue;
            }
            // Whoever leads next tries again, and so does this one.
            if self.changing.try_lock().is_ok() {
                let _ = self.finish_joint().await;
            }
            self.drop_abandoned(&mut abandoned).await;
        }
    }

    /// `since`: from when on no addition was seen to work on these learners.
    async fn drop_abandoned(&self, since: &mut BTreeMap<u64, Instant>) {
        let membership = self.membership();
        let mut seen = BTreeMap::new();
        for id in membership.learner_ids() {
            let name = membership.get_node(&id).map_or("", |member| &member.name);
            let Some(_lock) = self.names.try_lock(name) else { continue };
            let from = since.get(&id).copied().unwrap_or_else(Instant::now);
            seen.insert(id, from);
            if from.elapsed() >= ABANDONED {
                tracing::warn!("member {id} was not added in full, and is taken out again");
                // As above.
                let _ = self.drop_learners(BTreeSet::from([id])).await;
            }
        }
        *since = seen;
    }

    fn leads(&self) -> bool {
        self.raft.metrics().borrow_watched().state == ServerState::Leader
    }

    fn term(&self) -> u64 {
        self.raft.metrics().borrow_watched().current_term
    }

    /// The newest membership this member knows of, committed or not.
    fn membership(&self) -> Membership {
        self.raft.metrics().borrow_watched().membership_config.membership().clone()
    }
}

/// A fault for the tests to catch.
fn is_unready_allowed() -> bool {
    armed(Fault::PromoteUnready)
}

fn is_joint(membership: &Membership) -> bool {
    membership.get_joint_config().len() > 1
}

fn ids_named(membership: &Membership, name: &str, except: Option<u64>) -> BTreeSet<u64> {
    let named =
        membership.nodes().filter(|(id, member)| member.name == name && Some(**id) != except);
    named.map(|(id, _)| *id).collect()
}
