//! The way to the hub for other threads: acknowledgements and ends wait, at most one of each for a
//! watch, until the thread that applies takes them. An acknowledgement wakes that thread only if
//! the watch has something that waits for credit: else the next write takes it along.

use parking_lot::Mutex;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokio::sync::Notify;

use super::observed::Observed;
use super::{Compacted, Deliver, Hub, Initial, Observer, Spec};

/// Messages between which others have their turn.
const STEPS_AT_ONCE: usize = 16;

/// The watches of a member. Clones share them.
#[derive(Clone)]
pub struct Watches(Arc<Shared>);

struct Shared {
    /// Taken for moments; by the thread that applies, but for counts.
    hub: Mutex<Hub>,
    /// What is asked of the hub. Taken for moments by any thread.
    asked: Mutex<Asked>,
    wake: Notify,
    next_id: AtomicU64,
}

#[derive(Default)]
struct Asked {
    /// The newest revision that was acknowledged, and how often.
    acks: HashMap<u64, (u64, usize)>,
    ends: HashSet<u64>,
    is_closed: bool,
}

/// A watch, as the hub and its owner know it.
#[derive(Debug)]
pub struct Token {
    id: u64,
    is_ended: AtomicBool,
    /// It has something to send, and no credit.
    is_starved: AtomicBool,
}

impl Token {
    pub fn id(&self) -> u64 {
        self.id
    }

    pub fn is_ended(&self) -> bool {
        self.is_ended.load(Ordering::Acquire)
    }

    pub fn set_starved(&self, is_starved: bool) {
        self.is_starved.store(is_starved, Ordering::SeqCst);
    }
}

/// What the owner of a watch holds, begun or not. Any thread may use it; clones are of the same
/// watch.
#[derive(Clone)]
pub struct Control {
    watches: Watches,
    token: Arc<Token>,
}

impl Control {
    /// The receiver has seen a message of this revision, and all before it.
    pub fn ack(&self, revision: u64) {
        let ask = |asked: &mut Asked| {
            let (newest, messages) = asked.acks.entry(self.token.id).or_insert((revision, 0));
            match revision.cmp(newest) {
                std::cmp::Ordering::Less => {}
                std::cmp::Ordering::Equal => *messages += 1,
                std::cmp::Ordering::Greater => (*newest, *messages) = (revision, 1),
            }
        };
        self.watches.ask(ask);
        // The hub says that it is starved, and then looks for acknowledgements: one of us sees the
        // other.
        if self.token.is_starved.load(Ordering::SeqCst) {
            self.watches.0.wake.notify_one();
        }
    }

    /// Nothing is sent from now on, and it begins no more.
    pub fn end(&self) {
        self.token.is_ended.store(true, Ordering::Release);
        self.watches.ask(|asked| _ = asked.ends.insert(self.token.id));
        self.watches.0.wake.notify_one();
    }

    /// As [`Control::end`]; nothing is being sent when it returns. Waits for the thread that
    /// applies, while that sends a message.
    pub fn end_now(&self) {
        self.token.is_ended.store(true, Ordering::Release);
        self.watches.with(|hub| hub.end(self.token.id));
    }

    /// Was everything sent, until now?
    #[cfg(feature = "simulation")]
    pub fn is_idle(&self) -> bool {
        self.watches.with(|hub| hub.is_idle(self.token.id))
    }

    /// Begins the watch, on the thread that applies and between two writes: see [`Hub`].
    pub fn begin(
        &self,
        spec: Spec,
        initial: Option<Initial>,
        deliver: Box<dyn Deliver>,
    ) -> Result<u64, Compacted> {
        let begun = self.watches.0.hub.lock().register(&self.token, spec, initial, deliver);
        self.watches.0.wake.notify_one();
        begun
    }
}

impl Watches {
    /// `revision`: of the newest write.
    pub fn new(history_bytes_max: u64, revision: u64) -> Watches {
        Watches(Arc::new(Shared {
            hub: Mutex::new(Hub::new(history_bytes_max, revision)),
            asked: Mutex::default(),
            wake: Notify::new(),
            next_id: AtomicU64::new(1),
        }))
    }

    /// For the state machine.
    pub fn observer(&self) -> Box<dyn Observer> {
        Box::new(Observed(self.clone()))
    }

    /// A watch that has not begun.
    pub fn control(&self) -> Control {
        let id = self.0.next_id.fetch_add(1, Ordering::Relaxed);
        let (is_ended, is_starved) = (AtomicBool::new(false), AtomicBool::new(false));
        Control { watches: self.clone(), token: Arc::new(Token { id, is_ended, is_starved }) }
    }

    /// How many there are, the bytes that wait for credit, and those of the history.
    pub fn sizes(&self) -> (usize, u64, u64) {
        let hub = self.0.hub.lock();
        (hub.count(), hub.queued_bytes(), hub.history_bytes())
    }

    /// A write is over. Looks for acknowledgements before, so that there is credit for it, and
    /// again when a watch has none: see [`Control::ack`].
    pub(super) fn written(&self, revision: u64) {
        self.take_asked();
        let has_starved = self.with(|hub| hub.written(revision));
        if has_starved {
            self.take_asked();
            self.0.wake.notify_one();
        }
    }

    pub(super) fn with<T>(&self, call: impl FnOnce(&mut Hub) -> T) -> T {
        call(&mut self.0.hub.lock())
    }

    fn ask(&self, ask: impl FnOnce(&mut Asked)) {
        let mut asked = self.0.asked.lock();
        if !asked.is_closed {
            ask(&mut asked);
        }
    }

    /// Does what was asked, and sends what waited for it, as long as the member runs.
    pub async fn serve(self) {
        loop {
            self.0.wake.notified().await;
            self.take_asked();
            while self.step() {
                tokio::task::yield_now().await;
                self.take_asked();
            }
            // Some may have run out of credit meanwhile.
            self.take_asked();
            if self.0.hub.lock().is_ready() {
                self.0.wake.notify_one();
            }
        }
    }

    pub(super) fn take_asked(&self) {
        let (acks, ends) = {
            let mut asked = self.0.asked.lock();
            (std::mem::take(&mut asked.acks), std::mem::take(&mut asked.ends))
        };
        let mut hub = self.0.hub.lock();
        ends.into_iter().for_each(|id| hub.end(id));
        for (id, (revision, messages)) in acks {
            hub.ack(id, revision, messages);
        }
    }

    /// Is there more to do?
    pub(super) fn step(&self) -> bool {
        let mut hub = self.0.hub.lock();
        for _ in 0..STEPS_AT_ONCE {
            if !hub.is_ready() {
                return false;
            }
            hub.step();
        }
        hub.is_ready()
    }

    /// The member ends, and all watches with it. On a thread of the member, which sends what there
    /// is to send.
    pub fn close(&self) {
        *self.0.asked.lock() = Asked { is_closed: true, ..Asked::default() };
        self.0.hub.lock().close();
    }
}
