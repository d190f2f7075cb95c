//! The term guard: which terms of other members are believed.
//!
//! Raft adopts whatever higher term it is told, in requests and in answers. One message with a term
//! near 2^64 would end elections for good, since none has a term beyond it, and the next restart
//! would find it on the disk. So every message that may move the term of this member is asked about
//! here first, by `service` (requests) and `network` and `acks` (answers). What is refused changes
//! nothing, is answered as by a member that has stopped, and is logged.
//!
//! # How far elections get
//!
//! A term grows by one where a candidate wins a pre-vote of a majority, and an election takes
//! longer than a millisecond ([`TERMS_A_MS`]): two disks sync a vote. So the terms that this member
//! may hear of lie below a line: the term it began with, and one for each millisecond since. A
//! member that was away does not know for how long, so [`TERMS_AWAY_MAX`] come on top: a year in
//! which a leader is elected each second. While a majority is away pre-votes fail, and terms stand
//! still. A member that was away for more elections than these says so in its log, and is added
//! afresh. The line rises with time, not with what is heard, so no number of messages moves it. One
//! that has heard of no leader yet takes the term of its first for the beginning.
//!
//! Nothing is believed beyond [`COUNTER_MAX`], which no line reaches in 285,000 years. A member
//! with a term beyond it on its disk does not campaign; the way out is `recover`.
//!
//! # Unknown peers
//!
//! A peer that is in no configuration that this member knows, neither committed nor newest, may
//! still be a voter: this member's log may be behind the change that added it, and in a cluster
//! that lost others the vote of this member may be the one that it needs (Ongaro's thesis, section
//! 4.1). Then a candidate from before that change cannot win, so refusing all unknown peers would
//! end the cluster. But no such vote is needed while a leader is heard. So an unknown peer moves
//! the term
//!
//! - only when this member has heard no leader for longer than an election timeout (a leadership
//!   transfer, which needs no such silence, comes from a leader that has the votes of the others);
//! - once in [`UNKNOWN_EVERY`] election timeouts: it tries again, and candidates of the known
//!   configuration, which are always heard, have the time between.
//!
//! A member without any configuration knows nobody, and hears everybody: its first leader is among
//! them. Who speaks for another than itself is not heard at all.

use openraft::Instant;
use openraft::async_runtime::WatchReceiver;
use parking_lot::Mutex;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::entry;
use super::types::{LogId, Membership, Metrics, Vote};
use crate::Raft;
use ram_lease::clock::{Clock, Time};
use ram_limits::COUNTER_MAX;
use ram_sabotage::{Fault, armed};

/// More than any cluster elects.
const TERMS_A_MS: u64 = 1;
/// What elections may have come to while this member was away.
const TERMS_AWAY_MAX: u64 = 1 << 25;
/// In election timeouts.
const UNKNOWN_EVERY: u32 = 10;
/// Refusals are told in one line so often, with their number.
const TOLD_EVERY: Duration = Duration::from_secs(60);

/// A message that is not taken, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedTerm(String);

impl fmt::Display for RefusedTerm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A message that may move the term, as its connection and its vote say.
#[derive(Debug, Clone, Copy)]
pub struct Claim<'a> {
    pub sender: u64,
    pub vote: &'a Vote,
}

/// What one peer says of terms, before raft hears of it.
pub struct Hearing {
    pub sender: u64,
    pub raft: Raft,
    pub terms: Terms,
}

impl Hearing {
    pub fn candidate(&self, vote: &Vote) -> Result<(), RefusedTerm> {
        let claim = Claim { sender: self.sender, vote };
        self.terms.hear_candidate(claim, &self.raft.metrics().borrow_watched())
    }

    pub fn leader(&self, vote: &Vote) -> Result<(), RefusedTerm> {
        let claim = Claim { sender: self.sender, vote };
        self.terms.hear_leader(claim, &self.raft.metrics().borrow_watched())
    }

    /// A leader with this vote sends a snapshot that ends there.
    pub fn snapshot(&self, vote: &Vote, last_log_id: Option<&LogId>) -> Result<(), String> {
        if !last_log_id.is_none_or(|log_id| fits(log_id, vote)) {
            return Err("a snapshot of another term than its leader's, or without an end".into());
        }
        self.leader(vote).map_err(|no| no.to_string())
    }
}

/// Clones share what was heard.
#[derive(Debug, Clone)]
pub struct Terms {
    clock: Arc<dyn Clock>,
    election_timeout: Duration,
    /// Guards what was heard; held for moments.
    heard: Arc<Mutex<Heard>>,
}

#[derive(Debug, Default)]
struct Heard {
    /// Where the line begins. `None`: this member has heard of no leader yet.
    began: Option<Began>,
    /// When a leader spoke last.
    leader_at: Option<Time>,
    /// When an unknown peer moved the term last.
    unknown_at: Option<Time>,
    told_at: Option<Time>,
    untold: u64,
}

#[derive(Debug, Clone, Copy)]
struct Began {
    term: u64,
    at: Time,
}

impl Terms {
    /// Of a member that opens with this vote; `None`: it never voted, and never heard of a leader.
    pub fn begin(saved: Option<&Vote>, clock: Arc<dyn Clock>, election_timeout: Duration) -> Terms {
        let at = clock.now();
        let began = saved.map(|vote| Began { term: term_of(vote), at });
        let heard = Arc::new(Mutex::new(Heard { began, ..Heard::default() }));
        Terms { clock, election_timeout, heard }
    }

    /// How long ago the last leader was heard, for whoever watches a member.
    #[cfg(feature = "simulation")]
    pub fn leader_heard_ago(&self) -> Option<Duration> {
        let at = self.heard.lock().leader_at?;
        Some(self.clock.now().since(at))
    }

    /// May a leader have this vote? `known`: what this member knows now.
    pub fn hear_leader(&self, claim: Claim<'_>, known: &Metrics) -> Result<(), RefusedTerm> {
        let (now, term) = (self.clock.now(), term_of(claim.vote));
        self.judge(claim, known, now, COUNTER_MAX)?;
        if term >= known.current_term {
            let mut heard = self.heard.lock();
            heard.leader_at = Some(now);
            heard.began.get_or_insert(Began { term, at: now });
        }
        Ok(())
    }

    /// May a candidate have this vote?
    pub fn hear_candidate(&self, claim: Claim<'_>, known: &Metrics) -> Result<(), RefusedTerm> {
        self.judge(claim, known, self.clock.now(), TERMS_AWAY_MAX)
    }

    /// May an answer have this term, which Raft adopts if it is higher?
    pub fn hear_answer(&self, sender: u64, term: u64) -> Result<(), RefusedTerm> {
        self.within_line(sender, term, self.clock.now(), TERMS_AWAY_MAX)
    }

    fn judge(
        &self,
        claim: Claim<'_>,
        known: &Metrics,
        now: Time,
        first_max: u64,
    ) -> Result<(), RefusedTerm> {
        let Claim { sender, vote } = claim;
        if vote.leader_id.voted_for != sender {
            let other = vote.leader_id.voted_for;
            return self.refuse(now, format!("member {sender} speaks for member {other}"));
        }
        if !knows_nobody(known) {
            let term = known.current_term;
            self.heard.lock().began.get_or_insert(Began { term, at: now });
        }
        self.within_line(sender, term_of(vote), now, first_max)?;
        if term_of(vote) <= known.current_term || is_known(known, sender) {
            return Ok(());
        }
        self.take_unknown(sender, known, now)
    }

    /// `first_max`: for a member that has heard of no leader yet.
    fn within_line(
        &self,
        sender: u64,
        term: u64,
        now: Time,
        first_max: u64,
    ) -> Result<(), RefusedTerm> {
        let line = self.heard.lock().began.map_or(first_max, |began| began.line(now));
        if term <= line.min(COUNTER_MAX) || armed(Fault::BelieveAnyTerm) {
            return Ok(());
        }
        self.refuse(
            now,
            format!("member {sender} speaks of term {term}, and elections reach {line} at most"),
        )
    }

    fn take_unknown(&self, sender: u64, known: &Metrics, now: Time) -> Result<(), RefusedTerm> {
        if armed(Fault::HeedUnknownPeers) {
            return Ok(());
        }
        let recent = |at: Option<Time>, span: Duration| at.is_some_and(|at| now < at.after(span));
        let every = self.election_timeout.saturating_mul(UNKNOWN_EVERY);
        let is_early = {
            let mut heard = self.heard.lock();
            let is_led = recent(heard.leader_at, self.election_timeout)
                || leads_now(known, self.election_timeout);
            let is_early = is_led || recent(heard.unknown_at, every);
            if !is_early {
                heard.unknown_at = Some(now);
            }
            is_early
        };
        if !is_early {
            return Ok(());
        }
        self.refuse(now, format!("peer {sender} is in no configuration known here"))
    }

    /// One line for many: whoever floods members must not flood their logs.
    fn refuse(&self, now: Time, why: String) -> Result<(), RefusedTerm> {
        let mut heard = self.heard.lock();
        heard.untold += 1;
        if heard.told_at.is_none_or(|at| now >= at.after(TOLD_EVERY)) {
            let count = std::mem::take(&mut heard.untold);
            heard.told_at = Some(now);
            tracing::warn!("not believed ({count} messages since the last line): {why}");
        }
        Err(RefusedTerm(why))
    }
}

impl Began {
    fn line(self, now: Time) -> u64 {
        let ms = u64::try_from(now.since(self.at).as_millis()).unwrap_or(u64::MAX);
        self.term.saturating_add(TERMS_AWAY_MAX).saturating_add(ms.saturating_mul(TERMS_A_MS))
    }
}

/// Can a candidate have a term beyond this one?
pub fn may_grow(term: u64) -> bool {
    term < COUNTER_MAX
}

/// Is this the id of an entry that a leader with this vote may send?
pub fn fits(log_id: &LogId, vote: &Vote) -> bool {
    log_id.index() <= COUNTER_MAX && entry::term_of(log_id) <= term_of(vote)
}

fn term_of(vote: &Vote) -> u64 {
    vote.leader_id.term
}

/// Is it in a configuration that this member knows? One that knows none knows everybody.
fn is_known(known: &Metrics, id: u64) -> bool {
    let is_in = |membership: &Membership| membership.get_node(&id).is_some();
    knows_nobody(known)
        || is_in(known.membership_config.membership())
        || is_in(known.committed_membership_config.membership())
}

fn knows_nobody(known: &Metrics) -> bool {
    known.membership_config.membership().nodes().next().is_none()
}

fn leads_now(known: &Metrics, election_timeout: Duration) -> bool {
    let acked = known.last_quorum_acked.as_ref();
    acked.is_some_and(|acked| acked.elapsed() < election_timeout)
}

#[cfg(test)]
mod tests {
    use super::super::types::{Member, StoredMembership};
    use super::*;
    use ram_lease::manual::ManualClock;
    use std::collections::BTreeMap;

    const TIMEOUT: Duration = Duration::from_millis(300);
    const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

    /// Member 1 of 1, 2 and 3, in term 7.
    fn known() -> Metrics {
        let members = [1, 2, 3].map(|id| (id, Member::default()));
        let membership = Membership::from(BTreeMap::from(members));
        let stored = Arc::new(StoredMembership::new(None, membership));
        let mut known = Metrics::new_initial(1);
        known.current_term = 7;
        known.membership_config = stored.clone();
        known.committed_membership_config = stored;
        known
    }

    struct Scene {
        clock: Arc<ManualClock>,
        terms: Terms,
        known: Metrics,
    }

    impl Scene {
        fn new() -> Scene {
            let clock = Arc::new(ManualClock::default());
            let terms = Terms::begin(Some(&Vote::new(7, 1)), clock.clone(), TIMEOUT);
            Scene { clock, terms, known: known() }
        }

        fn candidate(&self, sender: u64, term: u64) -> bool {
            let vote = Vote::new(term, sender);
            self.terms.hear_candidate(Claim { sender, vote: &vote }, &self.known).is_ok()
        }

        fn leader(&self, sender: u64, term: u64) -> bool {
            let vote = Vote::new_committed(term, sender);
            self.terms.hear_leader(Claim { sender, vote: &vote }, &self.known).is_ok()
        }
    }

    #[test]
    fn no_message_and_no_number_of_them_moves_the_term_beyond_what_elections_reach() {
        let mut scene = Scene::new();
        let line = 7 + TERMS_AWAY_MAX;
        for too_far in [line + 1, 1 << 40, COUNTER_MAX + 1, u64::MAX] {
            assert!(!scene.candidate(2, too_far), "{too_far}");
            assert!(!scene.leader(2, too_far), "{too_far}");
            assert!(scene.terms.hear_answer(2, too_far).is_err(), "{too_far}");
        }
        assert!(scene.candidate(2, line));
        scene.known.current_term = line;
        assert!(!scene.candidate(2, line + 1));
        scene.clock.advance(Duration::from_millis(20));
        assert!(scene.candidate(2, line + 20) && scene.leader(3, line + 20));
        assert!(!scene.candidate(2, line + 21));
    }

    #[test]
    fn a_member_that_was_away_for_a_year_of_an_election_each_second_is_one_of_them_again() {
        let scene = Scene::new();
        assert!(scene.leader(3, 7 + YEAR.as_secs()));
    }

    #[test]
    fn a_new_member_takes_the_term_of_its_first_leader_and_goes_on_from_there() {
        let scene = Scene { known: Metrics::new_initial(1), ..Scene::new() };
        let scene = Scene { terms: Terms::begin(None, scene.clock.clone(), TIMEOUT), ..scene };
        assert!(!scene.candidate(9, COUNTER_MAX) && !scene.leader(9, COUNTER_MAX + 1));
        assert!(scene.candidate(9, 1), "the first of a new cluster");
        assert!(scene.leader(9, 1 << 40));
        assert!(scene.leader(9, (1 << 40) + 1) && !scene.leader(9, 1 << 41));
    }

    #[test]
    fn an_unknown_peer_moves_no_term_while_a_leader_is_heard_and_then_once_in_a_while() {
        let scene = Scene::new();
        assert!(scene.leader(2, 7));
        assert!(!scene.candidate(9, 8) && !scene.leader(9, 8));
        assert!(scene.leader(9, 7), "it moves nothing");
        assert!(scene.candidate(3, 8), "a known one");
        scene.clock.advance(TIMEOUT);
        assert!(scene.candidate(9, 8), "this member's vote may be the one that is needed");
        assert!(!scene.candidate(9, 9) && !scene.candidate(10, 9) && !scene.leader(9, 9));
        assert!(scene.candidate(3, 9));
        scene.clock.advance(TIMEOUT * UNKNOWN_EVERY);
        assert!(scene.leader(9, 9));
        assert!(!scene.candidate(9, 10), "it leads");
    }

    #[test]
    fn who_speaks_for_another_is_not_heard() {
        let scene = Scene::new();
        let vote = Vote::new(8, 3);
        let claim = Claim { sender: 2, vote: &vote };
        assert!(scene.terms.hear_candidate(claim, &scene.known).is_err());
        assert!(scene.terms.hear_leader(claim, &scene.known).is_err());
    }
}
