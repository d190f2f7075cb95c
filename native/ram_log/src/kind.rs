//! The kinds of files made of checked blocks; their format stands in `snapshot.rs`.

use std::fmt;

/// What a file is, so that none is taken for one of the other kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Of the log, at an index of it.
    Snapshot,
    /// Of the entries alone, for a user to keep.
    Backup,
}

impl Kind {
    /// The first bytes of the file.
    pub(super) fn magic(self) -> &'static [u8; 8] {
        match self {
            Kind::Snapshot => b"RAMSNAPS",
            Kind::Backup => b"RAMBACKU",
        }
    }

    /// The version of what is written, that of the blocks' content included; a backup's first block
    /// has another one, of its content.
    pub(super) fn version(self) -> u32 {
        match self {
            Kind::Snapshot => 5,
            Kind::Backup => 1,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Snapshot => "snapshot",
            Kind::Backup => "backup",
        })
    }
}
