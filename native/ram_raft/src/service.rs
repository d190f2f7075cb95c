//! openraft's network, incoming: requests of a peer to this member.
//!
//! Appends of one connection enter Raft in the order in which they arrived and are answered in that
//! order. Every other request has a task of its own. Requests that ask the leader for its work
//! (groups of commands above all) are bounded in bytes, for all peers together (`admission`). Votes
//! are refused during a vote hold (`ram_lease`), and no lease is granted while a vote is decided.

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesOrdered;
use futures_util::{FutureExt, StreamExt};
use openraft::async_runtime::WatchReceiver;
use openraft::errors::RaftError;
use openraft::raft::AppendEntriesResponse;
use openraft::raft::VoteRequest;
use parking_lot::RwLock;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

use super::admission::AdmissionLimit;
use super::election_holdoff::LargeAppends;
use super::elections::{VOTE_HOLD, vote};
use super::failure_detector::InboundPeers;
use super::heard::Heard;
use super::incoming::{Incoming, Origin};
use super::leader;
use super::members::Members;
use super::removal::RemovalHint;
use super::rounds::Pulse;
use super::rpc::{self, Answer, AppendAnswer, Refusal, SnapshotChunk, encode_answer, stopped};
use super::state_machine::Applied;
use super::terms::{Hearing, Terms};
use super::turns::Turns;
use super::types::TypeConfig;
use super::worker::Worker;
use crate::Raft;
use ram_lease::Reads;
use ram_lease::grants::{Ask, Refused};
use ram_log::Disk;
use ram_net::{Inbound, PeerId, Replies, Service};
use ram_store::codec::{self, DecodeError};

/// An append that raft has not begun with.
type Append = (u64, BoxFuture<'static, AppendAnswered>);
type AppendAnswered = Result<AppendEntriesResponse<TypeConfig>, RaftError<TypeConfig>>;

/// Appends of one connection that wait for raft; the connection reads no further then.
const APPENDS_WAITING_MAX: usize = 1024;

/// Bytes of appends that came and are not answered, of all peers together. More is refused as
/// by a member that has stopped, so that it is sent again a little later.
const APPENDING_BYTES_MAX: u32 = 256 * 1024 * 1024;

/// Bytes of what peers have asked of the leader and is not answered. More is refused as if it did
/// not lead, so that it is sent again a little later.
const ASKED_BYTES_MAX: u32 = 64 * 1024 * 1024;

/// Answers peers. Made before the raft it serves, which needs the network to be made.
#[derive(Clone)]
pub struct RaftService {
    shared: Arc<Shared>,
}

struct Shared {
    /// Guards what is served: set once it runs, taken away when the member stops, since it holds
    /// the network and the network holds this.
    serving: RwLock<Option<Serving>>,
    applied: Applied,
    inbound: InboundPeers,
    large_appends: LargeAppends,
    reads: Reads,
    terms: Terms,
    heard: Heard,
    incoming: Incoming,
    removal_hint: RemovalHint,
    asked: AdmissionLimit,
    appending: AdmissionLimit,
    turns: Turns,
}

#[derive(Clone)]
struct Serving {
    raft: Raft,
    members: Members,
}

impl RaftService {
    pub fn new(
        applied: Applied,
        reads: Reads,
        (terms, heard): (Terms, Heard),
        disk: Arc<dyn Disk>,
        transfer: Worker,
    ) -> Self {
        let incoming = Incoming::new(disk, transfer, applied.clone());
        let serving = RwLock::new(None);
        let (asked, appending) =
            (AdmissionLimit::new(ASKED_BYTES_MAX), AdmissionLimit::new(APPENDING_BYTES_MAX));
        let (inbound, large_appends) = (InboundPeers::default(), LargeAppends::default());
        RaftService {
            shared: Arc::new(Shared {
                serving,
                applied,
                inbound,
                large_appends,
                reads,
                terms,
                heard,
                incoming,
                removal_hint: RemovalHint::default(),
                asked,
                appending,
                turns: Turns::default(),
            }),
        }
    }

    /// Who is connected to this member.
    pub fn inbound(&self) -> &InboundPeers {
        &self.shared.inbound
    }

    /// Whose large request is on its way to this member.
    pub fn large_appends(&self) -> &LargeAppends {
        &self.shared.large_appends
    }

    /// What is said of this member's removal.
    pub fn removal_hint(&self) -> &RemovalHint {
        &self.shared.removal_hint
    }

    /// Those that this member gives while it leads.
    pub fn turns(&self) -> &Turns {
        &self.shared.turns
    }

    /// From now on requests are served.
    pub fn serve(&self, raft: Raft, members: Members) {
        *self.shared.serving.write() = Some(Serving { raft, members });
    }

    /// From now on no request is served.
    pub fn stop_serving(&self) {
        *self.shared.serving.write() = None;
    }
}

impl Service for RaftService {
    fn admit(&self, peer: PeerId, _name: &str) -> Result<(), u8> {
        if self.shared.applied.is_removed(peer.0) { Err(rpc::REASON_REMOVED) } else { Ok(()) }
    }

    /// A member of the configuration that is applied here, or of the newest in the log.
    fn knows(&self, peer: PeerId) -> bool {
        let in_log = |serving: &Serving| {
            let metrics = serving.raft.metrics();
            metrics.borrow_watched().membership_config.membership().get_node(&peer.0).is_some()
        };
        let is_applied = self.shared.applied.membership().get_node(&peer.0).is_some();
        is_applied || self.shared.serving.read().as_ref().is_some_and(in_log)
    }

    fn connected(&self, peer: PeerId, replies: Replies) -> Box<dyn Inbound> {
        self.shared.inbound.connected(peer.0);
        let (shared, origin) = (self.shared.clone(), Origin::of(peer.0));
        Box::new(Connection { peer, shared, appends: None, origin, replies })
    }

    fn refused_by(&self, _peer: PeerId, reason: u8) {
        if reason == rpc::REASON_REMOVED {
            self.shared.removal_hint.heard();
        }
    }
}

async fn answer_appends(hold: Duration, mut waiting: mpsc::Receiver<Append>, replies: Replies) {
    let mut running = FuturesOrdered::new();
    loop {
        tokio::select! {
            biased;
            Some((id, answer)) = running.next(), if !running.is_empty() => {
                reply(&replies, id, answer);
            }
            next = waiting.recv() => match next {
                Some((id, append)) => {
                    running.push_back(async move {
                        let response = append.await;
                        let answer = response.map(|response| AppendAnswer { response, hold });
                        (id, encode_answer(answer))
                    });
                }
                None => return,
            },
        }
    }
}

/// One connection of one peer.
struct Connection {
    peer: PeerId,
    shared: Arc<Shared>,
    /// From the first append on: a peer may connect while this member is still starting.
    appends: Option<mpsc::Sender<Append>>,
    origin: Origin,
    replies: Replies,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.shared.inbound.disconnected(self.peer.0);
        self.shared.incoming.ended(&self.origin);
    }
}

impl Inbound for Connection {
    fn receiving(&mut self) {
        self.shared.large_appends.chunk_from(self.peer.0);
        self.shared.heard.from(self.peer.0);
    }

    fn request(&mut self, id: u64, kind: u8, body: Bytes) {
        self.shared.heard.from(self.peer.0);
        let Some(Serving { raft, members }) = self.shared.serving.read().clone() else {
            reply(&self.replies, id, stopped("this member is starting"));
            return;
        };
        let reads = &self.shared.reads;
        match kind {
            // A transfer target would campaign at once, and any other member would vote at once.
            rpc::PRE_VOTE | rpc::TRANSFER_LEADER if !reads.may_vote() => {
                reply(&self.replies, id, stopped(VOTE_HOLD));
            }
            rpc::LEASE => reply(&self.replies, id, self.lease(&raft, &body)),
            rpc::APPEND => self.append(raft, id, body),
            rpc::VOTE => {
                let (reads, heard) = (reads.clone(), self.hearing(&raft));
                self.spawn(id, body, move |request: VoteRequest<TypeConfig>| async move {
                    heard.candidate(&request.vote).map_err(|no| no.to_string())?;
                    vote(raft, reads, request).await
                });
            }
            // It changes nothing here, whoever asks.
            rpc::PRE_VOTE => {
                self.spawn(id, body, move |request| async move { raft.pre_vote(request).await })
            }
            // It is heeded if it comes in the name of the leader that this member follows.
            rpc::TRANSFER_LEADER => self.spawn(id, body, move |request| async move {
                raft.handle_transfer_leader(request).await
            }),
            rpc::SNAPSHOT => {
                let (incoming, origin) = (self.shared.incoming.clone(), self.origin.clone());
                let heard = self.hearing(&raft);
                self.spawn(id, body, move |chunk: SnapshotChunk| async move {
                    heard
                        .snapshot(&chunk.vote, chunk.meta.last_log_id.as_ref())
                        .map_err(io::Error::other)?;
                    incoming.receive(&raft, origin, chunk).await
                });
            }
            rpc::PROPOSE => {
                let (turns, peer) = (self.shared.turns.clone(), self.peer.0);
                self.work(id, body.len(), async move {
                    leader::propose(&raft, &turns, peer, body).await
                })
            }
            rpc::TURN => self.turn(raft, id, body),
            rpc::READ_INDEX => self.work(id, 0, async move { leader::read_index(&raft).await }),
            rpc::CHANGE_MEMBER => self.work(id, body.len(), async move {
                match codec::decode("member change", &body) {
                    Ok(change) => members.change(change).await,
                    Err(error) => Err(Refusal::Stopped(error.to_string())),
                }
            }),
            _ => reply(&self.replies, id, self.known_at_once(&raft, kind, &body)),
        }
    }
}

impl Connection {
    /// What takes no time to answer.
    fn known_at_once(&self, raft: &Raft, kind: u8, body: &[u8]) -> Bytes {
        let Shared { reads, applied, .. } = &*self.shared;
        match kind {
            rpc::PROGRESS => {
                let last_index = raft.metrics().borrow_watched().last_log_index;
                encode_answer(Ok::<_, String>(applied.progress(last_index.unwrap_or(0))))
            }
            rpc::PULSE => {
                let run = applied.owners().own().run;
                encode_answer(Ok::<_, String>(Pulse { run, ms: reads.uptime.ms() }))
            }
            rpc::OWNERS_ENDED => {
                let ended = codec::decode::<Vec<Box<[u8]>>>("ended owners", body);
                encode_answer(ended.map(|ended| applied.owners().report(self.peer.0, ended)))
            }
            rpc::IS_REMOVED => encode_answer(Ok::<_, String>(applied.is_removed(self.peer.0))),
            unknown => stopped(format!("unknown request {unknown}")),
        }
    }

    fn lease(&self, raft: &Raft, body: &[u8]) -> Bytes {
        let reads = &self.shared.reads;
        let granted = match codec::decode::<Ask>("request for a lease", body) {
            Ok(ask) if ask.id == self.peer.0 => leader::grant_lease(raft, reads, &ask),
            _ => Err(Refused::NotLeading),
        };
        Bytes::from(codec::encode(&granted))
    }

    fn turn(&self, raft: Raft, id: u64, body: Bytes) {
        let (turns, peer) = (self.shared.turns.clone(), self.peer.0);
        self.work(id, body.len(), async move {
            match codec::decode("request for a turn", &body) {
                Ok(request) => leader::turn(&raft, &turns, peer, request).await,
                Err(error) => Err(Refusal::Stopped(error.to_string())),
            }
        });
    }

    fn hearing(&self, raft: &Raft) -> Hearing {
        Hearing { sender: self.peer.0, raft: raft.clone(), terms: self.shared.terms.clone() }
    }

    fn append(&mut self, raft: Raft, id: u64, body: Bytes) {
        let (heard, bytes) = (self.hearing(&raft), body.len());
        let appends = self.appends.get_or_insert_with(|| {
            let (appends, waiting) = mpsc::channel(APPENDS_WAITING_MAX);
            let hold = self.shared.reads.timeouts.hold;
            tokio::spawn(answer_appends(hold, waiting, self.replies.clone()));
            appends
        });
        let sent = match rpc::decode_append(body) {
            Ok(request) => match heard.leader(&request.vote) {
                Ok(()) => {
                    let append = async move { raft.append_entries(request).await };
                    let admitted = self.shared.appending.admit(bytes, append);
                    let admitted = admitted.ok_or_else(|| "too many appends wait".to_owned());
                    admitted.and_then(|append| {
                        appends.try_send((id, append.boxed())).map_err(|e| e.to_string())
                    })
                }
                Err(no) => Err(no.to_string()),
            },
            Err(error) => Err(error.to_string()),
        };
        if let Err(reason) = sent {
            reply(&self.replies, id, stopped(reason));
        }
    }

    /// Decodes a request, works on it in a task, and answers `Result<_, String>`.
    fn spawn<Q, A, E, F>(&self, id: u64, body: Bytes, work: impl FnOnce(Q) -> F + Send + 'static)
    where
        Q: DeserializeOwned + Send + 'static,
        A: Serialize,
        E: ToString,
        F: Future<Output = Result<A, E>> + Send,
    {
        let replies = self.replies.clone();
        tokio::spawn(async move {
            let request: Result<Q, DecodeError> = codec::decode("request", &body);
            let answer = match request {
                Ok(request) => encode_answer(work(request).await),
                Err(error) => stopped(error),
            };
            reply(&replies, id, answer);
        });
    }

    /// Works in a task and answers with its result as it is, unless too much is asked already.
    fn work<A: Serialize>(
        &self,
        id: u64,
        bytes: usize,
        work: impl Future<Output = Answer<A>> + Send + 'static,
    ) {
        let replies = self.replies.clone();
        let Some(work) = self.shared.asked.admit(bytes, work) else {
            let refused: Answer<A> = Err(Refusal::NotLeader);
            reply(&replies, id, Bytes::from(codec::encode(&refused)));
            return;
        };
        tokio::spawn(async move {
            reply(&replies, id, Bytes::from(codec::encode(&work.await)));
        });
    }
}

fn reply(replies: &Replies, id: u64, body: Bytes) {
    if let Err(error) = replies.send(id, body) {
        tracing::debug!("a reply was lost: {error}");
    }
}
