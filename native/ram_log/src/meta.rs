//! Checked files: small files that are whole or not there, as the identity of the member.
//!
//! ```text
//! offset  bytes
//!      0      8  "RAMCHECK"
//!      8      4  format version
//!     12      4  CRC-32 of the content
//!     16      -  content, to the end of the file
//! ```
//!
//! A file is replaced by rename, so that a crash leaves the former content or the new one.

use std::io;

use super::record::u32_at;
use ram_disk::DiskError;
use ram_disk::{Disk, read_to_end};

/// The longest content of such a file, in bytes.
pub const META_BYTES_MAX: usize = 1024 * 1024;

const MAGIC: &[u8; 8] = b"RAMCHECK";
const VERSION: u32 = 1;
const HEADER_BYTES: usize = 16;

/// Puts `content` into the file `name`. When it returns, the content lasts.
///
/// # Errors
///
/// [`DiskError::Io`]; the former content is still there, unless the error came from the last sync
/// of the folder, after which it is either of the two.
pub fn write_checked(disk: &dyn Disk, name: &str, content: &[u8]) -> Result<(), DiskError> {
    let temporary = format!("{name}.tmp");
    let write = || {
        if content.len() > META_BYTES_MAX {
            return Err(io::Error::from(io::ErrorKind::FileTooLarge));
        }
        let mut bytes = Vec::with_capacity(content.len().saturating_add(HEADER_BYTES));
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&crc32fast::hash(content).to_le_bytes());
        bytes.extend_from_slice(content);
        let file = disk.create(&temporary)?;
        file.write_at(&bytes, 0)?;
        file.sync_data()?;
        disk.rename(&temporary, name)?;
        disk.sync_dir()
    };
    write().map_err(DiskError::io(name))
}

/// The content of the file `name`; `None` if there is no such file.
///
/// # Errors
///
/// [`DiskError::Corrupt`], [`DiskError::Version`] and [`DiskError::Io`].
pub fn read_checked(disk: &dyn Disk, name: &str) -> Result<Option<Vec<u8>>, DiskError> {
    let file = match disk.open(name) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(DiskError::io(name)(error)),
    };
    let bytes_max = META_BYTES_MAX.saturating_add(HEADER_BYTES) as u64;
    let mut bytes = read_to_end(file.as_ref(), 0, bytes_max).map_err(DiskError::io(name))?;
    if !bytes.starts_with(MAGIC) || bytes.len() < HEADER_BYTES {
        return Err(DiskError::corrupt(name, 0, "it is no checked file of ram"));
    }
    let (found, crc) = (u32_at(&bytes, 8), u32_at(&bytes, 12));
    if found != VERSION {
        return Err(DiskError::Version { file: name.to_owned(), found, known: VERSION });
    }
    let content = bytes.split_off(HEADER_BYTES);
    if crc32fast::hash(&content) != crc {
        let what = "the content does not match its checksum";
        return Err(DiskError::corrupt(name, HEADER_BYTES as u64, what));
    }
    Ok(Some(content))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemoryDisk;

    #[test]
    fn what_is_written_is_read_and_replaced_as_a_whole() {
        let disk = MemoryDisk::new();
        assert_eq!(read_checked(&disk, "identity").unwrap(), None);
        for content in [&b"first, and longer"[..], b"second", b""] {
            write_checked(&disk, "identity", content).unwrap();
            assert_eq!(read_checked(&disk, "identity").unwrap().unwrap(), content);
            assert_eq!(disk.list().unwrap(), ["identity"]);
        }
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_refused() {
        let disk = MemoryDisk::new();
        write_checked(&disk, "identity", b"node 7").unwrap();
        let bytes = read_to_end(disk.open("identity").unwrap().as_ref(), 0, 100).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            disk.create("identity").unwrap().write_at(&flipped, 0).unwrap();
            read_checked(&disk, "identity").unwrap_err();
        }
        for length in 0..bytes.len() {
            disk.create("identity").unwrap().write_at(&bytes[..length], 0).unwrap();
            read_checked(&disk, "identity").unwrap_err();
        }
    }

    #[test]
    fn content_above_the_bound_is_neither_written_nor_read() {
        let disk = MemoryDisk::new();
        write_checked(&disk, "a", &vec![1; META_BYTES_MAX + 1]).unwrap_err();
        assert_eq!(disk.list().unwrap(), Vec::<String>::new());
        disk.create("b").unwrap().grow(1 << 50).unwrap();
        read_checked(&disk, "b").unwrap_err();
    }
}
