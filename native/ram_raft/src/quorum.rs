//! The watch over the majority: warns once when it is lost, naming the missing members, notes once
//! when it is back, and keeps the time of the loss for the status.
//!
//! A leader has a majority while one acknowledges its heartbeats; a follower, while it hears a
//! leader. An election is no loss: [`LOST_AFTER`]. Only log lines and the status rest on this.

use openraft::Instant as _;
use openraft::ServerState;
use openraft::async_runtime::WatchReceiver;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;

use crate::Raft;
use crate::heard::Heard;
use crate::types::{Member, Metrics};
use ram_lease::clock::{Clock, Time};
use ram_net::Net;

/// In election timeouts: several elections that came to nothing have taken longer.
const LOST_AFTER: u32 = 4;
/// And no less: a busy machine is no loss.
const LOST_AFTER_MIN: Duration = Duration::from_secs(2);
const CHECK_MIN: Duration = Duration::from_millis(20);

/// Since when there is none. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Quorum(Arc<Mutex<Option<Time>>>);

impl Quorum {
    /// Since when there is no majority, for so long already.
    pub fn lost_since(&self) -> Option<Time> {
        *self.0.lock()
    }
}

/// What the watch looks at.
pub struct Sight {
    pub raft: Raft,
    pub net: Arc<Net>,
    pub heard: Heard,
    pub clock: Arc<dyn Clock>,
    pub election_timeout: Duration,
}

/// To be awaited as long as the member runs.
pub async fn watch(sight: Sight, quorum: Quorum) {
    let every = (sight.election_timeout / 2).max(CHECK_MIN);
    let mut loss = Loss::new(sight.clock.now(), sight.bound(), every);
    loop {
        sleep(every).await;
        let metrics = sight.raft.metrics().borrow_watched().clone();
        let now = sight.clock.now();
        match loss.seen(now, sight.has_majority(&metrics)) {
            Some(Transition::Lost { since }) => {
                *quorum.0.lock() = Some(since);
                sight.tell_loss(&metrics, now.since(since));
            }
            Some(Transition::Back { after }) => {
                *quorum.0.lock() = None;
                tracing::info!("a majority of the cluster is reached again, after {after:.1?}");
            }
            None => {}
        }
    }
}

impl Sight {
    fn bound(&self) -> Duration {
        (self.election_timeout * LOST_AFTER).max(LOST_AFTER_MIN)
    }

    fn has_majority(&self, metrics: &Metrics) -> bool {
        let membership = metrics.membership_config.membership();
        // It belongs to no cluster yet, or is one by itself.
        if membership.nodes().all(|(id, _)| *id == metrics.id) {
            return true;
        }
        if metrics.state == ServerState::Leader {
            let acked = metrics.last_quorum_acked.as_ref();
            return membership.voter_ids().all(|id| id == metrics.id)
                || acked.is_some_and(|acked| acked.elapsed() < self.election_timeout);
        }
        let heard = metrics.current_leader.and_then(|leader| self.heard.ago(leader));
        heard.is_some_and(|ago| ago < self.election_timeout)
    }

    fn tell_loss(&self, metrics: &Metrics, lost_for: Duration) {
        let membership = metrics.membership_config.membership();
        let others = membership.nodes().filter(|(id, _)| **id != metrics.id);
        let missing: Vec<String> = others
            .filter(|(id, _)| self.heard.ago(**id).is_none_or(|ago| ago >= self.bound() / 2))
            .map(|(id, member)| self.describe(*id, member))
            .collect();
        tracing::warn!(
            "no majority of the cluster is reached for {lost_for:.1?} now; not heard: {}; what \
             needs a majority waits until one is back",
            missing.join(", ")
        );
    }

    /// The member, where it is, and why it is not reached, if that is known.
    fn describe(&self, id: u64, member: &Member) -> String {
        let peer = self.net.peers().into_iter().find(|peer| peer.id.0 == id);
        let address = peer.as_ref().and_then(|peer| peer.address.clone());
        let address = address.unwrap_or_else(|| member.address.clone());
        let last = match self.heard.ago(id) {
            Some(ago) => format!("last {ago:.1?} ago"),
            None => "not since the start".into(),
        };
        let cause = peer
            .and_then(|peer| peer.outage)
            .map_or(String::new(), |outage| format!(", {}", outage.text));
        format!("{} at {address} ({last}{cause})", member.name)
    }
}

#[derive(Debug, PartialEq)]
enum Transition {
    Lost { since: Time },
    Back { after: Duration },
}

/// When a loss is one.
struct Loss {
    after: Duration,
    every: Duration,
    seen_at: Time,
    /// Since when there was no majority, or when there was one last.
    since: Time,
    is_told: bool,
}

impl Loss {
    fn new(now: Time, after: Duration, every: Duration) -> Loss {
        Loss { after, every, seen_at: now, since: now, is_told: false }
    }

    fn seen(&mut self, now: Time, has_majority: bool) -> Option<Transition> {
        let gap = now.since(self.seen_at);
        self.seen_at = now;
        // A process that was stopped has heard nobody meanwhile, and that says nothing.
        if gap > self.every * 4 && !self.is_told {
            self.since = now;
        }
        match (has_majority, self.is_told) {
            (true, true) => {
                let after = now.since(self.since);
                (self.since, self.is_told) = (now, false);
                Some(Transition::Back { after })
            }
            (true, false) => {
                self.since = now;
                None
            }
            (false, false) if now.since(self.since) >= self.after => {
                self.is_told = true;
                Some(Transition::Lost { since: self.since })
            }
            (false, _) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AFTER: Duration = Duration::from_millis(1000);
    const EVERY: Duration = Duration::from_millis(100);

    fn at(ms: u64) -> Time {
        Time::from_ns(ms * 1_000_000)
    }

    #[test]
    fn a_loss_is_told_once_when_it_has_lasted_and_its_end_once() {
        let mut loss = Loss::new(at(0), AFTER, EVERY);
        let mut transitions = Vec::new();
        for ms in (100..10_000).step_by(100) {
            let has_majority = !(2000..2900).contains(&ms) && !(5000..8000).contains(&ms);
            transitions.extend(loss.seen(at(ms), has_majority).map(|transition| (ms, transition)));
        }
        let lost = (5900, Transition::Lost { since: at(4900) });
        let back = (8000, Transition::Back { after: Duration::from_millis(3100) });
        assert_eq!(transitions, [lost, back]);
    }

    #[test]
    fn a_process_that_was_stopped_for_long_has_lost_nothing_by_that() {
        let mut loss = Loss::new(at(0), AFTER, EVERY);
        assert_eq!(loss.seen(at(100), true), None);
        assert_eq!(loss.seen(at(60_000), false), None);
        assert_eq!(loss.seen(at(60_100), true), None);
    }
}
