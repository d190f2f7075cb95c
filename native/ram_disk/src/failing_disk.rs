//! A disk that fails with an error of input and output, or because it is full.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use crate::{Disk, DiskFile};

/// A disk that fails with one call, and with all that follow.
#[derive(Clone, Debug)]
pub struct FailingDisk<D> {
    pub disk: D,
    /// How many calls succeed.
    left: Arc<AtomicI64>,
}

struct FailingFile {
    file: Box<dyn DiskFile>,
    left: Arc<AtomicI64>,
}

fn count(left: &AtomicI64) -> io::Result<()> {
    if left.fetch_sub(1, Ordering::Relaxed) > 0 {
        return Ok(());
    }
    Err(io::Error::other("the disk is on fire"))
}

impl<D> FailingDisk<D> {
    pub fn after(calls: i64, disk: D) -> Self {
        Self { disk, left: Arc::new(AtomicI64::new(calls)) }
    }

    pub fn fail_after(&self, calls: i64) {
        self.left.store(calls, Ordering::Relaxed);
    }

    fn wrap(&self, file: Box<dyn DiskFile>) -> Box<dyn DiskFile> {
        Box::new(FailingFile { file, left: Arc::clone(&self.left) })
    }
}

impl<D: Disk> Disk for FailingDisk<D> {
    fn list(&self) -> io::Result<Vec<String>> {
        count(&self.left).and_then(|()| self.disk.list())
    }
    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        count(&self.left)?;
        Ok(self.wrap(self.disk.open(name)?))
    }
    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        count(&self.left)?;
        Ok(self.wrap(self.disk.create(name)?))
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        count(&self.left).and_then(|()| self.disk.rename(from, to))
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        count(&self.left).and_then(|()| self.disk.remove(name))
    }
    fn sync_dir(&self) -> io::Result<()> {
        count(&self.left).and_then(|()| self.disk.sync_dir())
    }
}

impl DiskFile for FailingFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        count(&self.left).and_then(|()| self.file.read_at(buffer, offset))
    }
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        if let Err(error) = count(&self.left) {
            // As a full disk does: some of it is there.
            self.file.write_at(bytes.split_at(bytes.len() / 2).0, offset)?;
            return Err(error);
        }
        self.file.write_at(bytes, offset)
    }
    fn grow(&self, len: u64) -> io::Result<()> {
        count(&self.left).and_then(|()| self.file.grow(len))
    }
    fn len(&self) -> io::Result<u64> {
        count(&self.left).and_then(|()| self.file.len())
    }
    fn sync_data(&self) -> io::Result<()> {
        count(&self.left).and_then(|()| self.file.sync_data())
    }
}
