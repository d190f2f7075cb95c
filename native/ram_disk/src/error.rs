//! The errors of storage, with texts that tell an operator which file and what to do.
//!
//! No operation is retried: each of these errors stops the member that owns the folder. Offsets are
//! bytes from the start of the file.

use std::io;

/// A failure of the storage of one member.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// The system refused an operation on a file.
    #[error("{file}: {source}; check the disk, its free space and its permissions")]
    Io {
        /// The file, or the folder.
        file: String,
        /// What the system said.
        source: io::Error,
    },

    /// Bytes that were once synced are no longer what was written.
    #[error(
        "{file} is damaged at byte {offset}: {what}; \
         restore the folder from a copy, or remove it and let the node join afresh"
    )]
    Corrupt {
        /// The damaged file.
        file: String,
        /// Where the damage was noticed, in bytes.
        offset: u64,
        /// What was found there.
        what: String,
    },

    /// A file that must exist does not.
    #[error(
        "{file} is missing: {what}; \
         restore it from a copy, or remove the folder and let the node join afresh"
    )]
    Missing {
        /// The missing file.
        file: String,
        /// How its absence was noticed.
        what: String,
    },

    /// The file was written by another version of this library.
    #[error(
        "{file} has format version {found}, this library knows {known}; \
         start the version of ram that wrote it"
    )]
    Version {
        /// The file.
        file: String,
        /// The version the file names.
        found: u32,
        /// The version known here.
        known: u32,
    },

    /// Another member holds the folder.
    #[error(
        "{folder} is in use by another process; stop it, or give this node a data_dir of its own"
    )]
    Locked {
        /// The folder.
        folder: String,
    },
}

impl DiskError {
    /// For `map_err`: names the file of an I/O error.
    pub fn io(file: &str) -> impl FnOnce(io::Error) -> Self {
        let file = file.to_owned();
        move |source| Self::Io { file, source }
    }

    pub fn corrupt(file: &str, offset: u64, what: impl Into<String>) -> Self {
        Self::Corrupt { file: file.to_owned(), offset, what: what.into() }
    }
}

impl From<DiskError> for io::Error {
    fn from(error: DiskError) -> Self {
        let kind = match &error {
            DiskError::Io { source, .. } => source.kind(),
            DiskError::Corrupt { .. } | DiskError::Version { .. } => io::ErrorKind::InvalidData,
            DiskError::Missing { .. } => io::ErrorKind::NotFound,
            DiskError::Locked { .. } => io::ErrorKind::WouldBlock,
        };
        Self::new(kind, error)
    }
}
