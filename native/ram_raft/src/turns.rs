//! Turns at contended keys, given by the leader: an advisory queue lock that hands over the value.
//!
//! Compare-and-set of a hot key from several members wastes rounds: of those that are on the way
//! together one holds, and the others begin again. So a member that has lost such a race asks the
//! leader for a turn. Members queue for a key (the line of the key), one has the turn, and with it
//! comes the newest value that was proposed. What it makes of that is expected to hold, so the turn
//! goes on when its write enters the log, long before that is committed.
//!
//! A turn is a hint and nothing more. What decides is the condition of the write, on the value: a
//! member without a turn may write, and one whose turn is over, too. So nothing of this is in the
//! log or on disk, and it may be lost at any time.
//!
//! - A turn ends with the holder's write, when the holder gives it back or asks again, and after
//!   [`TURN`].
//! - Values build on each other. When a write turns out not to have held, those on the way that
//!   build on it will not hold either: a new chain begins with what was found, and writes of turns
//!   of the former chain say nothing of the newest value any more.
//! - Bounded: lines, members that wait in one, sizes of names and values; [`WAIT`].

use bytes::Bytes;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use ram_limits::TURN_VALUE_BYTES_MAX;
use ram_store::answer::Outcome;
use ram_store::proposed::{self, Hint};

/// So long a member that is slow, or dead, keeps the others from writing.
pub const TURN: Duration = Duration::from_millis(20);
/// So long a member waits for its turn.
pub const WAIT: Duration = Duration::from_millis(200);
/// After so long a value is no longer taken for the newest, and its line may make room.
const FRESH: Duration = Duration::from_secs(1);
const LINES_MAX: usize = 256;
const WAITING_MAX: usize = 64;
const NAME_BYTES_MAX: usize = 4096;

/// What a member asks of the leader. `name`: [`proposed::name_of`] the key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum TurnRequest {
    Wait { name: Bytes },
    GiveBack { name: Bytes },
}

/// The lines of a leader. Clones share them.
#[derive(Clone, Default)]
pub struct Turns {
    /// Guards the lines by the name of their key; requests of members and proposals change them.
    lines: Arc<Mutex<HashMap<Bytes, Line>>>,
}

struct Line {
    newest: Hint,
    /// Counts the chains of values.
    chain: u64,
    /// `None`: nobody waits.
    holder: Option<Holder>,
    waiting: VecDeque<(u64, oneshot::Sender<Hint>)>,
    used: Instant,
}

#[derive(Debug, Clone, Copy)]
struct Holder {
    member: u64,
    chain: u64,
    until: Instant,
}

/// A write of a holder that has entered the log.
#[derive(Debug, PartialEq, Eq)]
pub struct Taken {
    name: Bytes,
    /// Its number in the group.
    write: usize,
    chain: u64,
}

enum Joined {
    Holds(Hint),
    Waits(oneshot::Receiver<Hint>),
}

impl Turns {
    /// Waits for the turn of the member and returns what the key is expected to hold then. `None`:
    /// there is no turn for it, at least not in time.
    pub async fn wait(&self, member: u64, name: Bytes) -> Option<Hint> {
        let deadline = Instant::now() + WAIT;
        let mut turn = match self.join(member, &name)? {
            Joined::Holds(hint) => return Some(hint),
            Joined::Waits(turn) => turn,
        };
        loop {
            let due = self.expire(&name).unwrap_or(deadline);
            match timeout_at(due.min(deadline), &mut turn).await {
                Ok(hint) => return hint.ok(),
                Err(_) if Instant::now() >= deadline => return turn.try_recv().ok(),
                Err(_) => {}
            }
        }
    }

    pub fn give_back(&self, member: u64, name: &Bytes) {
        if let Some(line) = self.lines.lock().get_mut(name)
            && line.is_held_by(member)
        {
            line.pass_on();
        }
    }

    fn join(&self, member: u64, name: &Bytes) -> Option<Joined> {
        let mut lines = self.lines.lock();
        let now = Instant::now();
        if name.len() > NAME_BYTES_MAX {
            return None;
        }
        if lines.len() >= LINES_MAX && !lines.contains_key(name) {
            lines.retain(|_, line| !line.is_stale(now));
            if lines.len() >= LINES_MAX {
                return None;
            }
        }
        let line = lines.entry(name.clone()).or_insert_with(|| Line::new(now));
        line.join(member, now)
    }

    /// Ends a turn that lasts too long. Returns when the next one will.
    fn expire(&self, name: &Bytes) -> Option<Instant> {
        let mut lines = self.lines.lock();
        let line = lines.get_mut(name)?;
        if line.holder.is_some_and(|holder| holder.until <= Instant::now()) {
            line.pass_on();
        }
        line.holder.map(|holder| holder.until)
    }

    /// The proposal of this member enters the log: its turns at what it writes are over.
    pub fn take(&self, member: u64, proposal: &[u8]) -> Vec<Taken> {
        let mut lines = self.lines.lock();
        let mut taken = Vec::new();
        if !lines.values().any(|line| line.is_held_by(member)) {
            return taken;
        }
        let mut name = Vec::new();
        for change in proposed::proposed(proposal) {
            proposed::set_name(change.table, change.key, &mut name);
            let Some(line) = lines.get_mut(name.as_slice()) else { continue };
            let Some(holder) = line.holder.filter(|holder| holder.member == member) else {
                continue;
            };
            if holder.chain == line.chain {
                line.set_newest(hint(change.value));
            }
            let (name, chain) = (Bytes::copy_from_slice(&name), holder.chain);
            taken.push(Taken { name, write: change.write, chain });
        }
        // Not before: a write may change a key twice.
        for Taken { name, .. } in &taken {
            if let Some(line) = lines.get_mut(name).filter(|line| line.is_held_by(member)) {
                line.pass_on();
            }
        }
        taken
    }

    /// What became of the writes; `None`: that is not known here.
    pub fn settle(&self, taken: Vec<Taken>, outcome: Option<&Outcome>) {
        if taken.is_empty() {
            return;
        }
        let mut lines = self.lines.lock();
        for Taken { name, write, chain } in taken {
            let Some(line) = lines.get_mut(&name).filter(|line| line.chain == chain) else {
                continue;
            };
            let found = match outcome {
                Some(outcome) => outcome.found_instead(write),
                None => Some(Hint::Unknown),
            };
            if let Some(found) = found {
                line.chain += 1;
                line.set_newest(bounded(found));
            }
        }
    }

    /// This member does not lead: whoever waits goes without a turn.
    pub fn clear(&self) {
        self.lines.lock().clear();
    }
}

impl Line {
    fn new(now: Instant) -> Line {
        let (newest, waiting) = (Hint::Unknown, VecDeque::new());
        Line { newest, chain: 0, holder: None, waiting, used: now }
    }

    fn is_held_by(&self, member: u64) -> bool {
        self.holder.is_some_and(|holder| holder.member == member)
    }

    fn is_stale(&self, now: Instant) -> bool {
        let is_held = self.holder.is_some_and(|holder| holder.until > now);
        !is_held && self.waiting.is_empty() && self.used + FRESH <= now
    }

    fn set_newest(&mut self, newest: Hint) {
        self.newest = newest;
        self.used = Instant::now();
    }

    /// A member that asks again has given up its turn, and its place.
    fn join(&mut self, member: u64, now: Instant) -> Option<Joined> {
        self.waiting.retain(|(other, _)| *other != member);
        if self.holder.is_some_and(|holder| holder.member == member || holder.until <= now) {
            self.pass_on();
        }
        if self.holder.is_none() {
            return Some(Joined::Holds(self.hold(member, now)));
        }
        if self.waiting.len() >= WAITING_MAX {
            return None;
        }
        let (sender, turn) = oneshot::channel();
        self.waiting.push_back((member, sender));
        Some(Joined::Waits(turn))
    }

    fn hold(&mut self, member: u64, now: Instant) -> Hint {
        self.holder = Some(Holder { member, chain: self.chain, until: now + TURN });
        if self.used + FRESH <= now {
            self.newest = Hint::Unknown;
        }
        self.newest.clone()
    }

    /// To the first that still waits.
    fn pass_on(&mut self) {
        self.holder = None;
        while let Some((member, turn)) = self.waiting.pop_front() {
            let hint = self.hold(member, Instant::now());
            if turn.send(hint).is_ok() {
                return;
            }
            self.holder = None;
        }
    }
}

fn hint(value: Option<&[u8]>) -> Hint {
    match value {
        Some(value) if value.len() <= TURN_VALUE_BYTES_MAX => {
            Hint::Value(Bytes::copy_from_slice(value))
        }
        Some(_) => Hint::Unknown,
        None => Hint::Absent,
    }
}

/// Of its own, so that it does not hold what it is a part of.
fn bounded(found: Hint) -> Hint {
    match found {
        Hint::Value(value) => hint(Some(&value)),
        found => found,
    }
}

#[cfg(test)]
mod tests;
