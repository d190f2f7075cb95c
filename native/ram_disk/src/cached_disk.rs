//! A [`Disk`] with a volatile cache in front of it: for tests and for the simulator.
//!
//! Writes and names are seen at once, and survive a loss of power only after a sync. A part of an
//! unsynced write may have reached the disk all the same, which is how a batch is torn. Clones
//! share their files; a loss of power leaves a disk of its own.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use super::disk::{Disk, DiskFile};

#[derive(Clone, Debug, Default)]
pub struct CachedDisk {
    folder: Arc<Mutex<Folder>>,
    faults: Arc<FaultState>,
}

/// The faults that syncs meet.
#[derive(Debug, Default)]
struct FaultState {
    /// The next sync of a file fails, and its pages are forgotten, as Linux does.
    next_fails: AtomicBool,
    /// Every sync fails, and what it was to write may or may not get to the disk.
    power_is_off: AtomicBool,
}

#[derive(Debug, Default)]
struct Folder {
    seen: BTreeMap<String, CachedFile>,
    durable: BTreeMap<String, CachedFile>,
}

#[derive(Clone, Debug, Default)]
struct CachedFile {
    content: Arc<Mutex<Content>>,
    faults: Arc<FaultState>,
}

#[derive(Clone, Debug, Default)]
struct Content {
    seen: Vec<u8>,
    durable: Vec<u8>,
    unsynced: Vec<Range<usize>>,
}

impl CachedDisk {
    /// What is there when the power is back. Of each write that was not synced, in their order, the
    /// first `kept(bytes)` bytes are there too.
    #[must_use]
    pub fn after_power_loss(&self, mut kept: impl FnMut(usize) -> usize) -> CachedDisk {
        let left = CachedDisk::default();
        let files = self.folder.lock().durable.clone();
        let survived = files.into_iter().map(|(name, file)| {
            let content = file.content.lock().after_power_loss(&mut kept);
            let content = Arc::new(Mutex::new(content));
            (name, CachedFile { content, faults: left.faults.clone() })
        });
        let survived: BTreeMap<String, CachedFile> = survived.collect();
        *left.folder.lock() = Folder { seen: survived.clone(), durable: survived };
        left
    }

    pub fn fail_next_sync(&self) {
        self.faults.next_fails.store(true, Ordering::Relaxed);
    }

    /// From now on nothing is synced: what is written still may be there after the power loss.
    pub fn cut_power(&self) {
        self.faults.power_is_off.store(true, Ordering::Relaxed);
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
        let file = CachedFile { faults: self.faults.clone(), ..CachedFile::default() };
        self.folder.lock().seen.insert(name.to_owned(), file.clone());
        Ok(Box::new(file))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut folder = self.folder.lock();
        let file = folder.seen.remove(from).ok_or(io::ErrorKind::NotFound)?;
        folder.seen.insert(to.to_owned(), file);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.folder.lock().seen.remove(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(())
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.faults.check_power()?;
        let mut folder = self.folder.lock();
        folder.durable = folder.seen.clone();
        Ok(())
    }
}

impl FaultState {
    fn check_power(&self) -> io::Result<()> {
        let is_off = self.power_is_off.load(Ordering::Relaxed);
        if is_off { Err(io::Error::other("the power is off")) } else { Ok(()) }
    }
}

impl Content {
    fn after_power_loss(&self, kept: &mut impl FnMut(usize) -> usize) -> Content {
        let mut bytes = self.durable.clone();
        for range in &self.unsynced {
            let written = self.seen.get(range.clone()).unwrap_or_default();
            let count = kept(written.len()).min(written.len());
            overwrite(&mut bytes, written.get(..count).unwrap_or_default(), range.start);
        }
        Content { seen: bytes.clone(), durable: bytes, unsynced: Vec::new() }
    }
}

/// Writes `source` at `offset`, lengthening `target` where needed.
fn overwrite(target: &mut Vec<u8>, source: &[u8], offset: usize) {
    let end = offset + source.len();
    if target.len() < end && !source.is_empty() {
        target.resize(end, 0);
    }
    if let Some(part) = target.get_mut(offset..end) {
        part.copy_from_slice(source);
    }
}

impl DiskFile for CachedFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let content = self.content.lock();
        let seen = content.seen.get(offset as usize..).unwrap_or_default();
        let count = seen.len().min(buffer.len());
        copy_front(buffer, seen.get(..count).unwrap_or_default());
        Ok(count)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut content = self.content.lock();
        let start = offset as usize;
        overwrite(&mut content.seen, bytes, start);
        content.unsynced.push(start..start + bytes.len());
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
        self.faults.check_power()?;
        let mut content = self.content.lock();
        let Content { seen, durable, unsynced } = &mut *content;
        durable.resize(seen.len(), 0);
        if self.faults.next_fails.swap(false, Ordering::Relaxed) {
            unsynced.clear();
            return Err(io::Error::other("the sync failed"));
        }
        for range in unsynced.drain(..) {
            overwrite(durable, seen.get(range.clone()).unwrap_or_default(), range.start);
        }
        Ok(())
    }
}

fn copy_front(buffer: &mut [u8], source: &[u8]) {
    if let Some(part) = buffer.get_mut(..source.len()) {
        part.copy_from_slice(source);
    }
}
