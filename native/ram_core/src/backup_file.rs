//! The file of a backup: the tables of one revision, as checked blocks.
//!
//! The first block is a [`Head`], the others are [`Content`] (`ram_store::dump`). Membership
//! and sessions belong to one cluster and are not in it. It is written and read on the snapshot
//! thread, a block in memory at a time.

use serde::{Deserialize, Serialize};
use std::path::Path;
use std::sync::Arc;

use crate::config::Limits;
use crate::identity::{ClusterId, EncodedClusterId};
use crate::{Error, Result};
use ram_limits::OWN_TABLES;
use ram_log::{Disk, DiskError, Kind, SingleFileDisk, SnapshotReader, SnapshotWriter};
use ram_raft::worker::{Pace, Worker};
use ram_store::codec;
use ram_store::dump::{self, Blocks, Content, Entry, TableHead};
use ram_store::write::Encoded;
use ram_table::tables::TablesSnapshot;

const VERSION: u32 = 3;

/// What the backup is of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    version: u32,
    #[serde(with = "EncodedClusterId")]
    cluster: ClusterId,
    revision: u64,
    entries: u64,
}

/// Writes the tables; gives up when the worker is to close.
pub fn write(
    path: &Path,
    cluster: ClusterId,
    tables: &TablesSnapshot,
    worker: &Worker,
) -> Result<()> {
    let disk = SingleFileDisk::new(path);
    let name = path.display().to_string();
    match disk.list() {
        Ok(files) if files.is_empty() => {}
        Ok(_) => return Err(Error::File(format!("{name}: the file exists"))),
        Err(error) => return Err(Error::File(format!("the folder of {name}: {error}"))),
    }
    let (revision, entries) = (tables.revision(), tables.entries());
    let head = Head { version: VERSION, cluster, revision, entries };
    let writer = SnapshotWriter::create_as(Kind::Backup, Arc::new(disk), name, revision);
    let mut writer = writer.map_err(refused)?;
    let mut blocks = Blocks::new(|block: &[u8]| writer.write_block(block).map_err(refused));
    blocks.write(&head)?;
    let mut pace = Pace::begin();
    blocks.write_content(tables, || {
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
    /// Whose entries are read.
    table: String,
}

/// What restores a block.
pub enum Restoring {
    /// The table that the next puts are in; the default one is there.
    Table { name: String, ordered: bool },
    /// Writes, each of one entry.
    Puts(Vec<Vec<u8>>),
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
        Ok(BackupFile { reader, name, head, table: String::new() })
    }

    /// Reads the whole file. Returns what it is of and how many puts restore it, when every byte is
    /// as it was written and every entry may be put under these limits.
    pub fn check(path: &Path, limits: &Limits, worker: &Worker) -> Result<(Head, u64)> {
        let mut file = BackupFile::open(path)?;
        let (mut found, mut puts) = (0, 0);
        let mut is_own_table = false;
        let mut within_limits = |content: Content| {
            let entries = match content {
                Content::Table(TableHead { name, .. }) => {
                    is_own_table = is_own(name);
                    return Ok((0, 0));
                }
                Content::Entries(entries) => entries,
            };
            let check = |entry: &Entry| limits.check(entry.key, Some(entry.value)).err();
            let restored =
                entries.iter().filter(|entry| !is_own_table && is_restored(entry)).count();
            let counts = (entries.len() as u64, restored as u64);
            entries.iter().find_map(check).map_or(Ok(counts), Err)
        };
        while let Some(checked) = file.next_block(&mut within_limits)? {
            if worker.is_closing() {
                return Err(Error::Stopped);
            }
            let (here, restored) = checked?;
            found += here;
            puts += restored;
        }
        // More are possible: one that changed during the walk may be there twice.
        if found < file.head.entries {
            let (name, entries) = (&file.name, file.head.entries);
            return Err(Error::File(format!("{name}: {found} entries, where {entries} must be")));
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

    /// The writes that restore the next block; those of ram's own tables are none.
    pub fn next_writes(&mut self) -> Result<Option<Restoring>> {
        let mut table = std::mem::take(&mut self.table);
        let restoring = self.next_block(|content| match content {
            Content::Table(TableHead { name, ordered, .. }) => {
                table = name.into();
                match is_own(&table) {
                    true => Restoring::Puts(Vec::new()),
                    false => Restoring::Table { name: name.into(), ordered },
                }
            }
            Content::Entries(entries) => {
                let entries =
                    entries.into_iter().filter(|entry| !is_own(&table) && is_restored(entry));
                let put = |entry: Entry| Encoded::one(&table, &entry.put()).into_bytes();
                Restoring::Puts(entries.map(put).collect())
            }
        });
        self.table = table;
        restoring
    }

    fn next_block<T>(&mut self, visit: impl FnOnce(Content) -> T) -> Result<Option<T>> {
        let offset = self.reader.offset();
        let Some(block) = self.reader.next().transpose().map_err(refused)? else { return Ok(None) };
        match dump::content(&block) {
            Ok(content) => Ok(Some(visit(content))),
            Err(error) => Err(Error::File(format!("{}, byte {offset}: {error}", self.name))),
        }
    }
}

/// Not what was owned: its owner is of another cluster, or gone.
fn is_restored(entry: &Entry<'_>) -> bool {
    entry.owner.is_empty()
}

/// Does this table belong to ram itself?
pub fn is_own(table: &str) -> bool {
    table.starts_with(OWN_TABLES)
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
    use ram_store::write::Command;
    use ram_table::table::{Item, Meta};
    use ram_table::tables::{TableType, Tables};
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

        fn write(&self, name: &str, tables: &Tables, revision: u64) -> Result<()> {
            write(&self.path(name), CLUSTER, &tables.snapshot(revision), &self.worker)
        }

        fn check(&self, name: &str) -> Result<u64> {
            let checked = BackupFile::check(&self.path(name), &Limits::default(), &self.worker);
            checked.map(|(_, puts)| puts)
        }
    }

    fn tables(entries: u64) -> Tables {
        let tables = Tables::default();
        let table = tables.default_table();
        for revision in 1..=entries {
            let value = revision.to_le_bytes();
            let key = revision.to_be_bytes();
            let meta = Meta::created(revision);
            table.insert(Item::new(&key, StoredValue::plain(&value), &meta));
        }
        tables
    }

    fn refusal<T>(result: Result<T>) -> String {
        match result {
            Err(Error::File(text)) => text,
            Err(other) => panic!("{other:?}"),
            Ok(_) => panic!("it was taken"),
        }
    }

    #[test]
    fn every_table_comes_back_and_every_entry_as_a_put() {
        let files = Files::new();
        let tables = tables(30_000);
        tables.create("other", TableType::OrderedSet);
        let other = Item::new(b"k", StoredValue::plain(b"v"), &Meta::created(7));
        tables.get("other").unwrap().insert(other);
        files.write("b", &tables, 30_000).unwrap();
        assert_eq!(files.names(), ["b"]);
        let path = files.path("b");
        let checked = BackupFile::check(&path, &Limits::default(), &files.worker).unwrap();
        let (cluster, version, entries) = (CLUSTER, VERSION, 30_001);
        let head = Head { version, cluster, revision: 30_000, entries };
        assert_eq!(checked, (head.clone(), 30_001));
        let mut file = BackupFile::reopen(&path, &head).unwrap();
        let (mut puts, mut named) = (Vec::new(), Vec::new());
        while let Some(restoring) = file.next_writes().unwrap() {
            match restoring {
                Restoring::Table { name, ordered } => named.push((name, ordered)),
                Restoring::Puts(writes) => puts.extend(writes),
            }
        }
        assert_eq!(named, [(String::new(), false), ("other".into(), true)]);
        let put = |table, key: &[u8], value: &[u8]| {
            Encoded::one(table, &Command::put(key, value)).into_bytes()
        };
        assert_eq!(puts.pop(), Some(put("other", b"k", b"v")));
        puts.sort();
        let numbered = |n: u64| put("", &n.to_be_bytes(), &n.to_le_bytes());
        assert!(puts.into_iter().eq((1..=30_000).map(numbered)));
        refusal(BackupFile::reopen(&path, &Head { revision: 1, ..head }));
    }

    #[test]
    fn an_empty_table_makes_a_backup_too() {
        let files = Files::new();
        files.write("b", &tables(0), 0).unwrap();
        assert_eq!(files.check("b").unwrap(), 0);
    }

    #[test]
    fn a_backup_cut_or_changed_anywhere_is_refused_and_named() {
        let files = Files::new();
        files.write("b", &tables(5), 5).unwrap();
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
        let version = VERSION + 1;
        let head = Head { version, cluster: CLUSTER, revision: 1, entries: 0 };
        assert!(forge("newer", &head).contains(&format!("version {version}")));
        assert!(
            forge("less", &Head { version: VERSION, entries: 9, ..head }).contains("9 must be")
        );
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
        assert_eq!(files.write("b", &tables(5), 5), Err(Error::Stopped));
        assert_eq!(files.names(), Vec::<String>::new());
    }

    #[test]
    fn a_file_that_exists_stays_as_it_is() {
        let files = Files::new();
        fs::write(files.path("b"), b"mine").unwrap();
        assert!(refusal(files.write("b", &tables(5), 5)).contains("exists"));
        assert_eq!(fs::read(files.path("b")).unwrap(), b"mine");
        assert_eq!(files.names(), ["b"]);
    }
}
