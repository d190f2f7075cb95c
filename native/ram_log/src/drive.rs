//! Who drives the writer: takes what waits, has it written, shows it, and tells those who asked.
//!
//! With [`Driver::Thread`] that is the thread `ram-log`; with [`Driver::Inline`] whoever asks while
//! nobody else is at it, and with [`Driver::Called`] whoever is called to. Every failure ends here:
//! it poisons the log, and each operation that is waiting or comes later is answered with its
//! cause. No lock is held during disk access or a callback.

use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;

use bytes::Bytes;
use parking_lot::{Condvar, Mutex};

use super::change::Change;
use super::error::LogError;
use super::options::Driver;
use super::queue::{Asked, Done, Queue, Work};
use super::stats::Counters;
use super::view::{View, refused};
use super::writer::Writer;
use ram_limits::SLOT_BYTES_MAX;

pub(super) struct Shared {
    /// The view and the queue under one lock, so that operations are written in the order in which
    /// they show. Never held during disk access or a callback.
    pub(super) state: Mutex<State>,
    /// Tells the writer thread that there is work, or that it shall end.
    pub(super) wake: Condvar,
    pub(super) counters: Arc<Counters>,
    pub(super) record_bytes_max: usize,
    pub(super) batch_bytes_max: usize,
    pub(super) driver: Driver,
}

pub(super) struct State {
    pub(super) view: View,
    pub(super) queue: Queue,
    /// The first failure. It stands for all that come after.
    pub(super) failure: Option<String>,
    pub(super) closing: bool,
    /// Without a thread: the writer, while nobody is driving it.
    pub(super) writer: Option<Writer>,
}

pub(super) fn spawn(shared: &Arc<Shared>, mut writer: Writer) -> Result<JoinHandle<()>, LogError> {
    let shared = Arc::clone(shared);
    let drive = move || {
        while let Some(work) = shared.wait_for_work() {
            shared.perform(&mut writer, work);
        }
    };
    ram_threads::spawn("ram-log", drive).map_err(LogError::io("the thread ram-log"))
}

impl Shared {
    pub(super) fn ask(&self, change: Change, done: Done) {
        if let Err(error) = self.enqueue(change, done) {
            let (error, done) = *error;
            done(Err(error));
        } else if self.driver == Driver::Inline {
            self.drive_inline();
        }
    }

    /// Gives the callback back where the operation is refused, to be run without the lock.
    fn enqueue(&self, change: Change, done: Done) -> Result<(), Box<(io::Error, Done)>> {
        if let Err(error) = self.check_bytes(&change) {
            return Err(Box::new((error, done)));
        }
        let mut pieces = change.into_pieces(self.batch_bytes_max);
        let mut guard = self.state.lock();
        let state = &mut *guard;
        let ticket = state.queue.next_ticket() + (pieces.len() as u64).saturating_sub(1);
        if let Err(error) = state.check_open().and_then(|()| state.view.ask(&pieces, ticket)) {
            return Err(Box::new((error, done)));
        }
        let last = pieces.pop_back();
        for change in pieces {
            // When it fails, so does the last: nothing is written after a failure.
            state.queue.push(Asked { change, done: Box::new(|_| {}) });
        }
        if let Some(change) = last {
            state.queue.push(Asked { change, done });
        }
        drop(guard);
        self.wake.notify_one();
        Ok(())
    }

    pub(super) fn ask_lazily(&self, slot: u8, body: Bytes) {
        let change = Change::State(slot, body.clone());
        if let Err(error) = self.check_bytes(&change) {
            tracing::error!(slot, %error, "a value was not stored");
            return;
        }
        let mut guard = self.state.lock();
        let state = &mut *guard;
        let ticket = state.queue.next_ticket();
        let pieces = VecDeque::from([change]);
        if state.check_open().and_then(|()| state.view.ask(&pieces, ticket)).is_ok() {
            state.queue.push_lazy(slot, body);
        }
    }

    fn check_bytes(&self, change: &Change) -> io::Result<()> {
        let body = change.bodies().max().unwrap_or(0);
        let max = match change {
            // All slots are written again with every segment.
            Change::State(..) => self.record_bytes_max.min(SLOT_BYTES_MAX),
            _ => self.record_bytes_max,
        };
        if body > max {
            return Err(refused(format!("a record of {body} bytes, more than the {max} allowed")));
        }
        Ok(())
    }

    /// `None` when the log is closed or has failed.
    fn wait_for_work(&self) -> Option<Work> {
        let mut state = self.state.lock();
        loop {
            if state.failure.is_some() {
                return None;
            }
            let closing = state.closing;
            let work = state.queue.take(self.batch_bytes_max, closing);
            if work.is_some() || closing {
                return work;
            }
            self.wake.wait(&mut state);
        }
    }

    /// Writes until nothing waits. Returns at once if somebody does that already, maybe the one
    /// whose callback is asking: they will find what was put into the queue.
    pub(super) fn drive_inline(&self) {
        let mut state = self.state.lock();
        let Some(mut writer) = state.writer.take() else { return };
        loop {
            let closing = state.closing;
            let work = if state.failure.is_none() {
                state.queue.take(self.batch_bytes_max, closing)
            } else {
                None
            };
            let Some(work) = work else { break };
            drop(state);
            self.perform(&mut writer, work);
            state = self.state.lock();
        }
        state.writer = Some(writer);
    }

    /// One batch: write, sync, show, tell.
    fn perform(&self, writer: &mut Writer, work: Work) {
        match writer.write(work.changes()) {
            Ok(placed) => {
                self.state.lock().view.written(placed, work.ticket);
                for asked in work.asked {
                    self.tell(asked.done, Ok(()));
                }
                if let Err(error) = self.remove_dead(writer) {
                    self.fail(&error.to_string());
                }
            }
            Err(error) => {
                let why = error.to_string();
                // First the failure, then the callbacks: they may ask for more.
                let waiting = self.poison(&why);
                for asked in work.asked.into_iter().chain(waiting) {
                    self.tell(asked.done, Err(io::Error::other(why.clone())));
                }
            }
        }
    }

    fn remove_dead(&self, writer: &Writer) -> io::Result<()> {
        while writer.has_purged() {
            // One statement, so that the lock is not held during the removal.
            let dead = self.state.lock().view.offsets().take_dead();
            let Some(dead) = dead else { break };
            writer.remove(&dead)?;
        }
        Ok(())
    }

    /// A callback that panics ends this log, not the thread of whoever drives it.
    fn tell(&self, done: Done, result: io::Result<()>) {
        if catch_unwind(AssertUnwindSafe(|| done(result))).is_err() {
            self.fail("a callback of the log panicked");
        }
    }

    fn fail(&self, why: &str) {
        for asked in self.poison(why) {
            self.tell(asked.done, Err(io::Error::other(why.to_owned())));
        }
    }

    /// Accepts nothing from now on, and returns what was waiting.
    fn poison(&self, why: &str) -> Vec<Asked> {
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
