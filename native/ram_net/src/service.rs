//! The callbacks of the network into the member that owns it.

use bytes::Bytes;

use super::identity::PeerId;
use super::replies::Replies;

/// The member, as the network calls it. Its methods run on the network's tasks and must not block.
pub trait Service: Send + Sync {
    /// Whether a proven member may connect; if not, the reason code that it is told.
    fn admit(&self, peer: PeerId, name: &str) -> Result<(), u8>;

    /// Is the peer a member, as far as this member knows? A few unknown peers may connect: one of
    /// them may know a newer configuration.
    fn knows(&self, peer: PeerId) -> bool;

    /// A peer has connected. The result receives its requests, and is dropped with the connection,
    /// before another connection of the same peer begins.
    fn connected(&self, peer: PeerId, replies: Replies) -> Box<dyn Inbound>;

    /// A member's policy refused us, for the reason of this code.
    fn refused_by(&self, peer: PeerId, code: u8);
}

/// The requests of one connection, in the order they arrived. Answers go through [`Replies`].
pub trait Inbound: Send {
    fn request(&mut self, id: u64, kind: u8, body: Bytes);

    /// A part of a large request has arrived; later requests of the connection follow the rest.
    fn receiving(&mut self) {}
}
