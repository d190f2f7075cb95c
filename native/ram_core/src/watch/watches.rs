//! The way to the hub for other threads. An acknowledgement stays with the watch until the hub has
//! something to send to it; only where something waits for credit is the thread that applies woken,
//! as it is for ends.

use parking_lot::Mutex;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};
use std::task::Poll;
use tokio::sync::Notify;

use super::observed::Observed;
use super::{Compacted, Deliver, Hub, Initial, Observer, Spec};

/// Messages between which others have their turn.
const STEPS_AT_ONCE: usize = 16;

/// The watches of a member. Clones share them.
#[derive(Clone)]
pub struct Watches(Arc<Shared>);

struct Shared {
    /// Taken for moments; by the thread that applies, but when a watch is ended at once.
    hub: Mutex<Hub>,
    sizes: AtomicSizes,
    /// What is asked of the hub. Taken for moments by any thread.
    asked: Mutex<Asked>,
    wake: Notify,
    next_id: AtomicU64,
}

#[derive(Default)]
struct Asked {
    /// Watches that had no credit, and have some.
    acked: HashSet<u64>,
    ends: HashSet<u64>,
    is_closed: bool,
}

/// What the watches of a member take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sizes {
    /// How many there are.
    pub watches: u64,
    /// What waits for credit, of all of them.
    pub queued_bytes: u64,
    pub history_bytes: u64,
}

/// As the hub has left them, for threads that may not wait for it.
#[derive(Default)]
struct AtomicSizes {
    watches: AtomicU64,
    queued_bytes: AtomicU64,
    history_bytes: AtomicU64,
}

/// A watch, as the hub and its owner know it.
#[derive(Debug)]
pub struct Token {
    id: u64,
    is_ended: AtomicBool,
    /// It has something to send, and no credit.
    is_starved: AtomicBool,
    /// Taken for moments, by its owner and the hub.
    acked: Mutex<Acked>,
}

/// What the receiver has seen: all messages of lower revisions, and so many of this one.
#[derive(Debug, Clone, Copy, Default)]
pub struct Acked {
    pub revision: u64,
    pub messages: usize,
}

impl Token {
    pub fn id(&self) -> u64 {
        self.id
    }

    pub fn is_ended(&self) -> bool {
        self.is_ended.load(Ordering::Acquire)
    }

    /// Who acknowledges, and finds that it is starved, wakes the hub; who sets it looks for
    /// acknowledgements after that: one of the two sees the other.
    pub fn set_starved(&self, is_starved: bool) {
        self.is_starved.store(is_starved, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// Has any come since the last call?
    pub fn take_acked(&self) -> Option<Acked> {
        let acked = std::mem::take(&mut *self.acked.lock());
        (acked.messages > 0).then_some(acked)
    }

    /// Is it starved?
    fn ack(&self, revision: u64) -> bool {
        {
            let mut acked = self.acked.lock();
            match revision.cmp(&acked.revision) {
                std::cmp::Ordering::Less => {}
                std::cmp::Ordering::Equal => acked.messages += 1,
                std::cmp::Ordering::Greater => *acked = Acked { revision, messages: 1 },
            }
        }
        fence(Ordering::SeqCst);
        self.is_starved.load(Ordering::Relaxed)
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
        if self.token.ack(revision) {
            self.watches.ask(|asked| _ = asked.acked.insert(self.token.id));
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
        let begun = self.watches.with(|hub| hub.register(&self.token, spec, initial, deliver));
        self.watches.0.wake.notify_one();
        begun
    }
}

/// Lets the tasks have their turn that are ready now, without a look at the network as
/// `yield_now` has. Who wrote is answered among them: a receiver that is told right after that
/// finds the scheduler awake that it needs, and waking one is most of what a message costs.
async fn give_way() {
    let mut has_waited = false;
    std::future::poll_fn(|context| {
        if std::mem::replace(&mut has_waited, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

impl Watches {
    /// `revision`: of the newest write.
    pub fn new(history_bytes_max: u64, revision: u64) -> Watches {
        Watches(Arc::new(Shared {
            hub: Mutex::new(Hub::new(history_bytes_max, revision)),
            sizes: AtomicSizes::default(),
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
        let token = Token { id, is_ended, is_starved, acked: Mutex::default() };
        Control { watches: self.clone(), token: Arc::new(token) }
    }

    /// Waits for nobody.
    pub fn sizes(&self) -> Sizes {
        let AtomicSizes { watches, queued_bytes, history_bytes } = &self.0.sizes;
        Sizes {
            watches: watches.load(Ordering::Relaxed),
            queued_bytes: queued_bytes.load(Ordering::Relaxed),
            history_bytes: history_bytes.load(Ordering::Relaxed),
        }
    }

    /// A write is over.
    pub(super) fn written(&self, revision: u64) {
        if self.with(|hub| hub.written(revision)) {
            self.0.wake.notify_one();
        }
    }

    pub(super) fn with<T>(&self, call: impl FnOnce(&mut Hub) -> T) -> T {
        let mut hub = self.0.hub.lock();
        let result = call(&mut hub);
        let Sizes { watches, queued_bytes, history_bytes } = hub.sizes();
        self.0.sizes.watches.store(watches, Ordering::Relaxed);
        self.0.sizes.queued_bytes.store(queued_bytes, Ordering::Relaxed);
        self.0.sizes.history_bytes.store(history_bytes, Ordering::Relaxed);
        result
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
            give_way().await;
            self.take_asked();
            self.with(Hub::tell);
            while self.step() {
                tokio::task::yield_now().await;
                self.take_asked();
            }
        }
    }

    pub(super) fn take_asked(&self) {
        let Asked { acked, ends, .. } = {
            let mut asked = self.0.asked.lock();
            let is_closed = asked.is_closed;
            std::mem::replace(&mut *asked, Asked { is_closed, ..Asked::default() })
        };
        self.with(|hub| {
            ends.into_iter().for_each(|id| hub.end(id));
            acked.into_iter().for_each(|id| hub.make_ready(id));
        });
    }

    /// Is there more to do?
    pub(super) fn step(&self) -> bool {
        self.with(|hub| {
            (0..STEPS_AT_ONCE).for_each(|_| hub.step());
            hub.is_ready()
        })
    }

    /// The member ends, and all watches with it. On a thread of the member, which sends what there
    /// is to send.
    pub fn close(&self) {
        *self.0.asked.lock() = Asked { is_closed: true, ..Asked::default() };
        self.with(Hub::close);
    }
}
