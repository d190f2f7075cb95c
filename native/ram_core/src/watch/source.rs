//! What a watch is sent of the time before it began: what its keys hold, or the history. Read only
//! as far as there is credit.

use std::collections::VecDeque;
use std::ops::Bound;
use std::sync::Arc;

use super::history::{Chunk, Write};
use super::{Event, Keys};
use crate::scans::{Cursor, Expired, SCAN_BYTES_MAX, Scan, Scanned};
use ram_table::item::Item;
use ram_table::table::Table;

/// Items of a message, and their bytes, about.
const MESSAGE_EVENTS_MAX: usize = 256;
const MESSAGE_BYTES_MAX: u64 = 1024 * 1024;

/// What the keys of a watch held at one revision.
pub struct Initial {
    revision: u64,
    table: Arc<str>,
    keys: Keys,
    scan: Option<Scan>,
    /// `None`: the last page was read.
    next: Option<Cursor>,
    /// Read and not yet sent.
    items: VecDeque<Item>,
}

impl Initial {
    /// Of the table as it is now: between two writes.
    pub fn of(name: &str, table: &Arc<Table>, revision: u64, keys: &Keys) -> Initial {
        let (name, keys): (Arc<str>, Keys) = (name.into(), keys.clone());
        if let Keys::One(key) = &keys {
            let items = table.get(key).into_iter().collect();
            return Initial { revision, table: name, keys, scan: None, next: None, items };
        }
        let snapshots = [(name.to_string(), Scanned::of(table, revision, SCAN_BYTES_MAX))];
        let scan = Some(Scan::new(snapshots.into(), revision));
        let (next, items) = (Some(Cursor::Start), VecDeque::new());
        Initial { revision, table: name, keys, scan, next, items }
    }

    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// The next ones, so many at most, and whether these were the last.
    pub fn take(&mut self, limit: usize) -> Result<(Vec<Event>, bool), Expired> {
        self.read()?;
        let (mut taken, mut bytes) = (Vec::new(), 0);
        while taken.len() < limit.min(MESSAGE_EVENTS_MAX) && bytes < MESSAGE_BYTES_MAX {
            let Some(item) = self.items.pop_front() else { break };
            let event = Event::present(self.table.clone(), item);
            bytes += event.bytes();
            taken.push(event);
        }
        self.read()?;
        Ok((taken, self.items.is_empty()))
    }

    /// Looks for items until there are some, if any are left.
    fn read(&mut self) -> Result<(), Expired> {
        while self.items.is_empty()
            && let (Some(scan), Some(cursor)) = (&self.scan, &self.next)
        {
            let unbounded = (Bound::Unbounded, Bound::Unbounded);
            let bounds = match &self.keys {
                Keys::Range(from, to) => {
                    (from.as_ref().map(Vec::as_slice), to.as_ref().map(Vec::as_slice))
                }
                Keys::One(_) | Keys::All => unbounded,
            };
            let page = scan.page(&self.table, cursor, bounds, false, MESSAGE_EVENTS_MAX)?;
            self.items = page.items.into();
            self.next = page.next;
        }
        Ok(())
    }
}

/// Writes of the past, from one revision to the other.
pub struct Past {
    chunks: VecDeque<Chunk>,
    /// In the first chunk.
    next: usize,
    from: u64,
}

impl Past {
    pub fn new(chunks: VecDeque<Chunk>, from: u64) -> Past {
        Past { chunks, next: 0, from }
    }

    /// The next write; `None`: it is over.
    pub fn next(&mut self) -> Option<Write> {
        loop {
            let chunk = self.chunks.front()?;
            match chunk.get(self.next) {
                Some(write) => {
                    self.next += 1;
                    if write.revision >= self.from {
                        return Some(write.clone());
                    }
                }
                None => {
                    self.chunks.pop_front();
                    self.next = 0;
                }
            }
        }
    }
}
