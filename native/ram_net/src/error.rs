//! The errors of the network. Each tells whether the peer may have seen the request.

use thiserror::Error;

use super::handshake::HandshakeError;
use super::identity::PeerId;
use super::unreached::{Unreached, UnreachedCause};

#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NetError {
    /// There is no connection and there was none for this request: nothing was sent.
    #[error("member {peer} is not reachable: {reason}")]
    Unreachable { peer: PeerId, cause: UnreachedCause, reason: String },
    /// The connection ended after the request was, or may have been, sent.
    #[error("the connection to member {peer} broke: {reason}")]
    Broken { peer: PeerId, reason: String },
    /// No reply came in time.
    #[error("member {peer} did not answer in time")]
    Timeout { peer: PeerId, sent: bool },
    /// The queue of this peer is full: nothing was sent.
    #[error("too much is queued for member {peer}")]
    Overloaded { peer: PeerId },
    /// The peer does not admit this member, for the reason its policy gave: nothing was sent.
    #[error("member {peer} refuses us, reason code {code}")]
    Refused { peer: PeerId, code: u8 },
    #[error("a body of {bytes} bytes, where {bytes_max} are allowed")]
    FrameTooLarge { bytes: usize, bytes_max: usize },
    /// This network was shut down, or the connection to reply on is gone.
    #[error("closed")]
    Closed,
    #[error("cannot listen on {address}: {reason}")]
    Listen { address: String, reason: String },
    #[error("bad network option: {reason}")]
    BadOption { reason: String },
}

impl NetError {
    /// Whether the peer may have seen the request. False is certain.
    pub fn sent(&self) -> bool {
        matches!(self, NetError::Broken { .. } | NetError::Timeout { sent: true, .. })
    }

    pub(super) fn of_handshake(peer: PeerId, error: &HandshakeError) -> NetError {
        match error {
            HandshakeError::Refused { code } => NetError::Refused { peer, code: *code },
            other => NetError::Unreachable { peer, cause: other.into(), reason: other.to_string() },
        }
    }

    /// The same failure as the reason why the peer was not reached.
    pub(super) fn unreached(&self) -> Unreached {
        let (cause, text) = match self {
            NetError::Unreachable { cause, reason, .. } => (*cause, reason.clone()),
            NetError::Refused { .. } => (UnreachedCause::NotAdmitted, self.to_string()),
            NetError::Timeout { .. } => (UnreachedCause::Timeout, self.to_string()),
            NetError::Broken { reason, .. } => (UnreachedCause::Closed, reason.clone()),
            NetError::Closed => (UnreachedCause::Closed, self.to_string()),
            NetError::Overloaded { .. }
            | NetError::FrameTooLarge { .. }
            | NetError::Listen { .. }
            | NetError::BadOption { .. } => (UnreachedCause::Failed, self.to_string()),
        };
        Unreached { cause, text }
    }

    /// The same failure for a request that may have been sent.
    pub(super) fn after_sending(self) -> NetError {
        match self {
            NetError::Unreachable { peer, reason, .. } => NetError::Broken { peer, reason },
            other => other,
        }
    }
}
