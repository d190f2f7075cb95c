//! Whether a peer admits this member, asked where it is said to be: a handshake and no more.
//!
//! The address comes from the caller alone. What the address book says, which any peer that knows
//! the cookie can tell, plays no part. A peer that admits this member takes the connection for its
//! new one, and drops the last; so ask one that has none.

use std::time::Duration;

use tokio::time::timeout;

use super::Net;
use super::handshake::{HandshakeError, initiate};
use super::identity::PeerId;

impl Net {
    /// The reason code with which the peer there refuses this member. `None`: it admits it, is not
    /// there, or is another.
    pub async fn refusal_at(&self, peer: PeerId, address: &str, limit: Duration) -> Option<u8> {
        let asked = async {
            let mut stream = self.shared.transport.connect(address).await.ok()?;
            match initiate(&mut stream, &self.shared.credentials, peer).await {
                Err(HandshakeError::Refused { code }) => Some(code),
                Ok(_) | Err(_) => None,
            }
        };
        timeout(limit, asked).await.ok().flatten()
    }
}
