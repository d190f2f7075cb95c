//! The newest writes, for watches that begin at a revision of the past. Bounded in bytes: the
//! oldest go first.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::Event;

/// What a write takes beside its events, about.
const WRITE_BYTES: u64 = 64;
/// A chunk is closed when it has so many writes, or this part of all bytes.
const CHUNK_WRITES_MAX: usize = 64;
const CHUNK_PART: u64 = 16;
/// Tables of which more is missing.
const FLOORS_MAX: usize = 1024;

/// One write: all its changes have its revision.
#[derive(Debug, Clone)]
pub struct Write {
    pub revision: u64,
    pub events: Arc<[Event]>,
}

impl Write {
    pub fn bytes(&self) -> u64 {
        WRITE_BYTES + self.events.iter().map(Event::bytes).sum::<u64>()
    }
}

/// Writes in a row. Who goes through the history holds the chunks that are left to it.
pub type Chunk = Arc<[Write]>;

#[derive(Debug)]
pub struct History {
    closed: VecDeque<(Chunk, u64)>,
    open: Vec<Write>,
    open_bytes: u64,
    /// With those of the open chunk.
    bytes: u64,
    bytes_max: u64,
    /// Of all writes so far.
    passed_bytes: u64,
    /// What came after this revision is there.
    floor: u64,
    /// Tables of which more is missing: up to this revision.
    floors: BTreeMap<Arc<str>, u64>,
}

impl History {
    /// Begins after this revision.
    pub fn new(bytes_max: u64, floor: u64) -> History {
        History {
            closed: VecDeque::new(),
            open: Vec::new(),
            open_bytes: 0,
            bytes: 0,
            bytes_max,
            passed_bytes: 0,
            floor,
            floors: BTreeMap::new(),
        }
    }

    /// Begins anew, after this revision.
    pub fn restart(&mut self, floor: u64) {
        let passed_bytes = self.passed_bytes;
        *self = History { passed_bytes, ..History::new(self.bytes_max, floor) };
    }

    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The oldest revision from which all changes of the table are there.
    pub fn oldest(&self, table: &str) -> u64 {
        self.floors.get(table).copied().unwrap_or(0).max(self.floor) + 1
    }

    pub fn bytes_max(&self) -> u64 {
        self.bytes_max
    }

    /// Of all writes so far.
    pub fn passed_bytes(&self) -> u64 {
        self.passed_bytes
    }

    /// The write of this revision changed the table, and not all of it is there.
    pub fn miss(&mut self, table: Arc<str>, revision: u64) {
        if self.floors.len() >= FLOORS_MAX {
            self.restart(revision);
        } else {
            self.floors.insert(table, revision);
        }
    }

    pub fn push(&mut self, write: Write) {
        let (bytes, revision) = (write.bytes(), write.revision);
        self.passed_bytes += bytes;
        if bytes > self.bytes_max {
            return self.restart(revision);
        }
        self.open.push(write);
        self.open_bytes += bytes;
        self.bytes += bytes;
        let is_full = self.open.len() >= CHUNK_WRITES_MAX;
        if is_full || self.open_bytes >= self.bytes_max / CHUNK_PART {
            self.closed.push_back((std::mem::take(&mut self.open).into(), self.open_bytes));
            self.open_bytes = 0;
        }
        while self.bytes > self.bytes_max
            && let Some((oldest, bytes)) = self.closed.pop_front()
        {
            self.bytes -= bytes;
            self.floor = oldest.last().map_or(self.floor, |write| write.revision);
            let floor = self.floor;
            self.floors.retain(|_, missed| *missed > floor);
        }
    }

    /// The chunks with writes of this revision and later ones.
    pub fn since(&self, revision: u64) -> VecDeque<Chunk> {
        let is_new = |chunk: &Chunk| chunk.last().is_some_and(|last| last.revision >= revision);
        let closed = self.closed.iter().map(|(chunk, _)| chunk.clone());
        let open = (!self.open.is_empty()).then(|| Chunk::from(self.open.clone()));
        closed.chain(open).filter(is_new).collect()
    }
}
