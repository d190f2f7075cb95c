//! Reads of several keys, of other tables than the default one, and of a revision at least.
//!
//! What a caller looks at is of one moment: on its own thread when no write is made meanwhile
//! ([`Tables::consistent`]) and its read mode lets this member answer now; else it is queued, and
//! looked at on the thread that applies, between two writes.

use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::handle::Handle;
use crate::{Error, Reply, Result};
use ram_lease::mode::{ReadMode, ReadPath, Scope};
use ram_raft::state_machine::Applied;
use ram_table::tables::Tables;

/// A write that takes several steps has the thread that applies in turn with others.
const RETRY_DELAY: Duration = Duration::from_millis(1);

/// How new the state has to be that a read sees.
#[derive(Debug, Clone, Copy)]
pub struct Freshness {
    pub mode: ReadMode,
    /// The revision, and what came before it; 0 where any will do.
    pub at_least: u64,
}

impl Handle {
    /// What `look` returns of the tables as they are at one moment, if this member may answer such
    /// a read at once and alone: no queue, no wait, from any thread. `None`: it may not, ask
    /// [`Handle::look_later`].
    pub fn look_now<T>(
        &self,
        freshness: Freshness,
        scope: Scope<'_>,
        look: impl FnOnce(&Tables) -> T,
    ) -> Result<Option<T>> {
        let tables = self.applied().tables();
        let answer = tables.consistent(|| {
            let is_new = tables.revision() >= freshness.at_least;
            let may_read =
                is_new && self.reads().read_path_of(freshness.mode, scope) == ReadPath::Now;
            may_read.then(|| look(tables))
        });
        // A table that was closed meanwhile has shown nothing.
        if tables.is_closed() {
            return Err(Error::Stopped);
        }
        let answer = answer.flatten();
        if answer.is_some() {
            self.reads().counts.count_local();
        }
        Ok(answer)
    }

    /// Calls `reply` with what `look` returns of the tables at one moment, as soon as this mode
    /// allows. `bytes`: what the request holds meanwhile.
    pub fn look_later<T: Send + 'static>(
        &self,
        freshness: Freshness,
        scope: Scope<'_>,
        (bytes, deadline): (usize, std::time::Instant),
        look: impl FnOnce(&Tables) -> T + Send + 'static,
        reply: Reply<T>,
    ) -> Result<()> {
        let (applied, deadline) = (self.applied().clone(), Instant::from_std(deadline));
        let permit = self.permit(bytes)?;
        let ready = Box::new(move |ready: std::result::Result<(), _>| {
            let at_least = freshness.at_least;
            if let Err(unserved) = ready {
                drop(permit);
                return reply(Err(Error::from(unserved)));
            }
            let shown = Shown { applied, at_least, deadline };
            if shown.is_now() {
                drop(permit);
                return reply(shown.look(look));
            }
            // On the thread that applies, as the caller of this.
            tokio::spawn(async move {
                let waited = shown.wait().await;
                drop(permit);
                reply(waited.and_then(|()| shown.look(look)));
            });
        });
        let from_index = self.counted_path(freshness.mode, scope);
        self.enqueue_read(deadline, from_index, ready)
    }
}

/// The tables between two writes, when they show a revision.
struct Shown {
    applied: Applied,
    at_least: u64,
    deadline: Instant,
}

impl Shown {
    fn is_now(&self) -> bool {
        let tables = self.applied.tables();
        tables.revision() >= self.at_least && !tables.is_writing()
    }

    fn look<T>(&self, look: impl FnOnce(&Tables) -> T) -> Result<T> {
        let tables = self.applied.tables();
        let found = look(tables);
        if tables.is_closed() { Err(Error::Stopped) } else { Ok(found) }
    }

    async fn wait(&self) -> Result<()> {
        let mut index: watch::Receiver<u64> = self.applied.watch();
        while !self.is_now() {
            index.borrow_and_update();
            if self.applied.tables().is_writing() {
                tokio::time::sleep(RETRY_DELAY).await;
            } else if self.applied.tables().revision() < self.at_least {
                tokio::select! {
                    changed = index.changed() => changed.map_err(|_| Error::Stopped)?,
                    () = tokio::time::sleep_until(self.deadline) => {}
                }
            }
            if Instant::now() >= self.deadline {
                return Err(Error::Timeout);
            }
        }
        Ok(())
    }
}
