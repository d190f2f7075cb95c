//! One watch: its credit, what waits for it, and what is left of the time before it began.

use std::collections::VecDeque;
use std::sync::Arc;

use super::source::{Initial, Past};
use super::watches::{Acked, Token};
use super::{Deliver, Event, Keys, Message, Spec};

/// Events of the history that are looked at in one step.
const STEP_EVENTS: usize = 1024;

pub struct Watcher {
    pub spec: Spec,
    pub token: Arc<Token>,
    deliver: Box<dyn Deliver>,
    /// Earlier changes are not sent.
    from: u64,
    /// The messages that are not acknowledged: their revisions and events.
    unacked: VecDeque<(u64, usize)>,
    unacked_events: usize,
    /// As its owner knows it.
    is_starved: bool,
    before: Before,
    queue: VecDeque<(u64, Vec<Event>)>,
    queued_bytes: u64,
    /// Of the history, all up to here was looked at.
    passed: u64,
    /// It is among those to be stepped.
    pub is_listed: bool,
    /// It began in the history, which has to be read by then: see [`Hub`](super::Hub).
    pub history_until: Option<u64>,
}

pub enum Before {
    Initial(Initial),
    Past(Past),
    Nothing,
}

/// What came of an attempt to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    Yes,
    /// It waits; there may be credit for it.
    Waits,
    /// There is too much to wait, or what is not sent yet is gone.
    Lost,
    /// Nobody receives.
    Dead,
}

impl Watcher {
    /// One that is sent the changes from this revision on.
    pub fn new(
        spec: Spec,
        token: Arc<Token>,
        deliver: Box<dyn Deliver>,
        from: u64,
        before: Before,
    ) -> Watcher {
        Watcher {
            spec,
            token,
            deliver,
            from,
            unacked: VecDeque::new(),
            unacked_events: 0,
            is_starved: false,
            before,
            queue: VecDeque::new(),
            queued_bytes: 0,
            passed: from.saturating_sub(1),
            is_listed: false,
            history_until: None,
        }
    }

    /// Has it something to send, and credit for it?
    pub fn is_ready(&mut self) -> bool {
        self.has_work() && self.has_credit()
    }

    pub fn has_work(&self) -> bool {
        !self.queue.is_empty() || !matches!(self.before, Before::Nothing)
    }

    pub fn reads_history(&self) -> bool {
        matches!(self.before, Before::Past(_))
    }

    pub fn queued_bytes(&self) -> u64 {
        self.queued_bytes
    }

    fn credit(&self) -> usize {
        self.spec.events_max.saturating_sub(self.unacked_events)
    }

    /// If it has none, its next acknowledgement wakes the hub.
    fn has_credit(&mut self) -> bool {
        self.take_acks();
        if self.credit() == 0 && !self.is_starved {
            self.set_starved(true);
            self.take_acks();
        }
        if self.credit() > 0 && self.is_starved {
            self.set_starved(false);
        }
        !self.is_starved
    }

    fn set_starved(&mut self, is_starved: bool) {
        self.is_starved = is_starved;
        self.token.set_starved(is_starved);
    }

    /// Sends what a write changed, or has it wait.
    pub fn offer(&mut self, revision: u64, events: &[&Event]) -> Sent {
        if revision < self.from {
            return Sent::Yes;
        }
        if !self.has_work() && self.has_credit() {
            return self.send(revision, events);
        }
        let with_old = self.spec.old;
        let events: Vec<Event> = events.iter().map(|event| event.queued(with_old)).collect();
        self.queued_bytes += events.iter().map(Event::bytes).sum::<u64>();
        self.queue.push_back((revision, events));
        if self.queued_bytes > self.spec.bytes_max { Sent::Lost } else { Sent::Waits }
    }

    /// Sends the next message that waits, or looks for it.
    pub fn step(&mut self) -> Sent {
        match &mut self.before {
            Before::Initial(_) => self.step_initial(),
            Before::Past(_) => self.step_past(),
            Before::Nothing => {
                let Some((revision, events)) = self.queue.pop_front() else { return Sent::Yes };
                self.queued_bytes -= events.iter().map(Event::bytes).sum::<u64>();
                self.send(revision, &events.iter().collect::<Vec<_>>())
            }
        }
    }

    fn step_initial(&mut self) -> Sent {
        let credit = self.credit();
        let Before::Initial(initial) = &mut self.before else { return Sent::Yes };
        let revision = initial.revision();
        let Ok((events, is_over)) = initial.take(credit) else { return Sent::Lost };
        let mut sent = Sent::Yes;
        if !events.is_empty() {
            sent = self.send(revision, &events.iter().collect::<Vec<_>>());
        }
        // This is told without credit: who waits for it may acknowledge nothing before.
        if is_over && sent == Sent::Yes {
            self.before = Before::Nothing;
            sent = self.deliver(Message::InitialDone { revision });
        }
        sent
    }

    fn step_past(&mut self) -> Sent {
        let Before::Past(past) = &mut self.before else { return Sent::Yes };
        let mut looked_at = 0;
        while looked_at < STEP_EVENTS {
            let Some(write) = past.next() else {
                self.before = Before::Nothing;
                return Sent::Yes;
            };
            looked_at += write.events.len().max(1);
            self.passed = write.revision;
            let is_ours = |event: &&Event| {
                *event.table == *self.spec.table && self.spec.keys.has(event.key())
            };
            let events: Vec<&Event> = write.events.iter().filter(is_ours).collect();
            if !events.is_empty() {
                return self.send(write.revision, &events);
            }
        }
        Sent::Yes
    }

    fn send(&mut self, revision: u64, events: &[&Event]) -> Sent {
        self.unacked.push_back((revision, events.len()));
        self.unacked_events += events.len();
        self.deliver(Message::Changes { revision, events, with_old: self.spec.old })
    }

    fn deliver(&self, message: Message<'_>) -> Sent {
        if self.deliver.deliver(message) { Sent::Yes } else { Sent::Dead }
    }

    /// What was there at one revision is sent in several messages, each acknowledged by itself.
    fn take_acks(&mut self) {
        let Some(Acked { revision, messages }) = self.token.take_acked() else { return };
        let mut left = messages;
        while let Some((sent, events)) = self.unacked.front().copied() {
            if sent > revision || sent == revision && left == 0 {
                return;
            }
            left -= usize::from(sent == revision);
            self.unacked.pop_front();
            self.unacked_events = self.unacked_events.saturating_sub(events);
        }
    }

    /// Tells the receiver that this was all. `newest` is the last revision of which it was told all
    /// that there was to tell.
    pub fn lose(&self, newest: u64) {
        let sent = match &self.before {
            Before::Initial(_) => 0,
            Before::Past(_) => self.passed,
            Before::Nothing => {
                let waits = self.queue.front().map(|(revision, _)| revision - 1);
                waits.unwrap_or(newest).max(self.from.saturating_sub(1))
            }
        };
        // If nobody receives it, there is nobody to be told.
        let _ = self.deliver.deliver(Message::Lost { revision: sent });
    }

    pub fn keys(&self) -> &Keys {
        &self.spec.keys
    }
}
