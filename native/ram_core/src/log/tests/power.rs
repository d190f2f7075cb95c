//! A loss of power: only what was synced is there afterwards.

use std::collections::BTreeMap;

use parking_lot::Mutex;

use super::*;

/// A disk with a volatile cache in front of it.
#[derive(Clone, Debug, Default)]
struct CachedDisk {
    folder: Arc<Mutex<Folder>>,
}

#[derive(Debug, Default)]
struct Folder {
    seen: BTreeMap<String, CachedFile>,
    durable: BTreeMap<String, CachedFile>,
    /// The next sync of a file fails, and its pages are forgotten, as Linux does.
    sync_fails: Arc<Mutex<bool>>,
}

#[derive(Clone, Debug, Default)]
struct CachedFile {
    content: Arc<Mutex<Content>>,
    sync_fails: Arc<Mutex<bool>>,
}

#[derive(Debug, Default)]
struct Content {
    seen: Vec<u8>,
    durable: Vec<u8>,
    unsynced: Vec<Range<usize>>,
}

impl CachedDisk {
    /// What is there when the power is back.
    fn after_power_loss(&self) -> MemoryDisk {
        let disk = MemoryDisk::new();
        for (name, file) in &self.folder.lock().durable {
            disk.create(name).unwrap().write_at(&file.content.lock().durable, 0).unwrap();
        }
        disk
    }
}

impl Disk for CachedDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.folder.lock().seen.keys().cloned().collect())
    }
    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let folder = self.folder.lock();
        Ok(Box::new(folder.seen.get(name).ok_or(io::ErrorKind::NotFound)?.clone()))
    }
    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let mut folder = self.folder.lock();
        let file = CachedFile { sync_fails: folder.sync_fails.clone(), ..CachedFile::default() };
        folder.seen.insert(name.to_owned(), file.clone());
        Ok(Box::new(file))
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut folder = self.folder.lock();
        let file = folder.seen.remove(from).ok_or(io::ErrorKind::NotFound)?;
        folder.seen.insert(to.to_owned(), file);
        Ok(())
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        self.folder.lock().seen.remove(name);
        Ok(())
    }
    fn sync_dir(&self) -> io::Result<()> {
        let mut folder = self.folder.lock();
        folder.durable = folder.seen.clone();
        Ok(())
    }
}

impl DiskFile for CachedFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let content = self.content.lock();
        let seen = content.seen.get(offset as usize..).unwrap_or_default();
        let count = seen.len().min(buffer.len());
        buffer[..count].copy_from_slice(&seen[..count]);
        Ok(count)
    }
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut content = self.content.lock();
        let range = offset as usize..offset as usize + bytes.len();
        let length = content.seen.len().max(range.end);
        content.seen.resize(length, 0);
        content.seen[range.clone()].copy_from_slice(bytes);
        content.unsynced.push(range);
        Ok(())
    }
    fn grow(&self, len: u64) -> io::Result<()> {
        let length = self.len()?;
        self.write_at(&vec![0; len.saturating_sub(length) as usize], length)
    }
    fn len(&self) -> io::Result<u64> {
        Ok(self.content.lock().seen.len() as u64)
    }
    fn sync_data(&self) -> io::Result<()> {
        let mut content = self.content.lock();
        let content = &mut *content;
        content.durable.resize(content.seen.len(), 0);
        if std::mem::take(&mut *self.sync_fails.lock()) {
            content.unsynced.clear();
            return Err(io::Error::other("the sync failed"));
        }
        for range in content.unsynced.drain(..) {
            content.durable[range.clone()].copy_from_slice(&content.seen[range]);
        }
        Ok(())
    }
}

#[test]
fn what_was_answered_is_there_after_a_loss_of_power_at_any_time() {
    let disk = CachedDisk::default();
    let log = Log::open(Arc::new(disk.clone()), inline()).unwrap();
    for index in 0..40 {
        append(&log, entries(index..index + 1, 100));
        if index % 7 == 6 {
            truncate(&log, Some(index - 1));
            append(&log, entries(index..index + 1, 100));
        }
        if index % 10 == 9 {
            purge(&log, index - 8);
            set_state(&log, 1, b"vote");
        }
        let after = open(&disk.after_power_loss(), &inline());
        assert_eq!(content(&after), content(&log));
        assert_eq!((after.state(1), after.purged_index()), (log.state(1), log.purged_index()));
    }
}

#[test]
fn what_is_reported_after_a_failed_sync_and_a_restart_is_durable() {
    let disk = CachedDisk::default();
    let log = Log::open(Arc::new(disk.clone()), inline()).unwrap();
    append(&log, entries(0..2, 40));
    *disk.folder.lock().sync_fails.lock() = true;
    assert!(result_of(|done| log.append(entries(2..4, 40), done)).is_err());
    drop(log);
    // The pages look clean, and the disk has nothing of them.
    assert_eq!(content(&open(&disk.after_power_loss(), &inline())), entries(0..2, 40));

    let log = Log::open(Arc::new(disk.clone()), inline()).unwrap();
    assert_eq!(content(&log), entries(0..4, 40));
    assert_eq!(content(&open(&disk.after_power_loss(), &inline())), entries(0..4, 40));
}

#[test]
fn a_cut_tail_stays_cut_after_a_loss_of_power() {
    let disk = CachedDisk::default();
    let log = Log::open(Arc::new(disk.clone()), inline()).unwrap();
    append(&log, entries(0..2, 40));
    drop(log);
    let name = "log-00000000000000000001.seg";
    let end = 48 + 2 * 73;
    let file = disk.open(name).unwrap();
    file.write_at(&[0xA7, 1, 0, 0, 9], end).unwrap();
    file.sync_data().unwrap();
    drop(Log::open(Arc::new(disk.clone()), inline()).unwrap());
    let bytes = bytes_of(&disk.after_power_loss(), name);
    assert!(bytes[end as usize..].iter().all(|byte| *byte == 0));
}

#[test]
fn snapshots_and_checked_files_last_when_they_are_reported_written() {
    let disk = CachedDisk::default();
    write_checked(&disk, "identity", b"node 7").unwrap();
    let after = disk.after_power_loss();
    assert_eq!(read_checked(&after, "identity").unwrap().unwrap(), b"node 7");

    let mut writer = SnapshotWriter::create(Arc::new(disk.clone()), 7).unwrap();
    writer.write_block(b"block").unwrap();
    let length = writer.finish().unwrap() as usize;
    let bytes = bytes_of(&disk.after_power_loss(), &snapshot_name(7));
    assert_eq!(bytes.len(), length);

    let other = CachedDisk::default();
    let mut receiver = SnapshotReceiver::create(Arc::new(other.clone()), 7, length as u64).unwrap();
    receiver.write_at(0, &bytes).unwrap();
    receiver.finish().unwrap();
    assert_eq!(bytes_of(&other.after_power_loss(), &snapshot_name(7)), bytes);
}
