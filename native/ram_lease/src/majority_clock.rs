//! How much time has passed in a lead, by the clocks of a majority: what the leader counts the time
//! of keys by, so that none expires early whatever one clock does.
//!
//! The leader asks all voters for readings of their clocks, round after round. For each voter two
//! counts are kept of what its clock has advanced since the *beginning*, which is the beginning of
//! a round that a majority answered, as the round before it:
//!
//! - *low* counts from the first reading after the beginning. So a right clock's low is no more
//!   than what has passed.
//! - *high* counts from the last reading before it. So a right clock's high is no less than what
//!   had passed when the round began that the reading answers.
//!
//! The lows of any majority of two or more have that of a right clock among them, if one clock at
//! most is wrong. So the [`Moment::low`] of a round is the least low of the majority that has the
//! largest, and [`Moment::high`] the second largest high of three or more that answered, or the
//! larger one of two. What begins before a round has begun is over when low has reached the high of
//! that round and its span: no less than the span has passed, and one round more at most.
//!
//! A voter that comes later, or whose clock begins anew, goes on from the low of all, and counts
//! its high from that of the others as soon as it has answered in two rounds. When too few are left
//! that have a high, all begins anew.
//!
//! With one voter there is only its clock, and with two a clock that is slow holds all up.
//!
//! # Source
//!
//! The second largest and second smallest of clocks, one of which may say anything: Marzullo and
//! Owicki, *Maintaining the Time in a Distributed System* (PODC 1983).

use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// So much the high of all may go back without all beginning anew: members that came later have
/// highs that are larger by the time of a round or two.
const SETBACK_MAX_MS: u64 = 1000;

/// A reading of a member's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reading {
    /// Drawn at random when the member was opened: readings of two runs are not compared.
    pub run: u64,
    /// Since then.
    pub ms: u64,
}

impl Reading {
    /// What has passed since an earlier one, by this clock; `None` when it has begun anew between
    /// them.
    fn since(&self, earlier: &Reading) -> Option<u64> {
        (self.run == earlier.run).then(|| self.ms.checked_sub(earlier.ms)).flatten()
    }
}

/// Bounds on what has passed since the beginning, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Moment {
    /// No more than what has passed now.
    pub low: u64,
    /// No less than what had passed when the round began; `None` when too few have answered.
    pub high: Option<u64>,
    /// Highs of former rounds mean nothing any more: what is timed by them begins anew.
    pub is_anew: bool,
    /// The next round should follow at once: what passes until then is counted twice.
    pub is_settling: bool,
}

/// The clocks of one lead. Rounds do not overlap.
#[derive(Debug, Default)]
pub struct MajorityClock {
    has_begun: bool,
    voters: BTreeMap<u64, Voter>,
    /// The largest of each so far.
    low: u64,
    high: u64,
}

#[derive(Debug, Clone, Copy)]
struct Voter {
    last: Reading,
    low: u64,
    high: Option<u64>,
}

impl MajorityClock {
    /// What a round has brought in which all of `voters` were asked, itself included.
    pub fn round(&mut self, voters: &BTreeSet<u64>, answers: &BTreeMap<u64, Reading>) -> Moment {
        let answers = || answers.iter().filter(|(id, _)| voters.contains(id));
        let majority = voters.len() / 2 + 1;
        self.voters.retain(|id, _| voters.contains(id));
        if !self.has_begun {
            self.begin(answers(), majority);
            return Moment {
                high: self.has_begun.then_some(self.high),
                is_settling: !self.has_begun && answers().count() >= majority,
                ..Moment::default()
            };
        }
        let advances: BTreeMap<u64, Option<u64>> =
            answers().map(|(id, reading)| (*id, self.advance(*id, *reading))).collect();
        let Some(high) = self.high_of(answers().map(|(id, _)| id), majority) else {
            let is_anew = advances.len() >= majority;
            if is_anew {
                // Those that could tell are gone.
                *self = MajorityClock::default();
                self.begin(answers(), majority);
            }
            return Moment { low: self.low, high: None, is_anew, is_settling: is_anew };
        };
        self.low = self.low.max(self.low_of(majority));
        let is_anew = high.saturating_add(SETBACK_MAX_MS) < self.high;
        // Who answers now may know of less than has passed: clocks that stood still meanwhile.
        self.high = if is_anew { high } else { self.high.max(high) }.max(self.low);
        let is_settling = self.settle(answers(), &advances, high);
        Moment { low: self.low, high: Some(self.high), is_anew, is_settling }
    }

    /// All begins with this round if a majority has answered in it and the one before.
    fn begin<'a>(
        &mut self,
        answers: impl Iterator<Item = (&'a u64, &'a Reading)>,
        majority: usize,
    ) {
        let before = std::mem::take(&mut self.voters);
        for (id, reading) in answers {
            let high = before.get(id).and_then(|voter| reading.since(&voter.last));
            self.voters.insert(*id, Voter { last: *reading, low: 0, high });
        }
        let ids: Vec<u64> = self.voters.keys().copied().collect();
        if let Some(high) = self.high_of(ids.iter(), majority) {
            (self.has_begun, self.high) = (true, high);
        }
    }

    /// Counts on, and returns by how much; `None` for a clock that was not known.
    fn advance(&mut self, id: u64, reading: Reading) -> Option<u64> {
        let voter = self.voters.get_mut(&id)?;
        let last = std::mem::replace(&mut voter.last, reading);
        let Some(advance) = reading.since(&last) else {
            voter.high = None;
            return None;
        };
        voter.low = voter.low.saturating_add(advance);
        voter.high = voter.high.map(|high| high.saturating_add(advance));
        Some(advance)
    }

    /// Of those that have answered; `None` when fewer than a majority of them have a high.
    fn high_of<'a>(&self, answered: impl Iterator<Item = &'a u64>, majority: usize) -> Option<u64> {
        let mut highs: Vec<u64> = answered.filter_map(|id| self.voters.get(id)?.high).collect();
        highs.sort_unstable_by(|one, other| other.cmp(one));
        let nth = usize::from(highs.len() >= 3);
        (highs.len() >= majority).then(|| highs.get(nth).copied()).flatten()
    }

    fn low_of(&self, majority: usize) -> u64 {
        let mut lows: Vec<u64> = self.voters.values().map(|voter| voter.low).collect();
        lows.sort_unstable_by(|one, other| other.cmp(one));
        lows.get(majority - 1).copied().unwrap_or_default()
    }

    /// Places those that came later between the others; `true` when one has to answer again.
    fn settle<'a>(
        &mut self,
        answers: impl Iterator<Item = (&'a u64, &'a Reading)>,
        advances: &BTreeMap<u64, Option<u64>>,
        high: u64,
    ) -> bool {
        let mut is_settling = false;
        for (id, reading) in answers {
            let low = self.low;
            let new = Voter { last: *reading, low, high: None };
            let voter = self.voters.entry(*id).or_insert(new);
            match advances.get(id).copied().flatten() {
                // Its reading before was taken before this round began.
                Some(advance) if voter.high.is_none() => {
                    voter.high = Some(high.saturating_add(advance));
                }
                Some(_) => {}
                None => {
                    voter.low = voter.low.max(low);
                    is_settling = true;
                }
            }
        }
        is_settling
    }
}

#[cfg(test)]
mod tests;
