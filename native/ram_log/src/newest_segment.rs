//! The number of the newest segment, in a checked file of its own.
//!
//! Batches and entries are numbered without a hole, so recovery notices a segment that is missing
//! at the front or in the middle. Without the last segment the log would look whole, and shorter:
//! hence this file. The number is written after the segment was made and before its first record
//! is written, so every segment that ever held a record is counted.

use super::meta::{read_checked, write_checked};
use super::segment::segment_name;
use ram_disk::Disk;
use ram_disk::DiskError;

pub(super) const FILE: &str = "log-newest";

/// Notes that segment `number` was made.
pub(super) fn note(disk: &dyn Disk, number: u64) -> Result<(), DiskError> {
    write_checked(disk, FILE, &number.to_le_bytes())
}

/// Checks that no segment is missing after `last`, the last segment in the folder. Returns whether
/// the file names that one.
pub(super) fn check(disk: &dyn Disk, last: Option<u64>) -> Result<bool, DiskError> {
    let newest = match read_checked(disk, FILE)? {
        Some(bytes) => {
            let number = bytes.as_slice().try_into().map(u64::from_le_bytes);
            Some(number.map_err(|_| DiskError::corrupt(FILE, 0, "it holds no number"))?)
        }
        None => None,
    };
    match (newest, last) {
        (Some(newest), last) if last < Some(newest) => Err(DiskError::Missing {
            file: segment_name(newest),
            what: "it was the newest segment of the log".into(),
        }),
        // A crash while the first segment was made leaves it without a note.
        (None, Some(last)) if last > 1 => Err(DiskError::Missing {
            file: FILE.into(),
            what: format!("there is {}, which was not the first", segment_name(last)),
        }),
        _ => Ok(newest == last),
    }
}
