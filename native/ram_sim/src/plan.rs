//! What the seed decides before the run: the cluster, its clients, its network and its disks.

use ram_core::config::{Config, Limits, Storage};
use ram_core::node::identity::ClusterId;
use ram_core::reads::mode::ReadMode;
use rand::{Rng, RngExt};
use std::time::Duration;

use crate::entropy;

pub const PORT: u16 = 4100;
pub const CLUSTER: ClusterId = ClusterId([7; 16]);

#[derive(Debug, Clone)]
pub struct Plan {
    pub seed: u64,
    pub hosts: usize,
    pub keys: usize,
    pub clients_per_host: usize,
    pub think_max_ms: u64,
    pub snapshot_every: u64,
    pub latency_max_ms: u64,
    pub disk_delay_max_ms: u64,
    pub segment_bytes: u64,
    pub reads: ReadMode,
    /// Of the clocks of the hosts: within 1 % of true.
    pub rates: Vec<f64>,
    pub fault_gap_max_ms: u64,
}

impl Plan {
    pub fn of(seed: u64) -> Plan {
        let mut rng = entropy::stream(seed, "plan", 0);
        let by_lease = entropy::stream(seed, "reads", 0).random_bool(0.75);
        let hosts = if rng.random_bool(0.7) { 3 } else { 5 };
        Plan {
            seed,
            hosts,
            keys: rng.random_range(2..=5),
            clients_per_host: rng.random_range(1..=3),
            think_max_ms: rng.random_range(20..=120),
            snapshot_every: rng.random_range(20..=300),
            latency_max_ms: rng.random_range(2..=20),
            disk_delay_max_ms: rng.random_range(1..=6),
            segment_bytes: 1 << rng.random_range(12..=16),
            reads: if by_lease { ReadMode::Lease } else { ReadMode::Quorum },
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

    pub fn config(&self, host: usize) -> Config {
        Config {
            name: node_name(host),
            data_dir: "unused".into(),
            storage: Storage::Disk,
            listen_host: "0.0.0.0".into(),
            listen_port: PORT,
            advertise: None,
            cookie: b"simulated".to_vec(),
            heartbeat: Duration::from_millis(60),
            election_timeout_min: Duration::from_millis(300),
            election_timeout_max: Duration::from_millis(600),
            reads: self.reads,
            read_lease: None,
            snapshot_every: self.snapshot_every,
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
