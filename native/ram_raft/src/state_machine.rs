//! openraft's state machine on the store.
//!
//! openraft calls `apply` from one task, in log order. After each entry the table, the applied
//! index and the membership are published to readers, behind [`Applied`].

use futures_util::{Stream, StreamExt};
use openraft::entry::RaftEntry;
use openraft::storage::{EntryResponder, RaftSnapshotBuilder, RaftStateMachine};
use openraft::{EntryPayload, OptionalSend};
use parking_lot::RwLock;
use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::{Notify, watch};

use super::catch_up::Progress;
use super::entry;
use super::expiry::SharedTimers;
use super::ownership::SharedOwners;
use super::snapshot::{self, Head};
use super::types::{LogId, Membership, Payload, SnapshotMeta, StoredMembership, TypeConfig};
use super::worker::{Pace, Worker};
use ram_lease::Reads;
use ram_lease::lease::NoLeaseReason;
use ram_log::{Disk, StoredSnapshot, remove_older};
use ram_store::answer::Outcome;
use ram_store::codec::DecodeError;
use ram_store::dump::Dump;
use ram_store::observe::Observer;
use ram_store::owners::Run;
use ram_store::{Applying, EntryId, Store};
use ram_table::table::Table;
use ram_table::tables::{Tables, TablesSnapshot};
use ram_table::value::Values;

type Snapshot = openraft::alias::SnapshotOf<TypeConfig, StoredSnapshot>;

/// What the rest of the member may know of the state. Cloned freely, read from any thread.
#[derive(Clone)]
pub struct Applied {
    /// Closed by the end of the member.
    tables: Arc<Tables>,
    /// The default one of these, for most reads.
    table: Arc<Table>,
    index: Arc<watch::Sender<u64>>,
    groups: Arc<AtomicU64>,
    /// Guards who is a member, and who was.
    members: Arc<RwLock<KnownMembers>>,
    snapshot_steps: Arc<AtomicU64>,
    timers: SharedTimers,
    owners: SharedOwners,
    work: Arc<Notify>,
}

#[derive(Debug, Default)]
struct KnownMembers {
    now: StoredMembership,
    /// Raft ids that were in a membership and are in none any more.
    removed: BTreeSet<u64>,
}

impl Applied {
    /// The default table.
    pub fn table(&self) -> &Arc<Table> {
        &self.table
    }

    pub fn tables(&self) -> &Arc<Tables> {
        &self.tables
    }

    /// The index of the last entry applied here.
    pub fn index(&self) -> u64 {
        *self.index.borrow()
    }

    pub fn watch(&self) -> watch::Receiver<u64> {
        self.index.subscribe()
    }

    /// How many entries with a proposal were applied here since the start.
    pub fn groups(&self) -> u64 {
        self.groups.load(Ordering::Relaxed)
    }

    /// Was this Raft id removed from the cluster, for good?
    pub fn is_removed(&self, id: u64) -> bool {
        self.members.read().removed.contains(&id)
    }

    /// The membership as of the last entry applied here.
    pub fn membership(&self) -> Membership {
        self.members.read().now.membership().clone()
    }

    /// Which keys have a time to live.
    pub fn timers(&self) -> &SharedTimers {
        &self.timers
    }

    /// Which keys have an owner.
    pub fn owners(&self) -> &SharedOwners {
        &self.owners
    }

    /// Told when there is a first key that a leader has to look after.
    pub(crate) fn work(&self) -> &Notify {
        &self.work
    }

    /// A chunk of a snapshot has come, or a block of one was read.
    pub fn count_snapshot_step(&self) {
        self.snapshot_steps.fetch_add(1, Ordering::Relaxed);
    }

    /// How far this member has come, whose log ends at `last_index`.
    pub fn progress(&self, last_index: u64) -> Progress {
        let snapshot_steps = self.snapshot_steps.load(Ordering::Relaxed);
        Progress { applied_index: self.index(), last_index, snapshot_steps }
    }
}

pub struct StateMachine {
    disk: Arc<dyn Disk>,
    /// Writes snapshots.
    worker: Worker,
    /// Reads those of others, which must not wait for one of this member's.
    transfer: Worker,
    values: Arc<dyn Values>,
    store: Store,
    last_applied: Option<LogId>,
    applied: Applied,
    current: Option<Snapshot>,
    reads: Reads,
}

impl StateMachine {
    /// Starts from the newest snapshot on the disk, or empty. `run`: of this member, by which its
    /// owners of keys are known.
    pub fn open(
        disk: Arc<dyn Disk>,
        (worker, transfer): (Worker, Worker),
        values: Arc<dyn Values>,
        reads: Reads,
        run: u64,
    ) -> io::Result<Self> {
        let now_ms = reads.uptime.ms();
        let (head, mut store, file) = match StoredSnapshot::latest(&disk)? {
            Some(file) => {
                let (head, store) =
                    snapshot::read(&file, values.clone(), now_ms, || worker.go_on())?;
                (head, store, Some(file))
            }
            None => (Head::default(), Store::empty(values.clone()), None),
        };
        let work = Arc::new(Notify::new());
        let timers = SharedTimers::new(work.clone());
        let owners = SharedOwners::new(Run { member: reads.own, run }, work.clone());
        let loaded = store.take_loaded();
        timers.replace(loaded.lives);
        owners.replace(loaded.owners, store.metadata().revision);
        store.observe(timers.observer(store.tables().clone()));
        store.observe(owners.observer());
        let applied = Applied {
            tables: store.tables().clone(),
            table: store.table().clone(),
            index: Arc::new(watch::Sender::new(head.index())),
            groups: Arc::default(),
            members: Arc::new(RwLock::new(KnownMembers {
                now: head.meta.last_membership.clone(),
                removed: head.removed,
            })),
            snapshot_steps: Arc::default(),
            timers,
            owners,
            work,
        };
        reads.applied(applied.index());
        let current = file.map(|snapshot| Snapshot { meta: head.meta.clone(), snapshot });
        Ok(StateMachine {
            disk,
            worker,
            transfer,
            values,
            store,
            last_applied: head.meta.last_log_id,
            applied,
            current,
            reads,
        })
    }

    /// From now on the observer is told of each change. Before the first entry is applied.
    pub fn observe(&mut self, observer: Box<dyn Observer>) {
        self.store.observe(observer);
    }

    pub fn applied(&self) -> Applied {
        self.applied.clone()
    }

    /// The tables as they are between two entries.
    pub fn snapshot(&self) -> TablesSnapshot {
        self.store.snapshot()
    }

    /// Others have their turn meanwhile: a heartbeat must not wait for millions of commands.
    async fn apply_proposal(
        &mut self,
        log_id: &LogId,
        bytes: &[u8],
    ) -> Result<Outcome, DecodeError> {
        let entry = EntryId { term: entry::term_of(log_id), index: log_id.index() };
        self.store.set_time(self.reads.uptime.ms());
        let mut applying = Applying::of(bytes)?;
        loop {
            match self.store.step(entry, &mut applying)? {
                Some(outcome) => return Ok(outcome),
                None => tokio::task::yield_now().await,
            }
        }
    }

    /// The first entry of all decides what the default table is: before the first write, for every
    /// member, and with the cluster itself, so that there is none without it.
    fn found_with(&mut self, membership: &Membership) {
        let is_first = self.last_applied.is_none();
        if is_first && membership.nodes().any(|(_, member)| member.founds_ordered) {
            self.store.order_default_table();
        }
    }

    fn change_membership(&mut self, membership: StoredMembership) {
        let ids = |membership: &StoredMembership| -> BTreeSet<u64> {
            membership.membership().nodes().map(|(id, _)| *id).collect()
        };
        let mut members = self.applied.members.write();
        let gone = &ids(&members.now) - &ids(&membership);
        members.removed.extend(gone);
        members.now = membership;
    }

    fn head(&self) -> Head {
        let members = self.applied.members.read();
        Head {
            meta: SnapshotMeta {
                last_log_id: self.last_applied,
                last_membership: members.now.clone(),
            },
            removed: members.removed.clone(),
        }
    }
}

/// Ends this member, and each other one that applies the entry; also when they start again.
fn cannot_apply(log_id: &LogId, why: &DecodeError) -> io::Error {
    let (index, term) = (log_id.index(), entry::term_of(log_id));
    let what = format!(
        "entry {index} of the log (term {term}) is committed and cannot be applied here: {why}; \
         all that was acknowledged is kept. If a newer version of ram runs in this cluster, start \
         that version here; else see docs/troubleshooting.md"
    );
    io::Error::new(io::ErrorKind::InvalidData, what)
}

impl RaftStateMachine<TypeConfig> for StateMachine {
    type SnapshotData = StoredSnapshot;
    type SnapshotBuilder = Builder;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, StoredMembership), io::Error> {
        Ok((self.last_applied, self.applied.members.read().now.clone()))
    }

    async fn apply<Strm>(&mut self, mut entries: Strm) -> Result<(), io::Error>
    where
        Strm: Stream<Item = Result<EntryResponder<TypeConfig>, io::Error>> + Unpin + OptionalSend,
    {
        while let Some(next) = entries.next().await {
            let (entry, responder) = next?;
            let log_id = entry.log_id();
            let outcome = match entry.payload {
                EntryPayload::Blank => Outcome::Nothing,
                EntryPayload::Normal(Payload(bytes)) => {
                    self.applied.groups.fetch_add(1, Ordering::Relaxed);
                    let applied = self.apply_proposal(&log_id, &bytes).await;
                    applied.map_err(|why| cannot_apply(&log_id, &why))?
                }
                EntryPayload::Membership(membership) => {
                    self.found_with(&membership);
                    self.change_membership(StoredMembership::new(Some(log_id), membership));
                    Outcome::Nothing
                }
            };
            self.last_applied = Some(log_id);
            self.applied.index.send_replace(log_id.index());
            self.reads.applied(log_id.index());
            if let Some(responder) = responder {
                responder.send(outcome);
            }
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> Builder {
        let work = Some((self.head(), self.store.dump()));
        Builder { disk: self.disk.clone(), worker: self.worker.clone(), work }
    }

    async fn install_snapshot(
        &mut self,
        _meta: &SnapshotMeta,
        file: StoredSnapshot,
    ) -> Result<(), io::Error> {
        let (disk, values) = (self.disk.clone(), self.values.clone());
        let (transfer, applied) = (self.transfer.clone(), self.applied.clone());
        let now_ms = self.reads.uptime.ms();
        let install = move || {
            let file = file.on(&disk)?;
            let go_on = || {
                applied.count_snapshot_step();
                transfer.go_on()
            };
            let (head, store) = snapshot::read(&file, values, now_ms, go_on)?;
            // What can be read, and raft wants: from now on a start goes on from it.
            let file = file.accept()?;
            remove_older(disk.as_ref(), file.index)?;
            Ok((file, head, store))
        };
        let (file, head, store) = self.transfer.run(install).await?;
        // The table first: whoever finds a key unmarked, or the index applied, sees the new one.
        self.reads.lease.drop_for(NoLeaseReason::Snapshot);
        self.store.replace_with(store);
        let loaded = self.store.take_loaded();
        self.applied.timers.replace(loaded.lives);
        self.applied.owners.replace(loaded.owners, self.store.metadata().revision);
        let index = head.index();
        *self.applied.members.write() =
            KnownMembers { now: head.meta.last_membership.clone(), removed: head.removed };
        self.last_applied = head.meta.last_log_id;
        self.applied.index.send_replace(index);
        self.reads.applied(index);
        self.current = Some(Snapshot { meta: head.meta, snapshot: file });
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot>, io::Error> {
        loop {
            let Some(file) = StoredSnapshot::latest(&self.disk)? else { return Ok(None) };
            if self.current.as_ref().is_some_and(|current| current.snapshot.index == file.index) {
                return Ok(self.current.clone());
            }
            match snapshot::meta(&file) {
                Ok(meta) => self.current = Some(Snapshot { meta, snapshot: file }),
                // A newer one has taken its place.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// Writes one snapshot, away from the thread that applies.
pub struct Builder {
    disk: Arc<dyn Disk>,
    worker: Worker,
    /// Taken when it is done.
    work: Option<(Head, Dump)>,
}

impl RaftSnapshotBuilder<TypeConfig> for Builder {
    type SnapshotData = StoredSnapshot;

    async fn build_snapshot(&mut self) -> Result<Snapshot, io::Error> {
        let again = || io::Error::other("this snapshot was written already");
        let (head, dump) = self.work.take().ok_or_else(again)?;
        let (disk, worker) = (self.disk.clone(), self.worker.clone());
        self.worker
            .run(move || {
                let mut pace = Pace::begin();
                let pause = || worker.go_on().inspect(|()| pace.rest());
                let file = snapshot::write(disk.clone(), &head, &dump, pause)?;
                remove_older(disk.as_ref(), file.index)?;
                Ok(Snapshot { meta: head.meta, snapshot: file })
            })
            .await
    }
}
