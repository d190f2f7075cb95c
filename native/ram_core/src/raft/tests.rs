//! openraft's own conformance suite on our log and state machine, on both kinds of disk.

use openraft::StorageError;
use openraft::testing::log::{StoreBuilder, Suite};
use std::sync::Arc;
use std::time::Duration;

use super::log_store::LogStore;
use super::state_machine::StateMachine;
use super::types::TypeConfig;
use super::worker::Worker;
use crate::log::{Disk, Log, LogOptions, MemoryDisk, RealDisk};
use crate::reads::Reads;
use crate::reads::clock::BootClock;
use crate::reads::grants::Spans;

/// Ends the threads of one store; the folder goes with it.
struct Guard {
    log: Log,
    worker: Worker,
    _folder: Option<tempfile::TempDir>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.log.close().unwrap();
        self.worker.close();
    }
}

struct OnDisk;
struct InMemory;

fn build(
    disk: Arc<dyn Disk>,
    folder: Option<tempfile::TempDir>,
) -> (Guard, LogStore, StateMachine) {
    let options = LogOptions { segment_bytes: 4096, ..LogOptions::default() };
    let log = Log::open(disk.clone(), options).unwrap();
    let worker = Worker::start("ram-snapshot").unwrap();
    let second = Duration::from_secs(1);
    let reads =
        Reads::new(1, true, Spans { lease: second, promise: 2 * second }, Arc::new(BootClock));
    let machine = StateMachine::open(disk, worker.clone(), reads.clone()).unwrap();
    let store = LogStore::open(log.clone(), reads, machine.applied().index()).unwrap();
    (Guard { log, worker, _folder: folder }, store, machine)
}

impl StoreBuilder<TypeConfig, LogStore, StateMachine, Guard> for OnDisk {
    async fn build(&self) -> Result<(Guard, LogStore, StateMachine), StorageError<TypeConfig>> {
        let folder = tempfile::tempdir().unwrap();
        let disk = Arc::new(RealDisk::open(folder.path()).unwrap());
        Ok(build(disk, Some(folder)))
    }
}

impl StoreBuilder<TypeConfig, LogStore, StateMachine, Guard> for InMemory {
    async fn build(&self) -> Result<(Guard, LogStore, StateMachine), StorageError<TypeConfig>> {
        Ok(build(Arc::new(MemoryDisk::default()), None))
    }
}

#[tokio::test]
async fn openrafts_storage_suite_passes_on_a_disk() {
    Suite::test_all(OnDisk).await.unwrap();
}

#[tokio::test]
async fn openrafts_storage_suite_passes_in_memory() {
    Suite::test_all(InMemory).await.unwrap();
}
