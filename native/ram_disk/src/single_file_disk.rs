//! A [`Disk`] that holds a single file, at any path that a user gives: for backups.
//!
//! Names are whole paths. The folder belongs to the user: it is not made and not locked, and no
//! file in it is replaced. So a second writer of the same file fails at the temporary file of the
//! first.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use super::disk::{Disk, DiskFile};
use super::real_disk::RealFile;

/// A disk with this file, or with no file yet.
#[derive(Debug)]
pub struct SingleFileDisk {
    path: PathBuf,
    folder: PathBuf,
}

impl SingleFileDisk {
    /// Opens nothing.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new(".")).to_path_buf();
        SingleFileDisk { path: path.to_path_buf(), folder }
    }
}

impl Disk for SingleFileDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        if !fs::metadata(&self.folder)?.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        match fs::symlink_metadata(&self.path) {
            Ok(_) => Ok(vec![self.path.display().to_string()]),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        // Opening a pipe would wait until somebody writes into it.
        if !fs::metadata(name)?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no plain file"));
        }
        Ok(Box::new(RealFile(File::open(name)?)))
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(name)?;
        Ok(Box::new(RealFile(file)))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        if !self.list()?.is_empty() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        fs::rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(name)
    }

    fn sync_dir(&self) -> io::Result<()> {
        File::open(&self.folder)?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_exists_is_neither_emptied_nor_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let (name, other) = (path.display().to_string(), format!("{}.tmp", path.display()));
        let disk = SingleFileDisk::new(&path);
        assert!(disk.list().unwrap().is_empty());
        disk.create(&other).unwrap().write_at(b"mine", 0).unwrap();
        assert_eq!(disk.create(&other).err().unwrap().kind(), io::ErrorKind::AlreadyExists);
        fs::write(&path, b"yours").unwrap();
        assert_eq!(disk.list().unwrap(), std::slice::from_ref(&name));
        assert_eq!(disk.rename(&other, &name).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).unwrap(), b"yours");
        disk.remove(&name).unwrap();
        disk.rename(&other, &name).unwrap();
        disk.sync_dir().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"mine");
    }

    #[test]
    fn only_a_plain_file_is_opened_and_only_a_folder_that_exists_is_looked_into() {
        let folder = tempfile::tempdir().unwrap();
        let disk = SingleFileDisk::new(folder.path());
        let name = folder.path().display().to_string();
        assert_eq!(disk.open(&name).err().unwrap().kind(), io::ErrorKind::InvalidInput);
        let nowhere = SingleFileDisk::new(&folder.path().join("no/where"));
        assert_eq!(nowhere.list().unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
