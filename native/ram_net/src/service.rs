//! What the network calls in the member that owns it: the contract of both traits.

use bytes::Bytes;

use super::identity::PeerId;
use super::replies::Replies;

/// What the network serves. Its methods run on the network's tasks and must not block.
pub trait Service: Send + Sync {
    /// Whether a proven member may connect; if not, the reason code that it is told.
    fn admit(&self, peer: PeerId, name: &str) -> Result<(), u8>;

    /// Is the peer a member, as far as this one knows? One that is not may connect, as one of few
    /// guests: it may know more than this one does.
    fn knows(&self, peer: PeerId) -> bool;

    /// A member has connected. The answer receives its requests, and is dropped with the
    /// connection, before another connection of the same member begins.
    fn connected(&self, peer: PeerId, replies: Replies) -> Box<dyn Inbound>;

    /// A member's policy refused us, for the reason of this code.
    fn refused_by(&self, peer: PeerId, code: u8);
}

/// The requests of one connection, in the order they arrived. Answers go through [`Replies`].
pub trait Inbound: Send {
    fn request(&mut self, id: u64, kind: u8, body: Bytes);

    /// A part of a large request has come; what was sent after it waits behind it.
    fn arriving(&mut self) {}
}
