//! The door to the file system: one flat folder of files with plain names.
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
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::LogError;

/// A folder.
pub trait Disk: Send + Sync + Debug {
    /// The names of all files, in no particular order.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Opens a file that exists.
    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>>;

    /// Opens a new file, or one that exists and becomes empty.
    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>>;

    /// Gives a file another name; a file that has it already is replaced.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes what was created, renamed and removed so far last.
    fn sync_dir(&self) -> io::Result<()>;
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
pub(super) fn read_to_end(file: &dyn DiskFile, offset: u64, bytes_max: u64) -> io::Result<Vec<u8>> {
    let length = file.len()?.saturating_sub(offset);
    if length > bytes_max {
        let message = format!("the file has {length} bytes, more than the {bytes_max} allowed");
        return Err(io::Error::new(io::ErrorKind::InvalidData, message));
    }
    read_exactly(file, offset, usize::try_from(length).map_err(io::Error::other)?)
}

/// Reads `length` bytes, or fails with `UnexpectedEof`. The caller bounds `length`.
pub(super) fn read_exactly(file: &dyn DiskFile, offset: u64, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(length).map_err(io::Error::other)?;
    bytes.resize(length, 0);
    if file.read_at(&mut bytes, offset)? < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(bytes)
}

/// The name of the lock file; [`Disk::list`] does not show it.
const LOCK_NAME: &str = "lock";

/// Zeros are written in pieces of this size.
static ZEROS: [u8; 64 * 1024] = [0; 64 * 1024];

/// A folder of the file system, held exclusively as long as this value lives.
#[derive(Debug)]
pub struct RealDisk {
    folder: PathBuf,
    /// The folder itself, open to be synced.
    directory: File,
    /// Locked; the system releases it when the process ends, however it ends.
    _lock: File,
}

impl RealDisk {
    /// Opens `folder`, creating it where needed, and locks it against every other process, and
    /// against a second opening by this one.
    ///
    /// # Errors
    ///
    /// [`LogError::Locked`] when somebody holds the folder, [`LogError::Io`] for the rest.
    pub fn open(folder: impl AsRef<Path>) -> Result<Self, LogError> {
        let folder = folder.as_ref().to_path_buf();
        let name = folder.display().to_string();
        fs::create_dir_all(&folder).map_err(LogError::io(&name))?;
        let directory = File::open(&folder).map_err(LogError::io(&name))?;
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(folder.join(LOCK_NAME))
            .map_err(LogError::io(&name))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { folder, directory, _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(LogError::Locked { folder: name }),
            Err(TryLockError::Error(source)) => Err(LogError::Io { file: name, source }),
        }
    }

    /// The path of a file, for names that stay inside the folder.
    fn path(&self, name: &str) -> io::Result<PathBuf> {
        if name.is_empty() || name.starts_with('.') || name.contains('/') || name == LOCK_NAME {
            let message = format!("{name:?} is no plain file name");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        Ok(self.folder.join(name))
    }
}

impl Disk for RealDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            if !entry.file_type()?.is_file() {
                continue;
            }
            // A name that is not UTF-8 is none of ours.
            if let Ok(name) = entry.file_name().into_string()
                && name != LOCK_NAME
            {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let file = OpenOptions::new().read(true).write(true).open(self.path(name)?)?;
        Ok(Box::new(RealFile(file)))
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(self.path(name)?)?;
        Ok(Box::new(RealFile(file)))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path(from)?, self.path(to)?)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path(name)?)
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.directory.sync_all()
    }
}

pub(super) struct RealFile(pub(super) File);

impl DiskFile for RealFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut done = 0;
        while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
            match self.0.read_at(rest, offset.saturating_add(done as u64)) {
                Ok(0) => break,
                Ok(count) => done += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn grow(&self, len: u64) -> io::Result<()> {
        let mut at = self.len()?;
        while at < len {
            let count = usize::try_from(len - at).unwrap_or(usize::MAX).min(ZEROS.len());
            self.0.write_all_at(ZEROS.get(..count).unwrap_or(&ZEROS), at)?;
            at += count as u64;
        }
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::MemoryDisk;

    fn a_file_behaves_the_same_on(disk: &dyn Disk) {
        let file = disk.create("a").unwrap();
        assert!(file.is_empty().unwrap());
        file.write_at(b"hello", 3).unwrap();
        file.grow(10).unwrap();
        file.grow(4).unwrap();
        assert_eq!(file.len().unwrap(), 10);
        let mut buffer = [9; 20];
        assert_eq!(file.read_at(&mut buffer, 2).unwrap(), 8);
        assert_eq!(&buffer[..9], b"\0hello\0\0\x09");
        assert_eq!(file.read_at(&mut buffer, 10).unwrap(), 0);
        file.sync_data().unwrap();

        disk.rename("a", "b").unwrap();
        disk.sync_dir().unwrap();
        assert_eq!(disk.list().unwrap(), ["b"]);
        assert_eq!(disk.open("a").err().unwrap().kind(), io::ErrorKind::NotFound);
        assert_eq!(disk.open("b").unwrap().len().unwrap(), 10);

        disk.remove("b").unwrap();
        assert_eq!(file.read_at(&mut buffer, 3).unwrap(), 7, "an open file outlives its name");
        assert!(disk.remove("b").is_err());
        disk.create("c").unwrap().write_at(b"x", 0).unwrap();
        assert!(disk.create("c").unwrap().is_empty().unwrap(), "create empties a file");
    }

    #[test]
    fn a_real_disk_and_a_memory_disk_behave_the_same() {
        let folder = tempfile::tempdir().unwrap();
        a_file_behaves_the_same_on(&RealDisk::open(folder.path().join("x/y")).unwrap());
        a_file_behaves_the_same_on(&MemoryDisk::new());
    }

    #[test]
    fn a_folder_is_opened_by_one_at_a_time_and_the_error_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let first = RealDisk::open(folder.path()).unwrap();
        let error = RealDisk::open(folder.path()).unwrap_err();
        assert!(matches!(error, LogError::Locked { .. }));
        assert!(error.to_string().contains(&folder.path().display().to_string()));
        drop(first);
        RealDisk::open(folder.path()).unwrap();
    }

    #[test]
    fn a_name_cannot_leave_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let disk = RealDisk::open(folder.path()).unwrap();
        for name in ["", "..", "../x", "a/b", "lock"] {
            assert_eq!(disk.create(name).err().unwrap().kind(), io::ErrorKind::InvalidInput);
        }
    }

    #[test]
    fn a_file_longer_than_the_bound_is_not_read() {
        let disk = MemoryDisk::new();
        let file = disk.create("a").unwrap();
        file.grow((1 << 20) + 1).unwrap();
        assert!(read_to_end(file.as_ref(), 0, 1 << 20).is_err());
        assert!(read_to_end(file.as_ref(), 1, 1 << 20).is_ok());
    }
}
