//! The backup service: writes this member's table into a file, or restores one; one at a time.
//!
//! A backup waits until this member has applied all that was acknowledged before, takes a snapshot
//! of the tables between two log entries, and writes it while writes go on. A restore checks the
//! whole file before the first put; then its entries are ordinary writes, so many in flight that
//! others find room in the queue.

use std::path::PathBuf;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::Reply;
use crate::backup_file::{self, BackupFile, Head, Restoring};
use crate::config::Limits;
use crate::identity::ClusterId;
use crate::load::Permit;
use crate::proposer::Write;
use crate::requests::RequestQueues;
use crate::{Error, Result};
use ram_lease::Read;
use ram_raft::Raft;
use ram_raft::state_machine::Applied;
use ram_raft::worker::Worker;
use ram_store::answer::Answer;
use ram_store::write;
use ram_table::tables::{DEFAULT_NAME, TableType, TablesSnapshot};

const RETRY_DELAY: Duration = Duration::from_millis(20);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task {
    Backup,
    Restore,
}

pub(crate) struct Request {
    pub task: Task,
    pub path: PathBuf,
    /// Of each step that needs the cluster; the size of the file bounds the rest.
    pub step_timeout: Duration,
    pub reply: Reply<()>,
}

/// What backups and restores need of the member.
pub(crate) struct BackupService {
    pub raft: Raft,
    pub applied: Applied,
    pub worker: Worker,
    pub cluster: ClusterId,
    pub limits: Limits,
    pub requests: RequestQueues,
}

/// Serves until the queue is closed.
pub(crate) async fn serve(mut queue: mpsc::Receiver<Request>, service: BackupService) {
    while let Some(Request { task, path, step_timeout, reply }) = queue.recv().await {
        let done = match task {
            Task::Backup => service.backup(path, step_timeout).await,
            Task::Restore => service.restore(path, step_timeout).await,
        };
        reply(done);
    }
}

impl BackupService {
    async fn backup(&self, path: PathBuf, step_timeout: Duration) -> Result<()> {
        self.sync(step_timeout).await?;
        let snapshot = self.snapshot().await?;
        let cluster = self.cluster;
        self.work(move |worker| backup_file::write(&path, cluster, &snapshot, worker)).await
    }

    async fn snapshot(&self) -> Result<TablesSnapshot> {
        let snapshot = self.raft.with_state_machine(|machine| {
            let snapshot = machine.snapshot();
            Box::pin(async move { snapshot })
        });
        snapshot.await.map_err(|_| Error::Stopped)
    }

    async fn restore(&self, path: PathBuf, step_timeout: Duration) -> Result<()> {
        let (limits, of) = (self.limits, path.clone());
        let (head, total) =
            self.work(move |worker| BackupFile::check(&of, &limits, worker)).await?;
        self.sync(step_timeout).await?;
        let tables = self.applied.tables();
        let is_of_users = |name: &String| name != DEFAULT_NAME && !backup_file::is_own(name);
        if tables.default_table().entries() > 0 || tables.names().iter().any(is_of_users) {
            return Err(Error::NotEmpty);
        }
        let mut puts = Puts::new(self, step_timeout);
        let filled = self.put_all(path, head, &mut puts).await;
        let restored = puts.settle().await;
        match filled.and(restored) {
            Err(cause) if puts.sent > 0 => {
                Err(Error::Partly { restored: puts.done, total, cause: Box::new(cause) })
            }
            other => other,
        }
    }

    async fn put_all(&self, path: PathBuf, head: Head, puts: &mut Puts<'_>) -> Result<()> {
        let mut file = self.work(move |_| BackupFile::reopen(&path, &head)).await?;
        loop {
            let next = self.work(move |_| {
                let writes = file.next_writes()?;
                Ok((file, writes))
            });
            let (same, writes) = next.await?;
            file = same;
            match writes {
                None => return Ok(()),
                Some(Restoring::Table { name, ordered }) => {
                    self.compare_default_table(&name, ordered);
                    puts.create(&name, ordered).await?;
                }
                Some(Restoring::Puts(writes)) => {
                    for write in writes {
                        puts.put(write).await?;
                    }
                }
            }
        }
    }

    /// The default table is what the cluster was made with, whatever the backup had: so a table
    /// gets another type by way of a backup.
    fn compare_default_table(&self, name: &str, ordered: bool) {
        let backed_up = if ordered { TableType::OrderedSet } else { TableType::Set };
        let table_type = self.applied.table().table_type();
        if name.is_empty() && backed_up != table_type {
            tracing::warn!(
                "the default table of the backup is a {backed_up}; that of this cluster is a \
                 {table_type}, and stays so"
            );
        }
    }

    /// Until this member has applied what was acknowledged anywhere before.
    async fn sync(&self, timeout: Duration) -> Result<()> {
        let (sender, synced) = oneshot::channel();
        let ready = Box::new(move |ready| {
            // The one who waits is this function.
            let _ = sender.send(ready);
        });
        let read = Read { deadline: Instant::now() + timeout, from_index: None, ready };
        self.requests.reads.send(read).await.map_err(|_| Error::Stopped)?;
        Ok(synced.await.map_err(|_| Error::Stopped)??)
    }

    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Worker) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let worker = self.worker.clone();
        let done = self.worker.run(move || Ok(work(&worker))).await;
        // The work has an error of its own: this one says that it was not done.
        done.unwrap_or(Err(Error::Stopped))
    }
}

/// Puts on their way through the queue of the member: a quarter of what may wait there.
struct Puts<'a> {
    service: &'a BackupService,
    timeout: Duration,
    answer: mpsc::UnboundedSender<(usize, Result<()>)>,
    answers: mpsc::UnboundedReceiver<(usize, Result<()>)>,
    waiting: usize,
    waiting_bytes: usize,
    sent: u64,
    done: u64,
}

impl<'a> Puts<'a> {
    fn new(service: &'a BackupService, timeout: Duration) -> Self {
        let (answer, answers) = mpsc::unbounded_channel();
        Puts { service, timeout, answer, answers, waiting: 0, waiting_bytes: 0, sent: 0, done: 0 }
    }

    /// An error is that of any put before this one; this one was not sent then.
    async fn put(&mut self, encoded: Vec<u8>) -> Result<()> {
        let bytes = encoded.len();
        let permit = self.room(bytes).await?;
        let answer = self.answer.clone();
        let reply = Box::new(move |result: Result<_>| {
            // Nobody waits any more when the member is stopping.
            let done = result.and_then(|answer| match answer {
                Answer::Failed(failure) => Err(Error::Unfit(failure)),
                _ => Ok(()),
            });
            let _ = answer.send((bytes, done));
        });
        let deadline = Instant::now() + self.timeout;
        let write = Write::new(encoded, deadline, reply, permit);
        self.service.requests.writes.send(write).await.map_err(|_| Error::Stopped)?;
        self.waiting += 1;
        self.waiting_bytes += bytes;
        self.sent += 1;
        Ok(())
    }

    /// The table is there when this returns: puts may overtake each other.
    async fn create(&mut self, name: &str, ordered: bool) -> Result<()> {
        self.settle().await?;
        if name.is_empty() {
            return Ok(());
        }
        let head = write::Write::CreateTable { table: name, ordered };
        self.put(write::Encoded::of(&head).into_bytes()).await?;
        self.settle().await
    }

    async fn room(&mut self, bytes: usize) -> Result<Permit> {
        let limits = &self.service.limits;
        loop {
            let is_crowded = self.waiting >= (limits.queue_requests_max / 4).max(1)
                || self.waiting_bytes + bytes > limits.queue_bytes_max / 4;
            if (!is_crowded || self.waiting == 0)
                && let Some(permit) = self.service.requests.load.take(bytes)
            {
                return Ok(permit);
            }
            match self.waiting {
                0 => tokio::time::sleep(RETRY_DELAY).await,
                _ => self.take_answer().await?,
            }
        }
    }

    async fn take_answer(&mut self) -> Result<()> {
        let (bytes, result) = self.answers.recv().await.ok_or(Error::Stopped)?;
        self.waiting -= 1;
        self.waiting_bytes -= bytes;
        self.done += u64::from(result.is_ok());
        result
    }

    /// Waits for all answers; the first error among them.
    async fn settle(&mut self) -> Result<()> {
        let mut settled = Ok(());
        while self.waiting > 0 {
            settled = settled.and(self.take_answer().await);
        }
        settled
    }
}
