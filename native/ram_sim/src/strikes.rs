//! Faults that strike those who change the membership while they do: the leader, the caller, the
//! member that comes or goes, and the way to it. Planned when a change begins, for any moment.

use rand::RngExt;
use rand::rngs::StdRng;

use crate::entropy;
use crate::joining::Addition;

const CHANGE_LASTS_MAX_MS: u64 = 700;
const PROMOTION_LASTS_MIN_MS: u64 = 100;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Victim {
    Leader,
    Caller,
    Member,
    /// No message passes to or from the member any more.
    Way,
    /// It is removed, whatever was begun.
    Removal,
}

impl Victim {
    pub fn name(self) -> &'static str {
        match self {
            Victim::Leader => "strike at the leader of a change",
            Victim::Caller => "strike at the caller of a change",
            Victim::Member => "strike at the member of a change",
            Victim::Way => "strike at the way to a new member",
            Victim::Removal => "strike by a removal",
        }
    }
}

#[derive(Debug, Clone, Copy)]
pub struct Strike {
    at_ns: u64,
    pub victim: Victim,
    pub change: Addition,
}

pub struct Strikes {
    rng: StdRng,
    planned: Vec<Strike>,
}

impl Strikes {
    pub fn new(seed: u64) -> Strikes {
        Strikes { rng: entropy::stream(seed, "strikes", 0), planned: Vec::new() }
    }

    /// An addition, or a removal, has begun.
    pub fn plan(&mut self, now_ns: u64, change: Addition) {
        let victim = match self.rng.random_range(0..30) {
            0..3 => Victim::Leader,
            3..5 => Victim::Caller,
            5..8 => Victim::Member,
            8..14 => Victim::Way,
            14 => Victim::Removal,
            _ => return,
        };
        let after_max_ms = match victim {
            // It is for a member that is no voter yet.
            Victim::Way => PROMOTION_LASTS_MIN_MS,
            _ => CHANGE_LASTS_MAX_MS,
        };
        let after_ms = self.rng.random_range(0..=after_max_ms);
        self.planned.push(Strike { at_ns: now_ns + after_ms * 1_000_000, victim, change });
    }

    /// Those whose time has come.
    pub fn due(&mut self, now_ns: u64) -> Vec<Strike> {
        let is_due = |strike: &mut Strike| strike.at_ns <= now_ns;
        self.planned.extract_if(.., is_due).collect()
    }
}
