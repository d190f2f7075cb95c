//! The file of a backup: the entries of one revision, as checked blocks.
//!
//! The first block is a [`Head`], every other one a list of entries (`ram_store::dump`). Membership
//! and sessions belong to one cluster and are not in it. It is written and read on the snapshot
//! thread, a block in memory at a time.

use serde::{Deserialize, Serialize};
use std::path::Path;
use std::sync::Arc;

use crate::config::Limits;
use crate::identity::{ClusterId, EncodedClusterId};
use crate::{Error, Result};
use ram_log::{Disk, DiskError, Kind, SingleFileDisk, SnapshotReader, SnapshotWriter};
use ram_raft::worker::{Pace, Worker};
use ram_store::codec;
use ram_store::command::Command;
use ram_store::dump::{self, Blocks, Entry};
use ram_table::table::TableSnapshot;

const VERSION: u32 = 1;

/// What the backup is of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    version: u32,
    #[serde(with = "EncodedClusterId")]
    cluster: ClusterId,
    revision: u64,
    entries: u64,
}

/// Writes the table; gives up when the worker is to close.
pub fn write(
    path: &Path,
    cluster: ClusterId,
    table: &TableSnapshot,
    worker: &Worker,
) -> Result<()> {
    let disk = SingleFileDisk::new(path);
    let name = path.display().to_string();
    match disk.list() {
        Ok(files) if files.is_empty() => {}
        Ok(_) => return Err(Error::File(format!("{name}: the file exists"))),
        Err(error) => return Err(Error::File(format!("the folder of {name}: {error}"))),
    }
    let (revision, entries) = (table.revision(), table.entries());
    let head = Head { version: VERSION, cluster, revision, entries };
    let writer = SnapshotWriter::create_as(Kind::Backup, Arc::new(disk), name, revision);
    let mut writer = writer.map_err(refused)?;
    let mut blocks = Blocks::new(|block: &[u8]| writer.write_block(block).map_err(refused));
    blocks.write(&head)?;
    let mut pace = Pace::begin();
    blocks.write_entries(table, || {
        pace.rest();
        if worker.is_closing() { Err(Error::Stopped) } else { Ok(()) }
    })?;
    writer.finish().map_err(refused)?;
    Ok(())
}

/// A backup that is read.
pub struct BackupFile {
    reader: SnapshotReader,
    name: String,
    head: Head,
}

impl BackupFile {
    pub fn open(path: &Path) -> Result<BackupFile> {
        let name = path.display().to_string();
        let reader = SnapshotReader::open_as(Kind::Backup, &SingleFileDisk::new(path), &name);
        let mut reader = reader.map_err(refused)?;
        let first = reader.next().transpose().map_err(refused)?.unwrap_or_default();
        // The version comes first in every version of the head.
        let version = codec::decode_prefix::<u32>("backup head", &first);
        match version.map_err(|error| Error::File(format!("{name}: {error}")))? {
            (VERSION, _) => {}
            (found, _) => {
                let text = format!("{name}: a backup of version {found}; {VERSION} is known here");
                return Err(Error::File(text));
            }
        }
        let head = codec::decode("backup head", &first);
        let head = head.map_err(|error| Error::File(format!("{name}: {error}")))?;
        Ok(BackupFile { reader, name, head })
    }

    /// Reads the whole file. Returns what it is of and how many puts restore it, when every byte is
    /// as it was written and every entry may be put under these limits.
    pub fn check(path: &Path, limits: &Limits, worker: &Worker) -> Result<(Head, u64)> {
        let mut file = BackupFile::open(path)?;
        let mut puts = 0;
        let within_limits = |entries: Vec<Entry>| {
            let refused = entries.iter().find_map(|(k, v, _)| limits.check(k, Some(v)).err());
            refused.map_or(Ok(entries.len() as u64), Err)
        };
        while let Some(checked) = file.next_block(within_limits)? {
            if worker.is_closing() {
                return Err(Error::Stopped);
            }
            puts += checked?;
        }
        // More are possible: one that changed during the walk may be there twice.
        if puts < file.head.entries {
            let (name, entries) = (&file.name, file.head.entries);
            return Err(Error::File(format!("{name}: {puts} entries, where {entries} must be")));
        }
        Ok((file.head, puts))
    }

    /// Opens a backup again that was checked.
    pub fn reopen(path: &Path, checked: &Head) -> Result<BackupFile> {
        let file = BackupFile::open(path)?;
        if file.head == *checked {
            return Ok(file);
        }
        Err(Error::File(format!("{}: it was replaced meanwhile", file.name)))
    }

    /// The commands that restore the next block.
    pub fn next_puts(&mut self) -> Result<Option<Vec<Vec<u8>>>> {
        let put = |(key, value, _): Entry| Command::Put { key, value }.encode();
        self.next_block(|entries| entries.into_iter().map(put).collect())
    }

    fn next_block<T>(&mut self, visit: impl FnOnce(Vec<Entry>) -> T) -> Result<Option<T>> {
        let offset = self.reader.offset();
        let Some(block) = self.reader.next().transpose().map_err(refused)? else { return Ok(None) };
        match dump::entries(&block) {
            Ok(entries) => Ok(Some(visit(entries))),
            Err(error) => Err(Error::File(format!("{}, byte {offset}: {error}", self.name))),
        }
    }
}

/// As [`DiskError`] says it, without the advice for a data folder.
fn refused(error: DiskError) -> Error {
    Error::File(match error {
        DiskError::Io { file, source } => format!("{file}: {source}"),
        DiskError::Corrupt { file, offset, what } => format!("{file}, byte {offset}: {what}"),
        DiskError::Version { file, found, known } => {
            format!("{file}: a format of version {found}; {known} is known here")
        }
        other => other.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ram_table::table::{Item, Meta, Table};
    use ram_table::value::StoredValue;
    use std::fs;
    use std::path::PathBuf;

    const CLUSTER: ClusterId = ClusterId([7; 16]);

    struct Files {
        folder: tempfile::TempDir,
        worker: Worker,
    }

    impl Files {
        fn new() -> Self {
            let worker = Worker::start("ram-snapshot").unwrap();
            Files { folder: tempfile::tempdir().unwrap(), worker }
        }

        fn path(&self, name: &str) -> PathBuf {
            self.folder.path().join(name)
        }

        fn names(&self) -> Vec<String> {
            let entries = fs::read_dir(self.folder.path()).unwrap();
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
        }

        fn write(&self, name: &str, table: &Arc<Table>, revision: u64) -> Result<()> {
            let snapshot = table.snapshot(revision, None);
            write(&self.path(name), CLUSTER, &snapshot, &self.worker)
        }

        fn check(&self, name: &str) -> Result<u64> {
            let checked = BackupFile::check(&self.path(name), &Limits::default(), &self.worker);
            checked.map(|(_, puts)| puts)
        }
    }

    fn table(entries: u64) -> Arc<Table> {
        let table = Arc::new(Table::default());
        for revision in 1..=entries {
            let value = revision.to_le_bytes();
            let key = revision.to_be_bytes();
            let meta = Meta::created(revision);
            table.insert(Item::new(&key, StoredValue::plain(&value), &meta));
        }
        table
    }

    fn refusal<T>(result: Result<T>) -> String {
        match result {
            Err(Error::File(text)) => text,
            Err(other) => panic!("{other:?}"),
            Ok(_) => panic!("it was taken"),
        }
    }

    #[test]
    fn every_entry_comes_back_as_a_put() {
        let files = Files::new();
        files.write("b", &table(30_000), 30_000).unwrap();
        assert_eq!(files.names(), ["b"]);
        let path = files.path("b");
        let checked = BackupFile::check(&path, &Limits::default(), &files.worker).unwrap();
        let head = Head { version: 1, cluster: CLUSTER, revision: 30_000, entries: 30_000 };
        assert_eq!(checked, (head.clone(), 30_000));
        let mut file = BackupFile::reopen(&path, &head).unwrap();
        let mut puts = Vec::new();
        while let Some(block) = file.next_puts().unwrap() {
            puts.extend(block);
        }
        puts.sort();
        let put = |n: u64| Command::Put { key: &n.to_be_bytes(), value: &n.to_le_bytes() }.encode();
        assert!(puts.into_iter().eq((1..=30_000).map(put)));
        refusal(BackupFile::reopen(&path, &Head { revision: 1, ..head }));
    }

    #[test]
    fn an_empty_table_makes_a_backup_too() {
        let files = Files::new();
        files.write("b", &table(0), 0).unwrap();
        assert_eq!(files.check("b").unwrap(), 0);
    }

    #[test]
    fn a_backup_cut_or_changed_anywhere_is_refused_and_named() {
        let files = Files::new();
        files.write("b", &table(5), 5).unwrap();
        let bytes = fs::read(files.path("b")).unwrap();
        let name = files.path("damaged").display().to_string();
        for at in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 0x10;
            for damaged in [&flipped[..], &bytes[..at]] {
                fs::write(files.path("damaged"), damaged).unwrap();
                let text = refusal(files.check("damaged"));
                assert!(text.starts_with(&name), "{at}: {text}");
            }
        }
    }

    #[test]
    fn a_backup_of_another_version_or_with_too_few_entries_is_refused() {
        let files = Files::new();
        let forge = |name: &str, head: &Head| {
            let disk = Arc::new(SingleFileDisk::new(&files.path(name)));
            let full_name = files.path(name).display().to_string();
            let mut writer = SnapshotWriter::create_as(Kind::Backup, disk, full_name, 1).unwrap();
            writer.write_block(&codec::encode(head)).unwrap();
            writer.finish().unwrap();
            refusal(files.check(name))
        };
        let head = Head { version: 2, cluster: CLUSTER, revision: 1, entries: 0 };
        assert!(forge("newer", &head).contains("version 2"));
        assert!(forge("less", &Head { version: 1, entries: 9, ..head }).contains("9 must be"));
    }

    #[test]
    fn a_backup_is_no_snapshot_and_a_snapshot_no_backup() {
        let files = Files::new();
        let name = |kind: &str| files.path(kind).display().to_string();
        for kind in [Kind::Backup, Kind::Snapshot] {
            let disk = Arc::new(SingleFileDisk::new(&files.path(&kind.to_string())));
            let writer = SnapshotWriter::create_as(kind, disk, name(&kind.to_string()), 1).unwrap();
            writer.finish().unwrap();
        }
        assert!(refusal(files.check("snapshot")).contains("it is no backup"));
        let disk = SingleFileDisk::new(&files.path("backup"));
        let opened = SnapshotReader::open_as(Kind::Snapshot, &disk, &name("backup"));
        assert!(opened.unwrap_err().to_string().contains("it is no snapshot"));
    }

    #[test]
    fn a_worker_that_closes_gives_the_backup_up_and_nothing_is_left() {
        let files = Files::new();
        files.worker.close();
        assert_eq!(files.write("b", &table(5), 5), Err(Error::Stopped));
        assert_eq!(files.names(), Vec::<String>::new());
    }

    #[test]
    fn a_file_that_exists_stays_as_it_is() {
        let files = Files::new();
        fs::write(files.path("b"), b"mine").unwrap();
        assert!(refusal(files.write("b", &table(5), 5)).contains("exists"));
        assert_eq!(fs::read(files.path("b")).unwrap(), b"mine");
        assert_eq!(files.names(), ["b"]);
    }
}
