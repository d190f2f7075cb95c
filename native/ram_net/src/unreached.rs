//! Why a peer is not reached: the causes, and the outage of one peer with its log lines.
//!
//! One line is written per outage and cause, and one when the peer is reached again; so many
//! attempts do not write many lines. Attempts are counted.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use tokio::time::Instant;

use super::handshake::HandshakeError;

/// Why an attempt to connect failed. Names are stable; the text beside them is for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum UnreachedCause {
    /// Nobody has told where the member is.
    NoAddress,
    /// The host of the address has no address of its own.
    UnknownHost,
    /// The host is there, and nobody listens on the port.
    ConnectionRefused,
    /// There is no way to the host.
    NoRoute,
    /// No answer in time: a host that is down, a firewall that drops, a process that hangs.
    Timeout,
    /// What answers does not speak this protocol.
    NotOurs,
    Version,
    WrongCookie,
    WrongCluster,
    /// Another member of the cluster answers there.
    WrongPeer,
    /// It answers, and does not admit this member.
    NotAdmitted,
    /// The connection was closed before both sides had proven who they are.
    Closed,
    /// Any other error of the system; the text tells.
    Failed,
}

impl From<&io::Error> for UnreachedCause {
    fn from(error: &io::Error) -> UnreachedCause {
        match error.kind() {
            io::ErrorKind::NotFound => UnreachedCause::UnknownHost,
            io::ErrorKind::ConnectionRefused => UnreachedCause::ConnectionRefused,
            io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
                UnreachedCause::NoRoute
            }
            io::ErrorKind::TimedOut => UnreachedCause::Timeout,
            io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted => {
                UnreachedCause::Closed
            }
            _ => UnreachedCause::Failed,
        }
    }
}

impl From<&HandshakeError> for UnreachedCause {
    fn from(error: &HandshakeError) -> UnreachedCause {
        match error {
            HandshakeError::NotOurs => UnreachedCause::NotOurs,
            HandshakeError::Version { .. } => UnreachedCause::Version,
            HandshakeError::WrongCookie | HandshakeError::ClosedAfterProof => {
                UnreachedCause::WrongCookie
            }
            HandshakeError::WrongCluster => UnreachedCause::WrongCluster,
            HandshakeError::WrongPeer { .. } => UnreachedCause::WrongPeer,
            HandshakeError::Refused { .. } => UnreachedCause::NotAdmitted,
            HandshakeError::Timeout => UnreachedCause::Timeout,
            HandshakeError::Closed => UnreachedCause::Closed,
        }
    }
}

/// One failed attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreached {
    pub cause: UnreachedCause,
    pub text: String,
}

/// A peer that was tried and not reached since.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outage {
    /// Where it was tried last.
    pub address: String,
    pub cause: UnreachedCause,
    pub text: String,
    /// Since the first attempt that failed.
    pub lasts: Duration,
    pub attempts: u64,
}

/// The attempts at one peer, and which lines are due.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    current: Option<Current>,
    /// When a line of each cause was written last: an outage that comes and goes writes no more
    /// than one in an interval.
    written_at: BTreeMap<UnreachedCause, Instant>,
}

#[derive(Debug)]
struct Current {
    address: String,
    last: Unreached,
    since: Instant,
    attempts: u64,
    written: Vec<UnreachedCause>,
}

impl Attempts {
    /// Counts a failed attempt; true when its line is due.
    pub fn failed(
        &mut self,
        address: String,
        last: Unreached,
        now: Instant,
        interval: Duration,
    ) -> bool {
        let cause = last.cause;
        let current = self.current.get_or_insert_with(|| Current {
            address: String::new(),
            last: last.clone(),
            since: now,
            attempts: 0,
            written: Vec::new(),
        });
        (current.address, current.last) = (address, last);
        current.attempts = current.attempts.saturating_add(1);
        let is_early = self.written_at.get(&cause).is_some_and(|at| now < *at + interval);
        if is_early || current.written.contains(&cause) {
            return false;
        }
        current.written.push(cause);
        self.written_at.insert(cause, now);
        true
    }

    /// The peer is reached. The outage that ends with it, if a line told of it.
    pub fn succeeded(&mut self, now: Instant) -> Option<Outage> {
        let ended = self.current.take()?;
        (!ended.written.is_empty()).then(|| ended.outage(now))
    }

    pub fn outage(&self, now: Instant) -> Option<Outage> {
        self.current.as_ref().map(|current| current.outage(now))
    }
}

impl Current {
    fn outage(&self, now: Instant) -> Outage {
        Outage {
            address: self.address.clone(),
            cause: self.last.cause,
            text: self.last.text.clone(),
            lasts: now.saturating_duration_since(self.since),
            attempts: self.attempts,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(10);

    fn of(cause: UnreachedCause) -> Unreached {
        Unreached { cause, text: format!("{cause:?}") }
    }

    #[test]
    fn an_outage_is_told_once_for_each_cause_and_once_when_it_is_over() {
        let (mut attempts, start) = (Attempts::default(), Instant::now());
        let refused = || of(UnreachedCause::ConnectionRefused);
        let mut failed = |unreached, seconds| {
            let now = start + Duration::from_secs(seconds);
            attempts.failed("there:1".into(), unreached, now, INTERVAL)
        };
        assert!(failed(refused(), 0));
        assert!(!failed(refused(), 1));
        assert!(failed(of(UnreachedCause::Timeout), 2));
        assert!(!failed(refused(), 30));
        let now = start + Duration::from_secs(31);
        let outage = attempts.outage(now).unwrap();
        assert_eq!((outage.attempts, outage.lasts), (4, Duration::from_secs(31)));
        assert_eq!(outage.cause, UnreachedCause::ConnectionRefused);
        assert_eq!(attempts.succeeded(now), Some(outage));
        assert_eq!((attempts.succeeded(now), attempts.outage(now)), (None, None));
    }

    #[test]
    fn a_peer_that_comes_and_goes_writes_one_line_in_an_interval() {
        let (mut attempts, start) = (Attempts::default(), Instant::now());
        let lines = (0..100u32).filter(|turn| {
            let now = start + INTERVAL * *turn / 25;
            let cause = of(UnreachedCause::Closed);
            let is_due = attempts.failed("there:1".into(), cause, now, INTERVAL);
            assert_eq!(attempts.succeeded(now).is_some(), is_due);
            is_due
        });
        assert_eq!(lines.count(), 4);
    }
}
