//! The file system as the storage uses it: one flat folder of files with plain names.
//!
//! Everything durable in a member goes through [`Disk`], so that a whole member runs on
//! [`MemoryDisk`](super::MemoryDisk), and a test can make any single call fail. The contract:
//!
//! - what [`DiskFile::write_at`] wrote is read by [`DiskFile::read_at`] at once, but survives a
//!   loss of power only after [`DiskFile::sync_data`] returned `Ok`;
//! - a file that was created, renamed or removed stays so only after [`Disk::sync_dir`];
//! - a rename replaces its target atomically;
//! - a file that is open can still be read after it was removed.
//!
//! Offsets and lengths are bytes.

use std::fmt::Debug;
use std::io;

/// A folder.
pub trait Disk: Send + Sync + Debug {
    /// The path of the folder, for messages to an operator.
    fn path(&self) -> String {
        "the memory".to_owned()
    }

    /// The names of all directory entries, in no particular order: also of those that are no files.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Opens a file that exists.
    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>>;

    /// Opens a new file, or one that exists and becomes empty.
    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>>;

    /// Gives a file another name; a file that has it already is replaced.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Returns when all files created, renamed and removed so far would survive a loss of power.
    fn sync_dir(&self) -> io::Result<()>;

    /// Whether opening it made the folder.
    fn is_new(&self) -> bool {
        false
    }

    /// Releases the lock of the folder by removing its lock file, and `_with_folder` the folder
    /// itself, if it is empty then. The disk must not be used afterwards.
    fn release(&self, _with_folder: bool) {}
}

/// An open file, read and written at offsets.
pub trait DiskFile: Send + Sync {
    /// Reads up to `buffer.len()` bytes; fewer only at the end of the file.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes all of `bytes`, lengthening the file where needed.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Lengthens the file to `len` with written zeros, so that later writes inside it change no
    /// metadata and a sync costs one request to the device. A longer file is left as it is.
    fn grow(&self, len: u64) -> io::Result<()>;

    /// The length of the file.
    fn len(&self) -> io::Result<u64>;

    /// Whether the file has no bytes.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Returns when everything written so far would survive a loss of power.
    fn sync_data(&self) -> io::Result<()>;
}

/// Reads from `offset` to the end of the file, refusing more than `bytes_max`.
///
/// The bound comes before the allocation: a length on a disk is not to be trusted.
pub fn read_to_end(file: &dyn DiskFile, offset: u64, bytes_max: u64) -> io::Result<Vec<u8>> {
    let length = file.len()?.saturating_sub(offset);
    if length > bytes_max {
        let message = format!("the file has {length} bytes, more than the {bytes_max} allowed");
        return Err(io::Error::new(io::ErrorKind::InvalidData, message));
    }
    read_exactly(file, offset, usize::try_from(length).map_err(io::Error::other)?)
}

/// Reads `length` bytes, or fails with `UnexpectedEof`. The caller bounds `length`.
pub fn read_exactly(file: &dyn DiskFile, offset: u64, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(length).map_err(io::Error::other)?;
    bytes.resize(length, 0);
    if file.read_at(&mut bytes, offset)? < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(bytes)
}
