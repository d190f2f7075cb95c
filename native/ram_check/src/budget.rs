//! How long a check may search before it says "undecided".
//!
//! Deciding linearizability is NP-complete (Gibbons and Korach 1997), so some history defeats
//! every search. Steps make a verdict repeatable, time suits a command, memory protects the
//! machine; whichever is first spent ends the search.

use std::time::{Duration, Instant};

/// The limits of one check of a whole history.
#[derive(Debug, Clone)]
pub struct Budget {
    /// Nodes of the search, for each key.
    pub steps_max: u64,
    /// What the memo of one key may hold, roughly; keys are searched one after the other.
    pub memory_bytes_max: usize,
    /// For the whole check. `None` makes the verdict a function of the history.
    pub time_max: Option<Duration>,
}

impl Default for Budget {
    fn default() -> Budget {
        Budget { steps_max: 20_000_000, memory_bytes_max: 1 << 30, time_max: None }
    }
}

impl Budget {
    /// A limit of time, and of memory, but not of steps.
    pub fn of_time(time_max: Duration) -> Budget {
        Budget { steps_max: u64::MAX, time_max: Some(time_max), ..Budget::default() }
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.time_max.and_then(|time| Instant::now().checked_add(time))
    }
}

/// What is left for one search.
#[derive(Debug, Clone)]
pub(crate) struct Meter {
    pub steps: u64,
    pub memory_bytes: usize,
    pub deadline: Option<Instant>,
}

impl Meter {
    const STEPS_BETWEEN_LOOKS_AT_THE_CLOCK: u64 = 256;

    /// Takes a step that keeps some bytes; false when the budget is spent.
    pub fn step(&mut self, bytes: usize) -> bool {
        if self.steps == 0 || self.memory_bytes < bytes {
            return false;
        }
        self.steps -= 1;
        self.memory_bytes -= bytes;
        !self.steps.is_multiple_of(Self::STEPS_BETWEEN_LOOKS_AT_THE_CLOCK) || !self.is_late()
    }

    pub fn is_late(&self) -> bool {
        self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }
}
