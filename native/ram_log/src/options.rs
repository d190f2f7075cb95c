//! How a log is kept: its bounds, and who writes.

use ram_limits::RECORD_BYTES_MAX;

/// How a log is kept.
#[derive(Clone, Debug)]
pub struct LogOptions {
    /// A segment gets no batch beyond this length, unless it is the only one in it. Bytes.
    pub segment_bytes: u64,
    /// The newest entries are kept in memory up to this sum. Bytes.
    pub cache_bytes: usize,
    /// The longest body of an entry. Bytes.
    pub record_bytes_max: usize,
    /// A batch takes operations up to this; longer appends are written in several. Bytes.
    pub batch_bytes_max: usize,
    /// Who writes.
    pub driver: Driver,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self {
            segment_bytes: 16 * 1024 * 1024,
            cache_bytes: 16 * 1024 * 1024,
            record_bytes_max: RECORD_BYTES_MAX,
            batch_bytes_max: 4 * 1024 * 1024,
            driver: Driver::Thread,
        }
    }
}

/// Who writes, syncs, and runs the callbacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Driver {
    /// A thread of the log, named `ram-log`.
    Thread,
    /// The caller, before the call returns.
    Inline,
    /// Whoever calls [`Log::drive`]: for a simulation, which decides how long a disk takes.
    Called,
}
