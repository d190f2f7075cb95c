//! What the seed decides before the run: the cluster, its clients, its network and its disks.

use ram_core::config::{Config, Limits, Storage};
use ram_core::identity::ClusterId;
use ram_lease::mode::ReadMode;
use rand::{Rng, RngExt};
use std::time::Duration;

use crate::entropy;

pub const PORT: u16 = 4100;
pub const CLUSTER: ClusterId = ClusterId([7; 16]);

pub const COOKIE: &[u8] = b"simulated";

/// Of the raft of a member, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    pub heartbeat_ms: u64,
    pub election_min_ms: u64,
    pub election_max_ms: u64,
}

/// What the product has when it is told nothing (`erlang/ram_config.erl`).
pub const DEFAULT_TIMEOUTS: Timeouts =
    Timeouts { heartbeat_ms: 40, election_min_ms: 120, election_max_ms: 200 };
/// With these the slower of our networks and disks cost no lead.
const CALM_TIMEOUTS: Timeouts =
    Timeouts { heartbeat_ms: 60, election_min_ms: 300, election_max_ms: 600 };
/// Beside the shorter ones: a lease that rests on these outlasts an election by those.
const LONG_TIMEOUTS: Timeouts =
    Timeouts { heartbeat_ms: 40, election_min_ms: 700, election_max_ms: 1500 };

/// Which timeouts the members have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timing {
    /// All the same, always.
    Equal(Timeouts),
    /// The first leader, on host 0, has long ones and the others the default; with each start a
    /// member changes from one to the other.
    LongLeader,
    /// All have long ones at first, and change with each start.
    LongAtFirst,
}

#[derive(Debug, Clone)]
pub struct Plan {
    pub seed: u64,
    pub hosts: usize,
    /// So many make the cluster; the others are added to it.
    pub founders: usize,
    pub keys: usize,
    pub is_bank_ordered: bool,
    pub clients_per_host: usize,
    pub think_max_ms: u64,
    pub snapshot_every: u64,
    pub latency_max_ms: u64,
    pub disk_delay_max_ms: u64,
    pub segment_bytes: u64,
    pub timing: Timing,
    pub reads: ReadMode,
    pub owner_timeout_ms: u64,
    /// Of the clocks of the hosts: within 1 % of true.
    pub rates: Vec<f64>,
    pub fault_gap_max_ms: u64,
}

impl Plan {
    pub fn of(seed: u64) -> Plan {
        let mut rng = entropy::stream(seed, "plan", 0);
        let by_lease = entropy::stream(seed, "reads", 0).random_bool(0.75);
        let mut timeouts = entropy::stream(seed, "timeouts", 0);
        let equal = if timeouts.random_bool(0.5) { DEFAULT_TIMEOUTS } else { CALM_TIMEOUTS };
        let timing = match timeouts.random_range(0..6) {
            0 => Timing::LongLeader,
            1 => Timing::LongAtFirst,
            _ => Timing::Equal(equal),
        };
        let hosts = if rng.random_bool(0.7) { 3 } else { 5 };
        let is_grown = entropy::stream(seed, "founders", 0).random_bool(0.3);
        Plan {
            seed,
            hosts,
            founders: if is_grown { 1 } else { hosts },
            keys: rng.random_range(2..=5),
            is_bank_ordered: entropy::stream(seed, "bank", 0).random_bool(0.5),
            clients_per_host: rng.random_range(1..=3),
            think_max_ms: rng.random_range(20..=120),
            snapshot_every: rng.random_range(20..=300),
            latency_max_ms: rng.random_range(2..=20),
            disk_delay_max_ms: rng.random_range(1..=6),
            segment_bytes: 1 << rng.random_range(12..=16),
            timing,
            reads: if by_lease { ReadMode::Lease } else { ReadMode::Quorum },
            owner_timeout_ms: entropy::stream(seed, "owner timeout", 0).random_range(800..2500),
            rates: (0..hosts).map(|_| rng.random_range(0.99..1.01)).collect(),
            fault_gap_max_ms: rng.random_range(300..=4000),
        }
    }

    /// A fault of a clock, in percent: where leases are held no clock is worse than they allow.
    pub fn clock_fault(&self, percent: u64) -> u64 {
        match self.reads {
            ReadMode::Lease => percent.clamp(99, 101),
            _ => percent,
        }
    }

    fn timeouts(&self, host: usize, starts: u64) -> Timeouts {
        let is_as_at_first = !starts.is_multiple_of(2);
        let is_long = match self.timing {
            Timing::Equal(timeouts) => return timeouts,
            Timing::LongLeader => is_as_at_first == (host == 0),
            Timing::LongAtFirst => is_as_at_first,
        };
        if is_long { LONG_TIMEOUTS } else { DEFAULT_TIMEOUTS }
    }

    /// Of the member on this host, which has started so many times.
    pub fn config(&self, host: usize, starts: u64) -> Config {
        let timeouts = self.timeouts(host, starts);
        Config {
            name: node_name(host),
            data_dir: "unused".into(),
            storage: Storage::Disk,
            listen_host: "0.0.0.0".into(),
            listen_port: PORT,
            advertise: None,
            cookie: COOKIE.to_vec(),
            heartbeat: Duration::from_millis(timeouts.heartbeat_ms),
            election_timeout_min: Duration::from_millis(timeouts.election_min_ms),
            election_timeout_max: Duration::from_millis(timeouts.election_max_ms),
            reads: self.reads,
            read_lease: None,
            snapshot_every: self.snapshot_every,
            watch_history_bytes: 1 << 20,
            owner_timeout: Duration::from_millis(self.owner_timeout_ms),
            default_table_type: None,
            limits: Limits::default(),
        }
    }
}

/// As turmoil knows it.
pub fn host_name(host: usize) -> String {
    format!("n{}", host + 1)
}

pub fn node_name(host: usize) -> String {
    format!("ram@{}", host_name(host))
}

pub fn address(host: usize) -> String {
    format!("{}:{PORT}", host_name(host))
}

/// One of `items`, at random.
pub fn pick<'a, T>(rng: &mut impl Rng, items: &'a [T]) -> Option<&'a T> {
    if items.is_empty() { None } else { items.get(rng.random_range(0..items.len())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_timeouts_are_those_of_the_product() {
        let configured = include_str!("../../../erlang/ram_config.erl");
        let Timeouts { heartbeat_ms, election_min_ms, election_max_ms } = DEFAULT_TIMEOUTS;
        let defaults = format!(
            "heartbeat_ms => {heartbeat_ms}, election_timeout_min_ms => {election_min_ms}, \
             election_timeout_max_ms => {election_max_ms},"
        );
        assert!(configured.contains(&defaults), "{defaults}");
    }

    #[test]
    fn seeds_run_with_equal_timeouts_of_both_kinds_and_with_others() {
        let equal = [DEFAULT_TIMEOUTS, CALM_TIMEOUTS].map(Timing::Equal);
        for timing in equal.into_iter().chain([Timing::LongLeader, Timing::LongAtFirst]) {
            assert!((1..20).any(|seed| Plan::of(seed).timing == timing), "{timing:?}");
        }
    }

    #[test]
    fn timeouts_that_are_not_equal_change_with_each_start() {
        for timing in [Timing::LongLeader, Timing::LongAtFirst] {
            let plan = Plan { timing, ..Plan::of(1) };
            assert_eq!(plan.timeouts(0, 1), LONG_TIMEOUTS);
            for host in 0..3 {
                assert_ne!(plan.timeouts(host, 1), plan.timeouts(host, 2));
            }
            assert_eq!(plan.timeouts(1, 1) == LONG_TIMEOUTS, timing == Timing::LongAtFirst);
        }
    }
}
