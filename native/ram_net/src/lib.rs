//! The network between members: authenticated TCP connections that carry requests and replies.
//! Bytes have no meaning here: no Raft, no store, no commands.
//!
//! Raft's adapters send their messages with [`Net::send`] and [`Net::call`], and receive those of
//! others through [`Service`] and [`Inbound`].
//!
//! # How a request travels
//!
//! Between two members there is one TCP connection per direction: A's requests to B, and B's
//! replies to them, travel on the connection that A opened. First both sides prove the cookie
//! (`handshake`); then the stream is cut into frames (`frame`). Many requests are in flight at
//! once, and each reply finds its request by an id (`pending_requests`):
//!
//! ```text
//! Net::send -> link -> pending_requests -> outbox -> frame => frame -> server -> Inbound
//!     PendingReply <- pending_requests <- frame <= frame <- outbox <- Replies
//! ```
//!
//! # What callers may rely on
//!
//! - Sending never waits. Beyond a bound in bytes it fails with `Overloaded`.
//! - While a connection lasts, requests to the peer arrive in the order they were sent, each at
//!   most once; when it breaks, a suffix of them is lost. Replies arrive in any order.
//! - An error says whether the request may have been sent ([`NetError::sent`]). No request is
//!   retried.
//! - A peer that owes a reply and is silent for `stall_timeout` is given up. A busy peer is not
//!   silent: its connection answers pings, not its service.
//! - No peer makes a member hold memory without sending bytes, and a peer without the cookie not
//!   even by sending them.
//! - After [`Net::shutdown`] no task is left. A panic in a [`Service`] ends its connection alone.
//!
//! # What may never enter
//!
//! Meaning (serde, Raft, the store), a retry, an await in the sending path, and a queue without a
//! bound. Only [`transport`] names sockets. There is no encryption: an attacker who can alter
//! packets can take over a proven connection. Run members in a network of their own until TLS
//! comes.

#![forbid(unsafe_code)]
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

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
mod receive_budget;
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
