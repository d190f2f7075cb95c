//! The holder's side: until when this member may answer reads itself, and from which index on.
//!
//! A lease is asked for with a ticket and counts from the moment of asking. Whatever makes a lease
//! void (another vote, an installed snapshot) makes the tickets void too, so that a grant that was
//! on its way meanwhile is not taken.
//!
//! Taken and dropped by the member's own tasks; looked at by any thread, without a lock.

use ram_threads::sync::{AtomicU64, Mutex};
use std::sync::atomic::Ordering;

use super::clock::{Time, shortened};
use super::grants::{Grant, Refused};

/// Why a member holds no lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoLeaseReason {
    /// It has not asked, or was not answered, since the start.
    NotAsked,
    /// It knows no leader.
    NoLeader,
    /// The leader did not answer in time.
    NoAnswer,
    Refused(Refused),
    /// It has seen another vote.
    OtherVote,
    /// A snapshot took the place of its table.
    Snapshot,
    /// The last one ran out.
    RanOut,
}

#[derive(Debug)]
pub struct Lease {
    /// Zero: none.
    until_ns: AtomicU64,
    from_index: AtomicU64,
    /// Guards taking against dropping.
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Counts the times that a lease was dropped.
    dropped: u64,
    /// None was taken since.
    is_first: bool,
    /// In which the last one was granted.
    term: u64,
    reason: NoLeaseReason,
}

/// The right to take the answer to one request.
#[derive(Debug, Clone, Copy)]
pub struct Ticket {
    asked_at: Time,
    dropped: u64,
    /// A lease of this term is held that is to be renewed.
    pub renews: bool,
}

impl Default for Lease {
    fn default() -> Self {
        let state = Mutex::new(State {
            dropped: 0,
            is_first: true,
            term: 0,
            reason: NoLeaseReason::NotAsked,
        });
        Lease { until_ns: AtomicU64::new(0), from_index: AtomicU64::new(0), state }
    }
}

impl Lease {
    /// To be drawn before the request is sent: the lease counts from here.
    pub fn ask(&self, now: Time, term: u64) -> Ticket {
        let state = self.state.lock();
        let renews = now < self.until() && state.term == term;
        Ticket { asked_at: now, dropped: state.dropped, renews }
    }

    /// Takes what was granted. False when the lease was dropped since it was asked for.
    pub fn take(&self, ticket: Ticket, grant: &Grant) -> bool {
        let mut state = self.state.lock();
        if state.dropped != ticket.dropped {
            return false;
        }
        let until = ticket.asked_at.after(shortened(grant.lasts));
        // Nobody may pair the new end with the old index. The other pair is harmless: see `held`.
        match std::mem::take(&mut state.is_first) {
            true => self.from_index.store(grant.from_index, Ordering::SeqCst),
            // An older answer may come late: neither may go back.
            false => _ = self.from_index.fetch_max(grant.from_index, Ordering::SeqCst),
        }
        self.until_ns.fetch_max(until.ns(), Ordering::SeqCst);
        state.term = grant.term;
        state.reason = NoLeaseReason::RanOut;
        true
    }

    /// The index that must be applied, while the lease is valid.
    ///
    /// The index may be that of a lease taken after the end was read, and then of one that began
    /// during this call: what it asks for is enough.
    pub fn held(&self, now: impl FnOnce() -> Time) -> Option<u64> {
        let until = Time::from_ns(self.until_ns.load(Ordering::SeqCst));
        // The clock is read after the end: a lease that was valid then was so during this call.
        (now() < until).then(|| self.from_index.load(Ordering::SeqCst))
    }

    pub fn drop_for(&self, reason: NoLeaseReason) {
        let mut state = self.state.lock();
        state.dropped += 1;
        state.is_first = true;
        if self.until_ns.swap(0, Ordering::SeqCst) > 0 {
            state.reason = reason;
        }
    }

    /// Notes why a request brought no lease; the one that is held goes on.
    pub fn not_granted(&self, reason: NoLeaseReason) {
        self.state.lock().reason = reason;
    }

    /// Why there is no lease, when there is none.
    pub fn no_lease_reason(&self) -> NoLeaseReason {
        self.state.lock().reason
    }

    /// The term of the lease that was taken last.
    pub fn term(&self) -> u64 {
        self.state.lock().term
    }

    pub fn until(&self) -> Time {
        Time::from_ns(self.until_ns.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn at(ms: u64) -> Time {
        Time::from_ns(ms * 1_000_000)
    }

    fn grant(lasts_ms: u64, from_index: u64) -> Grant {
        Grant { term: 1, lasts: Duration::from_millis(lasts_ms), from_index }
    }

    #[test]
    fn a_lease_counts_from_the_asking_and_a_little_less_than_was_granted() {
        let lease = Lease::default();
        let ticket = lease.ask(at(1000), 1);
        assert!(lease.take(ticket, &grant(100, 7)));
        assert_eq!(lease.held(|| at(1098)), Some(7));
        assert_eq!(lease.held(|| at(1099)), None);
        assert_eq!(lease.no_lease_reason(), NoLeaseReason::RanOut);
    }

    #[test]
    fn a_grant_that_was_on_its_way_when_the_lease_was_dropped_is_not_taken() {
        let lease = Lease::default();
        let ticket = lease.ask(at(1000), 1);
        lease.drop_for(NoLeaseReason::Snapshot);
        assert!(!lease.take(ticket, &grant(100, 7)));
        assert_eq!(lease.held(|| at(1001)), None);
        assert_eq!(lease.no_lease_reason(), NoLeaseReason::NotAsked);
    }

    #[test]
    fn an_older_answer_that_comes_late_neither_shortens_nor_loosens_a_lease() {
        let lease = Lease::default();
        let (first, second) = (lease.ask(at(1000), 1), lease.ask(at(1050), 1));
        assert!(lease.take(second, &grant(100, 9)));
        assert!(lease.take(first, &grant(100, 7)));
        assert_eq!(lease.held(|| at(1148)), Some(9));
    }

    #[test]
    fn another_leaders_lease_begins_from_an_index_of_its_own() {
        let lease = Lease::default();
        assert!(lease.take(lease.ask(at(1000), 1), &grant(100, 9)));
        lease.drop_for(NoLeaseReason::OtherVote);
        assert!(lease.take(lease.ask(at(1001), 1), &grant(100, 7)));
        assert_eq!(lease.held(|| at(1002)), Some(7));
    }

    #[test]
    fn only_a_lease_that_is_held_in_the_term_is_renewed() {
        let lease = Lease::default();
        assert!(!lease.ask(at(1000), 1).renews);
        assert!(lease.take(lease.ask(at(1000), 1), &grant(100, 7)));
        assert_eq!(lease.term(), 1);
        assert!(lease.take(lease.ask(at(1000), 7), &Grant { term: 7, ..grant(100, 7) }));
        assert_eq!(lease.term(), 7);
        assert!(lease.take(lease.ask(at(1000), 1), &grant(100, 7)));
        assert!(lease.ask(at(1098), 1).renews);
        assert!(!lease.ask(at(1098), 2).renews);
        assert!(!lease.ask(at(1099), 1).renews);
    }

    #[test]
    fn a_dropped_lease_answers_no_more() {
        let lease = Lease::default();
        assert!(lease.take(lease.ask(at(1000), 1), &grant(100, 7)));
        lease.drop_for(NoLeaseReason::OtherVote);
        assert_eq!(lease.held(|| at(1001)), None);
        assert_eq!(lease.no_lease_reason(), NoLeaseReason::OtherVote);
    }

    #[test]
    fn a_refusal_leaves_the_lease_that_is_held() {
        let lease = Lease::default();
        assert!(lease.take(lease.ask(at(1000), 1), &grant(100, 7)));
        lease.not_granted(NoLeaseReason::NoAnswer);
        assert_eq!(lease.held(|| at(1001)), Some(7));
        assert_eq!(lease.no_lease_reason(), NoLeaseReason::NoAnswer);
    }
}
