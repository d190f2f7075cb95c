//! The names of the files that a log and its snapshots make.

use super::newest_segment;
use super::segment::segment_number;
use super::snapshot::snapshot_index;

/// Is this the name of a file that a log or its snapshots make, finished or not?
#[must_use]
pub fn is_log_file(name: &str) -> bool {
    let whole = name.strip_suffix(".tmp").or_else(|| name.strip_suffix(".part")).unwrap_or(name);
    is_segment(whole) || snapshot_index(whole).is_some() || whole == newest_segment::FILE
}

/// Is this the name of a segment?
#[must_use]
pub fn is_segment(name: &str) -> bool {
    segment_number(name).is_some()
}
