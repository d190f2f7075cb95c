//! Snapshots of a replica: who was a member, and the state, at one log id.
//!
//! What openraft must know of a snapshot is the first block ([`SnapshotMeta`]); the ids of removed
//! members follow, a list; then the dump of the state (`ram_store::dump`). The file is one of
//! checked blocks (`ram_log`), and travels between members as its bytes. Writing walks a snapshot
//! of the table on a thread of its own; reading fills a fresh store, so the old state is served
//! until the new one is whole.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use crate::types::SnapshotMeta;
use ram_limits::COUNTER_MAX;
use ram_log::{Disk, SnapshotReader, SnapshotWriter, StoredSnapshot};
use ram_store::Store;
use ram_store::codec;
use ram_store::dump::{self, Blocks, Dump};
use ram_table::value::Values;

/// What Raft knows of a snapshot, beside the state in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Head {
    pub meta: SnapshotMeta,
    /// Raft ids of members that were removed: they never come back under these ids.
    pub removed: BTreeSet<u64>,
}

impl Head {
    /// The log index of the last entry in the snapshot.
    pub fn index(&self) -> u64 {
        self.meta.last_log_id.map_or(0, |log_id| log_id.index())
    }
}

/// Writes the dump; `pause` is called between its parts and may end it with an error.
pub fn write(
    disk: Arc<dyn Disk>,
    head: &Head,
    dump: &Dump,
    pause: impl FnMut() -> io::Result<()>,
) -> io::Result<StoredSnapshot> {
    let index = head.index();
    let mut writer = SnapshotWriter::create(disk.clone(), index)?;
    let mut blocks = Blocks::new(|block: &[u8]| Ok(writer.write_block(block)?));
    blocks.write(&head.meta)?;
    for id in &head.removed {
        blocks.push(id)?;
    }
    blocks.end_list()?;
    dump.write(&mut blocks, pause)?;
    writer.finish()?;
    Ok(StoredSnapshot::at(disk, index))
}

/// What a snapshot is of, without reading more than its first block.
pub fn meta(file: &StoredSnapshot) -> io::Result<SnapshotMeta> {
    read_meta(&mut file.open()?)
}

fn read_meta(reader: &mut SnapshotReader) -> io::Result<SnapshotMeta> {
    const WHAT: &str = "head of a snapshot";
    let meta: SnapshotMeta = codec::decode(WHAT, &dump::required(WHAT, next(reader)?)?)?;
    if meta.last_log_id.is_some_and(|log_id| log_id.index() > COUNTER_MAX) {
        return Err(io::Error::other("a snapshot of more entries than there can be"));
    }
    Ok(meta)
}

fn next(reader: &mut SnapshotReader) -> io::Result<Option<Vec<u8>>> {
    Ok(reader.next().transpose()?)
}

/// Reads a whole snapshot into a fresh store, whose values are held by `values`, at this time of
/// the member, as long as `go_on` says so.
pub fn read(
    file: &StoredSnapshot,
    values: Arc<dyn Values>,
    now_ms: u64,
    go_on: impl Fn() -> io::Result<()>,
) -> io::Result<(Head, Store)> {
    let mut reader = file.open()?;
    let mut head = Head { meta: read_meta(&mut reader)?, ..Head::default() };
    let remove = |id| {
        head.removed.insert(id);
        Ok(())
    };
    dump::read_list("removed members", || next(&mut reader), remove)?;
    let store = Store::load(|| go_on().and_then(|()| next(&mut reader)), values, now_ms)?;
    Ok((head, store))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ram_limits::{BLOCK_BYTES, GROUP_WRITES_MAX};
    use ram_log::MemoryDisk;
    use ram_store::answer::Outcome;
    use ram_store::group::{self, Stamp};
    use ram_store::sessions::SESSIONS_MAX;
    use ram_store::write::{Command, Encoded};
    use ram_store::{EntryId, StateMetadata};
    use ram_table::value::Plain;

    /// Whatever the state is: a reader bounds what it takes for one block.
    fn entry(index: u64) -> EntryId {
        EntryId { term: 1, index }
    }

    #[test]
    fn no_block_grows_with_the_sessions_or_the_removed_members_and_all_of_them_come_back() {
        let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::default());
        let mut store = Store::empty(Arc::new(Plain));
        let delete = Encoded::one("", &Command::delete(b"k")).into_bytes();
        for session in 1..=SESSIONS_MAX as u64 {
            store.apply(entry(session), &group::open_session()).unwrap();
            let stamp = Stamp { session, sequence: 1, acked_below: 1 };
            let writes = std::iter::repeat_n(&delete, GROUP_WRITES_MAX);
            store.apply(entry(session), &group::group(stamp, writes)).unwrap();
        }
        let removed = (1 << 60..(1 << 60) + 200_000).collect();
        let head = Head { removed, ..Head::default() };
        let file = write(disk.clone(), &head, &store.dump(), || Ok(())).unwrap();

        let blocks = SnapshotReader::open(disk.as_ref(), file.index).unwrap();
        let lengths: Vec<usize> = blocks.map(|block| block.unwrap().len()).collect();
        assert!(lengths.len() > 5, "{lengths:?}");
        assert!(lengths[0] < 1024, "{lengths:?}");
        assert!(*lengths.iter().max().unwrap() < 2 * BLOCK_BYTES, "{lengths:?}");
        let (read, restored) = read(&file, Arc::new(Plain), 0, || Ok(())).unwrap();
        assert_eq!(read, head);
        assert_eq!(restored.metadata(), store.metadata());
    }

    /// The next write would count on from there.
    #[test]
    fn a_snapshot_of_more_writes_than_there_can_be_is_refused() {
        for (revision, is_right) in [(COUNTER_MAX, true), (COUNTER_MAX + 1, false)] {
            let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::default());
            let metadata = StateMetadata { revision, ..StateMetadata::default() };
            let store = Store::new(Arc::default(), metadata, Arc::new(Plain));
            let dump = store.dump();
            let file = write(disk, &Head::default(), &dump, || Ok(())).unwrap();
            assert_eq!(read(&file, Arc::new(Plain), 0, || Ok(())).is_ok(), is_right);
        }
    }

    /// What makes a retry harmless has to survive as what it wrote does.
    #[test]
    fn a_group_that_is_sent_again_after_a_start_from_a_snapshot_is_not_applied_again() {
        let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::default());
        let mut store = Store::empty(Arc::new(Plain));
        let opened = store.apply(entry(1), &group::open_session()).unwrap();
        assert_eq!(opened, Outcome::SessionOpened { session: 1 });
        let stamp = Stamp { session: 1, sequence: 1, acked_below: 1 };
        let put = Encoded::one("", &Command::put(b"k", b"1")).into_bytes();
        let group = group::group(stamp, std::iter::once(&put));
        let answered = store.apply(entry(2), &group).unwrap();
        let file = write(disk, &Head::default(), &store.dump(), || Ok(())).unwrap();
        let (_, mut restored) = read(&file, Arc::new(Plain), 0, || Ok(())).unwrap();
        let other = Stamp { sequence: 2, ..stamp };
        let delete = Encoded::one("", &Command::delete(b"k")).into_bytes();
        restored.apply(entry(3), &group::group(other, std::iter::once(&delete))).unwrap();
        assert_eq!(restored.apply(entry(4), &group).unwrap(), answered);
        assert!(restored.table().get(b"k").is_none());
    }
}
