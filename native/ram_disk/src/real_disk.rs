//! A [`Disk`] that is a folder of the file system.
//!
//! The folder is opened and locked once, and every file is opened relative to that open folder:
//! a volume that is mounted over its path later, or another working directory, changes nothing for
//! the member that has it open.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, Mode, OFlags, fstat, openat, renameat, statat, unlinkat};

use super::disk::{Disk, DiskFile};
use crate::DiskError;

/// The name of the lock file; [`Disk::list`] does not show it.
const LOCK_NAME: &str = "lock";

/// How often to open the lock file again if another process removes it in the same moment.
const LOCK_ATTEMPTS: usize = 8;

/// Zeros are written in pieces of this size.
static ZEROS: [u8; 64 * 1024] = [0; 64 * 1024];

/// A folder of the file system, held exclusively as long as this value lives.
#[derive(Debug)]
pub struct RealDisk {
    folder: PathBuf,
    directory: File,
    /// Locked; the system releases it when the process ends, however it ends.
    _lock: File,
    is_new: bool,
}

impl RealDisk {
    /// Opens `folder`, creating it where needed, and locks it against every other process, and
    /// against a second opening by this one. What was created lasts when this returns.
    ///
    /// # Errors
    ///
    /// [`DiskError::Locked`] when another member has locked the folder, [`DiskError::Io`] for the
    /// rest.
    pub fn open(folder: impl AsRef<Path>) -> Result<Self, DiskError> {
        let folder = folder.as_ref();
        let name = folder.display().to_string();
        let is_new = make_folder(folder).map_err(DiskError::io(&name))?;
        let directory = File::open(folder).map_err(DiskError::io(&name))?;
        Self::lock(folder, directory, is_new)
    }

    /// As [`open`](Self::open), but makes no folder: `None` when there is none.
    ///
    /// # Errors
    ///
    /// As for [`open`](Self::open).
    pub fn open_existing(folder: impl AsRef<Path>) -> Result<Option<Self>, DiskError> {
        let folder = folder.as_ref();
        match File::open(folder) {
            Ok(directory) => Self::lock(folder, directory, false).map(Some),
            Err(error) if is_no_folder(&error) => Ok(None),
            Err(error) => Err(DiskError::io(&folder.display().to_string())(error)),
        }
    }

    fn lock(folder: &Path, directory: File, is_new: bool) -> Result<Self, DiskError> {
        let name = folder.display().to_string();
        for _ in 0..LOCK_ATTEMPTS {
            let flags = OFlags::CREATE | OFlags::WRONLY | OFlags::CLOEXEC;
            let lock = openat(&directory, LOCK_NAME, flags, Mode::from_raw_mode(0o666))
                .map_err(|error| DiskError::io(&format!("{name}/{LOCK_NAME}"))(error.into()))?;
            let lock = File::from(lock);
            match lock.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Err(DiskError::Locked { folder: name }),
                Err(TryLockError::Error(source)) => {
                    return Err(DiskError::Io { file: name, source });
                }
            }
            // The previous owner may have removed this file: then it locks nothing.
            if is_named(&directory, &lock).map_err(DiskError::io(&name))? {
                let folder = folder.to_path_buf();
                return Ok(Self { folder, directory, _lock: lock, is_new });
            }
        }
        Err(DiskError::Locked { folder: name })
    }

    /// The names of all that is in a folder, without a lock; `None` when there is no folder.
    ///
    /// # Errors
    ///
    /// [`DiskError::Io`].
    pub fn names_in(folder: &Path) -> Result<Option<Vec<String>>, DiskError> {
        let names = match File::open(folder) {
            Ok(directory) => names_in(&directory).map(Some),
            Err(error) if is_no_folder(&error) => Ok(None),
            Err(error) => Err(error),
        };
        names.map_err(DiskError::io(&folder.display().to_string()))
    }
}

/// Is this error the proof that there is no folder of this name?
fn is_no_folder(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Makes the folder and those above it; each lasts when this returns. False when it exists.
fn make_folder(folder: &Path) -> io::Result<bool> {
    let above = folder.parent().unwrap_or(Path::new("/"));
    let above = if above.as_os_str().is_empty() { Path::new(".") } else { above };
    match fs::create_dir(folder) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            make_folder(above)?;
            match fs::create_dir(folder) {
                // Another process has made it in this moment.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(false),
                made => made?,
            }
        }
        Err(_) if folder.is_dir() => return Ok(false),
        Err(error) => return Err(error),
    }
    File::open(above)?.sync_all()?;
    Ok(true)
}

/// Is the open lock file the one that has the name?
fn is_named(directory: &File, lock: &File) -> io::Result<bool> {
    // Asked in the same way: the types of these numbers differ with the system.
    let held = fstat(lock)?;
    match statat(directory, LOCK_NAME, AtFlags::empty()) {
        Ok(named) => Ok(named.st_ino == held.st_ino && named.st_dev == held.st_dev),
        Err(rustix::io::Errno::NOENT) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Names that are not UTF-8 are none of ours.
fn names_in(directory: &File) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        if let Ok(name) = entry.file_name().to_str()
            && !matches!(name, "." | ".." | LOCK_NAME)
        {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}

/// A name that stays inside the folder.
fn plain(name: &str) -> io::Result<&str> {
    if name.is_empty() || name.starts_with('.') || name.contains('/') || name == LOCK_NAME {
        let message = format!("{name:?} is no plain file name");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    Ok(name)
}

impl RealDisk {
    fn open_as(&self, name: &str, flags: OFlags) -> io::Result<Box<dyn DiskFile>> {
        let flags = flags | OFlags::RDWR | OFlags::CLOEXEC;
        let file: OwnedFd =
            openat(&self.directory, plain(name)?, flags, Mode::from_raw_mode(0o666))?;
        Ok(Box::new(RealFile(File::from(file))))
    }
}

impl Disk for RealDisk {
    fn path(&self) -> String {
        self.folder.display().to_string()
    }

    fn list(&self) -> io::Result<Vec<String>> {
        names_in(&self.directory)
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        self.open_as(name, OFlags::empty())
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        self.open_as(name, OFlags::CREATE | OFlags::TRUNC)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        Ok(renameat(&self.directory, plain(from)?, &self.directory, plain(to)?)?)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        Ok(unlinkat(&self.directory, plain(name)?, AtFlags::empty())?)
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.directory.sync_all()
    }

    fn is_new(&self) -> bool {
        self.is_new
    }

    fn release(&self, with_folder: bool) {
        // First the lock file, then the folder: a process that opens it now makes both anew.
        let _ = unlinkat(&self.directory, LOCK_NAME, AtFlags::empty());
        let named = fs::symlink_metadata(&self.folder);
        let (true, Ok(held), Ok(named)) = (with_folder, self.directory.metadata(), named) else {
            return;
        };
        if held.ino() == named.ino() && held.dev() == named.dev() {
            // This fails if the folder is not empty; the files in it are not ours.
            let _ = fs::remove_dir(&self.folder);
        }
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
    use crate::MemoryDisk;
    use crate::disk::read_to_end;

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
        assert!(matches!(error, DiskError::Locked { .. }));
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
