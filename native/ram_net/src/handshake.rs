//! The handshake: mutual challenge-response authentication by the cookie (HMAC-SHA-256, RFC 2104).
//!
//! ```text
//! initiator                                    acceptor
//!   Hello: nonce, cluster, from, to, name, address ->
//!                                           <- Challenge: nonce
//!   Proof: HMAC("initiator", hello, challenge)     ->
//!                                           <- Welcome: verdict, cluster, id, name, address,
//!                                              HMAC("acceptor", hello, challenge, proof, welcome)
//! ```
//!
//! Each message begins with magic, wire version and length; that much stays as it is in all
//! versions. The nonces are fresh and from both sides, so a recorded proof is worth nothing; the
//! role is part of the proof, so our own messages sent back to us prove nothing; all messages so
//! far are part of it, so none can be altered. The initiator proves first: a peer without the
//! cookie learns one nonce. Only a peer with the cookie gets the verdict; a version mismatch alone
//! is sent in clear, so that both sides can log it. Not covered: bytes after the handshake are
//! neither secret nor signed.
//!
//! No message is longer than [`MESSAGE_BYTES_MAX`]; time limits belong to the caller.

use bytes::{Buf, BufMut};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::identity::{ClusterId, Cookie, PeerId};

/// Of all that goes over a connection: what requests and answers mean counts as well.
pub(super) const WIRE_VERSION: u16 = 4;
pub(super) const MAGIC: [u8; 4] = *b"ram!";
pub(super) const PREAMBLE_BYTES: usize = 8;

/// A hello with the longest name and address needs 578 bytes.
pub(super) const MESSAGE_BYTES_MAX: usize = 640;

const NONCE_BYTES: usize = 32;
const PROOF_BYTES: usize = 32;
const INITIATOR: &[u8] = b"ram initiator";
const ACCEPTOR: &[u8] = b"ram acceptor";

const WELCOME: u8 = 0;
const WRONG_CLUSTER: u8 = 1;
const WRONG_PEER: u8 = 2;
const REFUSED: u8 = 3;

#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum HandshakeError {
    #[error("what answers does not speak ram's protocol")]
    NotOurs,
    #[error("wire version {theirs} there, {ours} here")]
    Version { theirs: u16, ours: u16 },
    #[error("wrong cookie")]
    WrongCookie,
    /// The acceptor gives no reason to a peer without the cookie; so that is the likely reason.
    #[error("closed after our proof; do both sides have the same cookie?")]
    ClosedAfterProof,
    #[error("a member of another cluster")]
    WrongCluster,
    #[error("meant for member {expected}, reached member {actual}")]
    WrongPeer { expected: PeerId, actual: PeerId },
    /// The acceptor's policy refuses this member.
    #[error("refused, reason code {code}")]
    Refused { code: u8 },
    #[error("the handshake took too long")]
    Timeout,
    #[error("closed during the handshake")]
    Closed,
}

/// What this member claims in its handshakes, and the secret that proves it.
#[derive(Debug, Clone)]
pub(super) struct Credentials {
    pub cookie: Cookie,
    pub cluster: ClusterId,
    pub id: PeerId,
    pub name: String,
    pub address: String,
}

/// What the other side claims and has proven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Greeting {
    pub id: PeerId,
    pub name: String,
    pub address: String,
}

/// The opening side: proves the cookie to `expected`, and verifies the proof of `expected`.
pub(super) async fn initiate<S>(
    stream: &mut S,
    own: &Credentials,
    expected: PeerId,
) -> Result<Greeting, HandshakeError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let hello = own.hello(expected)?;
    write_message(stream, &hello).await?;
    let challenge = read_message(stream).await?;
    if challenge.len() != NONCE_BYTES {
        return Err(HandshakeError::NotOurs);
    }
    let proof = own.mac(INITIATOR, &[&hello, &challenge])?.finalize().into_bytes();
    write_message(stream, &proof).await?;
    let welcome = read_message(stream).await.map_err(|error| match error {
        HandshakeError::Closed => HandshakeError::ClosedAfterProof,
        other => other,
    })?;
    let (welcome, mac) =
        welcome.split_last_chunk::<PROOF_BYTES>().ok_or(HandshakeError::NotOurs)?;
    own.mac(ACCEPTOR, &[&hello, &challenge, &proof, welcome])?
        .verify_slice(mac)
        .map_err(|_| HandshakeError::WrongCookie)?;
    own.judge(welcome, expected)
}

/// The accepting side. `named` is called when the hello names this cluster and this member: that
/// proves nothing, but a port scanner cannot guess it. `admit` decides on a proven member of this
/// cluster; the member gets the reason code of its refusal.
pub(super) async fn accept<S, A>(
    stream: &mut S,
    own: &Credentials,
    named: impl FnOnce(),
    admit: A,
) -> Result<Greeting, HandshakeError>
where
    S: AsyncRead + AsyncWrite + Unpin,
    A: FnOnce(&Greeting) -> Result<(), u8>,
{
    let hello = match read_message(stream).await {
        Err(error @ HandshakeError::Version { .. }) => {
            write_message(stream, &[]).await?;
            let _ = stream.shutdown().await;
            return Err(error);
        }
        other => other?,
    };
    let Hello { cluster, to, greeting } = Hello::parse(&hello)?;
    if (cluster, to) == (own.cluster, own.id) {
        named();
    }
    let challenge = nonce()?;
    write_message(stream, &challenge).await?;
    let proof = read_message(stream).await?;
    own.mac(INITIATOR, &[&hello, &challenge])?
        .verify_slice(&proof)
        .map_err(|_| HandshakeError::WrongCookie)?;
    let verdict = own.verdict(cluster, to, &greeting, admit);
    let mut welcome = own.welcome(&verdict);
    let mac = own.mac(ACCEPTOR, &[&hello, &challenge, &proof, &welcome])?;
    welcome.put_slice(&mac.finalize().into_bytes());
    write_message(stream, &welcome).await?;
    if verdict.is_err() {
        let _ = stream.shutdown().await;
    }
    verdict.map(|()| greeting)
}

impl Credentials {
    fn hello(&self, to: PeerId) -> Result<Vec<u8>, HandshakeError> {
        let mut hello = Vec::with_capacity(MESSAGE_BYTES_MAX);
        hello.put_slice(&nonce()?);
        hello.put_slice(&self.cluster.0);
        hello.put_u64(self.id.0);
        hello.put_u64(to.0);
        put_text(&mut hello, &self.name);
        put_text(&mut hello, &self.address);
        Ok(hello)
    }

    fn verdict<A>(
        &self,
        cluster: ClusterId,
        to: PeerId,
        greeting: &Greeting,
        admit: A,
    ) -> Result<(), HandshakeError>
    where
        A: FnOnce(&Greeting) -> Result<(), u8>,
    {
        if cluster != self.cluster {
            return Err(HandshakeError::WrongCluster);
        }
        if to != self.id || greeting.id == self.id {
            return Err(HandshakeError::WrongPeer { expected: to, actual: self.id });
        }
        admit(greeting).map_err(|code| HandshakeError::Refused { code })
    }

    fn welcome(&self, verdict: &Result<(), HandshakeError>) -> Vec<u8> {
        let (status, code) = match verdict {
            Ok(()) => (WELCOME, 0),
            Err(HandshakeError::WrongCluster) => (WRONG_CLUSTER, 0),
            Err(HandshakeError::Refused { code }) => (REFUSED, *code),
            Err(_) => (WRONG_PEER, 0),
        };
        let mut welcome = Vec::with_capacity(MESSAGE_BYTES_MAX);
        welcome.put_u8(status);
        welcome.put_u8(code);
        welcome.put_slice(&self.cluster.0);
        welcome.put_u64(self.id.0);
        put_text(&mut welcome, &self.name);
        put_text(&mut welcome, &self.address);
        welcome
    }

    /// What a proven welcome means for the initiator.
    fn judge(&self, mut welcome: &[u8], expected: PeerId) -> Result<Greeting, HandshakeError> {
        let status = welcome.try_get_u8().map_err(not_ours)?;
        let code = welcome.try_get_u8().map_err(not_ours)?;
        let cluster = take_cluster(&mut welcome)?;
        let greeting = take_greeting(&mut welcome)?;
        let actual = greeting.id;
        if status == WRONG_CLUSTER || cluster != self.cluster {
            return Err(HandshakeError::WrongCluster);
        }
        if status == WRONG_PEER || actual != expected {
            return Err(HandshakeError::WrongPeer { expected, actual });
        }
        match status {
            WELCOME => Ok(greeting),
            REFUSED => Err(HandshakeError::Refused { code }),
            _ => Err(HandshakeError::NotOurs),
        }
    }

    /// The MAC of one role over all messages so far, each with its length, so that no two
    /// conversations give the same bytes.
    fn mac(&self, role: &[u8], said: &[&[u8]]) -> Result<Hmac<Sha256>, HandshakeError> {
        let mut mac = self
            .cookie
            .with(Hmac::<Sha256>::new_from_slice)
            .map_err(|_| HandshakeError::WrongCookie)?;
        mac.update(role);
        mac.update(&WIRE_VERSION.to_be_bytes());
        for part in said {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        Ok(mac)
    }
}

struct Hello {
    cluster: ClusterId,
    to: PeerId,
    greeting: Greeting,
}

impl Hello {
    fn parse(mut bytes: &[u8]) -> Result<Hello, HandshakeError> {
        let mut nonce = [0; NONCE_BYTES];
        bytes.try_copy_to_slice(&mut nonce).map_err(not_ours)?;
        let cluster = take_cluster(&mut bytes)?;
        let id = PeerId(bytes.try_get_u64().map_err(not_ours)?);
        let to = PeerId(bytes.try_get_u64().map_err(not_ours)?);
        let name = take_text(&mut bytes)?;
        let address = take_text(&mut bytes)?;
        Ok(Hello { cluster, to, greeting: Greeting { id, name, address } })
    }
}

fn take_cluster(bytes: &mut &[u8]) -> Result<ClusterId, HandshakeError> {
    let mut cluster = [0; 16];
    bytes.try_copy_to_slice(&mut cluster).map_err(not_ours)?;
    Ok(ClusterId(cluster))
}

fn take_greeting(bytes: &mut &[u8]) -> Result<Greeting, HandshakeError> {
    let id = PeerId(bytes.try_get_u64().map_err(not_ours)?);
    Ok(Greeting { id, name: take_text(bytes)?, address: take_text(bytes)? })
}

fn take_text(bytes: &mut &[u8]) -> Result<String, HandshakeError> {
    let mut text = vec![0; usize::from(bytes.try_get_u8().map_err(not_ours)?)];
    bytes.try_copy_to_slice(&mut text).map_err(not_ours)?;
    String::from_utf8(text).map_err(|_| HandshakeError::NotOurs)
}

/// The length fits: names and addresses are checked when the network starts.
fn put_text(bytes: &mut Vec<u8>, text: &str) {
    bytes.put_u8(u8::try_from(text.len()).unwrap_or(u8::MAX));
    bytes.put_slice(text.as_bytes());
}

fn nonce() -> Result<[u8; NONCE_BYTES], HandshakeError> {
    let mut nonce = [0; NONCE_BYTES];
    // Without randomness nothing can be proven; the connection is given up.
    getrandom::fill(&mut nonce).map_err(|_| HandshakeError::Closed)?;
    Ok(nonce)
}

async fn write_message<S>(stream: &mut S, payload: &[u8]) -> Result<(), HandshakeError>
where
    S: AsyncWrite + Unpin,
{
    let mut message = Vec::with_capacity(PREAMBLE_BYTES + payload.len());
    message.put_slice(&MAGIC);
    message.put_u16(WIRE_VERSION);
    message.put_u16(u16::try_from(payload.len()).map_err(|_| HandshakeError::Closed)?);
    message.put_slice(payload);
    stream.write_all(&message).await.map_err(closed)?;
    stream.flush().await.map_err(closed)
}

/// Reads a message to its end also when its version is not ours, since closing a socket with unread
/// bytes would take our answer away from the other side.
async fn read_message<S>(stream: &mut S) -> Result<Vec<u8>, HandshakeError>
where
    S: AsyncRead + Unpin,
{
    let mut preamble = [0; PREAMBLE_BYTES];
    stream.read_exact(&mut preamble).await.map_err(closed)?;
    let mut fields = preamble.strip_prefix(&MAGIC).ok_or(HandshakeError::NotOurs)?;
    let theirs = fields.get_u16();
    let length = usize::from(fields.get_u16());
    if length > MESSAGE_BYTES_MAX && theirs == WIRE_VERSION {
        return Err(HandshakeError::NotOurs);
    }
    let mut payload = vec![0; length.min(MESSAGE_BYTES_MAX)];
    let whole = stream.read_exact(&mut payload).await;
    if theirs != WIRE_VERSION {
        return Err(HandshakeError::Version { theirs, ours: WIRE_VERSION });
    }
    whole.map_err(closed)?;
    Ok(payload)
}

fn closed(_: std::io::Error) -> HandshakeError {
    HandshakeError::Closed
}

fn not_ours(_: bytes::TryGetError) -> HandshakeError {
    HandshakeError::NotOurs
}

#[cfg(test)]
#[path = "tests/handshake.rs"]
mod tests;
