//! [`Log`]: the handle to the log that the rest of the member uses.
//!
//! Operations go into one queue. The flush loop takes all that are queued, writes them as one batch
//! with one sync, and runs their callbacks in the order of the operations; while it syncs, the next
//! batch gathers. So the size of a group adapts to the speed of the disk.
//!
//! The queue has no bound of its own: refusing here would break Raft in the middle of a step. Its
//! users bound it: Raft limits what is in flight.

use std::fmt;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use bytes::Bytes;
use parking_lot::{Condvar, Mutex};

use super::entry_reader::read_entries;
use super::flush_loop::{Shared, State, spawn};
use super::operation::Operation;
use super::options::{FlushMode, LogOptions};
use super::queue::{Done, Queue};
use super::recovery::recover;
use super::segment::SEGMENT_BYTES_MAX;
use super::stats::{Counters, LogStats};
use super::view::View;
use super::writer::Writer;
use ram_disk::Disk;
use ram_disk::DiskError;
use ram_limits::RECORD_BYTES_MAX;

/// A handle to the log of one member. Clones share the log; with the last one it closes.
#[derive(Clone)]
pub struct Log {
    owner: Arc<Owner>,
}

/// Closes the log when the last handle is dropped.
struct Owner {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.owner.shared.state.lock();
        f.debug_struct("Log")
            .field("bounds", state.view.bounds())
            .field("failure", &state.failure)
            .finish_non_exhaustive()
    }
}

impl Log {
    /// Opens the log in `disk`, or creates one. What it reports from then on is durable.
    ///
    /// # Errors
    ///
    /// [`DiskError::Corrupt`] and [`DiskError::Missing`] when synced data was damaged: a shortened
    /// log is never opened. [`DiskError::Version`] and [`DiskError::Io`] for the rest.
    pub fn open(disk: Arc<dyn Disk>, options: LogOptions) -> Result<Self, DiskError> {
        let mut log = recover(disk.as_ref())?;
        let segment_bytes = options.segment_bytes.min(SEGMENT_BYTES_MAX);
        let counters = Arc::new(Counters::default());
        let writer = Writer::new(disk, segment_bytes, Arc::clone(&counters), &log)?;
        while writer.has_purged()
            && let Some(dead) = log.locations.take_dead()
        {
            writer.remove(&dead).map_err(DiskError::io(&dead.name))?;
        }
        counters.count_segments(log.locations.segments())?;
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                view: View::new(log, options.cache_bytes),
                queue: Queue::default(),
                failure: None,
                closing: false,
                writer: None,
            }),
            wake: Condvar::new(),
            counters,
            record_bytes_max: options.record_bytes_max.min(RECORD_BYTES_MAX),
            batch_bytes_max: options.batch_bytes_max.min(RECORD_BYTES_MAX),
            flush: options.flush,
        });
        let thread = match options.flush {
            FlushMode::Thread => Some(spawn(&shared, writer)?),
            FlushMode::Inline | FlushMode::Manual => {
                shared.state.lock().writer = Some(writer);
                None
            }
        };
        Ok(Self { owner: Arc::new(Owner { shared, thread: Mutex::new(thread) }) })
    }

    /// The index of the first entry.
    #[must_use]
    pub fn first_index(&self) -> Option<u64> {
        self.owner.shared.state.lock().view.bounds().first()
    }

    /// The index of the last entry, durable or not.
    #[must_use]
    pub fn last_index(&self) -> Option<u64> {
        self.owner.shared.state.lock().view.bounds().last()
    }

    /// The index up to which entries were purged.
    #[must_use]
    pub fn purged_index(&self) -> Option<u64> {
        self.owner.shared.state.lock().view.bounds().purged()
    }

    /// The named value that was set last.
    #[must_use]
    pub fn value(&self, name: u8) -> Option<Bytes> {
        self.owner.shared.state.lock().view.value(name)
    }

    /// Adds entries, each with the index behind the one before; an empty log that was never purged
    /// takes any first index. `done` gets `InvalidInput`, and nothing is added, when there is a
    /// hole or a body is longer than [`LogOptions::record_bytes_max`]. A crash may leave the first
    /// of them without the rest.
    pub fn append(&self, entries: Vec<(u64, Bytes)>, done: Done) {
        self.owner.shared.submit(Operation::Append(entries), done);
    }

    /// Drops the entries above `after`, or all. What was purged stays purged: the next index is
    /// never at or below it.
    pub fn truncate_after(&self, after: Option<u64>, done: Done) {
        self.owner.shared.submit(Operation::Truncate(after), done);
    }

    /// Drops the entries up to `upto`. Beyond the end it empties the log, which then goes on with
    /// `upto + 1`. Space is freed by whole segments, some time after `done` ran.
    pub fn purge(&self, upto: u64, done: Done) {
        self.owner.shared.submit(Operation::Purge(upto), done);
    }

    /// Sets a small named value. Every new segment begins with all named values.
    pub fn set_value(&self, name: u8, body: Bytes, done: Done) {
        self.owner.shared.submit(Operation::SetValue(name, body), done);
    }

    /// As [`set_value`](Self::set_value), written with the next batch or at closing, and without a
    /// sync of its own; there is no callback. It is never durable before an operation that was
    /// submitted earlier.
    pub fn set_value_lazy(&self, name: u8, body: Bytes) {
        self.owner.shared.submit_lazily(name, body);
    }

    /// The entries in `range` that exist, in order: at least one if there is one, then as many as
    /// have `bytes_max` bytes of bodies together.
    ///
    /// # Errors
    ///
    /// The file could not be read, or `InvalidData` when its bytes have changed since they were
    /// written.
    pub fn read(&self, range: Range<u64>, bytes_max: u64) -> io::Result<Vec<(u64, Bytes)>> {
        let found = self.owner.shared.state.lock().view.find(range, bytes_max)?;
        read_entries(found)
    }

    /// The bytes that were written since the record of the entry `index`, it included; 0 if it is
    /// not, or not yet, written.
    #[must_use]
    pub fn bytes_since(&self, index: u64) -> u64 {
        self.owner.shared.state.lock().view.bytes_since(index)
    }

    /// The first entry with which at most `bytes_max` bytes were written since; `None` if even the
    /// last one has more.
    #[must_use]
    pub fn first_within(&self, bytes_max: u64) -> Option<u64> {
        self.owner.shared.state.lock().view.first_within(bytes_max)
    }

    /// The counters of this log.
    #[must_use]
    pub fn stats(&self) -> LogStats {
        self.owner.shared.counters.stats()
    }

    /// Why this log accepts nothing any more. After the first failure nothing is tried again: a
    /// second sync would succeed without having written what the first one lost.
    #[must_use]
    pub fn failed(&self) -> Option<String> {
        self.owner.shared.state.lock().failure.clone()
    }

    /// With [`FlushMode::Manual`]: writes the queued operations and runs their callbacks.
    pub fn flush(&self) {
        self.owner.shared.flush_all();
    }

    /// Writes the queued operations, runs their callbacks, and ends the flush loop. Later
    /// operations get an error; reading goes on. From inside a callback it does not wait.
    ///
    /// # Errors
    ///
    /// The log had failed, or failed now.
    pub fn close(&self) -> io::Result<()> {
        self.owner.close();
        match self.failed() {
            Some(failure) => Err(io::Error::other(failure)),
            None => Ok(()),
        }
    }
}

impl Owner {
    fn close(&self) {
        self.shared.state.lock().closing = true;
        match self.shared.flush {
            FlushMode::Thread => {
                self.shared.wake.notify_all();
                let thread = self.thread.lock().take();
                // A callback may hold the last handle: a thread cannot wait for itself.
                if let Some(thread) = thread.filter(|of| of.thread().id() != thread::current().id())
                {
                    // It ends in no other way than by returning.
                    let _ = thread.join();
                }
            }
            FlushMode::Inline | FlushMode::Manual => self.shared.flush_all(),
        }
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.close();
    }
}
