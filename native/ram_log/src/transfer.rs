//! A snapshot on its way to another node: the bytes of the file, as they are.
//!
//! The sender reads chunks of a [`SnapshotSource`]; the [`SnapshotReceiver`] takes them in order
//! into a file of its own, no more bytes than were announced. When every checksum in it was
//! verified it is a [`ReceivedSnapshot`], which becomes a snapshot when its receiver accepts it.
//! Until then it has a temporary name, and a crash leaves nothing of it.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::snapshot::{SnapshotReader, put_in_place, snapshot_name};
use crate::DiskError;
use ram_disk::{Disk, DiskFile};

/// The bytes of a finished snapshot. They can be read as long as this lives, also when the
/// snapshot is removed or replaced meanwhile.
pub struct SnapshotSource {
    file: Box<dyn DiskFile>,
    name: String,
    length: u64,
}

impl fmt::Debug for SnapshotSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl SnapshotSource {
    /// Opens the snapshot at log index `index`.
    ///
    /// # Errors
    ///
    /// [`DiskError::Io`].
    pub fn open(disk: &dyn Disk, index: u64) -> Result<Self, DiskError> {
        let name = snapshot_name(index);
        let file = disk.open(&name).map_err(DiskError::io(&name))?;
        let length = file.len().map_err(DiskError::io(&name))?;
        Ok(Self { file, name, length })
    }

    /// The length of the file in bytes.
    #[must_use]
    pub fn length_bytes(&self) -> u64 {
        self.length
    }

    /// Reads up to `buffer.len()` bytes; fewer only at the end.
    ///
    /// # Errors
    ///
    /// [`DiskError::Io`].
    pub fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, DiskError> {
        self.file.read_at(buffer, offset).map_err(DiskError::io(&self.name))
    }
}

/// Takes the bytes of a snapshot. Dropped before [`check`](Self::check), it leaves nothing.
pub struct SnapshotReceiver {
    disk: Arc<dyn Disk>,
    file: Option<Box<dyn DiskFile>>,
    index: u64,
    temporary: String,
    length: u64,
    received: u64,
}

impl fmt::Debug for SnapshotReceiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{}", self.temporary, self.received, self.length)
    }
}

impl SnapshotReceiver {
    /// Prepares for the snapshot at log index `index`, a file of `length_bytes`. There may be one
    /// receiver for an index at a time.
    ///
    /// # Errors
    ///
    /// [`DiskError::Io`].
    pub fn create(disk: Arc<dyn Disk>, index: u64, length_bytes: u64) -> Result<Self, DiskError> {
        let temporary = format!("{}.part", snapshot_name(index));
        let file = disk.create(&temporary).map_err(DiskError::io(&temporary))?;
        Ok(Self { disk, file: Some(file), index, temporary, length: length_bytes, received: 0 })
    }

    /// How many bytes are here: the offset of the next chunk.
    #[must_use]
    pub fn received_bytes(&self) -> u64 {
        self.received
    }

    /// Takes the next chunk of the file.
    ///
    /// # Errors
    ///
    /// [`DiskError::Io`] with `InvalidInput` when the chunk is not the next one, or goes beyond the
    /// announced length; then nothing was taken. Any other when the disk failed.
    pub fn write_at(&mut self, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        let end = offset.saturating_add(bytes.len() as u64);
        let error = DiskError::io(&self.temporary);
        let (Some(file), true) = (&self.file, offset == self.received && end <= self.length) else {
            let what = format!(
                "a chunk from {offset} to {end}, where {} of {} bytes are here",
                self.received, self.length
            );
            return Err(error(io::Error::new(io::ErrorKind::InvalidInput, what)));
        };
        file.write_at(bytes, offset).map_err(error)?;
        self.received = end;
        Ok(())
    }

    /// Verifies the whole file, as long as `go_on` says so.
    ///
    /// # Errors
    ///
    /// [`DiskError::Corrupt`] when it is no whole snapshot at that index; nothing is left of it.
    /// [`DiskError::Io`].
    pub fn check(
        mut self,
        go_on: impl Fn() -> io::Result<()>,
    ) -> Result<ReceivedSnapshot, DiskError> {
        let Some(file) = self.file.take().filter(|_| self.received == self.length) else {
            let what = format!("{} bytes were announced", self.length);
            return Err(DiskError::corrupt(&self.temporary, self.received, what));
        };
        let mut reader = SnapshotReader::check(file, self.temporary.clone(), self.index)?;
        for block in reader.by_ref() {
            block?;
            go_on().map_err(DiskError::io(&self.temporary))?;
        }
        let (disk, temporary) = (Arc::clone(&self.disk), std::mem::take(&mut self.temporary));
        let is_accepted = AtomicBool::new(false);
        Ok(ReceivedSnapshot { disk, checked: reader, index: self.index, temporary, is_accepted })
    }
}

impl Drop for SnapshotReceiver {
    fn drop(&mut self) {
        remove_unless_empty(self.disk.as_ref(), &self.temporary);
    }
}

/// A snapshot that has arrived and is whole. Dropped before [`accept`](Self::accept), it leaves
/// nothing.
pub struct ReceivedSnapshot {
    disk: Arc<dyn Disk>,
    checked: SnapshotReader,
    index: u64,
    temporary: String,
    is_accepted: AtomicBool,
}

impl fmt::Debug for ReceivedSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.temporary)
    }
}

impl ReceivedSnapshot {
    #[must_use]
    pub fn disk(&self) -> &Arc<dyn Disk> {
        &self.disk
    }

    #[must_use]
    pub fn index(&self) -> u64 {
        self.index
    }

    /// Reads it from the beginning, before it is accepted.
    ///
    /// # Errors
    ///
    /// [`DiskError::Io`].
    pub fn open(&self) -> Result<SnapshotReader, DiskError> {
        let file = self.disk.open(&self.temporary).map_err(DiskError::io(&self.temporary))?;
        SnapshotReader::check(file, self.temporary.clone(), self.index)
    }

    /// Makes it the snapshot at its index: when it returns, that lasts.
    ///
    /// # Errors
    ///
    /// [`DiskError::Io`].
    pub fn accept(&self) -> Result<(), DiskError> {
        let name = snapshot_name(self.index);
        put_in_place(self.disk.as_ref(), self.checked.file(), &self.temporary, &name)?;
        self.is_accepted.store(true, Ordering::Relaxed);
        Ok(())
    }
}

impl Drop for ReceivedSnapshot {
    fn drop(&mut self) {
        if !self.is_accepted.load(Ordering::Relaxed) {
            remove_unless_empty(self.disk.as_ref(), &self.temporary);
        }
    }
}

/// What stays behind is removed at the next opening of the log.
fn remove_unless_empty(disk: &dyn Disk, name: &str) {
    if !name.is_empty() {
        let _ = disk.remove(name);
    }
}
