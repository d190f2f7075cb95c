//! The log of refused connections, rate-limited: they are counted by kind, and at most one line is
//! written per kind and interval, with the count since the last one.

use std::fmt::Display;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::handshake::HandshakeError;

/// Why a connection to this member was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RefusalKind {
    NotOurs,
    Version,
    WrongCookie,
    WrongCluster,
    WrongPeer,
    /// The policy refused a proven member.
    Refused,
    Timeout,
    Closed,
    /// Too many connections were in their handshake, or the system had none to give.
    Crowded,
    /// A proven member sent something that is not a frame.
    BadFrame,
}

impl RefusalKind {
    pub const ALL: [RefusalKind; 10] = [
        RefusalKind::NotOurs,
        RefusalKind::Version,
        RefusalKind::WrongCookie,
        RefusalKind::WrongCluster,
        RefusalKind::WrongPeer,
        RefusalKind::Refused,
        RefusalKind::Timeout,
        RefusalKind::Closed,
        RefusalKind::Crowded,
        RefusalKind::BadFrame,
    ];
}

impl From<&HandshakeError> for RefusalKind {
    fn from(error: &HandshakeError) -> RefusalKind {
        match error {
            HandshakeError::NotOurs => RefusalKind::NotOurs,
            HandshakeError::Version { .. } => RefusalKind::Version,
            HandshakeError::WrongCookie | HandshakeError::ClosedAfterProof => {
                RefusalKind::WrongCookie
            }
            HandshakeError::WrongCluster => RefusalKind::WrongCluster,
            HandshakeError::WrongPeer { .. } => RefusalKind::WrongPeer,
            HandshakeError::Refused { .. } => RefusalKind::Refused,
            HandshakeError::Timeout => RefusalKind::Timeout,
            HandshakeError::Closed => RefusalKind::Closed,
        }
    }
}

#[derive(Debug)]
pub(super) struct RefusalLog {
    interval: Duration,
    entries: [Entry; RefusalKind::ALL.len()],
}

#[derive(Debug, Default)]
struct Entry {
    total: AtomicU64,
    /// Guards one decision: whether this refusal writes the line.
    line: Mutex<Line>,
}

#[derive(Debug, Default)]
struct Line {
    written_at: Option<Instant>,
    unwritten: u64,
}

impl RefusalLog {
    pub fn new(interval: Duration) -> RefusalLog {
        RefusalLog { interval, entries: Default::default() }
    }

    /// Counts one refusal; `detail` and the remote address are those of the last one in a line.
    pub fn note(&self, kind: RefusalKind, remote: &dyn Display, detail: &dyn Display) {
        if let Some(count) = self.count(kind, Instant::now()) {
            tracing::warn!(
                "refused {count} accepted connections since the last line: {kind:?}, \
                 last with {remote}: {detail}"
            );
        }
    }

    pub fn total(&self, kind: RefusalKind) -> u64 {
        self.entry(kind).map_or(0, |entry| entry.total.load(Ordering::Relaxed))
    }

    /// The number to log now, if a line is due.
    fn count(&self, kind: RefusalKind, now: Instant) -> Option<u64> {
        let entry = self.entry(kind)?;
        entry.total.fetch_add(1, Ordering::Relaxed);
        let mut line = entry.line.lock();
        line.unwritten += 1;
        if line.written_at.is_some_and(|written_at| now < written_at + self.interval) {
            return None;
        }
        line.written_at = Some(now);
        Some(std::mem::take(&mut line.unwritten))
    }

    fn entry(&self, kind: RefusalKind) -> Option<&Entry> {
        self.entries.get(kind as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_refusals_is_one_line_per_kind_and_interval() {
        let log = RefusalLog::new(Duration::from_secs(10));
        let start = Instant::now();
        let cookie = RefusalKind::WrongCookie;
        assert_eq!(log.count(cookie, start), Some(1));
        for _ in 0..40 {
            assert_eq!(log.count(cookie, start + Duration::from_secs(9)), None);
        }
        assert_eq!(log.count(RefusalKind::NotOurs, start), Some(1));
        assert_eq!(log.count(cookie, start + Duration::from_secs(10)), Some(41));
        assert_eq!(log.total(cookie), 42);
    }

    #[test]
    fn every_kind_has_its_own_entry() {
        for (position, kind) in RefusalKind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, position);
        }
    }
}
