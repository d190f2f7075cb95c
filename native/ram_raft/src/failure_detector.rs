//! Connection-loss failure detection of the leader, with staggered candidates.
//!
//! openraft detects a leader that falls silent: a follower campaigns after the leader lease L
//! (`election_timeout_max`) and a random time on top, which keeps two followers from campaigning at
//! once. But when a process dies its system closes its connections. When the leader's connection to
//! this member has ended and no other was made, this member campaigns without the random time: as
//! soon as L is over, in the order of the member ids, [`STAGGER`] apart.
//!
//! What stays true:
//! - A voter grants no vote, and no pre-vote, within L of its leader's last word: openraft checks
//!   that on every voter. A campaign begins with a pre-vote, so before the lease of a majority is
//!   over it changes no term and no vote. A connection that ended for another reason than death
//!   costs a few messages.
//! - A member with a vote hold of before its restart does not campaign: see [`elections`].
//! - After [`CAMPAIGNS_MAX`] campaigns openraft alone goes on. It also detects leaders that are
//!   frozen, or cut off with their connections open.
//!
//! `service` says which peers are connected; `ram_net` does not know what a leader is.
//!
//! [`elections`]: super::elections

use openraft::async_runtime::WatchReceiver;
use std::collections::BTreeSet;
use std::future::Future;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::timeout;

use super::elections::Elections;
use crate::Raft;

/// Between the campaigns of two members: longer than an undisturbed election takes.
const STAGGER: Duration = Duration::from_millis(25);
/// Campaigns of one member for one lost leader.
const CAMPAIGNS_MAX: u32 = 4;

/// The members that have a connection to this one. Cheap to clone.
#[derive(Clone, Default)]
pub struct InboundPeers(watch::Sender<BTreeSet<u64>>);

impl InboundPeers {
    pub fn connected(&self, id: u64) {
        self.0.send_if_modified(|inbound| inbound.insert(id));
    }

    pub fn disconnected(&self, id: u64) {
        self.0.send_if_modified(|inbound| inbound.remove(&id));
    }
}

/// The rank of a voter among the candidates when a leader is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Candidacy {
    rank: u32,
    candidates: u32,
}

/// Campaigns when the leader's connection is lost, as long as it is awaited. `lease` is L.
pub async fn watch_leader(
    raft: Raft,
    elections: Elections,
    leader: watch::Receiver<Option<u64>>,
    inbound: InboundPeers,
    lease: Duration,
) {
    let own = *raft.node_id();
    let sight = Sight { own, leader, inbound: inbound.0.subscribe() };
    let candidacy = |lost| {
        let metrics = raft.metrics();
        let metrics = metrics.borrow_watched();
        candidacy_among(metrics.membership_config.voter_ids(), own, lost)
    };
    watch_connection(sight, lease, candidacy, || elections.campaign()).await;
}

/// `None` for one that is no voter.
fn candidacy_among(voters: impl Iterator<Item = u64>, own: u64, lost: u64) -> Option<Candidacy> {
    let candidates: BTreeSet<u64> = voters.filter(|id| *id != lost).collect();
    let rank = candidates.iter().position(|id| *id == own)?;
    Some(Candidacy {
        rank: u32::try_from(rank).ok()?,
        candidates: u32::try_from(candidates.len()).ok()?,
    })
}

async fn watch_connection<C: Future<Output = ()>>(
    mut sight: Sight,
    lease: Duration,
    candidacy: impl Fn(u64) -> Option<Candidacy>,
    campaign: impl Fn() -> C,
) {
    loop {
        let lost = sight.until(Sight::lost).await;
        let is_over = move |sight: &Sight| (sight.lost() != Some(lost)).then_some(());
        if let Some(candidacy) = candidacy(lost) {
            let first = lease + STAGGER * candidacy.rank;
            if timeout(first, sight.until(is_over)).await.is_err() {
                campaign_staggered(&mut sight, candidacy, &campaign).await;
            }
        }
        sight.until(is_over).await;
    }
}

/// Campaigns, once a round, until somebody leads.
async fn campaign_staggered<C: Future<Output = ()>>(
    sight: &mut Sight,
    candidacy: Candidacy,
    campaign: &impl Fn() -> C,
) {
    let round = STAGGER * candidacy.candidates.max(2);
    for _ in 0..CAMPAIGNS_MAX {
        campaign().await;
        if timeout(round, sight.until(Sight::led)).await.is_ok() {
            return;
        }
    }
}

/// What a member sees of its leader.
struct Sight {
    own: u64,
    leader: watch::Receiver<Option<u64>>,
    inbound: watch::Receiver<BTreeSet<u64>>,
}

impl Sight {
    /// The leader, if it is another member and has no connection to this one.
    fn lost(&self) -> Option<u64> {
        let leader = (*self.leader.borrow()).filter(|id| *id != self.own)?;
        (!self.inbound.borrow().contains(&leader)).then_some(leader)
    }

    fn led(&self) -> Option<()> {
        (self.leader.borrow().is_some() && self.lost().is_none()).then_some(())
    }

    /// Waits until there is an answer; for ever, once nobody tells any more.
    async fn until<T>(&mut self, ask: impl Fn(&Sight) -> Option<T>) -> T {
        loop {
            self.leader.mark_unchanged();
            self.inbound.mark_unchanged();
            if let Some(answer) = ask(self) {
                return answer;
            }
            let changed = tokio::select! {
                changed = self.leader.changed() => changed,
                changed = self.inbound.changed() => changed,
            };
            if changed.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use tokio::time::sleep;

    const LEASE: Duration = Duration::from_millis(200);
    const FIRST: Candidacy = Candidacy { rank: 0, candidates: 2 };
    const SECOND: Candidacy = Candidacy { rank: 1, candidates: 2 };

    /// Member 2 of 1, 2 and 3, which sees that 1 leads and is connected.
    struct Scene {
        leader: watch::Sender<Option<u64>>,
        inbound: InboundPeers,
        campaigns: Arc<AtomicU32>,
    }

    impl Scene {
        fn with(candidacy: Option<Candidacy>) -> Scene {
            let (leader, seen) = watch::channel(Some(1));
            let inbound = InboundPeers::default();
            inbound.connected(1);
            let campaigns = Arc::new(AtomicU32::new(0));
            let sight = Sight { own: 2, leader: seen, inbound: inbound.0.subscribe() };
            let count = campaigns.clone();
            let campaign = move || {
                count.fetch_add(1, Ordering::Relaxed);
                std::future::ready(())
            };
            tokio::spawn(watch_connection(sight, LEASE, move |_| candidacy, campaign));
            Scene { leader, inbound, campaigns }
        }

        /// Campaigns until so long from now.
        async fn campaigns_after(&self, time: Duration) -> u32 {
            sleep(time).await;
            self.campaigns.load(Ordering::Relaxed)
        }
    }

    fn ms(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_campaigns_while_the_leader_is_connected() {
        let scene = Scene::with(Some(FIRST));
        assert_eq!(scene.campaigns_after(LEASE * 100).await, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_campaigns_when_the_lease_is_over_and_no_sooner() {
        let scene = Scene::with(Some(FIRST));
        scene.inbound.disconnected(1);
        assert_eq!(scene.campaigns_after(LEASE - ms(1)).await, 0);
        assert_eq!(scene.campaigns_after(ms(5)).await, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn the_second_candidate_waits_one_stagger_longer() {
        let scene = Scene::with(Some(SECOND));
        scene.inbound.disconnected(1);
        assert_eq!(scene.campaigns_after(LEASE + STAGGER - ms(1)).await, 0);
        assert_eq!(scene.campaigns_after(ms(5)).await, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_leader_that_connects_again_is_not_lost() {
        let scene = Scene::with(Some(FIRST));
        scene.inbound.disconnected(1);
        sleep(LEASE - ms(10)).await;
        scene.inbound.connected(1);
        assert_eq!(scene.campaigns_after(LEASE * 10).await, 0);
        scene.inbound.disconnected(1);
        assert_eq!(scene.campaigns_after(LEASE - ms(1)).await, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn campaigns_end_when_somebody_leads_and_are_bounded_when_nobody_does() {
        let scene = Scene::with(Some(FIRST));
        scene.inbound.disconnected(1);
        sleep(LEASE + ms(5)).await;
        scene.inbound.connected(3);
        scene.leader.send_replace(Some(3));
        assert_eq!(scene.campaigns_after(LEASE * 10).await, 1);
        scene.inbound.disconnected(3);
        assert_eq!(scene.campaigns_after(LEASE * 100).await, 1 + CAMPAIGNS_MAX);
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_voted_for_a_successor_does_not_campaign_against_it() {
        let scene = Scene::with(Some(SECOND));
        scene.inbound.disconnected(1);
        sleep(LEASE + ms(1)).await;
        scene.leader.send_replace(None);
        assert_eq!(scene.campaigns_after(LEASE * 10).await, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn who_leads_or_has_no_vote_never_campaigns() {
        let leading = Scene::with(Some(FIRST));
        leading.leader.send_replace(Some(2));
        leading.inbound.disconnected(1);
        let learning = Scene::with(None);
        learning.inbound.disconnected(1);
        assert_eq!(leading.campaigns_after(LEASE * 10).await, 0);
        assert_eq!(learning.campaigns_after(LEASE * 10).await, 0);
    }

    #[test]
    fn candidates_are_ranked_by_id() {
        let candidacy = |own, lost| candidacy_among([1, 2, 3].into_iter(), own, lost);
        assert_eq!(candidacy(1, 2), Some(FIRST));
        assert_eq!(candidacy(3, 2), Some(SECOND));
        assert_eq!(candidacy(4, 2), None);
    }
}
