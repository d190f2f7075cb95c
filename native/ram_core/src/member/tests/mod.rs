//! Whole members in the runtime of the test, which plays their peers and looks inside.

mod deferred;
mod expiry;
mod leases;
mod refusals;
mod removal;
mod snapshots;
mod starting;
mod terms;
mod turns;
mod vote_hold;

use bytes::Bytes;
use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::config::Storage;
use crate::config::tests::timed;
use crate::identity::ClusterId;
use parking_lot::Mutex;
use ram_lease::grants::{Grant, Refused};
use ram_lease::mode::ReadMode;
use ram_log::{Disk, MemoryDisk};
use ram_net::{Cookie, Inbound, Net, NetOptions, PeerId, Replies, Service, TcpTransport};
use ram_raft::log_store::LogStore;
use ram_raft::openraft::ServerState;
use ram_raft::openraft::async_runtime::WatchReceiver;
use ram_raft::rpc::{self, SnapshotProgress};
use ram_raft::types::Member as Peer;
use ram_store::codec;
use ram_table::value::Plain;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

const LIMIT: Duration = Duration::from_secs(20);
const CLUSTER: ClusterId = ClusterId([7; 16]);
/// The Raft id of the peer that the test plays.
const PEER: u64 = 9;

async fn open_member(disk: &Arc<dyn Disk>, config: Config, open: Open) -> Member {
    open_telling(disk, config, open, Arc::new(|_| {})).await
}

async fn open_telling(
    disk: &Arc<dyn Disk>,
    config: Config,
    open: Open,
    on_event: OnEvent,
) -> Member {
    let environment = Environment::real(disk.clone(), Storage::Memory, Arc::new(Plain)).unwrap();
    Member::open(config, open, environment, on_event).await.unwrap()
}

fn memory() -> Arc<dyn Disk> {
    Arc::new(MemoryDisk::default())
}

fn as_peer(member: &Member) -> Peer {
    let (name, address) = (member.config.name.clone(), member.parts.replica.net.advertised());
    Peer::new(name, address)
}

async fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let waited = tokio::time::timeout(LIMIT, async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    assert!(waited.await.is_ok(), "waited in vain until {what}");
}

/// Makes it the only voter, and waits until it leads.
async fn found(member: &Member) {
    let id = member.parts.identity.id;
    let members = BTreeMap::from([(id, as_peer(member))]);
    leader::initialize(&member.parts.replica.raft, &member.parts.replica.reads, members)
        .await
        .unwrap();
    leads(&member.parts.replica.raft).await;
}

async fn leads(raft: &Raft) {
    raft.wait(Some(LIMIT)).state(ServerState::Leader, "leads").await.unwrap();
}

/// What a played peer answers to a request for a lease; `None`: nothing.
type LeaseAnswer = Option<std::result::Result<Grant, Refused>>;

/// A peer without a raft: it asks what the test wants, and answers requests for leases alone.
struct Player {
    net: Net,
    played: Played,
}

/// How it plays. Clones share it.
#[derive(Clone, Default)]
struct Played {
    /// Guards what it answers next.
    answer: Arc<Mutex<LeaseAnswer>>,
    /// Pieces of snapshots that were sent to it; each is asked for again.
    chunks: Arc<AtomicUsize>,
    /// Guards what proposals are answered with; `None`: as a peer that does not lead.
    proposals: Arc<Mutex<Option<Bytes>>>,
    /// It says that who comes was removed.
    refuses: Arc<AtomicBool>,
}

impl Deref for Player {
    type Target = Played;

    fn deref(&self) -> &Played {
        &self.played
    }
}

impl Player {
    async fn beside(member: &Member, id: u64) -> Player {
        let player = Player::at_home(member, id).await;
        player
            .net
            .set_address(PeerId(member.parts.identity.id), member.parts.replica.net.advertised());
        player
    }

    /// It knows the member, and not where it is.
    async fn at_home(member: &Member, id: u64) -> Player {
        Player::with_cookie(Cookie::new(member.config.cookie.clone()), id).await
    }

    async fn with_cookie(cookie: Cookie, id: u64) -> Player {
        let played = Played::default();
        let options = NetOptions::new(PeerId(id), CLUSTER, "peer@here", cookie);
        let (transport, service) = (Arc::new(TcpTransport::default()), Arc::new(played.clone()));
        let net = Net::start(options, transport, service).await.unwrap();
        Player { net, played }
    }

    async fn ask(&self, member: u64, kind: u8, body: impl Into<ram_net::Body>) -> Bytes {
        self.net.call(PeerId(member), kind, body, LIMIT).await.unwrap()
    }
}

impl Service for Played {
    fn admit(&self, _: PeerId, _: &str) -> std::result::Result<(), u8> {
        if self.refuses.load(Ordering::SeqCst) { Err(rpc::REASON_REMOVED) } else { Ok(()) }
    }

    fn knows(&self, _: PeerId) -> bool {
        true
    }

    fn connected(&self, _: PeerId, replies: Replies) -> Box<dyn Inbound> {
        Box::new(Caller { played: self.clone(), replies })
    }

    fn refused_by(&self, _: PeerId, _: u8) {}
}

struct Caller {
    played: Played,
    replies: Replies,
}

impl Inbound for Caller {
    fn request(&mut self, id: u64, kind: u8, _: Bytes) {
        let body = match kind {
            rpc::LEASE => self.played.answer.lock().as_ref().map(codec::encode),
            rpc::SNAPSHOT => {
                self.played.chunks.fetch_add(1, Ordering::Relaxed);
                let progress = SnapshotProgress::Continue { offset: 0 };
                Some(codec::encode(&Ok::<_, String>(progress)))
            }
            rpc::PROPOSE if self.played.proposals.lock().is_some() => {
                self.played.proposals.lock().as_ref().map(|bytes| bytes.to_vec())
            }
            _ => Some(codec::encode(&Err::<(), String>("it is played".into()))),
        };
        if let Some(body) = body {
            self.replies.send(id, Bytes::from(body)).unwrap();
        }
    }
}
