//! The leader's side: who holds a lease, until when, and who may get one.
//!
//! A plain value under the lock of `barrier`: time, the last log index and the membership come in
//! as arguments. All of it belongs to one term of this member's lead; another term begins empty,
//! since no lease of a former one can be alive then (I2).

use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::clock::{Time, lengthened, of_another};
use ram_sabotage::{Fault, armed};

/// A laggard gets no lease for so many times the span of one; twice as long each time it lags
/// again soon, up to the second number. So long ago must it have lagged to be let off once.
const BACK_OFF_MIN: u32 = 4;
const BACK_OFF_MAX: u32 = 64;

/// What one member is configured to. That of others may be another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseTimeouts {
    /// D: what it grants at most.
    pub lease: Duration,
    /// L, the vote hold: for so long after it heard from the leader it votes for nobody.
    pub hold: Duration,
}

/// What a member that accepted an append has said by that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ack {
    /// Its log is the leader's up to here, if that is told.
    pub index: Option<u64>,
    /// When the append was sent, by the leader's clock.
    pub sent: Time,
    /// For how long it votes for nobody since it accepted, by its own clock.
    pub hold: Duration,
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
    /// A membership change waits for the leases to run out, or a vote is being given.
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
    /// Until when it votes for nobody for certain: by what it has answered in this term, each time
    /// with the vote hold that it has itself.
    holds_until: Option<Time>,
    given: Option<Given>,
    /// The last log index when it asked last: one request later it must have that.
    asked_at_index: Option<u64>,
    /// When it lagged and was let off: not renewed then, and not shut out.
    forgiven_at: Option<Time>,
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

    /// A member has accepted an append of `term`.
    pub fn acked(&mut self, term: u64, id: u64, ack: &Ack) {
        if self.term == Some(term) {
            let peer = self.peers.entry(id).or_default();
            peer.acked = peer.acked.max(ack.index);
            let until = ack.sent.after(of_another(ack.hold));
            peer.holds_until = peer.holds_until.max(Some(until));
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
        lease: Duration,
    ) -> Result<Grant, Refused> {
        if self.term != Some(ask.term) {
            return Err(Refused::NotLeading);
        }
        if self.is_handing_over {
            return Err(Refused::HandingOver);
        }
        let last_index = self.last_index;
        let peer = self.peers.entry(ask.id).or_default();
        if ask.id != own && !peer.keeps_up(now, last_index, lease) {
            return Err(Refused::Lagging);
        }
        let held_until = self.held_until(own, voters).ok_or(Refused::Unconfirmed)?;
        let lasts = held_until.since(now).min(lease);
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

    /// Until when nobody in a quorum elects another leader. This member's own hold is no bound: it
    /// grows with each lease it grants, and only while it votes for nobody (`barrier`).
    fn held_until(&self, own: u64, voters: &[BTreeSet<u64>]) -> Option<Time> {
        let of_member = |id: &u64| match *id == own {
            true => Some(Time::NEVER),
            false => self.peers.get(id).and_then(|peer| peer.holds_until),
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
        if armed(Fault::SkipCommitBarrier) {
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
            let soon = |forgiven_at: Time| now < forgiven_at.after(lease * BACK_OFF_MIN);
            match self.forgiven_at.is_some_and(soon) {
                true => self.back_off = Some(self.longer_back_off(now, lease)),
                // A slow moment of a disk or a processor is as long as the time between requests.
                false => self.forgiven_at = Some(now),
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
mod tests;
