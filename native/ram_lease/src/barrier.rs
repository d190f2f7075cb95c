//! The commit barrier: how far acknowledgements may be passed on to Raft.
//!
//! Raft commits what a majority has acknowledged. A holder of a lease that is not in the majority
//! would answer with the old value then, so the leader passes on the acknowledgements of others,
//! and its own, only up to the index that every holder has acknowledged, or until its lease is over
//! on the leader's clock. The order of what is passed on does not change.
//!
//! Used by the tasks that talk to followers and by the thread of the log. Nothing here waits under
//! the lock.

use ram_threads::sync::Mutex;
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use super::clock::{self, Clock, TIMER_MIN, Time};
use super::grants::{Ack, Ask, Grant, Grants, LeaseTimeouts, Refused};
use super::notify::Notify;
use super::vote_hold::VoteHold;
use ram_sabotage::{Fault, armed};

/// Told once that what it waits for may be passed on.
pub type Release = Box<dyn FnOnce() + Send>;

#[derive(Debug)]
pub struct Barrier {
    own: u64,
    timeouts: LeaseTimeouts,
    clock: Arc<dyn Clock>,
    vote_hold: Arc<VoteHold>,
    /// Guards who holds a lease together with what waits for the holders.
    state: Mutex<State>,
    /// More may pass.
    opened: Notify,
    /// There is a lease whose end is to be watched.
    granted: Notify,
}

#[derive(Default)]
struct State {
    grants: Grants,
    deferred: VecDeque<DeferredAck>,
    /// Who has stopped granting.
    pauses: usize,
}

struct DeferredAck {
    term: u64,
    index: u64,
    release: Release,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}, {} deferred", self.grants, self.deferred.len())
    }
}

impl State {
    /// May an acknowledgement of this index count? Of a term that is over, Raft makes nothing.
    fn is_open(&self, term: u64, index: u64, now: Time, own: u64) -> bool {
        self.grants.term() != Some(term) || self.grants.open_upto(now, own) >= Some(index)
    }

    fn take_open(&mut self, now: Time, own: u64) -> Vec<Release> {
        let mut open = Vec::new();
        while let Some(first) = self.deferred.front()
            && self.is_open(first.term, first.index, now, own)
        {
            open.extend(self.deferred.pop_front().map(|deferred| deferred.release));
        }
        open
    }
}

impl Barrier {
    pub fn new(
        own: u64,
        timeouts: LeaseTimeouts,
        clock: Arc<dyn Clock>,
        vote_hold: Arc<VoteHold>,
    ) -> Barrier {
        Barrier {
            own,
            timeouts,
            clock,
            vote_hold,
            state: Mutex::default(),
            opened: Notify::new(),
            granted: Notify::new(),
        }
    }

    /// This member leads `term` and is about to append up to `last_index`.
    pub fn appending(&self, term: u64, last_index: u64) {
        let mut state = self.state.lock();
        let is_new = state.grants.term() != Some(term);
        let is_free = self.vote_hold.is_over(self.clock.now());
        debug_assert!(is_free || !is_new, "I3: no member is elected within a vote hold");
        state.grants.appended(term, last_index);
    }

    /// This member has seen another vote than its own, and leads no more.
    pub fn forget(&self) {
        self.change(|grants| grants.forget());
    }

    /// A member has accepted an append of this leader's.
    pub fn acked(&self, term: u64, id: u64, mut ack: Ack) {
        if armed(Fault::AssumeOwnVoteHold) {
            ack.hold = self.timeouts.hold;
        }
        self.change(|grants| grants.acked(term, id, &ack));
    }

    fn change(&self, change: impl FnOnce(&mut Grants)) {
        let open = {
            let mut state = self.state.lock();
            change(&mut state.grants);
            state.take_open(self.clock.now(), self.own)
        };
        open.into_iter().for_each(|release| release());
        self.opened.notify_waiters();
    }

    /// Calls `release`, now or as soon as `index` may pass.
    pub fn defer(&self, term: u64, index: u64, release: Release) {
        let open = {
            let mut state = self.state.lock();
            state.deferred.push_back(DeferredAck { term, index, release });
            state.take_open(self.clock.now(), self.own)
        };
        open.into_iter().for_each(|release| release());
    }

    /// Returns when `index` may pass.
    pub async fn pass(&self, term: u64, index: u64) {
        loop {
            // From here on no change is missed: it wakes who holds this, polled or not.
            let opened = self.opened.notified();
            if self.state.lock().is_open(term, index, self.clock.now(), self.own) {
                return;
            }
            opened.await;
        }
    }

    /// Grants a lease to a member, or to this one itself. From the moment of the answer on nothing
    /// is committed that the holder has not marked. `voters` are those of the newest configuration,
    /// or of the one before, while this member leads; they are asked for under the lock, since no
    /// other can enter the log then.
    pub fn grant(
        &self,
        ask: &Ask,
        voters: impl FnOnce() -> Option<Vec<BTreeSet<u64>>>,
    ) -> Result<Grant, Refused> {
        let granted = {
            let mut state = self.state.lock();
            if state.pauses > 0 {
                return Err(Refused::Changing);
            }
            let now = self.clock.now();
            let voters = voters().ok_or(Refused::NotLeading)?;
            let granted = state.grants.grant(ask, now, self.own, &voters, self.timeouts.lease)?;
            // It outlives the lead: this member elects nobody while the lease may be alive.
            self.vote_hold.extend(state.grants.latest_end());
            granted
        };
        self.granted.notify_one();
        Ok(granted)
    }

    /// Stops granting for good in this term.
    pub fn hand_over(&self) {
        self.state.lock().grants.hand_over();
    }

    /// Has granting stopped for good in this term?
    pub fn hands_over(&self) -> bool {
        self.state.lock().grants.hands_over()
    }

    /// Stops granting until the guard is dropped.
    pub fn pause(&self) -> Pause<'_> {
        self.state.lock().pauses += 1;
        Pause { barrier: self }
    }

    /// Returns when every lease that was granted here is over; granting must have stopped.
    pub async fn run_out(&self) {
        let end = || self.state.lock().grants.latest_end();
        clock::reached(self.clock.as_ref(), end).await;
    }

    /// The term that is led, and whose leases may be alive.
    #[cfg(feature = "simulation")]
    pub fn holders(&self) -> Option<(u64, BTreeSet<u64>)> {
        let state = self.state.lock();
        Some((state.grants.term()?, state.grants.holders(self.clock.now())))
    }

    /// Lets pass what the end of a lease opens. To be awaited as long as the member runs.
    pub async fn watch_ends(&self) {
        loop {
            let now = self.clock.now();
            let next = self.state.lock().grants.next_end(now, self.own);
            match next {
                Some(end) => {
                    let sleep = tokio::time::sleep(end.since(now).max(TIMER_MIN));
                    tokio::select! {
                        () = sleep => {}
                        () = self.granted.notified() => {}
                    }
                    // Either way one may have ended: the next look counts those alone that go on.
                    self.change(|_| {});
                }
                None => self.granted.notified().await,
            }
        }
    }
}

/// While it lives no lease is granted.
pub struct Pause<'a> {
    barrier: &'a Barrier,
}

impl Drop for Pause<'_> {
    fn drop(&mut self) {
        self.barrier.state.lock().pauses -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::BootClock;
    use crate::manual::ManualClock;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    const TIMEOUTS: LeaseTimeouts =
        LeaseTimeouts { lease: Duration::from_millis(100), hold: Duration::from_millis(200) };

    /// The leader 1 of term 5, with followers 2 and 3 at index 10; 3 holds a lease.
    fn leader(clock: Arc<dyn Clock>) -> Arc<Barrier> {
        let barrier = Arc::new(Barrier::new(1, TIMEOUTS, clock.clone(), Arc::default()));
        barrier.appending(5, 10);
        barrier.acked(5, 2, ack(Some(10), &*clock));
        barrier.acked(5, 3, ack(Some(10), &*clock));
        let ask = Ask { id: 3, term: 5, renews: false };
        assert_eq!(barrier.grant(&ask, voters), Err(Refused::Lagging));
        barrier.grant(&ask, voters).unwrap();
        barrier
    }

    fn ack(index: Option<u64>, clock: &dyn Clock) -> Ack {
        Ack { index, sent: clock.now(), hold: TIMEOUTS.hold }
    }

    fn voters() -> Option<Vec<BTreeSet<u64>>> {
        Some(vec![BTreeSet::from([1, 2, 3])])
    }

    fn counting(released: &Arc<AtomicUsize>) -> Release {
        let released = released.clone();
        Box::new(move || _ = released.fetch_add(1, Ordering::SeqCst))
    }

    #[test]
    fn the_leaders_own_flush_waits_for_the_holder() {
        let clock = Arc::new(ManualClock::default());
        let barrier = leader(clock.clone());
        let released = Arc::new(AtomicUsize::new(0));
        barrier.appending(5, 11);
        barrier.defer(5, 10, counting(&released));
        barrier.defer(5, 11, counting(&released));
        assert_eq!(released.load(Ordering::SeqCst), 1);
        barrier.acked(5, 2, ack(Some(11), &*clock));
        assert_eq!(released.load(Ordering::SeqCst), 1);
        barrier.acked(5, 3, ack(Some(11), &*clock));
        assert_eq!(released.load(Ordering::SeqCst), 2);
    }

    #[test]
    fn what_is_held_goes_on_when_the_lead_is_lost() {
        let barrier = leader(Arc::new(ManualClock::default()));
        let released = Arc::new(AtomicUsize::new(0));
        barrier.defer(5, 11, counting(&released));
        barrier.forget();
        assert_eq!(released.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn a_granted_lease_keeps_the_leader_from_voting() {
        let clock = Arc::new(ManualClock::default());
        let barrier = leader(clock.clone());
        barrier.forget();
        assert!(!barrier.vote_hold.is_over(clock.now()));
        clock.advance(Duration::from_millis(101));
        assert!(barrier.vote_hold.is_over(clock.now()));
    }

    #[test]
    fn nothing_is_granted_during_a_membership_change() {
        let barrier = leader(Arc::new(ManualClock::default()));
        let ask = Ask { id: 1, term: 5, renews: false };
        let (first, second) = (barrier.pause(), barrier.pause());
        drop(first);
        assert_eq!(barrier.grant(&ask, voters), Err(Refused::Changing));
        drop(second);
        barrier.grant(&ask, voters).unwrap();
    }

    #[test]
    fn nothing_is_granted_in_a_term_once_its_lead_is_handed_over() {
        let barrier = leader(Arc::new(ManualClock::default()));
        assert!(!barrier.hands_over());
        barrier.hand_over();
        assert!(barrier.hands_over());
        let ask = Ask { id: 1, term: 5, renews: false };
        assert_eq!(barrier.grant(&ask, voters), Err(Refused::HandingOver));
    }

    #[tokio::test(start_paused = true)]
    async fn the_leases_have_run_out_when_the_last_one_is_over_by_the_clock_of_the_member() {
        let clock = Arc::new(ManualClock::default());
        let barrier = leader(clock.clone());
        let mut running_out = std::pin::pin!(barrier.run_out());
        assert!(futures_util::poll!(running_out.as_mut()).is_pending());
        clock.advance(Duration::from_millis(101));
        running_out.await;
    }

    #[test]
    fn a_grant_looks_at_the_voters_while_no_others_can_enter_the_log() {
        let barrier = leader(Arc::new(ManualClock::default()));
        let ask = Ask { id: 1, term: 5, renews: false };
        let seen = || {
            assert!(barrier.state.try_lock().is_none());
            voters()
        };
        barrier.grant(&ask, seen).unwrap();
        assert_eq!(barrier.grant(&ask, || None), Err(Refused::NotLeading));
    }

    #[tokio::test]
    async fn an_acknowledgement_passes_when_the_holder_has_it_too() {
        let clock = Arc::new(ManualClock::default());
        let barrier = leader(clock.clone());
        barrier.pass(5, 10).await;
        barrier.pass(4, 11).await;
        let mut waiting = std::pin::pin!(barrier.pass(5, 11));
        assert!(futures_util::poll!(waiting.as_mut()).is_pending());
        barrier.acked(5, 2, ack(Some(11), &*clock));
        assert!(futures_util::poll!(waiting.as_mut()).is_pending());
        barrier.acked(5, 3, ack(Some(11), &*clock));
        waiting.await;
    }

    #[tokio::test]
    async fn a_lease_that_has_ended_holds_up_nothing_when_another_one_wakes_the_watch() {
        let clock = Arc::new(ManualClock::default());
        let barrier = leader(clock.clone());
        let watched = barrier.clone();
        tokio::spawn(async move { watched.watch_ends().await });
        let released = Arc::new(AtomicUsize::new(0));
        barrier.defer(5, 11, counting(&released));
        // Its timer runs by another clock, and has most of its time before it.
        tokio::task::yield_now().await;
        clock.advance(Duration::from_millis(101));
        tokio::task::yield_now().await;
        assert_eq!(released.load(Ordering::SeqCst), 0);
        barrier.grant(&Ask { id: 1, term: 5, renews: false }, voters).unwrap();
        tokio::task::yield_now().await;
        assert_eq!(released.load(Ordering::SeqCst), 1);
    }

    #[test]
    #[should_panic(expected = "I3")]
    fn to_lead_another_term_under_a_vote_hold_breaks_an_invariant() {
        let barrier = leader(Arc::new(ManualClock::default()));
        barrier.forget();
        barrier.appending(6, 11);
    }

    #[tokio::test]
    async fn what_a_dead_holder_holds_up_passes_when_its_lease_is_over() {
        let barrier = leader(Arc::new(BootClock));
        let begun = std::time::Instant::now();
        let watched = barrier.clone();
        tokio::spawn(async move { watched.watch_ends().await });
        barrier.pass(5, 11).await;
        assert!(begun.elapsed() >= Duration::from_millis(90));
        barrier.run_out().await;
    }
}
