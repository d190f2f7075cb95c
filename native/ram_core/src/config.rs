//! The configuration of a member, checked before anything is opened.

use std::ops::Bound;
use std::path::PathBuf;
use std::time::Duration;

use crate::{Error, Result};
use ram_lease::clock::of_another;
use ram_lease::mode::ReadMode;
use ram_limits::{COMMAND_OVERHEAD_BYTES, COMMANDS_BYTES_MAX, FRAME_BYTES_MIN, SETTING_MAX};
use ram_store::write::Range;
use ram_table::table::TableType;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Storage {
    /// Log and snapshots in `data_dir`; a write is acknowledged after fdatasync.
    Disk,
    /// No files; a member that stops has lost its copy.
    Memory,
}

/// What the callers of this node may ask for, and what it packs together. No other member needs to
/// know: what any may be allowed, all can take (`limits`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    pub key_bytes_max: usize,
    pub value_bytes_max: usize,
    /// Of a group of commands in one log entry; a single larger write is a group of its own.
    pub batch_bytes_max: usize,
    /// Of all commands that wait on this node.
    pub queue_bytes_max: usize,
    /// Of all requests that wait on this node.
    pub queue_requests_max: usize,
    /// Of what is packed into one message to another member; a single larger entry goes alone.
    pub frame_bytes_max: usize,
}

impl Limits {
    fn key_and_value_bytes_max(&self) -> usize {
        self.key_bytes_max.saturating_add(self.value_bytes_max)
    }

    /// Of the encoded commands of one write: as much as the largest single one, since a longer
    /// entry would hold up the heartbeats behind it.
    fn write_bytes_max(&self) -> usize {
        self.key_and_value_bytes_max().saturating_add(COMMAND_OVERHEAD_BYTES)
    }

    /// May so many bytes of commands be applied together?
    pub fn check_batch(&self, bytes: usize) -> Result<()> {
        if bytes > self.write_bytes_max() {
            return Err(Error::BatchTooLarge { bytes_max: self.key_and_value_bytes_max() });
        }
        Ok(())
    }

    /// Does each fit the others, and what every member accepts?
    fn check_settings(&self) -> Result<()> {
        const COMMAND_MAX: usize = COMMANDS_BYTES_MAX - COMMAND_OVERHEAD_BYTES;
        const MAX: usize = SETTING_MAX as usize;
        let value_most = COMMAND_MAX.saturating_sub(self.key_bytes_max);
        let beside = "so that key and value fit into one log entry";
        let largest = "so that the largest key and value may wait there";
        within("key_bytes_max", self.key_bytes_max, (1, COMMAND_MAX - 1), beside)?;
        within("value_bytes_max", self.value_bytes_max, (1, value_most), beside)?;
        within("batch_bytes_max", self.batch_bytes_max, (1, COMMANDS_BYTES_MAX), beside)?;
        within("queue_bytes_max", self.queue_bytes_max, (self.write_bytes_max(), MAX), largest)?;
        within("queue_requests_max", self.queue_requests_max, (1, MAX), "to be counted")?;
        let framed = "so that messages are worth their cost";
        within("frame_bytes_max", self.frame_bytes_max, (FRAME_BYTES_MIN, MAX), framed)
    }

    /// May this key be written, with this value?
    pub fn check(&self, key: &[u8], value: Option<&[u8]>) -> Result<()> {
        if key.len() > self.key_bytes_max {
            return Err(Error::KeyTooLarge { bytes_max: self.key_bytes_max });
        }
        let bytes = value.map_or(0, <[u8]>::len);
        if bytes > self.value_bytes_max {
            return Err(Error::ValueTooLarge { bytes, bytes_max: self.value_bytes_max });
        }
        Ok(())
    }

    /// May this range be named? Its ends are keys.
    pub fn check_range(&self, range: &Range<'_>) -> Result<()> {
        [range.0, range.1].iter().try_for_each(|end| match end {
            Bound::Included(key) | Bound::Excluded(key) => self.check(key, None),
            Bound::Unbounded => Ok(()),
        })
    }
}

/// The refusal of a number names the nearest that would do.
fn within(key: &str, found: usize, (least, most): (usize, usize), why: &str) -> Result<()> {
    let reason = match found {
        _ if found < least => format!("must be at least {least}, {why}"),
        _ if found > most => format!("must be at most {most}, {why}"),
        _ => return Ok(()),
    };
    Err(Error::Config { key: key.into(), reason })
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            key_bytes_max: 64 * 1024,
            value_bytes_max: 16 * 1024 * 1024,
            batch_bytes_max: 1024 * 1024,
            queue_bytes_max: 64 * 1024 * 1024,
            queue_requests_max: 65_536,
            frame_bytes_max: 64 * 1024 * 1024,
        }
    }
}

const READ_LEASE_PERCENT: u32 = 60;
/// So that a lease is renewed between two heartbeats that come on time.
const READ_LEASE_HEARTBEATS_MIN: u32 = 2;

#[derive(Debug, Clone)]
pub struct Config {
    /// The Erlang node name.
    pub name: String,
    pub data_dir: PathBuf,
    pub storage: Storage,
    pub listen_host: String,
    /// 0: any port the first time, and the same one from then on.
    pub listen_port: u16,
    /// What peers are told to connect to, `host:port`; default: the listening host and port.
    pub advertise: Option<String>,
    /// The shared secret of the cluster.
    pub cookie: Vec<u8>,
    pub heartbeat: Duration,
    pub election_timeout_min: Duration,
    /// Also the vote hold L: for so long after its leader's last word this member does not vote.
    pub election_timeout_max: Duration,
    /// How reads are answered that do not say it themselves. Leases are asked for with `Lease`
    /// alone.
    pub reads: ReadMode,
    /// For how long a read lease is granted; a node that dies holds up writes so long, once.
    /// Default: [`READ_LEASE_PERCENT`] of the maximum of the election timeout.
    pub read_lease: Option<Duration>,
    /// A snapshot is taken after so many log entries, and no sooner than the log has outgrown the
    /// last snapshot: the cost of snapshots is a constant share of the cost of writes.
    pub snapshot_every: u64,
    /// What the newest changes may take in memory, for watches that begin at an older revision.
    pub watch_history_bytes: u64,
    /// A node that does not answer for so long is gone, and what it and its processes own goes: no
    /// less than the maximum of the election timeout. That of the leader counts.
    pub owner_timeout: Duration,
    /// What the default table is in a cluster that this member makes; `None`: a set. In one that it
    /// joins it is what it is, and a member that was set to another type says so.
    pub default_table_type: Option<TableType>,
    pub limits: Limits,
}

impl Config {
    pub fn check(&self) -> Result<()> {
        let wrong = |key: &str, reason: String| Err(Error::Config { key: key.into(), reason });
        if self.election_timeout_min < self.heartbeat * 3 {
            let least = (self.heartbeat * 3).as_millis();
            let reason = format!("the minimum must be 3 x heartbeat_ms at least, {least}");
            return wrong("election_timeout_ms", reason);
        }
        let least = self.election_timeout_min + self.heartbeat;
        if self.election_timeout_max < least {
            // Two who campaign at about the same time must be told apart by their random times.
            let reason = "the maximum must be the minimum and heartbeat_ms together at least";
            return wrong("election_timeout_ms", format!("{reason}, {}", least.as_millis()));
        }
        if self.heartbeat < Duration::from_millis(5) {
            return wrong("heartbeat_ms", "must be 5 at least".into());
        }
        let every = usize::try_from(self.snapshot_every).unwrap_or(usize::MAX);
        within("snapshot_every", every, (1, SETTING_MAX as usize), "to be counted")?;
        self.check_read_lease()?;
        self.limits.check_settings()
    }

    /// For how long a read lease is granted at most.
    pub fn read_lease(&self) -> Duration {
        self.read_lease.unwrap_or(self.election_timeout_max * READ_LEASE_PERCENT / 100)
    }

    /// A lease is granted until the vote holds of a quorum end, which begin with a heartbeat.
    fn check_read_lease(&self) -> Result<()> {
        let Some(lease) = self.read_lease else { return Ok(()) };
        let least = self.heartbeat * READ_LEASE_HEARTBEATS_MIN;
        let longest = of_another(self.election_timeout_max).saturating_sub(self.heartbeat);
        if lease >= least && lease <= longest {
            return Ok(());
        }
        let (least, longest) = (least.as_millis(), longest.as_millis());
        let reason = format!(
            "must be from {least}, 2 x heartbeat_ms, to {longest}, which is the maximum of \
             election_timeout_ms less a heartbeat and 2 %"
        );
        Err(Error::Config { key: "read_lease_ms".into(), reason })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A member in memory with these timeouts.
    pub fn timed(heartbeat_ms: u64, min_ms: u64, max_ms: u64) -> Config {
        Config {
            name: "ram1@127.0.0.1".into(),
            data_dir: "nowhere".into(),
            storage: Storage::Memory,
            listen_host: "127.0.0.1".into(),
            listen_port: 0,
            advertise: None,
            cookie: b"secret".to_vec(),
            heartbeat: Duration::from_millis(heartbeat_ms),
            election_timeout_min: Duration::from_millis(min_ms),
            election_timeout_max: Duration::from_millis(max_ms),
            reads: ReadMode::Lease,
            read_lease: None,
            snapshot_every: 1000,
            watch_history_bytes: 1 << 20,
            owner_timeout: Duration::from_millis(15_000),
            default_table_type: None,
            limits: Limits::default(),
        }
    }

    #[test]
    fn timeouts_that_do_not_fit_each_other_are_refused_with_the_number_that_would() {
        let refused =
            |heartbeat_ms, min_ms, max_ms| match timed(heartbeat_ms, min_ms, max_ms).check() {
                Err(Error::Config { key, reason }) => format!("{key}: {reason}"),
                other => format!("{other:?}"),
            };
        assert_eq!(timed(40, 120, 160).check(), Ok(()));
        let told = refused(40, 119, 200);
        assert!(told.starts_with("election_timeout_ms") && told.ends_with("120"), "{told}");
        let told = refused(40, 120, 159);
        assert!(told.starts_with("election_timeout_ms") && told.ends_with("160"), "{told}");
        let told = refused(4, 120, 200);
        assert!(told.starts_with("heartbeat_ms") && told.contains('5'), "{told}");
    }

    #[test]
    fn the_ends_of_a_range_are_keys_and_bounded_like_them() {
        let limits = Limits { key_bytes_max: 3, ..Limits::default() };
        let (right, wrong) = ([1; 3], [1; 4]);
        let check = |from, to| limits.check_range(&(from, to));
        let too_large = Err(Error::KeyTooLarge { bytes_max: 3 });
        assert_eq!(check(Bound::Unbounded, Bound::Unbounded), Ok(()));
        assert_eq!(check(Bound::Included(&right), Bound::Excluded(&right)), Ok(()));
        assert_eq!(check(Bound::Included(&wrong), Bound::Unbounded), too_large);
        assert_eq!(check(Bound::Excluded(&wrong), Bound::Included(&right)), too_large);
        assert_eq!(check(Bound::Included(&right), Bound::Excluded(&wrong)), too_large);
    }
}
