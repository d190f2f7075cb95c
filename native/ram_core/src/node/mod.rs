//! One member: its threads, its queues, its place in the cluster.
//!
//! A member is three threads: "ram-core" runs a single-threaded Tokio runtime with raft, the
//! network and the queues; "ram-log" writes and syncs the log; "ram-snapshot" writes and reads
//! snapshots and backups. A request comes in from any thread, waits in one bounded queue, and is
//! answered by one call of its reply, on "ram-core". The caller's time limit is the caller's: it
//! may stop waiting at any time.
//!
//! The road of a write: [`Node::write`] -> [`proposer`] -> [`route`] -> raft -> store -> reply. The
//! road of a read: [`Node::read`] -> `reads` -> [`route`] for an index -> table -> reply.
//!
//! Stopping joins all three threads. A panic in them ends the member and is reported as its
//! failure; it never leaves them.

pub mod backup;
mod handles;
pub mod identity;
mod image;
mod member;
mod proposer;
mod route;
pub mod status;

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::config::Config;
use crate::raft::rpc::MemberChange;
use crate::raft::types::Member;
use crate::reads::Read;
use crate::store::command::{Answer, Command};
use crate::store::table::Item;
use crate::{Error, Result};
use backup::Entrance;
use handles::Handles;
use identity::ClusterId;
use proposer::{Permit, Write};
pub use status::Status;

/// What a member does when it starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Birth {
    /// Serve the cluster that the data folder holds.
    Again,
    /// Be a new incarnation in this cluster; the data folder must hold none.
    Fresh(ClusterId),
}

/// What a member tells its owner unasked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// It was removed from its cluster and serves no more.
    Removed,
    /// It has stopped by itself.
    Failed(String),
}

pub type OnEvent = Arc<dyn Fn(Event) + Send + Sync>;
pub type Reply<T> = Box<dyn FnOnce(Result<T>) + Send>;

/// A change of the cluster.
#[derive(Debug, Clone)]
pub enum Change {
    /// Make this member the first of a new cluster of these.
    Initialize(BTreeMap<u64, Member>),
    Member(MemberChange),
}

pub(crate) struct Queued {
    change: Change,
    deadline: Instant,
    reply: Reply<()>,
}

/// The receiving ends of a member's queues.
pub(crate) struct Queues {
    writes: mpsc::Receiver<Write>,
    reads: mpsc::Receiver<Read>,
    changes: mpsc::Receiver<Queued>,
    backups: mpsc::Receiver<backup::Request>,
    /// For the member's own requests.
    entrance: Entrance,
}

/// A running member.
pub struct Node {
    config: Config,
    /// Guards what the running member shares; `None` once it is stopped, so that nothing of it (the
    /// table, the lock on the data folder) outlives its threads.
    handles: RwLock<Option<Handles>>,
    entrance: Entrance,
    changes: mpsc::Sender<Queued>,
    backups: mpsc::Sender<backup::Request>,
    /// Guards the way to stop the runtime thread; taken by the first call of `stop`.
    thread: Mutex<Option<(oneshot::Sender<()>, JoinHandle<()>)>>,
}

const CHANGES_QUEUED_MAX: usize = 64;
const BACKUPS_QUEUED_MAX: usize = 16;

impl Node {
    /// Opens the data, binds the socket and starts raft; blocks until that is done.
    pub fn start(config: Config, birth: Birth, on_event: OnEvent) -> Result<Node> {
        config.check()?;
        let (writes, write_queue) = mpsc::channel(config.limits.queue_requests_max);
        let (reads, read_queue) = mpsc::channel(config.limits.queue_requests_max);
        let (changes, change_queue) = mpsc::channel(CHANGES_QUEUED_MAX);
        let (backups, backup_queue) = mpsc::channel(BACKUPS_QUEUED_MAX);
        let entrance = Entrance { writes, reads, queued_bytes: Arc::default() };
        let queues = Queues {
            writes: write_queue,
            reads: read_queue,
            changes: change_queue,
            backups: backup_queue,
            entrance: entrance.clone(),
        };
        let (stop, stopped) = oneshot::channel();
        let (ready, started) = std::sync::mpsc::channel();
        let thread = {
            let config = config.clone();
            let run = move || member::run(config, birth, queues, on_event, stopped, ready);
            std::thread::Builder::new().name("ram-core".into()).spawn(run).map_err(Error::failed)?
        };
        let handles = match started.recv() {
            Ok(Ok(handles)) => handles,
            failed => {
                // The thread ends by itself after a failed start.
                let _ = thread.join();
                return Err(match failed {
                    Ok(Err(error)) => error,
                    _ => Error::failed("the member panicked while starting"),
                });
            }
        };
        let thread = Mutex::new(Some((stop, thread)));
        let handles = RwLock::new(Some(handles));
        Ok(Node { config, handles, entrance, changes, backups, thread })
    }

    /// Replicates one command. An error here means that the reply was not, and will not be, called.
    pub fn write(
        &self,
        command: &Command<'_>,
        deadline: std::time::Instant,
        reply: Reply<Answer>,
    ) -> Result<()> {
        self.check_sizes(command)?;
        let command = command.encode();
        let limit = self.config.limits.queue_bytes_max;
        let permit = Permit::take(&self.entrance.queued_bytes, command.len(), limit);
        let permit = permit.ok_or(Error::Overloaded)?;
        let write = Write { command, deadline: deadline.into(), reply, _permit: permit };
        enqueue(&self.entrance.writes, write)
    }

    /// Calls `reply` with what the key holds: a linearizable read.
    pub fn read(
        &self,
        key: Bytes,
        deadline: std::time::Instant,
        reply: Reply<Option<Item>>,
    ) -> Result<()> {
        let applied = self.with(|handles| handles.applied.clone())?;
        let ready = Box::new(move |ready: Result<()>| {
            reply(ready.map(|()| applied.table().get(&key)));
        });
        enqueue(&self.entrance.reads, Read { deadline: deadline.into(), ready })
    }

    /// Calls `reply` when this node has applied all that was acknowledged before the call.
    pub fn sync(&self, deadline: std::time::Instant, reply: Reply<()>) -> Result<()> {
        enqueue(&self.entrance.reads, Read { deadline: deadline.into(), ready: reply })
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

    pub fn status(&self) -> Result<Status> {
        self.with(Handles::status)
    }

    /// Tells where a member listens now; newer than what the log says.
    pub fn set_address(&self, id: u64, address: String) {
        // A member that has stopped asks for addresses when it starts again.
        let _ = self.with(|handles| handles.set_address(id, address));
    }

    fn with<T>(&self, ask: impl FnOnce(&Handles) -> T) -> Result<T> {
        self.handles.read().as_ref().map(ask).ok_or(Error::Stopped)
    }

    /// Hands over the lead if it has it, then ends and joins the threads. Later calls do nothing.
    pub fn stop(&self) {
        let thread = self.thread.lock().take();
        if let Some((stop, thread)) = thread {
            // The thread may have ended by itself.
            let _ = stop.send(());
            let _ = thread.join();
        }
        *self.handles.write() = None;
    }

    pub fn config(&self) -> &Config {
        &self.config
    }

    fn check_sizes(&self, command: &Command<'_>) -> Result<()> {
        let (key, value) = match *command {
            Command::Put { key, value } => (key, Some(value)),
            Command::Delete { key } => (key, None),
            Command::CompareAndSet { key, value, .. } => (key, value),
        };
        self.config.limits.check(key, value)
    }
}

/// Makes the stopped member that `config` names the only one of the cluster `new`, which keeps its
/// data; `old` is the cluster it must be of. Blocks. Returns the index of its last log entry.
pub fn force_recover(config: &Config, old: ClusterId, new: ClusterId) -> Result<u64> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().map_err(Error::failed)?;
    runtime.block_on(member::recover(config, old, new))
}

impl Drop for Node {
    fn drop(&mut self) {
        self.stop();
    }
}

fn enqueue<T>(queue: &mpsc::Sender<T>, item: T) -> Result<()> {
    queue.try_send(item).map_err(|error| match error {
        mpsc::error::TrySendError::Full(_) => Error::Overloaded,
        mpsc::error::TrySendError::Closed(_) => Error::Stopped,
    })
}
