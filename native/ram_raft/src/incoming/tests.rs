//! A snapshot that has come whole, at the moments when the member may crash.

use openraft::StorageHelper;
use openraft::storage::{RaftLogStorage, RaftStateMachine};
use openraft::{EntryPayload, StorageError};
use std::time::Duration;

use super::*;
use crate::log_store::LogStore;
use crate::snapshot::Head;
use crate::state_machine::StateMachine;
use crate::types::{Entry, LogId, SnapshotMeta, Vote};
use ram_lease::Reads;
use ram_lease::clock::BootClock;
use ram_lease::grants::LeaseTimeouts;
use ram_log::{FlushMode, Log, LogOptions, MemoryDisk};
use ram_store::Store;
use ram_table::value::Plain;

/// A snapshot of another member, up to entry 3 of term 2, arrived and checked.
fn received(disk: &Arc<dyn Disk>) -> (SnapshotMeta, StoredSnapshot) {
    let there: Arc<dyn Disk> = Arc::new(MemoryDisk::new());
    let store = Store::empty(Arc::new(Plain));
    let meta = SnapshotMeta { last_log_id: Some(entry::log_id(2, 3)), ..SnapshotMeta::default() };
    let head = Head { meta: meta.clone(), ..Head::default() };
    let dump = store.dump();
    let sent = snapshot::write(there, &head, &dump, || Ok(())).unwrap();
    (meta, sent.on(disk).unwrap())
}

fn shared(disk: &MemoryDisk) -> Arc<dyn Disk> {
    Arc::new(disk.clone())
}

/// A member that has this disk, opened.
fn open(disk: &Arc<dyn Disk>) -> (LogStore, StateMachine) {
    let options = LogOptions { flush: FlushMode::Inline, ..LogOptions::default() };
    let disk = disk.clone();
    let log = Log::open(disk.clone(), options).unwrap();
    let second = Duration::from_secs(1);
    let timeouts = LeaseTimeouts { lease: second, hold: 2 * second };
    let reads = Reads::new(1, true, timeouts, Arc::new(BootClock));
    let (writes, takes, values) = (Worker::inline(), Worker::inline(), Arc::new(Plain));
    let machine = StateMachine::open(disk, (writes, takes), values, reads.clone(), 1).unwrap();
    let store = LogStore::open(log, reads, machine.applied().index()).unwrap();
    (store, machine)
}

/// As raft starts on this disk; where the log ends then.
async fn start(disk: &MemoryDisk) -> Result<Option<LogId>, StorageError<TypeConfig>> {
    let (mut store, mut machine) = open(&shared(disk));
    StorageHelper::new(&mut store, &mut machine).with_id(1).get_initial_state().await?;
    Ok(store.last_log_id().unwrap())
}

/// A member that voted in term 2 and whose log has five entries of term 1 that nobody committed.
async fn with_a_tail() -> MemoryDisk {
    let disk = MemoryDisk::new();
    let (mut store, _machine) = open(&shared(&disk));
    store.save_vote(&Vote::new_committed(2, 2)).await.unwrap();
    for index in 0..5 {
        let (log_id, payload) = (entry::log_id(1, index), EntryPayload::Blank);
        store.append_alone(&Entry { log_id, payload }).await.unwrap();
    }
    disk
}

fn snapshots(disk: &MemoryDisk) -> Vec<String> {
    let names = disk.list().unwrap().into_iter();
    names.filter(|name| name.contains("snapshot")).collect()
}

/// It took its final name before raft had truncated the tail that contradicts it, and a member that
/// crashed between could not start any more.
#[tokio::test]
async fn a_snapshot_that_raft_has_not_accepted_is_gone_after_a_crash_and_the_member_starts() {
    let disk = with_a_tail().await;
    let (_, file) = received(&shared(&disk));
    let crashed = disk.copy();
    assert_eq!(snapshots(&crashed).len(), 1, "it lies there under a temporary name");
    assert_eq!(start(&crashed).await.unwrap(), Some(entry::log_id(1, 4)));
    assert_eq!(snapshots(&crashed), Vec::<String>::new());
    // Accepted at this moment it would be what raft cannot start with.
    file.accept().unwrap();
    start(&disk.copy()).await.unwrap_err();
}

#[tokio::test]
async fn a_snapshot_that_raft_refuses_leaves_nothing() {
    let disk = with_a_tail().await;
    let (_, file) = received(&shared(&disk));
    drop(file);
    assert_eq!(snapshots(&disk), Vec::<String>::new());
}

/// As openraft does it: what contradicts goes, the snapshot is installed, the log is purged.
#[tokio::test]
async fn after_a_crash_at_any_point_of_an_installation_the_member_starts() {
    let disk = with_a_tail().await;
    let shared = shared(&disk);
    let (mut store, mut machine) = open(&shared);
    let (meta, file) = received(&shared);
    let mut moments = vec![disk.copy()];
    store.truncate_after(None).await.unwrap();
    moments.push(disk.copy());
    machine.install_snapshot(&meta, file).await.unwrap();
    moments.push(disk.copy());
    store.purge(entry::log_id(2, 3)).await.unwrap();
    moments.push(disk.copy());
    for (at, moment) in moments.iter().enumerate() {
        let last = start(moment).await.unwrap_or_else(|error| panic!("moment {at}: {error}"));
        assert_eq!(last == Some(entry::log_id(2, 3)), at >= 2, "moment {at}: {last:?}");
        assert_eq!(snapshots(moment).len(), usize::from(at >= 2), "moment {at}");
    }
}
