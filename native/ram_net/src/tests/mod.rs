//! Whole networks over real sockets on this machine. Ports are the system's choice, every wait has
//! a limit.

mod failure;
mod reach;
mod traffic;
mod unauthenticated;
mod unknown_peers;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use bytes::{Buf, Bytes};
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::frame::{Batch, Outgoing};
use super::handshake::Credentials;
use super::*;

const LIMIT: Duration = Duration::from_secs(10);

/// Ids from here on are no members'.
const UNKNOWN: u64 = 100;

/// Kinds of request, as the test service understands them.
const ECHO: u8 = 1;
/// The request is kept; the test answers it.
const HOLD: u8 = 2;
const PANIC: u8 = 3;
/// The reply is one body of 64 KiB.
const LARGE_REPLY: u8 = 4;

#[derive(Debug, Clone, PartialEq)]
enum Event {
    Connected(PeerId),
    Disconnected(PeerId),
    RefusedBy(PeerId, u8),
}

/// A service that answers by kind, and remembers what happened.
#[derive(Default)]
struct Probe {
    /// 0 admits everybody.
    refusal: AtomicU8,
    events: Mutex<Vec<Event>>,
    requests: Mutex<Vec<Bytes>>,
    held: Mutex<VecDeque<(u64, Replies)>>,
    replies: Mutex<Option<Replies>>,
}

#[derive(Clone, Default)]
struct Witness(Arc<Probe>);

impl Service for Witness {
    fn admit(&self, _: PeerId, name: &str) -> Result<(), u8> {
        assert!(name.starts_with("ram@box"));
        match self.0.refusal.load(Ordering::Relaxed) {
            0 => Ok(()),
            code => Err(code),
        }
    }

    fn knows(&self, peer: PeerId) -> bool {
        peer.0 < UNKNOWN
    }

    fn connected(&self, peer: PeerId, replies: Replies) -> Box<dyn Inbound> {
        self.0.events.lock().push(Event::Connected(peer));
        *self.0.replies.lock() = Some(replies.clone());
        Box::new(Requests { probe: Arc::clone(&self.0), peer, replies })
    }

    fn refused_by(&self, peer: PeerId, code: u8) {
        self.0.events.lock().push(Event::RefusedBy(peer, code));
    }
}

struct Requests {
    probe: Arc<Probe>,
    peer: PeerId,
    replies: Replies,
}

impl Inbound for Requests {
    fn request(&mut self, id: u64, kind: u8, body: Bytes) {
        match kind {
            PANIC => panic!("a service that panics on purpose"),
            HOLD => self.probe.held.lock().push_back((id, self.replies.clone())),
            LARGE_REPLY => self.replies.send(id, vec![0; 64 << 10]).unwrap(),
            _ => self.replies.send(id, body.clone()).unwrap(),
        }
        self.probe.requests.lock().push(body);
    }
}

impl Drop for Requests {
    fn drop(&mut self) {
        self.probe.events.lock().push(Event::Disconnected(self.peer));
    }
}

impl Witness {
    fn count(&self, event: &Event) -> usize {
        self.0.events.lock().iter().filter(|e| *e == event).count()
    }
}

fn options(id: u64) -> NetOptions {
    let name = format!("ram@box{id}");
    let mut options =
        NetOptions::new(PeerId(id), ClusterId([7; 16]), &name, Cookie::new("monster"));
    options.backoff_max = Duration::from_millis(50);
    options
}

struct Member {
    net: Net,
    witness: Witness,
}

async fn start(options: NetOptions) -> Member {
    let witness = Witness::default();
    let service = Arc::new(witness.clone());
    let net = Net::start(options, Arc::new(TcpTransport::default()), service).await.unwrap();
    Member { net, witness }
}

/// Members 1 and 2, where 1 knows the address of 2.
async fn pair() -> (Member, Member) {
    pair_with(|_| {}).await
}

async fn pair_with(adapt: impl Fn(&mut NetOptions)) -> (Member, Member) {
    let (mut first, mut second) = (options(1), options(2));
    adapt(&mut first);
    adapt(&mut second);
    let (a, b) = (start(first).await, start(second).await);
    a.net.set_address(PeerId(2), b.net.advertised());
    (a, b)
}

impl Member {
    async fn call(&self, to: u64, kind: u8, body: &'static [u8]) -> Result<Bytes, NetError> {
        self.net.call(PeerId(to), kind, body, LIMIT).await
    }

    fn status(&self, of: u64) -> PeerStatus {
        self.net.peers().into_iter().find(|peer| peer.id == PeerId(of)).unwrap()
    }

    fn refused(&self, kind: RefusalKind) -> u64 {
        self.net.stats().refused(kind)
    }

    /// A socket to this member that has proven to be member 1, to misbehave with.
    async fn raw_peer(&self) -> TcpStream {
        self.raw_peer_with(1).await
    }

    async fn raw_peer_with(&self, id: u64) -> TcpStream {
        let mut stream = self.raw_socket().await;
        let own = Credentials { id: PeerId(id), ..raw_credentials() };
        within(handshake::initiate(&mut stream, &own, PeerId(2))).await.unwrap();
        stream
    }

    async fn raw_socket(&self) -> TcpStream {
        TcpStream::connect(self.net.advertised()).await.unwrap()
    }
}

fn raw_credentials() -> Credentials {
    Credentials {
        cookie: Cookie::new("monster"),
        cluster: ClusterId([7; 16]),
        id: PeerId(1),
        name: "ram@box1".to_owned(),
        address: "nowhere:1".to_owned(),
    }
}

fn frame_bytes(id: u64, kind: u8, body: impl Into<Body>) -> Vec<u8> {
    let mut batch = Batch::default();
    batch.push(&Outgoing { kind, id, body: body.into() });
    batch.seal();
    batch.copy_to_bytes(batch.remaining()).to_vec()
}

async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(LIMIT, future).await.expect("within the limit of a test")
}

async fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let poll = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(LIMIT, poll).await.unwrap_or_else(|_| panic!("in vain: {what}"));
}

/// Reads until the other side closes.
async fn wait_closed(stream: &mut TcpStream) {
    let mut rest = Vec::new();
    // A reset is a way to close, too.
    let _ = within(stream.read_to_end(&mut rest)).await;
}
