//! What a member stands on: its disk, its network, and who does its slow work.
//!
//! Time is tokio's, and randomness the system's (`getrandom`); a simulation replaces both from
//! below, so they are not here.

use std::sync::Arc;

use crate::config::{Config, Storage};
use crate::log::{Disk, Log, LogError, LogOptions, MemoryDisk, RealDisk};
use crate::net::{TcpTransport, Transport};
use crate::raft::worker::Worker;
use crate::{Error, Result};

/// Opens the log of a member, and thereby decides who writes it.
pub type OpenLog = Box<dyn FnOnce(Arc<dyn Disk>) -> std::result::Result<Log, LogError> + Send>;

pub struct Surroundings {
    pub disk: Arc<dyn Disk>,
    pub transport: Arc<dyn Transport>,
    pub open_log: OpenLog,
    /// Writes and reads snapshots and backups.
    pub worker: Worker,
}

impl Surroundings {
    /// Files, TCP, and a thread each for the log and for snapshots.
    pub fn real(config: &Config) -> Result<Surroundings> {
        let disk: Arc<dyn Disk> = match config.storage {
            Storage::Disk => Arc::new(RealDisk::open(&config.data_dir).map_err(Error::failed)?),
            Storage::Memory => Arc::new(MemoryDisk::default()),
        };
        Ok(Surroundings {
            disk,
            transport: Arc::new(TcpTransport::default()),
            open_log: Box::new(|disk| Log::open(disk, LogOptions::default())),
            worker: Worker::start("ram-snapshot").map_err(Error::failed)?,
        })
    }
}
