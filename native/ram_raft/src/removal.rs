//! Was this member removed from its cluster? A member that was gives up its data, so this takes a
//! proof, and one peer's word is none.
//!
//! A removal is committed by a majority of the configuration that had the member, and of the one
//! that has it no more (joint consensus). So a member that hears from anybody that it was removed
//! asks the voters of the newest configuration in its own log, each at the address that its own log
//! says, and not where some handshake said that the voter is now. A voter confirms by refusing this
//! member's id, which it does when it has applied the removal. What proves the removal:
//!
//! - the newest configuration has this member: a majority of its voters confirm, of both its halves
//!   if it is a joint one. This member's own vote does not count as a confirmation, but as one of
//!   those of which a majority is needed. (Of two members none was removed without the other's log
//!   saying so: see the next.)
//! - it does not have it, since this member's log goes as far as its own removal: a majority of the
//!   voters after the removal confirm that it was committed.
//!
//! What is not proven changes nothing: the member serves on, or waits. It may never be proven, if
//! most of those voters are gone or have moved; then it is the operator who says so.
//!
//! Awaited by `ram_core`; `service` hears the first hint.

use bytes::Bytes;
use futures_util::future::join_all;
use openraft::async_runtime::WatchReceiver;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

use super::rpc;
use super::types::Membership;
use crate::Raft;
use ram_net::{Net, PeerId};
use ram_sabotage::{Fault, armed};
use ram_store::codec;

/// For one voter's answer: a connect and a handshake of a busy machine.
const ANSWER_MAX: Duration = Duration::from_secs(2);
/// After a round without a proof.
const PAUSE: Duration = Duration::from_secs(1);
/// What is not proven is told so often.
const TOLD_EVERY: Duration = Duration::from_secs(60);

/// A peer's word that this member was removed. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct RemovalHint(Arc<Notify>);

impl RemovalHint {
    pub fn heard(&self) {
        self.0.notify_one();
    }
}

/// Returns when this member was removed for certain.
pub async fn proven(raft: Raft, net: Arc<Net>, removal_hint: RemovalHint) {
    let mut told_at: Option<Instant> = None;
    loop {
        removal_hint.0.notified().await;
        let membership = newest(&raft);
        let own = *raft.node_id();
        let confirmed = confirmations(&net, &membership, own).await;
        if is_proven(&membership, own, &confirmed) {
            return;
        }
        if told_at.is_none_or(|at| at.elapsed() >= TOLD_EVERY) {
            told_at = Some(Instant::now());
            tell(&membership, own, &confirmed);
        }
        sleep(PAUSE).await;
    }
}

fn newest(raft: &Raft) -> Membership {
    raft.metrics().borrow_watched().membership_config.membership().clone()
}

/// The voters that confirm the removal.
async fn confirmations(net: &Net, membership: &Membership, own: u64) -> BTreeSet<u64> {
    let voters: BTreeSet<u64> = membership.voter_ids().filter(|id| *id != own).collect();
    let asked = voters.into_iter().map(|id| async move {
        let address = &membership.get_node(&id)?.address;
        confirms(net, PeerId(id), address).await.then_some(id)
    });
    join_all(asked).await.into_iter().flatten().collect()
}

async fn confirms(net: &Net, voter: PeerId, address: &str) -> bool {
    let is_connected = net.peers().iter().any(|peer| peer.id == voter && peer.connected);
    // A connection of before the removal stands: nobody is refused on it.
    if is_connected && says_no(net, voter).await {
        return false;
    }
    net.refusal_at(voter, address, ANSWER_MAX).await == Some(rpc::REASON_REMOVED)
}

async fn says_no(net: &Net, voter: PeerId) -> bool {
    let answer = net.call(voter, rpc::IS_REMOVED, Bytes::new(), ANSWER_MAX).await;
    answer.is_ok_and(|answer| {
        let answer: Result<Result<bool, String>, _> = codec::decode("is it removed", &answer);
        answer == Ok(Ok(false))
    })
}

fn is_proven(membership: &Membership, own: u64, confirmed: &BTreeSet<u64>) -> bool {
    if armed(Fault::BelieveOneRemoval) {
        return true;
    }
    let configurations = membership.get_joint_config();
    let is_majority = |voters: &BTreeSet<u64>| {
        voters.iter().filter(|id| **id != own && confirmed.contains(id)).count() > voters.len() / 2
    };
    match configurations.last() {
        None => false,
        // The nodes of a joint configuration are those of both halves: its last half decides.
        Some(last) if is_after_removal(membership, own) => is_majority(last),
        Some(_) => configurations.iter().all(is_majority),
    }
}

/// Does the newest configuration end this member's membership?
fn is_after_removal(membership: &Membership, own: u64) -> bool {
    let configurations = membership.get_joint_config();
    let is_voter_no_more = configurations.len() > 1
        && configurations.iter().any(|voters| voters.contains(&own))
        && configurations.last().is_some_and(|voters| !voters.contains(&own));
    is_voter_no_more || membership.get_node(&own).is_none()
}

fn tell(membership: &Membership, own: u64, confirmed: &BTreeSet<u64>) {
    let voters = membership.voter_ids().filter(|id| *id != own);
    let (mut yes, mut no) = (Vec::new(), Vec::new());
    for id in voters {
        let named = membership.get_node(&id).map_or("", |member| &member.name);
        if confirmed.contains(&id) { yes.push(named) } else { no.push(named) }
    }
    tracing::warn!(
        "a peer says that this node was removed from its cluster, which is not proven: confirmed \
         by [{}], not by [{}]; nothing is given up",
        yes.join(", "),
        no.join(", ")
    );
}

#[cfg(test)]
mod tests {
    use super::super::types::Member;
    use super::*;
    use std::collections::BTreeMap;

    const OWN: u64 = 1;

    fn membership(configurations: &[&[u64]], learners: &[u64]) -> Membership {
        let voters: Vec<BTreeSet<u64>> =
            configurations.iter().map(|ids| ids.iter().copied().collect()).collect();
        let ids = configurations.iter().copied().flatten().chain(learners);
        let nodes: BTreeMap<u64, Member> = ids.map(|id| (*id, Member::default())).collect();
        Membership::new(voters, nodes).unwrap()
    }

    fn proven_by(membership: &Membership, confirmed: &[u64]) -> bool {
        is_proven(membership, OWN, &confirmed.iter().copied().collect())
    }

    #[test]
    fn a_removal_takes_the_word_of_a_majority_of_the_newest_configuration() {
        let three = membership(&[&[1, 2, 3]], &[]);
        assert!(!proven_by(&three, &[]) && !proven_by(&three, &[2]));
        assert!(!proven_by(&three, &[2, 9, 10]), "others have no say");
        assert!(!proven_by(&three, &[1, 2]), "nor has the member itself");
        assert!(proven_by(&three, &[2, 3]));
        let five = membership(&[&[1, 2, 3, 4, 5]], &[]);
        assert!(!proven_by(&five, &[2, 3]) && proven_by(&five, &[2, 3, 5]));
        assert!(!proven_by(&membership(&[], &[]), &[2]), "it knows no configuration");
    }

    #[test]
    fn of_two_members_the_other_alone_proves_nothing_unless_the_own_log_says_it_too() {
        assert!(!proven_by(&membership(&[&[1, 2]], &[]), &[2]));
        assert!(proven_by(&membership(&[&[1, 2], &[2]], &[]), &[2]));
        assert!(proven_by(&membership(&[&[2]], &[]), &[2]));
    }

    #[test]
    fn a_half_done_change_takes_both_majorities_unless_it_is_the_removal() {
        let growing = membership(&[&[1, 2, 3], &[1, 2, 3, 4, 5]], &[]);
        assert!(!proven_by(&growing, &[2, 3]) && !proven_by(&growing, &[3, 4, 5]));
        assert!(proven_by(&growing, &[2, 3, 4]));
        let leaving = membership(&[&[1, 2, 3], &[2, 3]], &[]);
        assert!(!proven_by(&leaving, &[2]) && proven_by(&leaving, &[2, 3]));
    }

    #[test]
    fn a_learner_is_removed_by_the_voters() {
        let learner = membership(&[&[2, 3, 4]], &[1]);
        assert!(!proven_by(&learner, &[2]) && proven_by(&learner, &[2, 3]));
        let alone = membership(&[&[2]], &[1]);
        assert!(proven_by(&alone, &[2]));
    }
}
