//! A snapshot on its way to another node: the bytes of the file, as they are.
//!
//! The sender reads pieces of a [`SnapshotFile`]; the [`SnapshotReceiver`] takes them in order into
//! a file of its own, which becomes a snapshot only after every checksum in it was verified. It
//! takes no more bytes than were announced.

use std::fmt;
use std::io;
use std::sync::Arc;

use super::LogError;
use super::disk::{Disk, DiskFile};
use super::snapshot::{SnapshotReader, put_in_place, snapshot_name};

/// The bytes of a finished snapshot. They can be read as long as this lives, also when the
/// snapshot is removed or replaced meanwhile.
pub struct SnapshotFile {
    file: Box<dyn DiskFile>,
    name: String,
    length: u64,
}

impl fmt::Debug for SnapshotFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl SnapshotFile {
    /// Opens the snapshot at log index `index`.
    ///
    /// # Errors
    ///
    /// [`LogError::Io`].
    pub fn open(disk: &dyn Disk, index: u64) -> Result<Self, LogError> {
        let name = snapshot_name(index);
        let file = disk.open(&name).map_err(LogError::io(&name))?;
        let length = file.len().map_err(LogError::io(&name))?;
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
    /// [`LogError::Io`].
    pub fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, LogError> {
        self.file.read_at(buffer, offset).map_err(LogError::io(&self.name))
    }
}

/// Takes the bytes of a snapshot. Dropped before [`finish`](Self::finish), it leaves nothing.
pub struct SnapshotReceiver {
    disk: Arc<dyn Disk>,
    file: Option<Box<dyn DiskFile>>,
    index: u64,
    temporary: String,
    length: u64,
    received: u64,
    is_finished: bool,
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
    /// [`LogError::Io`].
    pub fn create(disk: Arc<dyn Disk>, index: u64, length_bytes: u64) -> Result<Self, LogError> {
        let temporary = format!("{}.part", snapshot_name(index));
        let file = disk.create(&temporary).map_err(LogError::io(&temporary))?;
        Ok(Self {
            disk,
            file: Some(file),
            index,
            temporary,
            length: length_bytes,
            received: 0,
            is_finished: false,
        })
    }

    /// How many bytes are here: the offset of the next piece.
    #[must_use]
    pub fn received_bytes(&self) -> u64 {
        self.received
    }

    /// Takes the next piece of the file.
    ///
    /// # Errors
    ///
    /// [`LogError::Io`] with `InvalidInput` when the piece is not the next one, or goes beyond the
    /// announced length; then nothing was taken. Any other when the disk failed.
    pub fn write_at(&mut self, offset: u64, bytes: &[u8]) -> Result<(), LogError> {
        let end = offset.saturating_add(bytes.len() as u64);
        let error = LogError::io(&self.temporary);
        let (Some(file), true) = (&self.file, offset == self.received && end <= self.length) else {
            let what = format!(
                "a piece from {offset} to {end}, where {} of {} bytes are here",
                self.received, self.length
            );
            return Err(error(io::Error::new(io::ErrorKind::InvalidInput, what)));
        };
        file.write_at(bytes, offset).map_err(error)?;
        self.received = end;
        Ok(())
    }

    /// Verifies the whole file, as long as `go_on` says so, and makes it the snapshot at its index.
    ///
    /// # Errors
    ///
    /// [`LogError::Corrupt`] when it is no whole snapshot at that index; nothing is left of it.
    /// [`LogError::Io`].
    pub fn finish(mut self, go_on: impl Fn() -> io::Result<()>) -> Result<(), LogError> {
        let Some(file) = self.file.take().filter(|_| self.received == self.length) else {
            let what = format!("{} bytes were announced", self.length);
            return Err(LogError::corrupt(&self.temporary, self.received, what));
        };
        let mut reader = SnapshotReader::check(file, self.temporary.clone(), self.index)?;
        for block in reader.by_ref() {
            block?;
            go_on().map_err(LogError::io(&self.temporary))?;
        }
        let name = snapshot_name(self.index);
        put_in_place(self.disk.as_ref(), reader.file(), &self.temporary, &name)?;
        self.is_finished = true;
        Ok(())
    }
}

impl Drop for SnapshotReceiver {
    fn drop(&mut self) {
        if !self.is_finished {
            // What stays behind is removed at the next opening of the log.
            let _ = self.disk.remove(&self.temporary);
        }
    }
}
