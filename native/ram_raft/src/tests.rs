//! openraft's own conformance suite on our log and state machine, on both kinds of disk; and what
//! the log store tells `ram_lease`.

use futures_util::stream;
use openraft::storage::{IOFlushed, RaftLogStorage, RaftSnapshotBuilder, RaftStateMachine};
use openraft::testing::log::{StoreBuilder, Suite};
use openraft::type_config::TypeConfigExt;
use openraft::{EntryPayload, StorageError};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::entry;
use super::log_store::LogStore;
use super::state_machine::StateMachine;
use super::types::{Entry, Member, Membership, Payload, TypeConfig, Vote};
use super::worker::Worker;
use ram_lease::Reads;
use ram_lease::clock::BootClock;
use ram_lease::grants::{Ack, Ask, Grant, LeaseTimeouts};
use ram_log::{Disk, DiskFile, FlushMode, Log, LogOptions, MemoryDisk, RealDisk};
use ram_store::group::{self, Stamp};
use ram_store::write::{Command, Encoded, Write};
use ram_table::table::TableType;
use ram_table::value::Plain;

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
        Reads::new(1, true, LeaseTimeouts { lease: second, hold: 2 * second }, Arc::new(BootClock));
    let (writes, takes) = (worker.clone(), Worker::inline());
    let machine =
        StateMachine::open(disk, (writes, takes), Arc::new(Plain), reads.clone(), 1).unwrap();
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

/// A snapshot of much data would hold up the stop for as long as it takes.
#[tokio::test]
async fn a_snapshot_is_given_up_when_its_member_stops_and_nothing_is_left_of_it() {
    let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::default());
    let (guard, _store, mut machine) = build(disk.clone(), None);
    let mut builder = machine.get_snapshot_builder().await;
    guard.worker.give_up();
    builder.build_snapshot().await.unwrap_err();
    let names = disk.list().unwrap();
    assert!(names.iter().all(|name| !name.contains("snapshot")), "{names:?}");
}

fn reads() -> Reads {
    let timeouts = LeaseTimeouts { lease: Duration::from_secs(5), hold: Duration::from_secs(10) };
    Reads::new(1, true, timeouts, Arc::new(BootClock))
}

fn ack(reads: &Reads, index: u64) -> Ack {
    Ack { index: Some(index), sent: reads.clock.now(), hold: reads.timeouts.hold }
}

fn memory_log() -> Log {
    let options = LogOptions { flush: FlushMode::Inline, ..LogOptions::default() };
    Log::open(Arc::new(MemoryDisk::default()), options).unwrap()
}

/// An entry that puts `key`, of term 5.
fn put(index: u64, key: &[u8]) -> Entry {
    let stamp = Stamp { session: 1, sequence: index, acked_below: 1 };
    let command = Encoded::one("", &Command::put(key, b"v")).into_bytes();
    let proposal = group::group(stamp, std::iter::once(&command));
    let payload = EntryPayload::Normal(Payload(proposal));
    Entry { log_id: entry::log_id(5, index), payload }
}

#[tokio::test]
async fn a_key_is_pending_from_the_append_over_a_restart_until_it_is_applied_or_truncated() {
    let (log, before) = (memory_log(), reads());
    let mut store = LogStore::open(log.clone(), before.clone(), 0).unwrap();
    store.append([put(1, b"a"), put(2, b"b")], IOFlushed::noop()).await.unwrap();
    assert!(before.pending.is_pending(b"a") && before.pending.is_pending(b"b"));

    let after = reads();
    let mut store = LogStore::open(log, after.clone(), 1).unwrap();
    assert!(!after.pending.is_pending(b"a"), "applied");
    assert!(after.pending.is_pending(b"b"), "acknowledged before the restart");
    store.truncate_after(Some(entry::log_id(5, 1))).await.unwrap();
    assert!(!after.pending.is_pending(b"b"));
}

#[tokio::test]
async fn the_leader_counts_its_own_entry_when_every_holder_of_a_lease_has_it() {
    let reads = reads();
    let mut store = LogStore::open(memory_log(), reads.clone(), 0).unwrap();
    store.save_vote(&Vote::new_committed(5, 1)).await.unwrap();
    store.append([put(1, b"a")], IOFlushed::noop()).await.unwrap();
    reads.barrier.acked(5, 3, ack(&reads, 1));
    let voters = || Some(vec![BTreeSet::from([1, 2, 3])]);
    let ask = Ask { id: 3, term: 5, renews: false };
    let granted = [(); 2].map(|()| reads.barrier.grant(&ask, voters));
    assert_eq!(granted[1].as_ref().unwrap().from_index, 1);

    let (sender, mut flushed) = TypeConfig::oneshot();
    store.append([put(2, b"a")], IOFlushed::signal(sender)).await.unwrap();
    assert!(futures_util::poll!(&mut flushed).is_pending());
    reads.barrier.acked(5, 3, ack(&reads, 2));
    flushed.await.unwrap().unwrap();
}

#[tokio::test]
async fn another_vote_makes_a_lease_void_and_the_same_one_does_not() {
    let reads = reads();
    let mut store = LogStore::open(memory_log(), reads.clone(), 0).unwrap();
    store.save_vote(&Vote::new(5, 2)).await.unwrap();
    let grant = Grant { term: 5, lasts: Duration::from_secs(5), from_index: 0 };
    assert!(reads.lease.take(reads.lease.ask(reads.clock.now(), 5), &grant));
    store.save_vote(&Vote::new_committed(5, 2)).await.unwrap();
    assert_eq!(reads.lease.held(|| reads.clock.now()), Some(0));
    store.save_vote(&Vote::new(6, 3)).await.unwrap();
    assert_eq!(reads.lease.held(|| reads.clock.now()), None);
}

/// While millions of commands were applied at one go no heartbeat was heard, and others campaigned.
#[tokio::test]
async fn a_proposal_of_very_many_commands_is_checked_and_applied_with_pauses() {
    let disk = Arc::new(MemoryDisk::default());
    let machine =
        StateMachine::open(disk, (Worker::inline(), Worker::inline()), Arc::new(Plain), reads(), 1);
    let mut machine = machine.unwrap();
    let table = machine.applied().table().clone();
    let count = 10 * group::PARTS_AT_ONCE;
    let mut puts = Encoded::of(&Write::Batch { table: "", commands: count as u32 });
    (0..count).for_each(|key| puts.command(&Command::put(&key.to_be_bytes(), b"v")));
    let stamp = Stamp { session: 1, sequence: 1, acked_below: 1 };
    let group = group::group(stamp, std::iter::once(puts.bytes()));
    let entry = |index, proposal| Entry {
        log_id: entry::log_id(5, index),
        payload: EntryPayload::Normal(Payload(proposal)),
    };
    let entries = [entry(1, group::open_session()), entry(2, group)];
    let mut applying =
        std::pin::pin!(machine.apply(stream::iter(entries.map(|entry| Ok((entry, None))))));
    let mut pauses = 0;
    while futures_util::poll!(&mut applying).is_pending() {
        pauses += 1;
        tokio::task::yield_now().await;
    }
    assert!(pauses >= 18, "{pauses}");
    assert_eq!(table.entries(), count as u64);
    assert_eq!(table.get(&9usize.to_be_bytes()).unwrap().revision(), 1, "one write");
}

/// A disk whose next listing may be an older one.
#[derive(Debug, Default)]
struct Outdated {
    disk: MemoryDisk,
    /// Guards what is listed next; `None`: what is there.
    listing: Mutex<Option<Vec<String>>>,
}

impl Disk for Outdated {
    fn list(&self) -> io::Result<Vec<String>> {
        self.listing.lock().take().map_or_else(|| self.disk.list(), Ok)
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        self.disk.open(name)
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        self.disk.create(name)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.disk.remove(name)
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.disk.sync_dir()
    }
}

/// The thread that writes snapshots replaces them while raft asks for the newest.
#[tokio::test]
async fn a_snapshot_that_is_replaced_while_it_is_looked_up_is_looked_up_again() {
    let disk = Arc::new(Outdated::default());
    let machine = StateMachine::open(
        disk.clone(),
        (Worker::inline(), Worker::inline()),
        Arc::new(Plain),
        reads(),
        1,
    );
    let mut machine = machine.unwrap();
    for index in [1, 2] {
        *disk.listing.lock() = None;
        let listed = disk.list().unwrap();
        let entry = (put(index, b"a"), None);
        machine.apply(stream::iter([Ok(entry)])).await.unwrap();
        machine.get_snapshot_builder().await.build_snapshot().await.unwrap();
        *disk.listing.lock() = Some(listed);
    }
    let current = machine.get_current_snapshot().await.unwrap().unwrap();
    assert_eq!(current.snapshot.index, 2);
}

/// The entry at this index that makes a member the only one.
fn membership(index: u64, founds_ordered: bool) -> Entry {
    let member = Member { founds_ordered, ..Member::new("a@b", "here:1") };
    let membership = Membership::new(vec![[1].into()], BTreeMap::from([(1, member)]));
    Entry {
        log_id: entry::log_id(1, index),
        payload: EntryPayload::Membership(membership.unwrap()),
    }
}

async fn type_after(entries: Vec<Entry>) -> TableType {
    let (_guard, _store, mut machine) = build(Arc::new(MemoryDisk::default()), None);
    let entries = entries.into_iter().map(|entry| Ok((entry, None)));
    machine.apply(stream::iter(entries)).await.unwrap();
    machine.applied().table().table_type()
}

#[tokio::test]
async fn the_first_entry_of_all_decides_what_the_default_table_is_and_no_later_one() {
    let (set, ordered) = (TableType::Set, TableType::OrderedSet);
    assert_eq!(type_after(vec![membership(0, false)]).await, set);
    assert_eq!(type_after(vec![membership(0, true)]).await, ordered);
    assert_eq!(type_after(vec![membership(0, false), membership(1, true)]).await, set);
    assert_eq!(type_after(vec![membership(0, true), membership(1, false)]).await, ordered);
}
