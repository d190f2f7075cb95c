//! Until when this member gives its vote to nobody, itself included (I3).
//!
//! A lease rests on a quorum that will not elect another leader while it lasts. openraft keeps the
//! vote hold of a follower while it runs: it refuses votes for the maximum of the election timeout
//! after each append. What openraft does not know stands here, and is asked before a vote goes in
//! or out:
//!
//! - after a restart: the hold of before is forgotten, so the longest possible hold is kept,
//!   which `raft::vote_hold` knows;
//! - of a leader: what it granted, also when it has lost the lead meanwhile.

use ram_threads::sync::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::clock::{Time, lengthened};
use ram_sabotage::{Fault, armed};

#[derive(Debug, Default)]
pub struct VoteHold {
    until_ns: AtomicU64,
}

impl VoteHold {
    /// This member ran before and may have told any hold up to `longest` then.
    pub fn after_restart(&self, now: Time, longest: Duration) {
        if !armed(Fault::ForgetRestartVoteHold) {
            self.extend(now.after(lengthened(longest)));
        }
    }

    pub fn extend(&self, until: Time) {
        self.until_ns.fetch_max(until.ns(), Ordering::SeqCst);
    }

    /// May this member vote, and ask for votes?
    pub fn is_over(&self, now: Time) -> bool {
        now >= self.until()
    }

    pub fn until(&self) -> Time {
        Time::from_ns(self.until_ns.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_restart_a_member_keeps_the_longest_vote_hold_it_may_have_given() {
        let vote_hold = VoteHold::default();
        let now = Time::from_ns(5_000_000_000);
        assert!(vote_hold.is_over(now));
        vote_hold.after_restart(now, Duration::from_millis(100));
        assert!(!vote_hold.is_over(now.after(Duration::from_millis(100))));
        assert!(vote_hold.is_over(now.after(Duration::from_millis(101))));
    }

    #[test]
    fn a_vote_hold_is_never_shortened() {
        let vote_hold = VoteHold::default();
        vote_hold.extend(Time::from_ns(20));
        vote_hold.extend(Time::from_ns(10));
        assert!(!vote_hold.is_over(Time::from_ns(19)));
        assert!(vote_hold.is_over(Time::from_ns(20)));
    }
}
