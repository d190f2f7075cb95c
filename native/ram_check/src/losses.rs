//! When may an owner that lives have lost what it owns? For the judges of locks and of names.
//!
//! What is owned goes with its owner, which is taken for gone when its node was not heard for the
//! owner timeout; and with the member of its node, though the process lives, when that one stops or
//! is removed. Who was just given something has been heard, so a fault before that excuses nothing,
//! and between two faults there may be too little time to be heard: they count as one.

use crate::files::Fault;

/// The default of the product, and so that of a torture run.
const OWNER_TIMEOUT_NS: u64 = 15_000_000_000;
/// For so long after a fault a node may not have been heard yet.
const GRACE_NS: u64 = 2_000_000_000;
/// By so much less it may have been since an owner was given something: writes pass on slow links
/// where a leader waits no longer for an answer to its rounds; and clocks differ.
const SLACK_NS: u64 = 4_000_000_000;
/// Faults that stop or remove a member, and leave the processes of its node alive.
const OF_MEMBERS: [&str; 3] = ["asymmetric_partition", "churn", "full_disk"];

pub struct Losses {
    /// When faults lay on faults: from the first to the end of the last.
    silences: Vec<(u64, u64)>,
    /// When a member was stopped or removed.
    stops: Vec<(u64, u64)>,
}

impl Losses {
    pub fn of(faults: &[Fault]) -> Losses {
        let mut stops = Vec::new();
        let mut sorted = Vec::new();
        for Fault { from_ns, to_ns, what } in faults {
            let lasts = (*from_ns, to_ns.saturating_add(GRACE_NS));
            sorted.push(lasts);
            if OF_MEMBERS.iter().any(|kind| what.contains(kind)) {
                stops.push(lasts);
            }
        }
        sorted.sort_unstable();
        let mut silences: Vec<(u64, u64)> = Vec::new();
        for (from, to) in sorted {
            match silences.last_mut() {
                Some(last) if from <= last.1 => last.1 = last.1.max(to),
                _ => silences.push((from, to)),
            }
        }
        Losses { silences, stops }
    }

    /// May it be lost by then, if it was asked for then and given?
    pub fn excuse(&self, asked_ns: u64, lost_ns: u64) -> bool {
        let within =
            |(from, to): &(u64, u64)| (*to).min(lost_ns).saturating_sub((*from).max(asked_ns));
        let is_long = |silence| within(silence) >= OWNER_TIMEOUT_NS - SLACK_NS;
        self.stops.iter().any(|stop| within(stop) > 0) || self.silences.iter().any(is_long)
    }
}
