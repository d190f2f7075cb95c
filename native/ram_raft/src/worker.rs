//! A thread for work that takes long: snapshots are written and read there, one after the other.
//! The simulation has no thread and works in the caller.

use parking_lot::Mutex;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::Instant;
use tokio::sync::oneshot;

type Job = Box<dyn FnOnce() + Send>;
type Running = (Sender<Job>, JoinHandle<()>);

/// Takes half of one processor at most, since requests may need it.
pub struct Pace {
    working_since: Instant,
}

impl Pace {
    pub fn begin() -> Pace {
        Pace { working_since: Instant::now() }
    }

    /// Rests as long as was worked since the last rest.
    pub fn rest(&mut self) {
        std::thread::sleep(self.working_since.elapsed());
        self.working_since = Instant::now();
    }
}

/// Clones share the thread. [`Worker::close`] ends and joins it.
#[derive(Clone)]
pub struct Worker {
    is_inline: bool,
    /// Guards the way to the thread; `None` once closed, and without one.
    thread: Arc<Mutex<Option<Running>>>,
    closing: Arc<AtomicBool>,
}

impl Worker {
    pub fn start(name: &str) -> io::Result<Worker> {
        let (sender, jobs) = channel::<Job>();
        let thread = ram_threads::spawn(name, move || jobs.into_iter().for_each(|job| job()))?;
        let thread = Arc::new(Mutex::new(Some((sender, thread))));
        Ok(Worker { is_inline: false, thread, closing: Arc::default() })
    }

    /// Works before it answers, on the caller's thread.
    pub fn inline() -> Worker {
        Worker { is_inline: true, thread: Arc::default(), closing: Arc::default() }
    }

    /// Runs `work` on the thread and waits for its result without blocking the caller's.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        if self.is_inline && !self.is_closing() {
            return work();
        }
        let (sender, receiver) = oneshot::channel();
        let job: Job = Box::new(move || {
            // Nobody waits any more when the member is stopping.
            let _ = sender.send(work());
        });
        let closed = || io::Error::other("the member is stopping");
        match self.thread.lock().as_ref() {
            Some((jobs, _)) => jobs.send(job).map_err(|_| closed())?,
            None => return Err(closed()),
        }
        receiver.await.unwrap_or_else(|_| Err(io::Error::other("the work was abandoned")))
    }

    /// Is somebody waiting for the work to end? What takes long and may be given up asks.
    pub fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Relaxed)
    }

    /// For work that takes long, to be asked between its parts: an error when it is to be given up.
    pub fn go_on(&self) -> io::Result<()> {
        if self.is_closing() { Err(io::Error::other("the member is stopping")) } else { Ok(()) }
    }

    /// Has work that takes long given up; [`Worker::close`] follows.
    pub fn give_up(&self) {
        self.closing.store(true, Ordering::Relaxed);
    }

    /// Waits for the work that was given and ends the thread.
    pub fn close(&self) {
        self.give_up();
        let thread = self.thread.lock().take();
        if let Some((jobs, thread)) = thread {
            drop(jobs);
            // A panic in a job was answered with an error already.
            let _ = thread.join();
        }
    }
}
