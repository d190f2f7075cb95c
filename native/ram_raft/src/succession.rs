//! Who leads when the leader's process has died: found out at once, and not by its silence.
//!
//! openraft misses a leader that says nothing: a follower campaigns after the leader lease L
//! (`election_timeout_max`) and a random time on top, which keeps two from campaigning at once.
//! But a process does not die in silence: its system closes its connections. When the connection
//! *from* the leader has ended and no other came, a follower needs no random time. It campaigns as
//! soon as L is over, and members take turns by their ids.
//!
//! What stays true, whatever is done here:
//! - No voter votes within L of its leader's last word, nor says so in a pre-vote: openraft checks
//!   that on every voter. A campaign here begins with a pre-vote, so before the lease of a majority
//!   is over it changes nothing, no term and no vote. A connection that ended for another reason
//!   than death costs a few messages.
//! - Nor does one campaign that keeps a promise of before its restart: see [`elections`].
//! - It is a short cut. After some turns openraft alone goes on, which also finds leaders that are
//!   frozen, or cut off with their connections open.
//!
//! `service` tells who is connected; `net/` does not know what a leader is.
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

/// Between the turns of two members: longer than an election takes where nothing stands in its way.
const TURN: Duration = Duration::from_millis(25);
/// Campaigns of one member for one lost leader.
const CAMPAIGNS_MAX: u32 = 4;

/// The members that have a connection to this one. Cheap to clone.
#[derive(Clone, Default)]
pub struct Callers(watch::Sender<BTreeSet<u64>>);

impl Callers {
    pub fn came(&self, id: u64) {
        self.0.send_if_modified(|callers| callers.insert(id));
    }

    pub fn went(&self, id: u64) {
        self.0.send_if_modified(|callers| callers.remove(&id));
    }
}

/// The place of a voter among those who may follow a lost leader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    rank: u32,
    heirs: u32,
}

/// Campaigns when the leader's connection is lost, as long as it is awaited. `lease` is L.
pub async fn succeed(
    raft: Raft,
    elections: Elections,
    leader: watch::Receiver<Option<u64>>,
    callers: Callers,
    lease: Duration,
) {
    let own = *raft.node_id();
    let sight = Sight { own, leader, callers: callers.0.subscribe() };
    let place = |lost| {
        let metrics = raft.metrics();
        let metrics = metrics.borrow_watched();
        place_among(metrics.membership_config.voter_ids(), own, lost)
    };
    watch_over(sight, lease, place, || elections.campaign()).await;
}

/// `None` for one that is no voter.
fn place_among(voters: impl Iterator<Item = u64>, own: u64, lost: u64) -> Option<Place> {
    let heirs: BTreeSet<u64> = voters.filter(|id| *id != lost).collect();
    let rank = heirs.iter().position(|id| *id == own)?;
    Some(Place { rank: u32::try_from(rank).ok()?, heirs: u32::try_from(heirs.len()).ok()? })
}

async fn watch_over<C: Future<Output = ()>>(
    mut sight: Sight,
    lease: Duration,
    place: impl Fn(u64) -> Option<Place>,
    campaign: impl Fn() -> C,
) {
    loop {
        let lost = sight.until(Sight::lost).await;
        let is_over = move |sight: &Sight| (sight.lost() != Some(lost)).then_some(());
        if let Some(place) = place(lost) {
            let first = lease + TURN * place.rank;
            if timeout(first, sight.until(is_over)).await.is_err() {
                take_turns(&mut sight, place, &campaign).await;
            }
        }
        sight.until(is_over).await;
    }
}

/// Campaigns, once a round, until somebody leads.
async fn take_turns<C: Future<Output = ()>>(
    sight: &mut Sight,
    place: Place,
    campaign: &impl Fn() -> C,
) {
    let round = TURN * place.heirs.max(2);
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
    callers: watch::Receiver<BTreeSet<u64>>,
}

impl Sight {
    /// The leader, if it is another member and has no connection to this one.
    fn lost(&self) -> Option<u64> {
        let leader = (*self.leader.borrow()).filter(|id| *id != self.own)?;
        (!self.callers.borrow().contains(&leader)).then_some(leader)
    }

    fn led(&self) -> Option<()> {
        (self.leader.borrow().is_some() && self.lost().is_none()).then_some(())
    }

    /// Waits until there is an answer; for ever, once nobody tells any more.
    async fn until<T>(&mut self, ask: impl Fn(&Sight) -> Option<T>) -> T {
        loop {
            self.leader.mark_unchanged();
            self.callers.mark_unchanged();
            if let Some(answer) = ask(self) {
                return answer;
            }
            let changed = tokio::select! {
                changed = self.leader.changed() => changed,
                changed = self.callers.changed() => changed,
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
    const FIRST: Place = Place { rank: 0, heirs: 2 };
    const SECOND: Place = Place { rank: 1, heirs: 2 };

    /// Member 2 of 1, 2 and 3, which sees that 1 leads and is connected.
    struct Scene {
        leader: watch::Sender<Option<u64>>,
        callers: Callers,
        campaigns: Arc<AtomicU32>,
    }

    impl Scene {
        fn with(place: Option<Place>) -> Scene {
            let (leader, seen) = watch::channel(Some(1));
            let callers = Callers::default();
            callers.came(1);
            let campaigns = Arc::new(AtomicU32::new(0));
            let sight = Sight { own: 2, leader: seen, callers: callers.0.subscribe() };
            let count = campaigns.clone();
            let campaign = move || {
                count.fetch_add(1, Ordering::Relaxed);
                std::future::ready(())
            };
            tokio::spawn(watch_over(sight, LEASE, move |_| place, campaign));
            Scene { leader, callers, campaigns }
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
        scene.callers.went(1);
        assert_eq!(scene.campaigns_after(LEASE - ms(1)).await, 0);
        assert_eq!(scene.campaigns_after(ms(5)).await, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn the_second_leaves_the_first_a_turn() {
        let scene = Scene::with(Some(SECOND));
        scene.callers.went(1);
        assert_eq!(scene.campaigns_after(LEASE + TURN - ms(1)).await, 0);
        assert_eq!(scene.campaigns_after(ms(5)).await, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_leader_that_connects_again_is_not_lost() {
        let scene = Scene::with(Some(FIRST));
        scene.callers.went(1);
        sleep(LEASE - ms(10)).await;
        scene.callers.came(1);
        assert_eq!(scene.campaigns_after(LEASE * 10).await, 0);
        scene.callers.went(1);
        assert_eq!(scene.campaigns_after(LEASE - ms(1)).await, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn campaigns_end_when_somebody_leads_and_are_bounded_when_nobody_does() {
        let scene = Scene::with(Some(FIRST));
        scene.callers.went(1);
        sleep(LEASE + ms(5)).await;
        scene.callers.came(3);
        scene.leader.send_replace(Some(3));
        assert_eq!(scene.campaigns_after(LEASE * 10).await, 1);
        scene.callers.went(3);
        assert_eq!(scene.campaigns_after(LEASE * 100).await, 1 + CAMPAIGNS_MAX);
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_voted_for_a_successor_does_not_campaign_against_it() {
        let scene = Scene::with(Some(SECOND));
        scene.callers.went(1);
        sleep(LEASE + ms(1)).await;
        scene.leader.send_replace(None);
        assert_eq!(scene.campaigns_after(LEASE * 10).await, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn who_leads_or_has_no_vote_never_campaigns() {
        let leading = Scene::with(Some(FIRST));
        leading.leader.send_replace(Some(2));
        leading.callers.went(1);
        let learning = Scene::with(None);
        learning.callers.went(1);
        assert_eq!(leading.campaigns_after(LEASE * 10).await, 0);
        assert_eq!(learning.campaigns_after(LEASE * 10).await, 0);
    }

    #[test]
    fn the_heirs_take_their_places_by_id() {
        let place = |own, lost| place_among([1, 2, 3].into_iter(), own, lost);
        assert_eq!(place(1, 2), Some(FIRST));
        assert_eq!(place(3, 2), Some(SECOND));
        assert_eq!(place(4, 2), None);
    }
}
