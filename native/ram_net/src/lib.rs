//! How bytes move between members. Bytes have no meaning here: no Raft, no store, no commands.
//!
//! # The story
//!
//! A member listens, and other members are known by their id and found by an address book. Between
//! two members there is one TCP connection per direction: A's requests to B, and B's replies to
//! them, travel on the connection that A opened. Both sides prove the cookie first (`handshake`);
//! then the stream is cut into `frame`s. Many requests are under way at once, and each reply finds
//! its request by an id (`requests`). A request, in files:
//!
//! ```text
//! Net::send -> peer -> requests -> outbox -> frame => frame -> server -> Inbound
//!       PendingReply <- requests <- frame <= frame <- outbox <- Replies
//! ```
//!
//! # What callers may rely on
//!
//! - Sending never waits. Past a bound in bytes it fails with `Overloaded`.
//! - Requests to one peer arrive in the order they were sent, each at most once, while its
//!   connection stands; after a break a suffix of them is lost. Replies come in any order.
//! - An error tells whether the request may have been sent ([`NetError::sent`]). Nothing is
//!   retried.
//! - A peer that owes an answer and is silent is given up after `stall_timeout`; a peer that is
//!   busy is not silent, since pings are answered by its connection and not by its service.
//! - Nobody makes us hold memory without sending bytes, and a stranger not even then.
//! - After [`Net::shutdown`] no task is left. A panic in a [`Service`] ends its connection alone.
//!
//! # What may never enter
//!
//! Meaning (serde, Raft, the store), a retry, an await in the sending path, and a queue without a
//! bound. Sockets are named in [`transport`] alone. Encryption is left out: whoever can alter
//! packets on the way can take over a proven connection. Run members in a network of their own
//! until TLS comes.

#![forbid(unsafe_code)]
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

mod arriving;
mod connection;
mod error;
mod frame;
mod handshake;
mod handshakes;
mod identity;
mod inbound_slots;
mod link;
mod net;
mod options;
mod outbox;
mod peer;
mod pending_requests;
mod refusal;
mod replies;
mod server;
mod service;
mod shared;
mod stats;
pub mod transport;
mod unreached;

pub use error::NetError;
pub use frame::Body;
pub use identity::{ClusterId, Cookie, PeerId};
pub use net::Net;
pub use options::NetOptions;
pub use pending_requests::PendingReply;
pub use refusal::RefusalKind;
pub use replies::Replies;
pub use service::{Inbound, Service};
pub use stats::{NetStats, PeerStatus};
pub use transport::{TcpTransport, Transport};
pub use unreached::{Outage, Unreached, UnreachedCause};

#[cfg(test)]
mod tests;
