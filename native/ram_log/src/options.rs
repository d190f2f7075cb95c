//! The options of a log: its bounds, and who runs the flush loop.

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
    /// Who runs the flush loop.
    pub flush: FlushMode,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self {
            segment_bytes: 16 * 1024 * 1024,
            cache_bytes: 16 * 1024 * 1024,
            record_bytes_max: RECORD_BYTES_MAX,
            batch_bytes_max: 4 * 1024 * 1024,
            flush: FlushMode::Thread,
        }
    }
}

/// Who runs the flush loop: writes, syncs, and runs the callbacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlushMode {
    /// A thread of the log, named `ram-log`.
    Thread,
    /// The caller, before the call returns.
    Inline,
    /// The caller of [`Log::flush`](super::Log::flush): for a simulation, which decides how long a
    /// disk takes.
    Manual,
}
