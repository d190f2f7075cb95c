//! The receiving side of a snapshot transfer: chunks into a file, the file to Raft.
//!
//! Only the leader of a term sends one, in its own name, and only in a term that this member has
//! not left behind. One arrives at a time. What has arrived is removed with its connection, unless
//! the same leader goes on with it on another one within [`KEPT`]: over a link that breaks now and
//! then a large snapshot would never arrive otherwise. The file becomes a snapshot of this member
//! when Raft has accepted it (`state_machine`). Until then it has a temporary name, and a crash or
//! a refusal leaves nothing of it.
//!
//! The announced length has no bound but the leader's data: space is taken as bytes come, and a
//! full disk refuses the chunk and drops the rest. All reading and writing is on the thread
//! "ram-transfer".

use openraft::async_runtime::WatchReceiver;
use std::cmp::Ordering;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{self, AtomicBool};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::Mutex as AsyncMutex;

use super::entry;
use super::rpc::{SnapshotChunk, SnapshotProgress};
use super::snapshot;
use super::state_machine::Applied;
use super::types::{Metrics, SnapshotMeta, TypeConfig, Vote};
use super::worker::Worker;
use crate::Raft;
use ram_limits::CHUNK_BYTES_MAX;
use ram_log::{Disk, SnapshotReceiver, StoredSnapshot};

/// What a leader needs to connect again and to go on, on a busy machine too.
const KEPT: Duration = Duration::from_secs(5);

type Snapshot = openraft::alias::SnapshotOf<TypeConfig, StoredSnapshot>;

/// The connection that chunks come on. Clones are the same one.
#[derive(Clone)]
pub struct Origin {
    peer: u64,
    has_ended: Arc<AtomicBool>,
}

impl Origin {
    pub fn of(peer: u64) -> Origin {
        Origin { peer, has_ended: Arc::default() }
    }

    fn is(&self, other: &Origin) -> bool {
        Arc::ptr_eq(&self.has_ended, &other.has_ended)
    }
}

/// Clones share the snapshot that is arriving.
#[derive(Clone)]
pub struct Incoming {
    disk: Arc<dyn Disk>,
    transfer: Worker,
    applied: Applied,
    /// Guards the snapshot that is arriving; held while a chunk is written, and while raft takes
    /// the whole.
    arriving: Arc<AsyncMutex<Option<Arriving>>>,
}

struct Arriving {
    origin: Origin,
    vote: Vote,
    meta: SnapshotMeta,
    file_bytes: u64,
    receiver: SnapshotReceiver,
}

impl Incoming {
    pub fn new(disk: Arc<dyn Disk>, transfer: Worker, applied: Applied) -> Incoming {
        Incoming { disk, transfer, applied, arriving: Arc::default() }
    }

    /// Takes a chunk; with the last one raft is given the snapshot.
    pub async fn receive(
        &self,
        raft: &Raft,
        origin: Origin,
        chunk: SnapshotChunk,
    ) -> io::Result<SnapshotProgress> {
        let metrics = raft.metrics().borrow_watched().clone();
        if !is_of_its_leader(&chunk, &origin) || contradicts(&chunk, &metrics) {
            return Err(refused("no leader of this cluster sends such a snapshot"));
        }
        // Both as raft itself would answer.
        if matches!(chunk.vote.partial_cmp(&metrics.vote), None | Some(Ordering::Less)) {
            return Ok(SnapshotProgress::Done { vote: metrics.vote });
        }
        if chunk.meta.last_log_id <= metrics.local_committed {
            return Ok(SnapshotProgress::Done { vote: metrics.vote });
        }
        // Nobody waits here with a chunk in memory: it is sent again.
        let busy = |_| refused("another chunk, or a whole snapshot, is being taken");
        let mut arriving = self.arriving.try_lock().map_err(busy)?;
        if origin.has_ended.load(atomic::Ordering::Relaxed) {
            return Err(refused("its connection has ended"));
        }
        let (vote, meta, file_bytes) = (chunk.vote, chunk.meta.clone(), chunk.file_bytes);
        let current = self.write(arriving.take(), origin, chunk).await?;
        let offset = current.receiver.received_bytes();
        if offset < file_bytes {
            *arriving = Some(current);
            return Ok(SnapshotProgress::Continue { offset });
        }
        let expected = meta.clone();
        let snapshot = self.transfer.clone();
        let checked = move || {
            let received = current.receiver.check(|| snapshot.go_on())?;
            let file = StoredSnapshot::received(received);
            if snapshot::meta(&file)? != expected {
                return Err(refused("the file is not the snapshot that was announced"));
            }
            Ok(file)
        };
        let snapshot = Snapshot { meta, snapshot: self.transfer.run(checked).await? };
        let installed = raft.install_full_snapshot(vote, snapshot).await;
        Ok(SnapshotProgress::Done { vote: installed.map_err(io::Error::other)?.vote })
    }

    /// What has come on this connection goes with it, if nobody goes on.
    pub fn ended(&self, origin: &Origin) {
        origin.has_ended.store(true, atomic::Ordering::Relaxed);
        if self.arriving.try_lock().is_ok_and(|arriving| arriving.is_none()) {
            return;
        }
        let (incoming, origin) = (self.clone(), origin.clone());
        let forget = async move {
            tokio::time::sleep(KEPT).await;
            let mut arriving = incoming.arriving.lock().await;
            if let Some(half) = arriving.take_if(|arriving| arriving.origin.is(&origin)) {
                incoming.remove(half).await;
            }
        };
        // Without a runtime the member is at its end, and the next start removes what is left.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(forget);
        }
    }

    async fn write(
        &self,
        former: Option<Arriving>,
        origin: Origin,
        chunk: SnapshotChunk,
    ) -> io::Result<Arriving> {
        let (disk, applied) = (self.disk.clone(), self.applied.clone());
        let index = chunk.meta.last_log_id.map_or(0, |log_id| log_id.index());
        let write = move || {
            let mut current = match former {
                Some(current) if current.goes_on_with(&chunk) => Arriving { origin, ..current },
                former => {
                    // Before another of this name is made.
                    drop(former);
                    let receiver = SnapshotReceiver::create(disk, index, chunk.file_bytes)?;
                    let SnapshotChunk { vote, ref meta, file_bytes, .. } = chunk;
                    Arriving { origin, vote, meta: meta.clone(), file_bytes, receiver }
                }
            };
            if chunk.offset == current.receiver.received_bytes() {
                current.receiver.write_at(chunk.offset, &chunk.chunk)?;
                applied.count_snapshot_step();
            }
            Ok(current)
        };
        self.transfer.run(write).await
    }

    async fn remove(&self, half: Arriving) {
        let removed = self.transfer.run(move || {
            drop(half);
            Ok(())
        });
        // Dropped all the same when the thread has ended.
        let _ = removed.await;
    }
}

impl Arriving {
    /// The same snapshot, of the same leader in the same term.
    fn goes_on_with(&self, chunk: &SnapshotChunk) -> bool {
        self.vote == chunk.vote && self.meta == chunk.meta && self.file_bytes == chunk.file_bytes
    }
}

/// Sent by who leads the term in the chunk, and no larger than chunks are.
fn is_of_its_leader(chunk: &SnapshotChunk, origin: &Origin) -> bool {
    let vote = &chunk.vote;
    vote.committed
        && vote.leader_id.voted_for == origin.peer
        && chunk.chunk.len() <= CHUNK_BYTES_MAX
        && chunk.meta.last_log_id.is_some_and(|last| entry::term_of(&last) <= vote.leader_id.term)
}

/// Has this member committed other entries than this snapshot says? A leader has all of them.
fn contradicts(chunk: &SnapshotChunk, metrics: &Metrics) -> bool {
    chunk.meta.last_log_id > metrics.local_committed
        && chunk.meta.last_log_id.map(|last| last.index())
            <= metrics.local_committed.map(|committed| committed.index())
}

fn refused(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

#[cfg(test)]
mod tests;
