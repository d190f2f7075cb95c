//! Files of one folder, behind a trait: the disk of a member. `ram_log` writes the log, snapshots
//! and checked files on it; the member opens and locks it.
//!
//! [`RealDisk`] holds the lock of its folder, so one process has it at a time. [`MemoryDisk`] is
//! the disk of storage `memory`. Tests and the simulator have disks that lose what was not synced,
//! and disks that fail. [`DiskError`] is what all of storage fails with: its texts name the file
//! and what to do. Nothing here knows what is in a file.

#![forbid(unsafe_code)]
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

#[cfg(any(test, feature = "simulation"))]
mod cached_disk;
mod disk;
mod error;
#[cfg(any(test, feature = "simulation"))]
mod failing_disk;
mod memory_disk;
mod real_disk;
mod single_file_disk;

#[cfg(any(test, feature = "simulation"))]
pub use cached_disk::CachedDisk;
pub use disk::{Disk, DiskFile, read_exactly, read_to_end};
pub use error::DiskError;
#[cfg(any(test, feature = "simulation"))]
pub use failing_disk::FailingDisk;
pub use memory_disk::MemoryDisk;
pub use real_disk::RealDisk;
pub use single_file_disk::SingleFileDisk;
