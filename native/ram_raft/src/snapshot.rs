//! Snapshots: the state at one log id, as a file of checked blocks.
//!
//! The first block is a [`Front`]. Lists of [`Part`]s follow, which are the state beside the table,
//! and an empty list ends them; every other block is a list of keys and items. No block grows with
//! the state: what has no bound of its own goes into as many as it needs. Writing walks a frozen
//! table on a thread of its own; reading fills a fresh table, so the old state is served until the
//! new one is whole. A snapshot travels between members as the bytes of its file.

use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::time::Instant;

use super::types::SnapshotMeta;
use ram_limits::{BLOCK_BYTES, COUNTER_MAX};
use ram_log::{Disk, LogError, ReceivedSnapshot, SnapshotReader, SnapshotReceiver, SnapshotWriter};
use ram_store::codec;
use ram_store::sessions;
use ram_store::{Ledger, Store};
use ram_table::table::{Frozen, Item, Table};
use ram_table::value::Values;

/// A snapshot may say anything; 16 bytes are reserved for each.
const ENTRIES_PRESIZED_MAX: u64 = 64 * 1024 * 1024;

/// A whole snapshot, known by the index of the last log id it holds.
#[derive(Debug, Clone)]
pub struct SnapshotFile {
    pub disk: Arc<dyn Disk>,
    pub index: u64,
    /// One that has arrived and is not accepted: the last clone removes it.
    received: Option<Arc<ReceivedSnapshot>>,
}

impl SnapshotFile {
    /// A snapshot of this member.
    pub fn at(disk: Arc<dyn Disk>, index: u64) -> SnapshotFile {
        SnapshotFile { disk, index, received: None }
    }

    pub fn received(received: ReceivedSnapshot) -> SnapshotFile {
        let (disk, index) = (received.disk().clone(), received.index());
        SnapshotFile { disk, index, received: Some(Arc::new(received)) }
    }

    /// Makes one that has arrived a snapshot of this member.
    pub fn accept(self) -> io::Result<SnapshotFile> {
        if let Some(received) = &self.received {
            received.accept()?;
        }
        Ok(SnapshotFile::at(self.disk, self.index))
    }

    fn open(&self) -> Result<SnapshotReader, LogError> {
        match &self.received {
            Some(received) => received.open(),
            None => SnapshotReader::open(self.disk.as_ref(), self.index),
        }
    }

    /// Its bytes, for another member.
    pub fn source(&self) -> Result<ram_log::SnapshotFile, LogError> {
        ram_log::SnapshotFile::open(self.disk.as_ref(), self.index)
    }

    /// The same snapshot on `disk`, copied there if it is on another one.
    pub fn on(self, disk: &Arc<dyn Disk>) -> io::Result<SnapshotFile> {
        if Arc::ptr_eq(&self.disk, disk) {
            return Ok(self);
        }
        let source = self.source()?;
        let mut copy = SnapshotReceiver::create(disk.clone(), self.index, source.length_bytes())?;
        let mut piece = vec![0; BLOCK_BYTES];
        while copy.received_bytes() < source.length_bytes() {
            let offset = copy.received_bytes();
            let bytes = source.read_at(offset, &mut piece)?;
            copy.write_at(offset, piece.get(..bytes).unwrap_or_default())?;
        }
        Ok(SnapshotFile::received(copy.check(|| Ok(()))?))
    }
}

/// All of the state that is not in the table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Head {
    pub meta: SnapshotMeta,
    pub ledger: Ledger,
    /// About how many entries follow: room is made for them at once.
    pub entries: u64,
    /// Raft ids of members that were removed: they never come back under these ids.
    pub removed: BTreeSet<u64>,
}

/// The first block: what a reader must know before the rest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Front {
    meta: SnapshotMeta,
    revision: u64,
    entries: u64,
}

/// A part of the state beside the table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum Part {
    Removed(u64),
    Sessions(sessions::Part),
}

/// What a block behind the parts holds: key, value, revision.
pub type Entry<'a> = (&'a [u8], &'a [u8], u64);

/// Writes the frozen table, as long as `go_on` says so.
pub fn write(
    disk: Arc<dyn Disk>,
    head: &Head,
    frozen: &Frozen,
    go_on: impl Fn() -> io::Result<()>,
) -> io::Result<SnapshotFile> {
    let index = head.meta.last_log_id.map_or(0, |log_id| log_id.index());
    let mut writer = SnapshotWriter::create(disk.clone(), index)?;
    let (meta, revision, entries) = (head.meta.clone(), head.ledger.revision, head.entries);
    writer.write_block(&codec::encode(&Front { meta, revision, entries }))?;
    write_parts(head, &mut writer)?;
    let mut block = Block::default();
    frozen.walk(|piece| go_on().and_then(|()| Ok(block.add(piece, &mut writer)?)))?;
    block.flush(&mut writer)?;
    writer.finish()?;
    Ok(SnapshotFile::at(disk, index))
}

fn write_parts(head: &Head, writer: &mut SnapshotWriter) -> Result<(), LogError> {
    let mut block = Block::default();
    let removed = head.removed.iter().copied().map(Part::Removed);
    for part in removed.chain(head.ledger.sessions.parts().map(Part::Sessions)) {
        block.push(&part, writer)?;
    }
    block.flush(writer)?;
    writer.write_block(&codec::encode(&Vec::<Part>::new()))
}

/// Gathers entries until they fill a block.
pub struct Block {
    entries: Vec<u8>,
    count: u64,
    working_since: Instant,
}

impl Default for Block {
    fn default() -> Self {
        Block { entries: Vec::new(), count: 0, working_since: Instant::now() }
    }
}

impl Block {
    /// Adds entries and writes what is full. Then it rests as long as was worked: a walk takes half
    /// of one processor at most, since requests may need it.
    pub fn add(&mut self, piece: &[Item], writer: &mut SnapshotWriter) -> Result<(), LogError> {
        for item in piece {
            let value = item.value();
            let entry: Entry = (item.key(), &value, item.revision());
            self.push(&entry, writer)?;
        }
        std::thread::sleep(self.working_since.elapsed());
        self.working_since = Instant::now();
        Ok(())
    }

    fn push(
        &mut self,
        entry: &impl Serialize,
        writer: &mut SnapshotWriter,
    ) -> Result<(), LogError> {
        codec::encode_into(entry, &mut self.entries);
        self.count += 1;
        if self.entries.len() >= BLOCK_BYTES { self.flush(writer) } else { Ok(()) }
    }

    /// Writes what is left.
    pub fn flush(&mut self, writer: &mut SnapshotWriter) -> Result<(), LogError> {
        if self.count == 0 {
            return Ok(());
        }
        // The count in front makes the block the encoding of a list.
        let mut bytes = codec::encode(&self.count);
        bytes.append(&mut self.entries);
        self.count = 0;
        writer.write_block(&bytes)
    }
}

/// What a snapshot is of, without reading more than its first block.
pub fn meta(file: &SnapshotFile) -> io::Result<SnapshotMeta> {
    let mut reader = file.open()?;
    Ok(read_front(&mut reader)?.meta)
}

fn read_front(reader: &mut SnapshotReader) -> io::Result<Front> {
    Ok(codec::decode("snapshot head", &next_block(reader)?)?)
}

fn read_head(reader: &mut SnapshotReader) -> io::Result<Head> {
    let Front { meta, revision, entries } = read_front(reader)?;
    let index = meta.last_log_id.as_ref().map_or(0, |log_id| log_id.index());
    if revision.max(index) > COUNTER_MAX {
        return Err(io::Error::other("a snapshot of more changes than there can be"));
    }
    let mut head = Head { meta, entries, ..Head::default() };
    head.ledger.revision = revision;
    loop {
        let parts: Vec<Part> = codec::decode("parts of a snapshot", &next_block(reader)?)?;
        if parts.is_empty() {
            return Ok(head);
        }
        for part in parts {
            match part {
                Part::Removed(id) => _ = head.removed.insert(id),
                Part::Sessions(part) => head.ledger.sessions.restore(part),
            }
        }
    }
}

/// A block that must be there.
fn next_block(reader: &mut SnapshotReader) -> io::Result<Vec<u8>> {
    let block = reader.next().transpose()?;
    block.ok_or_else(|| io::Error::other("a snapshot without a head"))
}

/// Reads a whole snapshot into a fresh store, whose values are held by `values`, as long as `go_on`
/// says so.
pub fn read(
    file: &SnapshotFile,
    values: Arc<dyn Values>,
    go_on: impl Fn() -> io::Result<()>,
) -> io::Result<(Head, Store)> {
    let mut reader = file.open()?;
    let head = read_head(&mut reader)?;
    let table = Arc::new(Table::with_capacity(head.entries.min(ENTRIES_PRESIZED_MAX) as usize));
    while let Some(block) = reader.next().transpose()? {
        go_on()?;
        let (entries, _) = codec::decode_prefix::<Vec<Entry>>("snapshot block", &block)?;
        for (key, value, revision) in entries {
            table.insert(Item::new(key, values.hold(value), revision));
        }
    }
    let store = Store::new(table, head.ledger.clone(), values);
    Ok((head, store))
}

/// The newest snapshot on this disk.
pub fn latest(disk: &Arc<dyn Disk>) -> io::Result<Option<SnapshotFile>> {
    let index = ram_log::latest_snapshot(disk.as_ref())?;
    Ok(index.map(|index| SnapshotFile::at(disk.clone(), index)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ram_limits::GROUP_WRITES_MAX;
    use ram_log::MemoryDisk;
    use ram_store::command::{self, Command, Outcome, Stamp};
    use ram_store::sessions::SESSIONS_MAX;
    use ram_table::value::Plain;

    /// Whatever the state is: a reader bounds what it takes for one block.
    #[test]
    fn no_block_grows_with_the_sessions_or_the_removed_members_and_all_of_them_come_back() {
        let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::default());
        let mut store = Store::empty(Arc::new(Plain));
        let delete = Command::Delete { key: b"k" }.encode();
        for session in 1..=SESSIONS_MAX as u64 {
            store.apply(session, &command::open_session()).unwrap();
            let stamp = Stamp { session, sequence: 1, settled_below: 1 };
            let writes = std::iter::repeat_n((1, &delete), GROUP_WRITES_MAX);
            store.apply(session, &command::group(stamp, writes)).unwrap();
        }
        let frozen = store.table().freeze(0).unwrap();
        let removed = (1 << 60..(1 << 60) + 200_000).collect();
        let head = Head { ledger: store.ledger().clone(), removed, ..Head::default() };
        let file = write(disk.clone(), &head, &frozen, || Ok(())).unwrap();

        let blocks = SnapshotReader::open(disk.as_ref(), file.index).unwrap();
        let lengths: Vec<usize> = blocks.map(|block| block.unwrap().len()).collect();
        assert!(lengths.len() > 5, "{lengths:?}");
        assert!(lengths[0] < 1024, "{lengths:?}");
        assert!(*lengths.iter().max().unwrap() < 2 * BLOCK_BYTES, "{lengths:?}");
        let (read, restored) = read(&file, Arc::new(Plain), || Ok(())).unwrap();
        assert_eq!(read, head);
        assert_eq!(restored.ledger(), store.ledger());
    }

    /// The next change would count on from there.
    #[test]
    fn a_snapshot_of_more_changes_than_there_can_be_is_refused() {
        for (revision, is_right) in [(COUNTER_MAX, true), (COUNTER_MAX + 1, false)] {
            let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::default());
            let frozen = Store::empty(Arc::new(Plain)).table().freeze(0).unwrap();
            let mut head = Head::default();
            head.ledger.revision = revision;
            let file = write(disk, &head, &frozen, || Ok(())).unwrap();
            assert_eq!(read(&file, Arc::new(Plain), || Ok(())).is_ok(), is_right);
        }
    }

    /// What makes a retry harmless has to survive as what it wrote does.
    #[test]
    fn a_group_that_is_sent_again_after_a_start_from_a_snapshot_is_not_applied_again() {
        let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::default());
        let mut store = Store::empty(Arc::new(Plain));
        let opened = store.apply(1, &command::open_session()).unwrap();
        assert_eq!(opened, Outcome::SessionOpened { session: 1 });
        let stamp = Stamp { session: 1, sequence: 1, settled_below: 1 };
        let put = Command::Put { key: b"k", value: b"1" }.encode();
        let group = command::group(stamp, [(1, &put)].into_iter());
        let answered = store.apply(2, &group).unwrap();
        let frozen = store.table().freeze(store.ledger().revision).unwrap();
        let head = Head {
            ledger: store.ledger().clone(),
            entries: store.table().entries(),
            ..Head::default()
        };
        let file = write(disk, &head, &frozen, || Ok(())).unwrap();
        let (_, mut restored) = read(&file, Arc::new(Plain), || Ok(())).unwrap();
        let other = Stamp { sequence: 2, ..stamp };
        let delete = Command::Delete { key: b"k" }.encode();
        restored.apply(3, &command::group(other, [(1, &delete)].into_iter())).unwrap();
        assert_eq!(restored.apply(4, &group).unwrap(), answered);
        assert!(restored.table().get(b"k").is_none());
    }
}
