//! A [`Disk`] in memory: for `storage = memory`, and for tests.
//!
//! Clones share their files, so that a log opened on a clone finds the files of the log before it.
//! A sync does nothing: the files live exactly as long as the last clone. The zeros of a grown file
//! take no memory until bytes are written after them.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};

use super::disk::{Disk, DiskFile};

/// Files in memory, shared by all clones.
#[derive(Clone, Debug, Default)]
pub struct MemoryDisk {
    files: Arc<Mutex<BTreeMap<String, MemoryFile>>>,
}

impl MemoryDisk {
    /// An empty folder.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A folder of its own with the same content: what a copy of the disk would hold now.
    #[must_use]
    pub fn copy(&self) -> Self {
        let files = self.files.lock();
        let copies = files.iter().map(|(name, file)| {
            let content = file.0.read().clone();
            (name.clone(), MemoryFile(Arc::new(RwLock::new(content))))
        });
        Self { files: Arc::new(Mutex::new(copies.collect())) }
    }
}

impl Disk for MemoryDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.files.lock().keys().cloned().collect())
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        match self.files.lock().get(name) {
            Some(file) => Ok(Box::new(file.clone())),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let mut files = self.files.lock();
        let file = files.entry(name.to_owned()).or_default();
        *file.0.write() = Content::default();
        Ok(Box::new(file.clone()))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut files = self.files.lock();
        let file = files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        files.insert(to.to_owned(), file);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.files.lock().remove(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(())
    }

    fn sync_dir(&self) -> io::Result<()> {
        Ok(())
    }
}

#[derive(Clone, Debug, Default)]
struct MemoryFile(Arc<RwLock<Content>>);

/// `bytes`, followed by zeros up to `len`.
#[derive(Clone, Debug, Default)]
struct Content {
    bytes: Vec<u8>,
    len: u64,
}

impl DiskFile for MemoryFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let content = self.0.read();
        let available = content.len.saturating_sub(offset);
        let count = buffer.len().min(usize::try_from(available).unwrap_or(usize::MAX));
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let written = content.bytes.get(start..).unwrap_or_default();
        let Some(target) = buffer.get_mut(..count) else { return Ok(0) };
        let (shared, zeros) = target.split_at_mut(count.min(written.len()));
        shared.copy_from_slice(written.get(..shared.len()).unwrap_or_default());
        zeros.fill(0);
        Ok(count)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let start = usize::try_from(offset).map_err(io::Error::other)?;
        let end = start.checked_add(bytes.len()).ok_or(io::ErrorKind::FileTooLarge)?;
        let mut content = self.0.write();
        if content.bytes.len() < end {
            content.bytes.resize(end, 0);
        }
        if let Some(target) = content.bytes.get_mut(start..end) {
            target.copy_from_slice(bytes);
        }
        content.len = content.len.max(end as u64);
        Ok(())
    }

    fn grow(&self, len: u64) -> io::Result<()> {
        let mut content = self.0.write();
        content.len = content.len.max(len);
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.read().len)
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }
}
