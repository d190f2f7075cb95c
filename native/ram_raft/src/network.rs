//! openraft's network, outgoing: its requests on our connections.
//!
//! One append with entries is in flight to a follower; entries that come meanwhile are sent
//! together in the next, which costs fewer system calls and syncs. Appends without entries, which
//! carry a commit index, neither wait nor are waited for. Answers are handed back in order. The
//! stream has no time limit of its own: `ram_net` closes a connection on which requests wait and
//! nothing arrives, which ends the stream with an error.
//!
//! The commit barrier (`ram_lease::barrier`) is told of each acknowledgement as it comes; openraft
//! is told when the barrier lets it pass. Heartbeats pass at once, since they acknowledge nothing
//! new. No vote is asked for during a vote hold.

mod outgoing;

use bytes::Bytes;
use futures_util::future::Either;
use futures_util::stream::FuturesOrdered;
use futures_util::{FutureExt, Stream, StreamExt, stream};
use openraft::OptionalSend;
use openraft::base::{BoxFuture, BoxStream};
use openraft::errors::{NetworkError, RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::{Backoff, RPCOption, RaftNetworkFactory, RaftNetworkV2};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, StreamAppendResult,
    TransferLeaderRequest, TransferLeaderResponse, VoteRequest, VoteResponse,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::future::Future;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use super::acks::{Observers, append, held, stream_answer};
use super::heard::Heard;
use super::rpc;
use super::rpc_error::{RpcError, answer, believe, rpc_error};
use super::terms::Terms;
use super::types::{Member, TypeConfig, Vote};
use super::worker::Worker;
use ram_lease::Reads;
use ram_limits::CHUNK_BYTES_MAX;
use ram_log::StoredSnapshot;
use ram_net::{Net, PeerId};
use ram_store::codec;

/// Append requests on the way to one follower, those without entries included.
const APPENDS_IN_FLIGHT_MAX: usize = 16;
const RETRY_DELAYS_MS: [u64; 5] = [10, 20, 50, 100, 200];

type Snapshot = openraft::alias::SnapshotOf<TypeConfig, StoredSnapshot>;

#[derive(Clone)]
pub struct Network {
    net: Arc<Net>,
    reads: Reads,
    terms: Terms,
    heard: Heard,
    /// Reads the chunks of snapshots.
    transfer: Worker,
    chunk_bytes: usize,
}

impl Network {
    /// Snapshots go in chunks of no more than `pack_bytes_max`, and no more than is usual.
    pub fn new(
        net: Arc<Net>,
        reads: Reads,
        (terms, heard): (Terms, Heard),
        transfer: Worker,
        pack_bytes_max: usize,
    ) -> Self {
        let chunk_bytes = pack_bytes_max.min(CHUNK_BYTES_MAX);
        Network { net, reads, terms, heard, transfer, chunk_bytes }
    }

    fn peer(&self, target: u64, member: &Member, is_held: bool) -> Peer {
        let peer = PeerId(target);
        self.net.set_configured_address(peer, &member.address);
        // The address book is newer than the log, where it knows the member at all.
        self.net.set_address_if_unknown(peer, &member.address);
        self.net.set_name(peer, &member.name);
        Peer {
            peer,
            net: self.net.clone(),
            reads: self.reads.clone(),
            terms: self.terms.clone(),
            heard: self.heard.clone(),
            transfer: self.transfer.clone(),
            chunk_bytes: self.chunk_bytes,
            is_held,
        }
    }
}

impl RaftNetworkFactory<TypeConfig> for Network {
    type Network = Peer;

    async fn new_client(&mut self, target: u64, member: &Member) -> Peer {
        self.peer(target, member, true)
    }

    async fn new_heartbeat_client(&mut self, target: u64, member: &Member) -> Peer {
        self.peer(target, member, false)
    }
}

/// The way to one other member.
pub struct Peer {
    peer: PeerId,
    net: Arc<Net>,
    reads: Reads,
    terms: Terms,
    heard: Heard,
    transfer: Worker,
    chunk_bytes: usize,
    /// What it acknowledges waits for the commit barrier.
    is_held: bool,
}

impl Peer {
    fn may_campaign(&self) -> Result<(), RpcError> {
        if self.reads.may_vote() {
            return Ok(());
        }
        let kept = "the vote hold of this member is not over";
        Err(RPCError::Unreachable(Unreachable::from_string(kept)))
    }

    fn told(&self) -> Observers<'_> {
        Observers { reads: &self.reads, terms: &self.terms, heard: &self.heard }
    }

    async fn ask_for_vote(
        &self,
        kind: u8,
        request: &VoteRequest<TypeConfig>,
        timeout: Duration,
    ) -> Result<VoteResponse<TypeConfig>, RpcError> {
        self.may_campaign()?;
        let response: VoteResponse<TypeConfig> = self.ask(kind, request, timeout).await?;
        believe(&self.terms, self.peer, &response.vote)?;
        Ok(response)
    }

    async fn ask<Q: Serialize, A: DeserializeOwned>(
        &self,
        kind: u8,
        request: &Q,
        timeout: Duration,
    ) -> Result<A, RpcError> {
        let body = Bytes::from(codec::encode(request));
        let reply = self.net.call(self.peer, kind, body, timeout).await.map_err(rpc_error)?;
        self.heard.from(self.peer.0);
        answer(&reply)
    }
}

impl RaftNetworkV2<TypeConfig> for Peer {
    type SnapshotData = StoredSnapshot;

    /// One append and its answer, held back as those of a stream are.
    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<TypeConfig>, RpcError> {
        let term = request.vote.leader_id.term;
        let answer = append(&self.net, self.peer, self.told(), request);
        let answer = tokio::time::timeout(option.hard_ttl(), async {
            let (answer, acked) = answer.await?;
            if self.is_held
                && let Some(index) = acked
            {
                self.reads.barrier.pass(term, index).await;
            }
            Ok(answer)
        });
        let late = |_| RPCError::Network(NetworkError::from_string("no answer in time"));
        answer.await.map_err(late)?
    }

    fn stream_append<'s, S>(
        &'s mut self,
        input: S,
        _option: RPCOption,
    ) -> BoxFuture<
        's,
        Result<BoxStream<'s, Result<StreamAppendResult<TypeConfig>, RpcError>>, RpcError>,
    >
    where
        S: Stream<Item = AppendEntriesRequest<TypeConfig>> + OptionalSend + Unpin + 'static,
    {
        let (net, peer, reads) = (self.net.clone(), self.peer, self.reads.clone());
        let (terms, heard) = (self.terms.clone(), self.heard.clone());
        let barrier = self.is_held.then(|| reads.barrier.clone());
        let send = move |request| {
            stream_answer(
                &net,
                peer,
                Observers { reads: &reads, terms: &terms, heard: &heard },
                request,
            )
        };
        let replies = until_error(held(pipeline(input, send), barrier));
        let replies: BoxStream<'s, _> = Box::pin(replies);
        async move { Ok(replies) }.boxed()
    }

    async fn vote(
        &mut self,
        request: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RpcError> {
        self.ask_for_vote(rpc::VOTE, &request, option.hard_ttl()).await
    }

    async fn pre_vote(
        &mut self,
        request: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RpcError> {
        self.ask_for_vote(rpc::PRE_VOTE, &request, option.hard_ttl()).await
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: Snapshot,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
        let sending = std::pin::pin!(self.send_snapshot(vote, snapshot));
        match futures_util::future::select(sending, std::pin::pin!(cancel)).await {
            Either::Left((sent, _)) => sent,
            Either::Right((closed, _)) => Err(StreamingError::Closed(closed)),
        }
    }

    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<TypeConfig>, RpcError> {
        self.ask(rpc::TRANSFER_LEADER, &request, option.hard_ttl()).await
    }

    fn backoff(&self) -> Option<Backoff> {
        let delays = RETRY_DELAYS_MS.into_iter().chain(std::iter::repeat(200));
        Some(Backoff::new(delays.map(Duration::from_millis)))
    }
}

/// Sends what `input` has and hands back the answers in order; takes no more from it while entries
/// are on their way.
fn pipeline<S, F>(
    input: S,
    send: impl Fn(AppendEntriesRequest<TypeConfig>) -> F + Send,
) -> impl Stream<Item = F::Output> + Send
where
    S: Stream<Item = AppendEntriesRequest<TypeConfig>> + Unpin + Send,
    F: Future + Send,
    F::Output: Send,
{
    let mut input = input.fuse();
    let mut on_the_way = FuturesOrdered::new();
    let mut entries_on_the_way = 0;
    stream::poll_fn(move |cx| {
        loop {
            if entries_on_the_way == 0
                && on_the_way.len() < APPENDS_IN_FLIGHT_MAX
                && let Poll::Ready(Some(request)) = input.poll_next_unpin(cx)
            {
                let entries = request.entries.len();
                entries_on_the_way += entries;
                on_the_way.push_back(send(request).map(move |reply| (entries, reply)));
                continue;
            }
            return match on_the_way.poll_next_unpin(cx) {
                Poll::Ready(Some((entries, reply))) => {
                    entries_on_the_way -= entries;
                    Poll::Ready(Some(reply))
                }
                Poll::Ready(None) if input.is_done() => Poll::Ready(None),
                _ => Poll::Pending,
            };
        }
    })
}

/// The stream up to its first error or refusal: what follows one is void.
fn until_error<S>(replies: S) -> impl Stream<Item = S::Item>
where
    S: Stream<Item = Result<StreamAppendResult<TypeConfig>, RpcError>>,
{
    let replies = Box::pin(replies);
    stream::unfold(Some(replies), |replies| async move {
        let mut replies = replies?;
        let reply = replies.next().await?;
        let go_on = matches!(reply, Ok(Ok(_)));
        Some((reply, go_on.then_some(replies)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{entry, types};
    use futures_util::stream::unfold;
    use openraft::EntryPayload;
    use parking_lot::Mutex;
    use tokio::sync::{mpsc, oneshot};

    fn request(entries: usize) -> AppendEntriesRequest<TypeConfig> {
        let blank =
            |index| types::Entry { log_id: entry::log_id(1, index), payload: EntryPayload::Blank };
        AppendEntriesRequest {
            vote: Vote::new_committed(1, 1),
            prev_log_id: None,
            leader_commit: None,
            entries: (1..=entries as u64).map(blank).collect(),
        }
    }

    #[tokio::test]
    async fn while_entries_are_on_their_way_nothing_is_sent_and_a_commit_index_holds_up_nothing() {
        let (requests, queue) = mpsc::unbounded_channel();
        let input =
            Box::pin(unfold(queue, |mut queue| async move { Some((queue.recv().await?, queue)) }));
        let sent = Arc::new(Mutex::new(Vec::new()));
        let send = |request: AppendEntriesRequest<TypeConfig>| {
            let (answer, answered) = oneshot::channel::<usize>();
            sent.lock().push((request.entries.len(), Some(answer)));
            answered.map(|answer| answer.unwrap())
        };
        let mut replies = pipeline(input, send);
        let counts = || sent.lock().iter().map(|(entries, _)| *entries).collect::<Vec<_>>();
        let answer = |at: usize| sent.lock()[at].1.take().unwrap().send(at).unwrap();
        for entries in [0, 0, 3, 0, 2] {
            requests.send(request(entries)).unwrap();
        }
        assert_eq!(replies.next().now_or_never(), None);
        assert_eq!(counts(), [0, 0, 3]);
        (0..2).for_each(answer);
        assert_eq!(replies.next().await, Some(0));
        assert_eq!(replies.next().await, Some(1));
        assert_eq!(replies.next().now_or_never(), None);
        assert_eq!(counts(), [0, 0, 3]);
        answer(2);
        assert_eq!(replies.next().await, Some(2));
        assert_eq!(replies.next().now_or_never(), None);
        assert_eq!(counts(), [0, 0, 3, 0, 2]);
        (3..5).for_each(answer);
        drop(requests);
        assert_eq!(replies.collect::<Vec<_>>().await, [3, 4]);
    }
}
