//! The leader's side: who holds a lease, until when, and who may get one.
//!
//! A plain value under the lock of `barrier`: time, the last log index and the membership come in
//! as arguments. All of it belongs to one term of this member's lead; another term begins empty,
//! since no lease of a former one can be alive then (I2).

use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::clock::{Time, lengthened, of_another};
use crate::sabotage::{self, Fault};

/// A laggard gets no lease for so many times the span of one; twice as long each time it lags
/// again soon, up to the second number. So long ago must it have lagged to be let off once.
const BACK_OFF_MIN: u32 = 4;
const BACK_OFF_MAX: u32 = 64;

/// The spans everything here is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spans {
    /// D: what is granted at most.
    pub lease: Duration,
    /// L: for how long a member votes for nobody after it heard from the leader.
    pub promise: Duration,
}

/// A request for a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ask {
    pub id: u64,
    /// Of the leader that is asked, as the asking member knows it.
    pub term: u64,
    /// The asking member holds a lease of this term that is to be renewed.
    pub renews: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    pub term: u64,
    /// d, counted from the asking.
    pub lasts: Duration,
    /// C: what the holder must have applied.
    pub from_index: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refused {
    /// Not in this term, or not any more.
    NotLeading,
    /// No quorum has confirmed the lead lately.
    Unconfirmed,
    /// The asking member's log is behind, or was lately: waiting for it would slow every write.
    Lagging,
    /// A membership change waits for the leases to run out.
    Changing,
    /// The lead is being handed over.
    HandingOver,
}

#[derive(Debug, Default)]
pub struct Grants {
    /// `None` while this member does not lead.
    term: Option<u64>,
    last_index: u64,
    peers: BTreeMap<u64, Peer>,
    /// The end of the last lease to end.
    latest_end: Time,
    is_handing_over: bool,
}

/// What the leader knows of a member, itself included.
#[derive(Debug, Default)]
struct Peer {
    /// Its log is this leader's up to here, and what it has not applied of that is marked.
    acked: Option<u64>,
    /// When a request was sent that it has answered in this term.
    confirmed: Option<Time>,
    given: Option<Given>,
    /// The last log index when it asked last: one request later it must have that.
    asked_at_index: Option<u64>,
    /// When it lagged and was let off: not renewed then, and not shut out.
    let_off: Option<Time>,
    back_off: Option<BackOff>,
}

#[derive(Debug, Clone, Copy)]
struct Given {
    ends: Time,
    from_index: u64,
}

#[derive(Debug, Clone, Copy)]
struct BackOff {
    until: Time,
    span: Duration,
}

impl Grants {
    /// The leader's log has grown, or its term has begun. Called before the entry is in the log, so
    /// no answer to it can have come when C is taken from here.
    pub fn appended(&mut self, term: u64, last_index: u64) {
        if self.term != Some(term) {
            self.forget();
            self.term = Some(term);
        }
        self.last_index = last_index;
    }

    /// This member does not lead any more.
    pub fn forget(&mut self) {
        *self = Grants { latest_end: self.latest_end, ..Grants::default() };
    }

    pub fn term(&self) -> Option<u64> {
        self.term
    }

    /// A member has answered an append of `term` that was sent at `sent`.
    pub fn acked(&mut self, term: u64, id: u64, index: Option<u64>, sent: Time) {
        if self.term == Some(term) {
            let peer = self.peers.entry(id).or_default();
            peer.acked = peer.acked.max(index);
            peer.confirmed = peer.confirmed.max(Some(sent));
        }
    }

    /// Grants, or says why not. `own` is this member's id, `voters` the majorities that must agree
    /// (two during a membership change).
    pub fn grant(
        &mut self,
        ask: &Ask,
        now: Time,
        own: u64,
        voters: &[BTreeSet<u64>],
        spans: &Spans,
    ) -> Result<Grant, Refused> {
        if self.term != Some(ask.term) {
            return Err(Refused::NotLeading);
        }
        if self.is_handing_over {
            return Err(Refused::HandingOver);
        }
        let last_index = self.last_index;
        let peer = self.peers.entry(ask.id).or_default();
        if ask.id != own && !peer.keeps_up(now, last_index, spans.lease) {
            return Err(Refused::Lagging);
        }
        let confirmed = self.confirmed(now, own, voters).ok_or(Refused::Unconfirmed)?;
        let lasts = confirmed.after(of_another(spans.promise)).since(now).min(spans.lease);
        if lasts.is_zero() {
            return Err(Refused::Unconfirmed);
        }
        let ends = now.after(lengthened(lasts));
        self.latest_end = self.latest_end.max(ends);
        let peer = self.peers.entry(ask.id).or_default();
        let from_index = match peer.given {
            Some(given) if given.ends > now && ask.renews => given.from_index,
            _ => last_index,
        };
        let ends = peer.given.map_or(ends, |given| given.ends.max(ends));
        peer.given = Some(Given { ends, from_index });
        Ok(Grant { term: ask.term, lasts, from_index })
    }

    /// When the newest requests were sent that a quorum has answered: nobody in it elects another
    /// leader before its promise is over.
    fn confirmed(&self, now: Time, own: u64, voters: &[BTreeSet<u64>]) -> Option<Time> {
        let of_member = |id: &u64| match *id == own {
            true => Some(now),
            false => self.peers.get(id).and_then(|peer| peer.confirmed),
        };
        let of_quorum = |voters: &BTreeSet<u64>| {
            let mut times: Vec<Option<Time>> = voters.iter().map(of_member).collect();
            times.sort_unstable_by(|a, b| b.cmp(a));
            times.get(voters.len() / 2).copied().flatten()
        };
        // Without a majority to ask there is nothing to rely on.
        voters.iter().map(of_quorum).min().flatten()
    }

    /// The index up to which others' acknowledgements may count: every holder of a lease that may
    /// be alive has marked it (I1). This member marks before anybody else sees an entry.
    pub fn open_upto(&self, now: Time, own: u64) -> Option<u64> {
        if sabotage::armed(Fault::SkipCommitBarrier) {
            return Some(u64::MAX);
        }
        let holders = self.peers.iter().filter(|(id, peer)| **id != own && peer.holds(now));
        holders.map(|(_, peer)| peer.acked).min().unwrap_or(Some(u64::MAX))
    }

    /// Whose leases may be alive, this member's own among them.
    #[cfg(feature = "simulation")]
    pub fn holders(&self, now: Time) -> BTreeSet<u64> {
        self.peers.iter().filter(|(_, peer)| peer.holds(now)).map(|(id, _)| *id).collect()
    }

    /// When the next lease of another member ends.
    pub fn next_end(&self, now: Time, own: u64) -> Option<Time> {
        let holders = self.peers.iter().filter(|(id, peer)| **id != own && peer.holds(now));
        holders.filter_map(|(_, peer)| peer.given.map(|given| given.ends)).min()
    }

    /// When the last lease that this member granted, in any term, has ended.
    pub fn latest_end(&self) -> Time {
        self.latest_end
    }

    /// No lease any more in this term: whoever was told that it may be elected at once may do so
    /// long after.
    pub fn hand_over(&mut self) {
        self.is_handing_over = true;
    }

    pub fn hands_over(&self) -> bool {
        self.is_handing_over
    }
}

impl Peer {
    fn holds(&self, now: Time) -> bool {
        self.given.is_some_and(|given| given.ends > now)
    }

    /// Has it by now what the log held when it asked last? The first request only takes a note.
    fn keeps_up(&mut self, now: Time, last_index: u64, lease: Duration) -> bool {
        let before = self.asked_at_index.replace(last_index);
        let Some(before) = before else { return false };
        let is_backing_off = self.back_off.is_some_and(|back_off| now < back_off.until);
        if self.acked >= Some(before) {
            return !is_backing_off;
        }
        if self.holds(now) && !is_backing_off {
            let soon = |let_off: Time| now < let_off.after(lease * BACK_OFF_MIN);
            match self.let_off.is_some_and(soon) {
                true => self.back_off = Some(self.longer_back_off(now, lease)),
                // A slow moment of a disk or a processor is as long as the time between requests.
                false => self.let_off = Some(now),
            }
        }
        false
    }

    fn longer_back_off(&self, now: Time, lease: Duration) -> BackOff {
        // One that kept up for as long as it was shut out begins anew.
        let recent = self.back_off.filter(|last| now < last.until.after(last.span));
        let span = match recent {
            Some(last) => (last.span * 2).min(lease * BACK_OFF_MAX),
            None => lease * BACK_OFF_MIN,
        };
        BackOff { until: now.after(span), span }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: u64 = 1;
    const SPANS: Spans =
        Spans { lease: Duration::from_millis(100), promise: Duration::from_millis(200) };

    fn at(ms: u64) -> Time {
        Time::from_ns(ms * 1_000_000)
    }

    fn voters() -> Vec<BTreeSet<u64>> {
        vec![BTreeSet::from([1, 2, 3])]
    }

    /// A leader of term 5 whose log and followers stand at 10, at 1000 ms.
    fn leader() -> Grants {
        let mut grants = Grants::default();
        grants.appended(5, 10);
        for id in [2, 3] {
            grants.acked(5, id, Some(10), at(1000));
        }
        grants
    }

    fn ask(grants: &mut Grants, id: u64, renews: bool, now: u64) -> Result<Grant, Refused> {
        let ask = Ask { id, term: 5, renews };
        grants.grant(&ask, at(now), OWN, &voters(), &SPANS)
    }

    /// Member `id` holds a lease, granted at 1000 ms.
    fn granted(grants: &mut Grants, id: u64) -> Grant {
        assert_eq!(ask(grants, id, false, 1000), Err(Refused::Lagging), "the first takes a note");
        ask(grants, id, false, 1000).unwrap()
    }

    #[test]
    fn a_lease_lasts_no_longer_than_the_promise_of_a_quorum() {
        let mut grants = leader();
        assert_eq!(granted(&mut grants, 2).lasts, SPANS.lease);
        // The quorum answered what was sent at 1000: 200 x 0.99 / 1.01 = 196.03 are sure.
        let late = ask(&mut grants, 2, true, 1150).unwrap();
        assert!(late.lasts > Duration::from_millis(46) && late.lasts < Duration::from_millis(47));
        assert_eq!(ask(&mut grants, 2, true, 1197), Err(Refused::Unconfirmed));
    }

    #[test]
    fn one_answer_of_three_confirms_nothing_that_is_older() {
        let mut grants = leader();
        grants.acked(5, 2, Some(10), at(1100));
        // 1 and 2 are a quorum.
        assert_eq!(
            ask(&mut grants, OWN, false, 1200).unwrap().lasts,
            at(1296).since(at(1200)) + Duration::from_nanos(39_603)
        );
        let both = [BTreeSet::from([1, 2, 3]), BTreeSet::from([3, 4, 5])];
        let joint = Ask { id: OWN, term: 5, renews: false };
        assert_eq!(grants.grant(&joint, at(1000), OWN, &both, &SPANS), Err(Refused::Unconfirmed));
        grants.acked(5, 4, None, at(1050));
        let joint = grants.grant(&joint, at(1150), OWN, &both, &SPANS).unwrap();
        assert!(joint.lasts < Duration::from_millis(47), "the older of the two majorities counts");
    }

    #[test]
    fn a_leader_alone_relies_on_itself_and_one_without_voters_on_nobody() {
        let mut grants = leader();
        let ask = Ask { id: OWN, term: 5, renews: false };
        let alone = [BTreeSet::from([OWN])];
        assert_eq!(grants.grant(&ask, at(9000), OWN, &alone, &SPANS).unwrap().lasts, SPANS.lease);
        assert_eq!(grants.grant(&ask, at(9000), OWN, &[], &SPANS), Err(Refused::Unconfirmed));
    }

    #[test]
    fn the_first_index_stays_while_a_lease_is_renewed_without_a_break() {
        let mut grants = leader();
        assert_eq!(granted(&mut grants, 2).from_index, 10);
        grants.appended(5, 20);
        grants.acked(5, 2, Some(20), at(1050));
        assert_eq!(ask(&mut grants, 2, true, 1060).unwrap().from_index, 10);
        assert_eq!(ask(&mut grants, 2, false, 1060).unwrap().from_index, 20, "it holds none");
        grants.appended(5, 30);
        grants.acked(5, 2, Some(30), at(1200));
        assert_eq!(ask(&mut grants, 2, true, 1210).unwrap().from_index, 30, "it had run out");
    }

    #[test]
    fn an_entry_is_held_back_until_every_holder_has_it_or_its_lease_is_over() {
        let mut grants = leader();
        assert_eq!(grants.open_upto(at(1000), OWN), Some(u64::MAX));
        granted(&mut grants, 2);
        granted(&mut grants, 3);
        grants.appended(5, 12);
        grants.acked(5, 2, Some(12), at(1010));
        assert_eq!(grants.open_upto(at(1020), OWN), Some(10));
        grants.acked(5, 3, Some(11), at(1010));
        assert_eq!(grants.open_upto(at(1020), OWN), Some(11));
        // What is granted for 100 ms counts as 101 here.
        assert_eq!(grants.next_end(at(1020), OWN), Some(at(1101)));
        assert_eq!(grants.open_upto(at(1100), OWN), Some(11));
        assert_eq!(grants.open_upto(at(1101), OWN), Some(u64::MAX));
    }

    #[test]
    fn the_leaders_own_lease_holds_nothing_back_and_is_waited_for_before_the_lead_changes() {
        let mut grants = leader();
        ask(&mut grants, OWN, false, 1000).unwrap();
        assert_eq!(grants.open_upto(at(1000), OWN), Some(u64::MAX));
        assert_eq!(grants.latest_end(), at(1101));
    }

    #[test]
    fn a_renewal_that_is_shorter_does_not_shorten_what_the_holder_already_has() {
        let mut grants = leader();
        granted(&mut grants, 2);
        grants.acked(5, 2, Some(10), at(1000));
        let short = Spans { lease: Duration::from_millis(1), ..SPANS };
        let renewal = Ask { id: 2, term: 5, renews: true };
        grants.grant(&renewal, at(1010), OWN, &voters(), &short).unwrap();
        assert_eq!(grants.next_end(at(1010), OWN), Some(at(1101)));
    }

    #[test]
    fn a_laggard_is_not_renewed_and_stays_without_for_a_while() {
        let mut grants = leader();
        granted(&mut grants, 2);
        grants.appended(5, 20);
        ask(&mut grants, 2, true, 1030).unwrap();
        for now in [1060, 1090] {
            assert_eq!(ask(&mut grants, 2, true, now), Err(Refused::Lagging));
        }
        grants.acked(5, 2, Some(20), at(1100));
        grants.acked(5, 3, Some(20), at(1400));
        assert_eq!(ask(&mut grants, 2, false, 1120), Err(Refused::Lagging), "it is shut out");
        assert_eq!(ask(&mut grants, 2, false, 1489), Err(Refused::Lagging));
        ask(&mut grants, 2, false, 1490).unwrap();
        // Again, and soon: twice as long.
        grants.appended(5, 30);
        ask(&mut grants, 2, true, 1500).unwrap();
        for now in [1510, 1520] {
            assert_eq!(ask(&mut grants, 2, true, now), Err(Refused::Lagging));
        }
        grants.acked(5, 2, Some(30), at(2300));
        assert_eq!(ask(&mut grants, 2, false, 2319), Err(Refused::Lagging));
        ask(&mut grants, 2, false, 2320).unwrap();
    }

    #[test]
    fn one_slow_moment_costs_no_lease_and_another_one_soon_after_does() {
        let mut grants = leader();
        granted(&mut grants, 2);
        grants.appended(5, 20);
        ask(&mut grants, 2, true, 1030).unwrap();
        assert_eq!(ask(&mut grants, 2, true, 1060), Err(Refused::Lagging));
        grants.acked(5, 2, Some(20), at(1070));
        ask(&mut grants, 2, true, 1090).unwrap();
        grants.appended(5, 30);
        ask(&mut grants, 2, true, 1120).unwrap();
        assert_eq!(ask(&mut grants, 2, true, 1150), Err(Refused::Lagging));
        grants.acked(5, 2, Some(30), at(1160));
        assert_eq!(ask(&mut grants, 2, true, 1180), Err(Refused::Lagging), "it is shut out");
    }

    #[test]
    fn one_that_never_had_a_lease_gets_it_once_it_keeps_up() {
        let mut grants = leader();
        grants.appended(5, 100);
        assert_eq!(ask(&mut grants, 2, false, 1000), Err(Refused::Lagging));
        assert_eq!(ask(&mut grants, 2, false, 1010), Err(Refused::Lagging));
        grants.acked(5, 2, Some(100), at(1015));
        ask(&mut grants, 2, false, 1020).unwrap();
    }

    #[test]
    fn a_leader_that_hands_over_grants_nothing_more_in_its_term() {
        let mut grants = leader();
        granted(&mut grants, 2);
        grants.hand_over();
        assert_eq!(ask(&mut grants, 2, true, 1010), Err(Refused::HandingOver));
        assert_eq!(grants.open_upto(at(1010), OWN), Some(10), "what was granted still counts");
        assert!(grants.hands_over());
        grants.appended(6, 30);
        assert!(!grants.hands_over());
        let own = Ask { id: OWN, term: 6, renews: false };
        assert_eq!(grants.grant(&own, at(1), OWN, &voters(), &SPANS), Err(Refused::Unconfirmed));
    }

    #[test]
    fn another_term_begins_without_holders_and_answers_of_the_former_do_not_count() {
        let mut grants = leader();
        granted(&mut grants, 2);
        grants.forget();
        assert_eq!(ask(&mut grants, 2, true, 1010), Err(Refused::NotLeading));
        assert_eq!(grants.latest_end(), at(1101), "this member's promise goes on");
        grants.appended(7, 40);
        grants.acked(5, 2, Some(10), at(1010));
        grants.acked(5, 3, Some(10), at(1010));
        let own = Ask { id: OWN, term: 7, renews: false };
        assert_eq!(grants.grant(&own, at(1010), OWN, &voters(), &SPANS), Err(Refused::Unconfirmed));
        assert_eq!(grants.open_upto(at(1010), OWN), Some(u64::MAX));
    }
}
