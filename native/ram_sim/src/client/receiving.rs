//! A receiver of all changes of the default table on its member. It keeps a copy of the table by
//! the messages alone, and goes on from there on any member. What each message says must fit the
//! copy; and when nothing is on its way the copy is the table.

use bytes::Bytes;
use ram_core::handle::Handle;
use ram_core::watch::{Control, Deliver, Keys, Message, Spec};
use rand::RngExt;
use rand::rngs::StdRng;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout};

use crate::entropy;
use crate::host::now_ns;
use crate::plan::host_name;
use crate::world::World;

const BEGIN_TIMEOUT: Duration = Duration::from_secs(3);

/// What a receiver has heard of the table, to the last change of a revision.
#[derive(Debug, Clone, Default)]
pub struct Copy {
    content: BTreeMap<Bytes, Bytes>,
    revision: u64,
}

enum Told {
    Changes { revision: u64, events: Vec<Heard> },
    InitialDone { revision: u64 },
    Lost { revision: u64 },
}

/// A key, what it held, and what it holds.
struct Heard {
    key: Bytes,
    old: Option<Bytes>,
    new: Option<Bytes>,
}

#[derive(Clone, Default)]
struct Inbox(Arc<Mutex<VecDeque<Told>>>);

impl Deliver for Inbox {
    fn deliver(&self, message: Message<'_>) -> bool {
        let told = match message {
            Message::Changes { revision, events, .. } => {
                let value = |item: &ram_table::table::Item| Bytes::from(item.value().into_owned());
                let told = events.iter().map(|event| Heard {
                    key: Bytes::copy_from_slice(event.key()),
                    old: event.old.as_ref().map(value),
                    new: event.new.as_ref().map(value),
                });
                Told::Changes { revision, events: told.collect() }
            }
            Message::InitialDone { revision } => Told::InitialDone { revision },
            Message::Lost { revision } => Told::Lost { revision },
        };
        self.0.lock().unwrap().push_back(told);
        true
    }
}

struct Receiver {
    world: World,
    handle: Handle,
    host: usize,
    inbox: Inbox,
    copy: Copy,
    /// The copy has all that was there.
    is_whole: bool,
    rng: StdRng,
}

/// Receives until the member ends.
pub async fn run(world: World, handle: Handle, host: usize, start: u64) {
    let rng = entropy::stream(world.borrow().plan.seed, "receiver", start);
    let (inbox, copy, is_whole) = (Inbox::default(), Copy::default(), false);
    let mut receiver = Receiver { world, handle, host, inbox, copy, is_whole, rng };
    loop {
        sleep(Duration::from_millis(receiver.rng.random_range(1..200))).await;
        if let Some(control) = receiver.begin().await {
            receiver.receive(&control).await;
            control.end_now();
            receiver.inbox.0.lock().unwrap().clear();
        }
    }
}

impl Receiver {
    /// From where any receiver is, or anew.
    async fn begin(&mut self) -> Option<Control> {
        let others: Vec<Copy> = self.world.borrow().copies.values().cloned().collect();
        let known = match self.rng.random_range(0..=others.len()) {
            0 => None,
            one => others.get(one - 1).cloned(),
        };
        let control = self.handle.watches().control();
        let spec = Spec {
            table: String::new(),
            keys: Keys::All,
            from: known.as_ref().map(|copy| copy.revision + 1),
            may_wait: true,
            initial: known.is_none(),
            old: true,
            events_max: self.rng.random_range(1..40),
            bytes_max: self.rng.random_range(1_000..20_000),
        };
        let (sender, answer) = oneshot::channel();
        let mode = self.handle.config().reads;
        let deadline = (Instant::now() + BEGIN_TIMEOUT).into_std();
        let reply = Box::new(move |begun| _ = sender.send(begun));
        let inbox = Box::new(self.inbox.clone());
        self.handle.watch(mode, (spec, control.clone()), inbox, deadline, reply).ok()?;
        let Ok(Ok(Ok(Ok(_begun)))) = timeout(BEGIN_TIMEOUT, answer).await else {
            control.end_now();
            self.inbox.0.lock().unwrap().clear();
            return None;
        };
        (self.is_whole, self.copy) = (known.is_some(), known.unwrap_or_default());
        Some(control)
    }

    /// Until it is lost, or has had enough.
    async fn receive(&mut self, control: &Control) {
        let messages_max = self.rng.random_range(1..2000);
        for _ in 0..messages_max {
            let pause_ms = if self.rng.random_range(0..50) == 0 { 500 } else { 5 };
            sleep(Duration::from_millis(self.rng.random_range(1..=pause_ms))).await;
            let told = self.inbox.0.lock().unwrap().pop_front();
            match told {
                Some(Told::Changes { revision, events }) => {
                    self.heed(revision, events);
                    control.ack(revision);
                }
                Some(Told::InitialDone { revision }) => {
                    (self.copy.revision, self.is_whole) = (revision, true);
                    self.keep();
                }
                Some(Told::Lost { revision }) => return self.end(revision),
                None => self.compare(control),
            }
        }
    }

    fn heed(&mut self, revision: u64, events: Vec<Heard>) {
        if self.is_whole && revision <= self.copy.revision {
            let text = format!("revision {revision} came after {}", self.copy.revision);
            return self.violated("changes_come_once_and_in_order", text);
        }
        for Heard { key, old, new } in events {
            let known = match &new {
                Some(new) => self.copy.content.insert(key.clone(), new.clone()),
                None => self.copy.content.remove(&key),
            };
            // A deleted key may come without its value; what was there comes without what was
            // before.
            let fits = match (&known, &old) {
                _ if !self.is_whole => known.is_none(),
                (known, old) if new.is_some() => known == old,
                (known, _) => known.is_some(),
            };
            if !fits {
                let text = format!("revision {revision} of {key:?}: {old:?} was {known:?}");
                return self.violated("no_change_is_missing", text);
            }
        }
        if self.is_whole {
            self.copy.revision = revision;
            self.keep();
        }
    }

    fn end(&mut self, revision: u64) {
        if !self.is_whole {
            return;
        }
        if revision < self.copy.revision {
            let text = format!("lost at {revision}, after {}", self.copy.revision);
            return self.violated("changes_come_once_and_in_order", text);
        }
        self.copy.revision = revision;
        self.keep();
    }

    /// For whoever goes on from here.
    fn keep(&mut self) {
        self.world.borrow_mut().copies.insert(self.host, self.copy.clone());
    }

    /// Nothing has come: if nothing waits for credit, this is the table.
    fn compare(&self, control: &Control) {
        let Some((revision, content)) = self.handle.seen_content() else { return };
        if !self.is_whole || !control.is_idle() || revision < self.copy.revision {
            return;
        }
        self.world.borrow_mut().compared += 1;
        if content != self.copy.content {
            let copy = &self.copy.content;
            let text = format!("at revision {revision} {content:?}, by the changes {copy:?}");
            self.violated("no_change_is_missing", text);
        }
    }

    fn violated(&self, invariant: &'static str, text: String) {
        let name = host_name(self.host);
        let mut state = self.world.borrow_mut();
        state.trace.note(now_ns(), (&name, invariant));
        state.violated(invariant, format!("{name}: {text}"));
    }
}
