//! Snapshots and backups: blocks of bytes that are all there, or the file is refused.
//!
//! ```text
//! offset  bytes
//!      0      8  "RAMSNAPS", or "RAMBACKU" for a backup
//!      8      4  format version
//!     12      8  log index of the last entry in it; of a backup, the revision
//!     20      4  CRC-32 of bytes 0 to 19
//! then blocks:
//!      0      4  length of the body, below all ones
//!      4      4  CRC-32 of the length and the body
//!      8      n  body
//! then the footer, at the very end:
//!      0      4  all ones
//!      4      4  CRC-32 of everything before the footer
//!      8      8  number of blocks
//!     16      8  length of the file
//!     24      4  CRC-32 of bytes 0 to 23 of the footer
//! ```
//!
//! All numbers are little endian. A snapshot is written under a temporary name and renamed when it
//! is complete and synced. Several may exist; old ones go when the caller says so. How a snapshot
//! travels to another node stands in [`transfer`](super::transfer).

use std::fmt;
use std::io;
use std::sync::Arc;

use crc32fast::Hasher;

use super::kind::Kind;
use super::record::{u32_at, u64_at};
use crate::DiskError;
use ram_disk::{Disk, DiskFile, read_exactly};
use ram_limits::BLOCK_BYTES_MAX;

/// A writer syncs whenever this much waits, so that the disk is not busy with a whole snapshot at
/// once when the log wants it.
const UNSYNCED_BYTES_MAX: u64 = 8 * 1024 * 1024;

const HEADER_BYTES: usize = 24;
const BLOCK_HEADER_BYTES: usize = 8;
const FOOTER_BYTES: usize = 28;
const FOOTER_MARK: u32 = u32::MAX;

/// The file name of the snapshot at log index `index`.
#[must_use]
pub fn snapshot_name(index: u64) -> String {
    format!("snapshot-{index:020}.snap")
}

pub(super) fn snapshot_index(name: &str) -> Option<u64> {
    let index = name.strip_prefix("snapshot-")?.strip_suffix(".snap")?.parse().ok()?;
    (snapshot_name(index) == name).then_some(index)
}

/// The log index of the newest snapshot there is.
///
/// # Errors
///
/// [`DiskError::Io`].
pub fn latest_snapshot(disk: &dyn Disk) -> Result<Option<u64>, DiskError> {
    let names = disk.list().map_err(DiskError::io("the folder"))?;
    Ok(names.iter().filter_map(|name| snapshot_index(name)).max())
}

/// Removes all snapshots older than the one at `index`. Who reads one can finish.
///
/// # Errors
///
/// [`DiskError::Io`].
pub fn remove_older(disk: &dyn Disk, index: u64) -> Result<(), DiskError> {
    let names = disk.list().map_err(DiskError::io("the folder"))?;
    let is_older = |name: &&String| snapshot_index(name).is_some_and(|of| of < index);
    for name in names.iter().filter(is_older) {
        disk.remove(name).map_err(DiskError::io(name))?;
    }
    disk.sync_dir().map_err(DiskError::io("the folder"))
}

/// Writes a snapshot. Dropped before [`finish`](Self::finish), it leaves nothing.
pub struct SnapshotWriter {
    disk: Arc<dyn Disk>,
    file: Box<dyn DiskFile>,
    name: String,
    temporary: String,
    position: u64,
    unsynced_bytes: u64,
    blocks: u64,
    hasher: Hasher,
    buffer: Vec<u8>,
    is_finished: bool,
}

impl fmt::Debug for SnapshotWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SnapshotWriter").field("name", &self.name).finish_non_exhaustive()
    }
}

impl SnapshotWriter {
    /// Begins the snapshot at log index `index`. There may be one writer for an index at a time.
    ///
    /// # Errors
    ///
    /// [`DiskError::Io`], here and in all that follows.
    pub fn create(disk: Arc<dyn Disk>, index: u64) -> Result<Self, DiskError> {
        Self::create_as(Kind::Snapshot, disk, snapshot_name(index), index)
    }

    /// Begins a file of another kind or name.
    ///
    /// # Errors
    ///
    /// [`DiskError::Io`].
    pub fn create_as(
        kind: Kind,
        disk: Arc<dyn Disk>,
        name: String,
        number: u64,
    ) -> Result<Self, DiskError> {
        let temporary = format!("{name}.tmp");
        let file = disk.create(&temporary).map_err(DiskError::io(&temporary))?;
        let mut writer = Self {
            disk,
            file,
            name,
            temporary,
            position: 0,
            unsynced_bytes: 0,
            blocks: 0,
            hasher: Hasher::new(),
            buffer: Vec::new(),
            is_finished: false,
        };
        writer.buffer.extend_from_slice(kind.magic());
        writer.buffer.extend_from_slice(&kind.version().to_le_bytes());
        writer.buffer.extend_from_slice(&number.to_le_bytes());
        let crc = crc32fast::hash(&writer.buffer);
        writer.buffer.extend_from_slice(&crc.to_le_bytes());
        writer.flush()?;
        Ok(writer)
    }

    /// Adds a block of at most [`BLOCK_BYTES_MAX`] bytes.
    ///
    /// # Errors
    ///
    /// [`DiskError::Io`]; the snapshot cannot be finished then.
    pub fn write_block(&mut self, body: &[u8]) -> Result<(), DiskError> {
        let length = u32::try_from(body.len()).unwrap_or(u32::MAX);
        if body.len() > BLOCK_BYTES_MAX {
            let error = io::Error::new(io::ErrorKind::InvalidInput, "a block is too long");
            return Err(DiskError::io(&self.temporary)(error));
        }
        self.buffer.extend_from_slice(&length.to_le_bytes());
        self.buffer.extend_from_slice(&block_crc(length, body).to_le_bytes());
        self.buffer.extend_from_slice(body);
        self.blocks = self.blocks.saturating_add(1);
        self.flush()
    }

    /// Completes the snapshot: when it returns, the snapshot lasts. Returns its length in bytes.
    ///
    /// # Errors
    ///
    /// [`DiskError::Io`].
    pub fn finish(mut self) -> Result<u64, DiskError> {
        let length = self.position.saturating_add(FOOTER_BYTES as u64);
        let mut footer = Vec::with_capacity(FOOTER_BYTES);
        footer.extend_from_slice(&FOOTER_MARK.to_le_bytes());
        footer.extend_from_slice(&self.hasher.clone().finalize().to_le_bytes());
        footer.extend_from_slice(&self.blocks.to_le_bytes());
        footer.extend_from_slice(&length.to_le_bytes());
        footer.extend_from_slice(&crc32fast::hash(&footer).to_le_bytes());
        self.buffer.extend_from_slice(&footer);
        self.flush()?;
        put_in_place(self.disk.as_ref(), self.file.as_ref(), &self.temporary, &self.name)?;
        self.is_finished = true;
        Ok(length)
    }

    fn flush(&mut self) -> Result<(), DiskError> {
        let count = self.buffer.len() as u64;
        let write = |unsynced_bytes: u64| {
            self.file.write_at(&self.buffer, self.position)?;
            if unsynced_bytes < UNSYNCED_BYTES_MAX {
                return Ok(unsynced_bytes);
            }
            self.file.sync_data().map(|()| 0)
        };
        self.unsynced_bytes = write(self.unsynced_bytes.saturating_add(count))
            .map_err(DiskError::io(&self.temporary))?;
        self.hasher.update(&self.buffer);
        self.position = self.position.saturating_add(count);
        self.buffer.clear();
        Ok(())
    }
}

impl Drop for SnapshotWriter {
    fn drop(&mut self) {
        if !self.is_finished {
            // What stays behind is removed at the next opening of the log.
            let _ = self.disk.remove(&self.temporary);
        }
    }
}

/// Makes a complete file last under its final name.
pub(super) fn put_in_place(
    disk: &dyn Disk,
    file: &dyn DiskFile,
    temporary: &str,
    name: &str,
) -> Result<(), DiskError> {
    let put = || {
        file.sync_data()?;
        disk.rename(temporary, name)?;
        disk.sync_dir()
    };
    put().map_err(DiskError::io(name))
}

fn block_crc(length: u32, body: &[u8]) -> u32 {
    let mut hasher = Hasher::new();
    hasher.update(&length.to_le_bytes());
    hasher.update(body);
    hasher.finalize()
}

/// Reads the blocks of a snapshot in order. After the first error it ends; before the last block
/// was read without one, the blocks are not known to be all there are.
pub struct SnapshotReader {
    file: Box<dyn DiskFile>,
    name: String,
    number: u64,
    position: u64,
    /// Where the footer begins.
    end: u64,
    blocks: u64,
    hasher: Hasher,
    footer: Vec<u8>,
    is_over: bool,
}

impl fmt::Debug for SnapshotReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SnapshotReader").field("name", &self.name).finish_non_exhaustive()
    }
}

impl SnapshotReader {
    /// Opens the snapshot at log index `index`.
    ///
    /// # Errors
    ///
    /// [`DiskError::Corrupt`] when the header or the footer is not right: a file that was cut is
    /// refused here. [`DiskError::Version`] and [`DiskError::Io`].
    pub fn open(disk: &dyn Disk, index: u64) -> Result<Self, DiskError> {
        let name = snapshot_name(index);
        let file = disk.open(&name).map_err(DiskError::io(&name))?;
        Self::check(file, name, index)
    }

    /// Checks header and footer of a file that shall be the snapshot at `index`.
    pub(super) fn check(
        file: Box<dyn DiskFile>,
        name: String,
        index: u64,
    ) -> Result<Self, DiskError> {
        let reader = Self::check_as(Kind::Snapshot, file, name)?;
        if reader.number != index {
            return Err(DiskError::corrupt(&reader.name, 0, "it is another snapshot"));
        }
        Ok(reader)
    }

    /// Opens a file of another kind or name; errors as for [`open`](Self::open).
    ///
    /// # Errors
    ///
    /// [`DiskError::Corrupt`], [`DiskError::Version`] and [`DiskError::Io`].
    pub fn open_as(kind: Kind, disk: &dyn Disk, name: &str) -> Result<Self, DiskError> {
        let file = disk.open(name).map_err(DiskError::io(name))?;
        Self::check_as(kind, file, name.to_owned())
    }

    fn check_as(kind: Kind, file: Box<dyn DiskFile>, name: String) -> Result<Self, DiskError> {
        let length = file.len().map_err(DiskError::io(&name))?;
        let corrupt = |offset, what: String| DiskError::corrupt(&name, offset, what);
        let Some(end) =
            length.checked_sub(FOOTER_BYTES as u64).filter(|end| *end >= HEADER_BYTES as u64)
        else {
            return Err(corrupt(length, format!("the file is too short for a {kind}")));
        };
        let header = read_exactly(file.as_ref(), 0, HEADER_BYTES).map_err(DiskError::io(&name))?;
        let footer =
            read_exactly(file.as_ref(), end, FOOTER_BYTES).map_err(DiskError::io(&name))?;
        let found = u32_at(&header, 8);
        if !header.starts_with(kind.magic()) {
            return Err(corrupt(0, format!("it is no {kind}")));
        }
        let known = kind.version();
        if found != known {
            return Err(DiskError::Version { file: name, found, known });
        }
        let checked = header.get(..20).unwrap_or_default();
        if crc32fast::hash(checked) != u32_at(&header, 20) {
            return Err(corrupt(0, "the header is damaged".into()));
        }
        let checked = footer.get(..24).unwrap_or_default();
        let is_right = crc32fast::hash(checked) == u32_at(&footer, 24)
            && u32_at(&footer, 0) == FOOTER_MARK
            && u64_at(&footer, 16) == length;
        if !is_right {
            return Err(corrupt(end, format!("the file does not end as a {kind} does")));
        }
        let mut hasher = Hasher::new();
        hasher.update(&header);
        let (number, position) = (u64_at(&header, 12), HEADER_BYTES as u64);
        Ok(Self { file, name, number, position, end, blocks: 0, hasher, footer, is_over: false })
    }

    /// Where the next block begins, in bytes.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.position
    }

    pub(super) fn file(&self) -> &dyn DiskFile {
        self.file.as_ref()
    }

    fn read_block(&mut self) -> Result<Option<Vec<u8>>, DiskError> {
        if self.position == self.end {
            return self.check_end().map(|()| None);
        }
        let corrupt = |what| DiskError::corrupt(&self.name, self.position, what);
        let io = DiskError::io(&self.name);
        let header = read_exactly(self.file.as_ref(), self.position, BLOCK_HEADER_BYTES);
        let header = header.map_err(io)?;
        let length = u32_at(&header, 0);
        let body_offset = self.position.saturating_add(BLOCK_HEADER_BYTES as u64);
        let next = body_offset.saturating_add(u64::from(length));
        // Before anything is allocated for it.
        if length as usize > BLOCK_BYTES_MAX || next > self.end {
            return Err(corrupt("a block is longer than it can be"));
        }
        let body = read_exactly(self.file.as_ref(), body_offset, length as usize)
            .map_err(DiskError::io(&self.name))?;
        if block_crc(length, &body) != u32_at(&header, 4) {
            return Err(corrupt("a block does not match its checksum"));
        }
        self.hasher.update(&header);
        self.hasher.update(&body);
        self.position = next;
        self.blocks = self.blocks.saturating_add(1);
        Ok(Some(body))
    }

    fn check_end(&self) -> Result<(), DiskError> {
        let is_whole = self.hasher.clone().finalize() == u32_at(&self.footer, 4)
            && self.blocks == u64_at(&self.footer, 8);
        if is_whole {
            return Ok(());
        }
        Err(DiskError::corrupt(&self.name, self.end, "the blocks are not those that were written"))
    }
}

impl Iterator for SnapshotReader {
    type Item = Result<Vec<u8>, DiskError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        let block = self.read_block();
        self.is_over = !matches!(block, Ok(Some(_)));
        block.transpose()
    }
}
