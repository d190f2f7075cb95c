//! The way back for replies, as the service holds it.

use std::sync::Arc;

use super::error::NetError;
use super::frame::{Body, Outgoing};
use super::outbox::Outbox;

/// Sends replies on the connection the requests came on.
#[derive(Debug, Clone)]
pub struct Replies {
    pub(super) outbox: Arc<Outbox>,
    pub(super) frame_bytes_max: usize,
}

impl Replies {
    /// Queues the reply to request `id`; never waits. `Closed` when the connection is gone.
    pub fn send(&self, id: u64, body: impl Into<Body>) -> Result<(), NetError> {
        let body = body.into();
        let (bytes, bytes_max) = (body.byte_count(), self.frame_bytes_max);
        if bytes > bytes_max {
            return Err(NetError::FrameTooLarge { bytes, bytes_max });
        }
        self.outbox.push(Outgoing { kind: 0, id, body }).map_err(|_| NetError::Closed)
    }

    /// Hangs up: the connection is closed, and the peer's unanswered requests fail there.
    pub fn close(&self) {
        self.outbox.close();
    }

    /// Replies that wait for the peer to read.
    pub fn queued_bytes(&self) -> usize {
        self.outbox.queued_bytes()
    }
}
