//! The hub: all watches of a member, and the history. Owned by the thread that applies.

use foldhash::fast::FixedState;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use super::event::merged;
use super::history::{History, Write};
use super::index::Index;
use super::source::{Initial, Past};
use super::watcher::{Before, Sent, Watcher};
use super::watches::{Sizes, Token};
use super::{Change, Compacted, Deliver, Event, Gone, Spec};
use ram_sabotage::{Fault, armed};
use ram_table::item::Item;

/// Of revisions, where a fault is armed.
const WRONGED_EVERY: u64 = 64;

/// Of a range that is deleted in a table that nobody watches, so many items are kept.
const UNWATCHED_RANGE_MAX: usize = 1024;
/// Writes that wait to be told.
const UNTOLD_MAX: usize = 256;

pub struct Hub {
    /// Of the newest write.
    revision: u64,
    /// The changes of the write that is being applied, and the tables of which it removed what is
    /// not told.
    changes: Vec<Event>,
    changes_bytes: u64,
    /// The changes are too many for the history; those that nobody watches are not kept.
    is_too_large: bool,
    missed: Vec<Arc<str>>,
    /// Writes that are applied, whose changes are watched, and not yet told.
    untold: VecDeque<Write>,
    /// The name of the table that was changed last.
    table: Arc<str>,
    history: History,
    index: Index,
    watches: HashMap<u64, Watcher, FixedState>,
    /// Watches that began in the history, by the bytes that may pass until they have read it.
    readers: BTreeSet<(u64, u64)>,
    /// Watches that are to be stepped, each once.
    ready: VecDeque<u64>,
    /// What waits for credit, of all watches.
    queued_bytes: u64,
    is_closed: bool,
}

impl Hub {
    /// `revision`: of the newest write.
    pub fn new(history_bytes_max: u64, revision: u64) -> Hub {
        Hub {
            revision,
            changes: Vec::new(),
            changes_bytes: 0,
            is_too_large: false,
            missed: Vec::new(),
            untold: VecDeque::new(),
            table: "".into(),
            history: History::new(history_bytes_max, revision),
            index: Index::default(),
            watches: HashMap::default(),
            readers: BTreeSet::new(),
            ready: VecDeque::new(),
            queued_bytes: 0,
            is_closed: false,
        }
    }

    pub fn sizes(&self) -> Sizes {
        let watches = self.watches.len() as u64;
        Sizes { watches, queued_bytes: self.queued_bytes, history_bytes: self.history.bytes() }
    }

    /// Begins a watch, between two writes: all changes after the revision that is returned are
    /// sent. `initial` is what its keys hold now.
    pub(super) fn register(
        &mut self,
        token: &Arc<Token>,
        spec: Spec,
        initial: Option<Initial>,
        deliver: Box<dyn Deliver>,
    ) -> Result<u64, Compacted> {
        self.tell();
        let from = spec.from.unwrap_or(self.revision + 1);
        let oldest = self.history.oldest(&spec.table);
        if from < oldest || !spec.may_wait && from > self.revision + 1 {
            return Err(Compacted { oldest });
        }
        if self.is_closed || token.is_ended() {
            return Ok(from - 1);
        }
        let before = match initial {
            Some(initial) => Before::Initial(initial),
            None if from <= self.revision => {
                Before::Past(Past::new(self.history.since(from), from))
            }
            None => Before::Nothing,
        };
        let id = token.id();
        self.index.add(id, &spec.table, &spec.keys);
        let mut watcher = Watcher::new(spec, token.clone(), deliver, from, before);
        if watcher.reads_history() {
            let until = self.history.passed_bytes() + self.history.bytes_max();
            watcher.history_until = Some(until);
            self.readers.insert((until, id));
        }
        self.watches.insert(id, watcher);
        self.make_ready(id);
        Ok(from - 1)
    }

    #[cfg(feature = "simulation")]
    pub fn is_idle(&self, id: u64) -> bool {
        let has_work = self.watches.get(&id).is_none_or(Watcher::has_work);
        !has_work && self.untold.is_empty()
    }

    /// The watch is over: nothing is sent any more.
    pub fn end(&mut self, id: u64) {
        let Some(watcher) = self.watches.remove(&id) else { return };
        self.queued_bytes -= watcher.queued_bytes();
        watcher.history_until.map(|until| self.readers.remove(&(until, id)));
        self.index.remove(id, &watcher.spec.table, watcher.keys());
    }

    /// As [`Hub::end`], and the receiver is told.
    fn lose(&mut self, id: u64, newest: u64) {
        if let Some(watcher) = self.watches.get(&id)
            && !watcher.token.is_ended()
        {
            watcher.lose(newest);
        }
        self.end(id);
    }

    fn lose_all(&mut self) {
        self.tell();
        let ids: Vec<u64> = self.watches.keys().copied().collect();
        ids.into_iter().for_each(|id| self.lose(id, self.revision));
        self.ready.clear();
    }

    /// Lists a watch that has something to send, and credit.
    pub fn make_ready(&mut self, id: u64) {
        let Some(watcher) = self.watches.get_mut(&id) else { return };
        if !watcher.is_listed && watcher.is_ready() {
            watcher.is_listed = true;
            self.ready.push_back(id);
        }
    }

    /// Has a watch more to send, and credit for it?
    pub fn is_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Sends the next message of one of the watches that have more to send; each has its turn.
    pub fn step(&mut self) {
        let Some(id) = self.ready.pop_front() else { return };
        let Some(watcher) = self.watches.get_mut(&id) else { return };
        watcher.is_listed = false;
        if watcher.token.is_ended() {
            return self.end(id);
        }
        // It may have been without credit since.
        if !watcher.is_ready() {
            return;
        }
        let before = watcher.queued_bytes();
        let sent = watcher.step();
        self.queued_bytes -= before - watcher.queued_bytes();
        self.sent(id, sent, self.told());
        self.make_ready(id);
    }

    fn sent(&mut self, id: u64, sent: Sent, newest: u64) {
        match sent {
            Sent::Yes => {}
            // It may be that there is credit by now.
            Sent::Waits => self.make_ready(id),
            Sent::Lost => self.lose(id, newest),
            Sent::Dead => self.end(id),
        }
    }

    /// Ends all watches, and begins no more.
    pub fn close(&mut self) {
        self.is_closed = true;
        self.lose_all();
        self.forget_changes();
        self.history.restart(self.revision);
    }

    fn table(&mut self, name: &str) -> Arc<str> {
        if *self.table != *name {
            self.table = name.into();
        }
        self.table.clone()
    }

    /// One of the changes of a write.
    pub fn changed(&mut self, change: &Change<'_>) {
        let table = self.table(change.table);
        let Some(event) = Event::of(table, change) else { return };
        let is_watched = |event: &Event| self.index.has(&event.table, event.key());
        if self.is_too_large && !is_watched(&event) {
            return;
        }
        self.changes_bytes += event.bytes();
        self.changes.push(event);
        // A range of millions of keys may be deleted at once.
        if !self.is_too_large && self.changes_bytes > self.history.bytes_max() {
            self.is_too_large = true;
            self.changes.retain(is_watched);
        }
    }

    /// Some items of a range that is deleted, in a write of its own. If it is long, and nobody
    /// watches the table, the history does without.
    pub fn removed(&mut self, table: &str, items: &[Item]) {
        let is_long = self.changes.len() + items.len() > UNWATCHED_RANGE_MAX;
        if !self.missed.is_empty() || is_long && !self.wants(table) {
            self.forget_changes();
            return;
        }
        for item in items {
            self.changed(&Change { table, old: Some(item), new: None, gone: Gone::Deleted });
        }
    }

    fn forget_changes(&mut self) -> Vec<Event> {
        self.changes_bytes = 0;
        self.is_too_large = false;
        std::mem::take(&mut self.changes)
    }

    /// Is the table watched? If not, and all of a range of it goes, the history does without.
    pub fn wants(&mut self, table: &str) -> bool {
        let is_watched = self.index.has_table(table);
        if !is_watched {
            let table = self.table(table);
            self.missed.push(table);
        }
        is_watched
    }

    /// The write is over, and is of this revision. Is there anything to be told, or sent?
    pub fn written(&mut self, revision: u64) -> bool {
        let newest = std::mem::replace(&mut self.revision, revision);
        for table in std::mem::take(&mut self.missed) {
            self.history.miss(table, revision);
        }
        let is_too_large = self.is_too_large;
        let events = merged(self.forget_changes(), newest);
        if is_too_large {
            self.history.restart(revision);
        }
        if events.is_empty() || self.is_closed {
            return false;
        }
        let is_watched = events.iter().any(|event| self.index.has(&event.table, event.key()));
        let write = Write { revision, events: events.into() };
        if is_watched {
            self.untold.push_back(write.clone());
        }
        if !is_too_large {
            self.history.push(write);
        }
        self.lose_late_readers();
        if is_too_large || self.untold.len() >= UNTOLD_MAX {
            self.tell();
        }
        !self.untold.is_empty() || self.is_ready()
    }

    /// Who reads the history holds on to what it has dropped meanwhile: to as much again at most.
    fn lose_late_readers(&mut self) {
        while let Some((until, id)) = self.readers.first().copied()
            && until < self.history.passed_bytes()
        {
            self.readers.pop_first();
            if self.watches.get(&id).is_some_and(Watcher::reads_history) {
                self.lose(id, self.told());
            }
        }
    }

    /// Sends what was written since the last call to those who watch it.
    pub fn tell(&mut self) {
        while let Some(Write { revision, events }) = self.untold.pop_front() {
            self.distribute(revision, &events);
        }
    }

    /// All up to this revision was told.
    fn told(&self) -> u64 {
        self.untold.front().map_or(self.revision, |write| write.revision - 1)
    }

    fn distribute(&mut self, revision: u64, events: &[Event]) {
        if let [event] = events {
            let mut ids = Vec::new();
            self.index.each(&event.table, event.key(), |id| ids.push(id));
            ids.into_iter().for_each(|id| self.offer(id, revision, &[event]));
            return;
        }
        let mut told: BTreeMap<u64, Vec<&Event>> = BTreeMap::new();
        for event in events {
            let key = event.key();
            self.index.each(&event.table, key, |id| told.entry(id).or_default().push(event));
        }
        told.into_iter().for_each(|(id, events)| self.offer(id, revision, &events));
    }

    fn offer(&mut self, id: u64, revision: u64, events: &[&Event]) {
        let Some(watcher) = self.watches.get_mut(&id) else { return };
        if watcher.token.is_ended() {
            return self.end(id);
        }
        let is_wronged = revision.is_multiple_of(WRONGED_EVERY);
        if is_wronged && armed(Fault::DropEvent) {
            return;
        }
        let before = watcher.queued_bytes();
        let mut sent = watcher.offer(revision, events);
        if is_wronged && armed(Fault::RepeatEvent) {
            sent = watcher.offer(revision, events);
        }
        self.queued_bytes += watcher.queued_bytes() - before;
        self.sent(id, sent, revision - 1);
    }

    /// All up to this revision may have changed, and nobody knows how.
    pub fn replaced(&mut self, revision: u64) {
        self.lose_all();
        self.forget_changes();
        self.missed.clear();
        self.revision = revision;
        self.history.restart(revision);
    }
}
