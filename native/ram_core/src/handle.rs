//! The handle of a running member, for any number of callers on any thread.
//!
//! A request waits in one of the member's bounded queues and is answered by one call of its reply.
//! No function here blocks.

use bytes::Bytes;
use parking_lot::RwLock;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

mod writing;

use crate::Reply;
use crate::backup;
use crate::config::Config;
use crate::load::{Load, Permit};
use crate::owning;
use crate::proposer::Write;
use crate::requests::RequestQueues;
use crate::running::Running;
use crate::scans::Scans;
use crate::status::Status;
use crate::turns;
use crate::watch::Watches;
use crate::{Error, Result};
use ram_lease::mode::{ReadMode, ReadPath, Scope};
use ram_lease::uptime::Uptime;
use ram_lease::{Read, Reads, Unserved};
use ram_net::{PeerId, Unreached};
use ram_raft::rpc::MemberChange;
use ram_raft::state_machine::Applied;
use ram_raft::turns::TurnRequest;
use ram_raft::types::Member;
use ram_store::answer::Answer;
use ram_store::proposed::{self, Hint};
use ram_store::write::{self, Command};
use ram_table::table::Item;
use ram_table::tables::Tables;

pub use writing::Writing;

const CHANGES_QUEUED_MAX: usize = 64;
const BACKUPS_QUEUED_MAX: usize = 16;
const TURNS_QUEUED_MAX: usize = 256;
const OWNERS_QUEUED_MAX: usize = 16 * 1024;

/// A change of the cluster.
#[derive(Debug, Clone)]
pub enum Change {
    /// Make this member the first of a new cluster of these.
    Initialize(BTreeMap<u64, Member>),
    Member(MemberChange),
}

pub(crate) struct Queued {
    pub change: Change,
    pub deadline: Instant,
    pub reply: Reply<()>,
}

/// The receiving ends of a member's queues.
pub(crate) struct Queues {
    pub writes: mpsc::Receiver<Write>,
    pub reads: mpsc::Receiver<Read>,
    pub changes: mpsc::Receiver<Queued>,
    pub backups: mpsc::Receiver<backup::Request>,
    pub turns: mpsc::Receiver<turns::Request>,
    pub owners: mpsc::Receiver<owning::Request>,
    /// For the member's own requests.
    pub requests: RequestQueues,
}

/// Clones are ways into the same member.
#[derive(Clone)]
pub struct Handle {
    config: Arc<Config>,
    /// Guards what the running member shares; `None` once it was let go of, so that nothing of it
    /// (the table, the lock on the data folder) outlives the member.
    running: Arc<RwLock<Option<Running>>>,
    /// For reads alone, which do not even ask a lock. Has no table once it was let go of.
    pub(crate) applied: Applied,
    reads: Reads,
    requests: RequestQueues,
    changes: mpsc::Sender<Queued>,
    backups: mpsc::Sender<backup::Request>,
    turns: mpsc::Sender<turns::Request>,
    pub(crate) owners: mpsc::Sender<owning::Request>,
    scans: Scans,
    pub(crate) watches: Watches,
}

impl Handle {
    /// A way in, and the ends of the queues that the member has to serve.
    pub(crate) fn new(config: Arc<Config>, running: Running, watches: Watches) -> (Handle, Queues) {
        let (writes, write_queue) = mpsc::channel(config.limits.queue_requests_max);
        let (reads, read_queue) = mpsc::channel(config.limits.queue_requests_max);
        let (changes, change_queue) = mpsc::channel(CHANGES_QUEUED_MAX);
        let (backups, backup_queue) = mpsc::channel(BACKUPS_QUEUED_MAX);
        let (turns, turn_queue) = mpsc::channel(TURNS_QUEUED_MAX);
        let (owners, owner_queue) = mpsc::channel(OWNERS_QUEUED_MAX);
        let requests = RequestQueues { writes, reads, load: Load::new(&config.limits) };
        let queues = Queues {
            writes: write_queue,
            reads: read_queue,
            changes: change_queue,
            backups: backup_queue,
            turns: turn_queue,
            owners: owner_queue,
            requests: requests.clone(),
        };
        let (applied, known) = (running.replica.applied.clone(), running.replica.reads.clone());
        let running = Arc::new(RwLock::new(Some(running)));
        let scans = Scans::default();
        let handle = Handle {
            config,
            running,
            applied,
            reads: known,
            requests,
            changes,
            backups,
            turns,
            owners,
            scans,
            watches,
        };
        (handle, queues)
    }

    /// Replicates a put or a delete of the default table. An error here means that the reply was
    /// not, and will not be, called.
    pub fn write(
        &self,
        command: &Command<'_>,
        deadline: std::time::Instant,
        reply: Reply<Answer>,
    ) -> Result<()> {
        let mut writing = self.writing(&write::Write::Batch { table: "", commands: 1 })?;
        writing.command(command)?;
        writing.submit(deadline, reply)
    }

    /// Calls `look` with what the key holds, if this member may answer such a read at once and
    /// alone: no queue, no wait, from any thread. `None`: it may not, ask [`Handle::read`]; or
    /// `look` returned it, and the read counts as none. For moments: see
    /// [`Table::look`](ram_table::table::Table::look).
    pub fn look<T>(
        &self,
        mode: ReadMode,
        key: &[u8],
        look: impl FnOnce(Option<&Item>) -> Option<T>,
    ) -> Result<Option<T>> {
        let may_read = || self.reads.read_path(mode, key) == ReadPath::Now;
        let looked = self.applied.table().with_item_if(key, may_read, look);
        let answer = looked_at(self.applied.tables(), looked)?.flatten();
        if answer.is_some() {
            self.reads.counts.count_local();
        }
        Ok(answer)
    }

    /// As [`Handle::look`], in the table of this name, which may be that of the default table.
    /// `None` also where there is none.
    pub fn look_in<T>(
        &self,
        table: &str,
        mode: ReadMode,
        key: &[u8],
        look: impl FnOnce(Option<&Item>) -> Option<T>,
    ) -> Result<Option<T>> {
        let may_read = || self.reads.read_path(mode, key) == ReadPath::Now;
        let tables = self.applied.tables();
        let looked = tables.with_table(table, |table| table.with_item_if(key, may_read, look));
        let answer = looked_at(tables, looked.flatten())?.flatten();
        if answer.is_some() {
            self.reads.counts.count_local();
        }
        Ok(answer)
    }

    /// Calls `reply` with what the key holds, as soon as this mode allows.
    pub fn read(
        &self,
        mode: ReadMode,
        key: Bytes,
        deadline: std::time::Instant,
        reply: Reply<Option<Item>>,
    ) -> Result<()> {
        let applied = self.applied.clone();
        let permit = self.permit(key.len())?;
        let from_index = self.counted_path(mode, Scope::Keys(&[&key]));
        let ready = Box::new(move |ready: std::result::Result<(), Unserved>| {
            drop(permit);
            let share = |item: Option<&Item>| item.cloned();
            let get = |()| applied.table().with_item(&key, share).ok_or(Error::Stopped);
            reply(ready.map_err(Error::from).and_then(get));
        });
        self.enqueue_read(deadline.into(), from_index, ready)
    }

    pub(crate) fn enqueue_read(
        &self,
        deadline: Instant,
        from_index: Option<u64>,
        ready: Box<dyn FnOnce(std::result::Result<(), Unserved>) + Send>,
    ) -> Result<()> {
        enqueue(&self.requests.reads, Read { deadline, from_index, ready })
    }

    /// What has to be applied before a read is answered; `None` when only a quorum knows. Counts
    /// the read.
    pub(crate) fn counted_path(&self, mode: ReadMode, scope: Scope<'_>) -> Option<u64> {
        let counts = &self.reads.counts;
        match self.reads.read_path_of(mode, scope) {
            ReadPath::Now => {
                counts.count_local();
                Some(0)
            }
            ReadPath::Applied { index } => {
                counts.count_waited();
                Some(index)
            }
            ReadPath::Quorum => {
                counts.count_quorum();
                None
            }
        }
    }

    /// Calls `reply` when this node has applied all that was acknowledged before the call.
    pub fn sync(&self, deadline: std::time::Instant, reply: Reply<()>) -> Result<()> {
        let permit = self.permit(0)?;
        let ready = Box::new(move |ready: std::result::Result<(), Unserved>| {
            drop(permit);
            reply(ready.map_err(Error::from));
        });
        self.enqueue_read(deadline.into(), None, ready)
    }

    /// Those of this member that are open.
    pub fn scans(&self) -> &Scans {
        &self.scans
    }

    /// The time of this member, for telling what is left of times to live.
    pub fn uptime(&self) -> &Uptime {
        &self.reads.uptime
    }

    pub(crate) fn applied(&self) -> &Applied {
        &self.applied
    }

    pub(crate) fn reads(&self) -> &Reads {
        &self.reads
    }

    pub(crate) fn permit(&self, bytes: usize) -> Result<Permit> {
        self.requests.load.take(bytes).ok_or(Error::Overloaded)
    }

    pub fn change(
        &self,
        change: Change,
        deadline: std::time::Instant,
        reply: Reply<()>,
    ) -> Result<()> {
        enqueue(&self.changes, Queued { change, deadline: deadline.into(), reply })
    }

    /// Writes the table into a new file, or restores an empty one from a file: see [`backup`].
    pub fn back_up(
        &self,
        task: backup::Task,
        path: PathBuf,
        step_timeout: Duration,
        reply: Reply<()>,
    ) -> Result<()> {
        enqueue(&self.backups, backup::Request { task, path, step_timeout, reply })
    }

    /// Waits for a turn at a contended key of a table; the answer is what the key is expected to
    /// hold then: see [`ram_raft::turns`]. `Timeout`: there is none, at least not now.
    pub fn turn(
        &self,
        table: &str,
        key: &[u8],
        deadline: std::time::Instant,
        reply: Reply<Hint>,
    ) -> Result<()> {
        let request = TurnRequest::Wait { name: proposed::name_of(table, key).into() };
        enqueue(&self.turns, turns::Request { request, deadline: deadline.into(), reply })
    }

    /// Gives back a turn that was not used. An error: it will be over in a moment all the same.
    pub fn give_turn_back(
        &self,
        table: &str,
        key: &[u8],
        deadline: std::time::Instant,
    ) -> Result<()> {
        let request = TurnRequest::GiveBack { name: proposed::name_of(table, key).into() };
        let (deadline, reply) = (deadline.into(), Box::new(|_| {}));
        enqueue(&self.turns, turns::Request { request, deadline, reply })
    }

    pub fn status(&self) -> Result<Status> {
        self.with(|running| running.status(self.watches.sizes()))
    }

    /// Tells where a member listens now; newer than what the log says.
    pub fn set_address(&self, id: u64, address: String) {
        // A member that has stopped asks for addresses when it starts again.
        let _ = self.with(|running| running.set_address(id, address));
    }

    /// The secret that members prove from now on: see [`Net::set_cookie`](ram_net::Net).
    pub fn set_cookie(&self, cookie: Vec<u8>) {
        // A member that has stopped is given the cookie when it starts again.
        let _ = self.with(|running| running.set_cookie(cookie));
    }

    /// Asks each of these members, at these addresses, whether it is there and is who it is taken
    /// for, all at once and for no longer than `limit`. The answers have the order of the question.
    pub fn reach(
        &self,
        peers: Vec<(u64, String)>,
        limit: Duration,
        reply: Reply<Vec<std::result::Result<(), Unreached>>>,
    ) -> Result<()> {
        let peers = peers.into_iter().map(|(id, address)| (PeerId(id), address)).collect();
        self.with(|running| {
            running.replica.net.reach_all(peers, limit, |answers| reply(Ok(answers)))
        })
    }

    pub(super) fn with<T>(&self, ask: impl FnOnce(&Running) -> T) -> Result<T> {
        self.running.read().as_ref().map(ask).ok_or(Error::Stopped)
    }

    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Lets go of what the member shared but its table; requests are refused as stopped from now
    /// on.
    pub(crate) fn release(&self) {
        *self.running.write() = None;
    }

    /// Frees the table: with much in it that takes seconds. From now on reads are refused, too.
    pub(crate) fn free_table(&self) {
        const PARTS_AT_ONCE: usize = 1000;
        self.scans.close();
        let tables = self.applied.tables();
        tables.close();
        while tables.reclaimer().free(PARTS_AT_ONCE) {}
    }
}

/// What was found in a table of these, if it showed anything. If not, it may have been replaced or
/// turned into an ordered one at that moment: then only the slow way knows.
fn looked_at<T>(tables: &Tables, looked: Option<Option<T>>) -> Result<Option<T>> {
    match looked {
        None if tables.is_closed() => Err(Error::Stopped),
        looked => Ok(looked.flatten()),
    }
}

pub(crate) fn enqueue<T>(queue: &mpsc::Sender<T>, item: T) -> Result<()> {
    queue.try_send(item).map_err(|error| match error {
        mpsc::error::TrySendError::Full(_) => Error::Overloaded,
        mpsc::error::TrySendError::Closed(_) => Error::Stopped,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ram_table::tables::TableType;

    #[test]
    fn a_table_that_was_turned_when_it_was_looked_at_is_asked_the_slow_way_until_all_are_closed() {
        let tables = Tables::default();
        let ram_table::table::Typed::Hash(seen) = tables.default_table().typed() else { panic!() };
        assert!(tables.default_table().become_ordered());
        assert_eq!(tables.default_table().table_type(), TableType::OrderedSet);
        let look = || seen.with_item_if(b"k", || true, |item| item.is_none());
        assert_eq!(looked_at(&tables, look()), Ok(None));
        assert_eq!(looked_at(&tables, Some(Some(1))), Ok(Some(1)));
        tables.close();
        assert_eq!(looked_at(&tables, look()), Err(Error::Stopped));
    }
}
