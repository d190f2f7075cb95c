//! A segment, which is one file of the log: its name, its header, its creation.
//!
//! ```text
//! offset  bytes
//!      0      8  "RAMLOG\r\n"
//!      8      4  format version
//!     12      4  zero
//!     16      8  number of the segment, as in its name
//!     24      8  number of the first batch in it
//!     32      8  index of the next entry when it was created; all ones if any may come
//!     40      4  zero
//!     44      4  CRC-32 of bytes 0 to 43
//!     48      -  records, then zeros to the end of the file
//! ```
//!
//! A segment is created under a temporary name and renamed once its header is synced, so that a
//! header is never torn. All numbers are little endian.

use std::fmt;

use super::record::{u32_at, u64_at};
use ram_disk::DiskError;
use ram_disk::{Disk, DiskFile};
use ram_limits::{NAMED_VALUE_BYTES_MAX, RECORD_BYTES_MAX};

/// Where the first record stands.
pub(super) const RECORDS_OFFSET: usize = 48;

/// No segment is longer than this: locations in a segment have 32 bits.
pub(super) const SEGMENT_BYTES_LIMIT: u64 = u32::MAX as u64;

/// A segment of more is given no batch, unless it is its first.
pub(super) const SEGMENT_BYTES_MAX: u64 = SEGMENT_BYTES_LIMIT / 2;

// The longest first batch: all named values as carry-over records, one operation or as much as a
// batch takes, and all named values set lazily. A record has less than 64 bytes of its own.
const _: () = {
    let values = 2 * 256 * (NAMED_VALUE_BYTES_MAX + 64);
    let batch = values + RECORD_BYTES_MAX + 64 + RECORDS_OFFSET;
    assert!((batch as u64) < SEGMENT_BYTES_LIMIT);
    assert!(SEGMENT_BYTES_MAX < SEGMENT_BYTES_LIMIT);
};

const MAGIC: &[u8; 8] = b"RAMLOG\r\n";
/// Of the records and of what is in them: an entry that a version cannot apply ends its member, so
/// it refuses the folder.
const VERSION: u32 = 4;

/// The file name of segment `number`.
pub(super) fn segment_name(number: u64) -> String {
    format!("log-{number:020}.seg")
}

/// The number in a file name, if it is the name of a segment.
pub(super) fn segment_number(name: &str) -> Option<u64> {
    let number = name.strip_prefix("log-")?.strip_suffix(".seg")?.parse().ok()?;
    (segment_name(number) == name).then_some(number)
}

/// An open segment. It can be read as long as it is open, also after its removal.
pub(super) struct Segment {
    pub(super) number: u64,
    pub(super) name: String,
    pub(super) file: Box<dyn DiskFile>,
}

impl fmt::Debug for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl Segment {
    /// Creates the segment that `header` describes, so that it stays.
    pub(super) fn create(disk: &dyn Disk, header: SegmentHeader) -> Result<Self, DiskError> {
        let name = segment_name(header.number);
        let temporary = format!("{name}.tmp");
        let create = || {
            let file = disk.create(&temporary)?;
            file.write_at(&header.encode(), 0)?;
            file.sync_data()?;
            disk.rename(&temporary, &name)?;
            disk.sync_dir()?;
            Ok(file)
        };
        let file = create().map_err(DiskError::io(&name))?;
        Ok(Self { number: header.number, name, file })
    }

    pub(super) fn open(disk: &dyn Disk, number: u64) -> Result<Self, DiskError> {
        let name = segment_name(number);
        let file = disk.open(&name).map_err(DiskError::io(&name))?;
        Ok(Self { number, name, file })
    }
}

/// The position of a segment in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SegmentHeader {
    pub(super) number: u64,
    pub(super) batch_first: u64,
    pub(super) next_index: Option<u64>,
}

impl SegmentHeader {
    fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(RECORDS_OFFSET);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&self.number.to_le_bytes());
        bytes.extend_from_slice(&self.batch_first.to_le_bytes());
        bytes.extend_from_slice(&self.next_index.unwrap_or(u64::MAX).to_le_bytes());
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
        bytes
    }

    /// Decodes what segment `name` begins with.
    pub(super) fn decode(name: &str, bytes: &[u8]) -> Result<Self, DiskError> {
        if !bytes.starts_with(MAGIC) {
            return Err(DiskError::corrupt(name, 0, "it is no log segment"));
        }
        let found = u32_at(bytes, 8);
        if found != VERSION {
            return Err(DiskError::Version { file: name.to_owned(), found, known: VERSION });
        }
        let checked = bytes.get(..44).unwrap_or_default();
        if bytes.len() < RECORDS_OFFSET || crc32fast::hash(checked) != u32_at(bytes, 44) {
            return Err(DiskError::corrupt(name, 0, "the header of the segment is damaged"));
        }
        Ok(Self {
            number: u64_at(bytes, 16),
            batch_first: u64_at(bytes, 24),
            next_index: Some(u64_at(bytes, 32)).filter(|next| *next != u64::MAX),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: SegmentHeader =
        SegmentHeader { number: 3, batch_first: 17, next_index: Some(99) };

    #[test]
    fn a_name_gives_its_number_back_and_foreign_names_none() {
        assert_eq!(segment_number(&segment_name(u64::MAX)), Some(u64::MAX));
        for name in ["log-1.seg", "log-00000000000000000001.seg.tmp", "snapshot-1.snap", "log-.seg"]
        {
            assert_eq!(segment_number(name), None, "{name}");
        }
    }

    #[test]
    fn a_header_is_read_back_and_every_flipped_bit_in_it_refused() {
        for header in [HEADER, SegmentHeader { next_index: None, ..HEADER }] {
            assert_eq!(SegmentHeader::decode("s", &header.encode()).unwrap(), header);
        }
        let bytes = HEADER.encode();
        assert_eq!(bytes.len(), RECORDS_OFFSET);
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let error = SegmentHeader::decode("s", &flipped).unwrap_err();
            let of_version = (64..96).contains(&bit);
            assert_eq!(matches!(error, DiskError::Version { .. }), of_version, "bit {bit}");
        }
    }

    #[test]
    fn a_foreign_or_short_file_is_refused() {
        for bytes in [&b""[..], b"#!/bin/sh and more of that, up to the length of a header", MAGIC]
        {
            SegmentHeader::decode("s", bytes).unwrap_err();
        }
    }
}
