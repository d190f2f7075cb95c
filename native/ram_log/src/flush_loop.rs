//! The flush loop (group commit): takes a batch from the queue, writes and syncs it, shows where it
//! stands, and runs the callbacks.
//!
//! It runs on the thread `ram-log`, in the caller of an operation, or in the caller of
//! [`Log::flush`](super::Log::flush): see [`FlushMode`]. The first failure fails the log: every
//! queued and every later operation gets its cause. No lock is held during disk access or a
//! callback.
//!
//! Group commit: DeWitt et al., "Implementation Techniques for Main Memory Database Systems",
//! SIGMOD 1984.

use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;

use bytes::Bytes;
use parking_lot::{Condvar, Mutex};

use super::operation::Operation;
use super::options::FlushMode;
use super::queue::{Batch, Done, Queue, QueuedOperation};
use super::stats::Counters;
use super::view::{View, refused};
use super::writer::Writer;
use ram_disk::DiskError;
use ram_limits::NAMED_VALUE_BYTES_MAX;

pub(super) struct Shared {
    /// The view and the queue under one lock, so that operations are written in the order in which
    /// they show. Never held during disk access or a callback.
    pub(super) state: Mutex<State>,
    /// Tells the thread `ram-log` that there is a batch, or that it has to end.
    pub(super) wake: Condvar,
    pub(super) counters: Arc<Counters>,
    pub(super) record_bytes_max: usize,
    pub(super) batch_bytes_max: usize,
    pub(super) flush: FlushMode,
}

pub(super) struct State {
    pub(super) view: View,
    pub(super) queue: Queue,
    /// The first failure. Every later operation gets it.
    pub(super) failure: Option<String>,
    pub(super) closing: bool,
    /// Without a thread: the writer, while nobody runs the loop.
    pub(super) writer: Option<Writer>,
}

pub(super) fn spawn(shared: &Arc<Shared>, mut writer: Writer) -> Result<JoinHandle<()>, DiskError> {
    let shared = Arc::clone(shared);
    let flush_loop = move || {
        while let Some(batch) = shared.wait_for_batch() {
            shared.flush_batch(&mut writer, batch);
        }
    };
    ram_threads::spawn("ram-log", flush_loop).map_err(DiskError::io("the thread ram-log"))
}

impl Shared {
    pub(super) fn submit(&self, operation: Operation, done: Done) {
        if let Err(error) = self.enqueue(operation, done) {
            let (error, done) = *error;
            done(Err(error));
        } else if self.flush == FlushMode::Inline {
            self.flush_all();
        }
    }

    /// Gives the callback back where the operation is refused, to be run without the lock.
    fn enqueue(&self, operation: Operation, done: Done) -> Result<(), Box<(io::Error, Done)>> {
        if let Err(error) = self.check_bytes(&operation) {
            return Err(Box::new((error, done)));
        }
        let mut parts = operation.split(self.batch_bytes_max);
        let mut guard = self.state.lock();
        let state = &mut *guard;
        let sequence = state.queue.next_sequence() + (parts.len() as u64).saturating_sub(1);
        if let Err(error) = state.check_open().and_then(|()| state.view.show(&parts, sequence)) {
            return Err(Box::new((error, done)));
        }
        let last = parts.pop_back();
        for operation in parts {
            // When it fails, so does the last: nothing is written after a failure.
            state.queue.push(QueuedOperation { operation, done: Box::new(|_| {}) });
        }
        if let Some(operation) = last {
            state.queue.push(QueuedOperation { operation, done });
        }
        drop(guard);
        self.wake.notify_one();
        Ok(())
    }

    pub(super) fn submit_lazily(&self, name: u8, body: Bytes) {
        let operation = Operation::SetValue(name, body.clone());
        if let Err(error) = self.check_bytes(&operation) {
            tracing::error!(name, %error, "a value was not stored");
            return;
        }
        let mut guard = self.state.lock();
        let state = &mut *guard;
        let sequence = state.queue.next_sequence();
        let parts = VecDeque::from([operation]);
        if state.check_open().and_then(|()| state.view.show(&parts, sequence)).is_ok() {
            state.queue.push_lazy(name, body);
        }
    }

    fn check_bytes(&self, operation: &Operation) -> io::Result<()> {
        let body = operation.bodies().max().unwrap_or(0);
        let max = match operation {
            // Every segment begins with all named values.
            Operation::SetValue(..) => self.record_bytes_max.min(NAMED_VALUE_BYTES_MAX),
            _ => self.record_bytes_max,
        };
        if body > max {
            return Err(refused(format!("a record of {body} bytes, more than the {max} allowed")));
        }
        Ok(())
    }

    /// `None` when the log is closed or has failed.
    fn wait_for_batch(&self) -> Option<Batch> {
        let mut state = self.state.lock();
        loop {
            if state.failure.is_some() {
                return None;
            }
            let closing = state.closing;
            let batch = state.queue.take(self.batch_bytes_max, closing);
            if batch.is_some() || closing {
                return batch;
            }
            self.wake.wait(&mut state);
        }
    }

    /// Without a thread: writes until the queue is empty. Returns at once while the loop runs
    /// elsewhere, maybe around the callback that calls this: that one takes what was queued.
    pub(super) fn flush_all(&self) {
        let mut state = self.state.lock();
        let Some(mut writer) = state.writer.take() else { return };
        loop {
            let closing = state.closing;
            let batch = if state.failure.is_none() {
                state.queue.take(self.batch_bytes_max, closing)
            } else {
                None
            };
            let Some(batch) = batch else { break };
            drop(state);
            self.flush_batch(&mut writer, batch);
            state = self.state.lock();
        }
        state.writer = Some(writer);
    }

    fn flush_batch(&self, writer: &mut Writer, batch: Batch) {
        match writer.write(batch.operations()) {
            Ok(updates) => {
                self.state.lock().view.written(updates, batch.sequence);
                for queued in batch.queued {
                    self.run_callback(queued.done, Ok(()));
                }
                if let Err(error) = self.remove_dead(writer) {
                    self.fail(&error.to_string());
                }
            }
            Err(error) => {
                let why = error.to_string();
                // First the failure, then the callbacks: they may submit more.
                let waiting = self.set_failure(&why);
                for queued in batch.queued.into_iter().chain(waiting) {
                    self.run_callback(queued.done, Err(io::Error::other(why.clone())));
                }
            }
        }
    }

    fn remove_dead(&self, writer: &Writer) -> io::Result<()> {
        while writer.has_purged() {
            // One statement, so that the lock is not held during the removal.
            let dead = self.state.lock().view.locations().take_dead();
            let Some(dead) = dead else { break };
            writer.remove(&dead)?;
        }
        Ok(())
    }

    /// A callback that panics fails this log, and does not end the thread that runs the loop.
    fn run_callback(&self, done: Done, result: io::Result<()>) {
        if catch_unwind(AssertUnwindSafe(|| done(result))).is_err() {
            self.fail("a callback of the log panicked");
        }
    }

    fn fail(&self, why: &str) {
        for queued in self.set_failure(why) {
            self.run_callback(queued.done, Err(io::Error::other(why.to_owned())));
        }
    }

    /// Accepts nothing from now on, and returns the queued operations.
    fn set_failure(&self, why: &str) -> Vec<QueuedOperation> {
        let mut state = self.state.lock();
        if state.failure.is_none() {
            tracing::error!(why, "the log failed; the member has to stop");
            state.failure = Some(why.to_owned());
        }
        state.queue.drain()
    }
}

impl State {
    fn check_open(&self) -> io::Result<()> {
        match &self.failure {
            Some(failure) => Err(io::Error::other(failure.clone())),
            None if self.closing => Err(io::Error::other("the log is closed")),
            None => Ok(()),
        }
    }
}
