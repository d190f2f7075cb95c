//! The environment of a member: its disk, its network, its clock and the threads for slow work.
//!
//! Time is tokio's, except for leases, whose clock is given here. Randomness is the system's
//! (`getrandom`). The simulator replaces both from below.

use std::sync::Arc;

use crate::config::{Config, Storage};
use crate::folder;
use crate::{Error, Result};
use ram_lease::clock::{BootClock, Clock};
use ram_log::{Disk, DiskError, FlushMode, Log, LogOptions, MemoryDisk};
use ram_net::{TcpTransport, Transport};
use ram_raft::worker::Worker;
use ram_table::value::Values;

/// Opens the log of a member, and thereby decides who writes it.
pub type OpenLog = Box<dyn FnOnce(Arc<dyn Disk>) -> std::result::Result<Log, DiskError> + Send>;

pub struct Environment {
    pub disk: Arc<dyn Disk>,
    pub transport: Arc<dyn Transport>,
    pub open_log: OpenLog,
    /// Writes snapshots, and writes and reads backups.
    pub worker: Worker,
    /// Takes snapshots from others, and reads what is sent to them.
    pub transfer: Worker,
    /// Holds the values in memory.
    pub values: Arc<dyn Values>,
    /// What read leases are measured on.
    pub clock: Arc<dyn Clock>,
}

impl Environment {
    /// The disk that the configuration names; one in memory is new.
    pub fn disk(config: &Config) -> Result<Arc<dyn Disk>> {
        Ok(match config.storage {
            Storage::Disk => folder::open(&config.data_dir)?,
            Storage::Memory => Arc::new(MemoryDisk::default()),
        })
    }

    /// This disk, TCP, and threads of their own for what may wait for the disk. A log in memory
    /// waits for nothing: it is written by whoever asks, without the way to another thread and
    /// back.
    pub fn real(
        disk: Arc<dyn Disk>,
        storage: Storage,
        values: Arc<dyn Values>,
    ) -> Result<Environment> {
        let flush = match storage {
            Storage::Disk => FlushMode::Thread,
            Storage::Memory => FlushMode::Inline,
        };
        let options = LogOptions { flush, ..LogOptions::default() };
        Ok(Environment {
            disk,
            transport: Arc::new(TcpTransport::default()),
            open_log: Box::new(|disk| Log::open(disk, options)),
            worker: Worker::start("ram-snapshot").map_err(Error::failed)?,
            transfer: Worker::start("ram-transfer").map_err(Error::failed)?,
            values,
            clock: Arc::new(BootClock),
        })
    }
}
