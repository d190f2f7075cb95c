//! Acknowledgements of followers, on their way to openraft. Used by `network` alone.
//!
//! The commit barrier (`ram_lease::barrier`) is told of every answer as it comes: the index that
//! the follower acknowledges, its vote hold, and when the append was sent, from which the hold
//! counts. openraft is told when the barrier lets the answer pass.
//!
//! An append without entries counts as well. An installed snapshot does not: its answer comes long
//! after it was sent.

use futures_util::{Stream, StreamExt, stream};
use openraft::entry::RaftEntry;
use openraft::errors::{NetworkError, RPCError};
use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse, StreamAppendResult};
use std::collections::VecDeque;
use std::future::Future;
use std::sync::Arc;

use super::heard::Heard;
use super::rpc::{self, AppendAnswer};
use super::rpc_error::{RpcError, answer, believe, rpc_error};
use super::terms::Terms;
use super::types::{LogId, TypeConfig};
use ram_lease::Reads;
use ram_lease::barrier::Barrier;
use ram_lease::grants::Ack;
use ram_net::{Net, PeerId};

/// Answers of one follower that wait for the commit barrier.
const ANSWERS_HELD_MAX: usize = 64;

/// An answer, and the index that it acknowledges.
pub type Acked = (AppendEntriesResponse<TypeConfig>, Option<u64>);

/// Who is told of an answer, before Raft is.
#[derive(Clone, Copy)]
pub struct Observers<'a> {
    pub reads: &'a Reads,
    pub terms: &'a Terms,
    pub heard: &'a Heard,
}

/// Sends one append now; the future is its answer. The barrier learns of it at once.
pub fn append(
    net: &Arc<Net>,
    peer: PeerId,
    told: Observers<'_>,
    request: AppendEntriesRequest<TypeConfig>,
) -> impl Future<Output = Result<Acked, RpcError>> + Send + use<> {
    let (term, last) = (request.vote.leader_id.term, last_of(&request));
    let (barrier, sent) = (told.reads.barrier.clone(), told.reads.clock.now());
    let (terms, heard) = (told.terms.clone(), told.heard.clone());
    let asked = net.send(peer, rpc::APPEND, rpc::encode_append(&request));
    async move {
        let reply = asked.map_err(rpc_error)?.await.map_err(rpc_error)?;
        heard.from(peer.0);
        let AppendAnswer { response, hold } = answer(&reply)?;
        let upto = match &response {
            // It follows another, and holds its vote for that one.
            AppendEntriesResponse::HigherVote(vote) => {
                believe(&terms, peer, vote)?;
                return Ok((response, None));
            }
            AppendEntriesResponse::Conflict => None,
            AppendEntriesResponse::PartialSuccess(upto) if *upto > last => {
                let error = NetworkError::from_string("more was acknowledged than was sent");
                return Err(RPCError::Network(error));
            }
            AppendEntriesResponse::PartialSuccess(upto) => *upto,
            AppendEntriesResponse::Success => last,
        };
        let index = upto.map(|log_id| log_id.index());
        barrier.acked(term, peer.0, Ack { index, sent, hold });
        Ok((response, index))
    }
}

/// An answer as a stream has it, and what it acknowledges: the term and the index.
pub type Answered = (Result<StreamAppendResult<TypeConfig>, RpcError>, u64, u64);

pub fn stream_answer(
    net: &Arc<Net>,
    peer: PeerId,
    told: Observers<'_>,
    request: AppendEntriesRequest<TypeConfig>,
) -> impl Future<Output = Answered> + Send + use<> {
    let (prev, last, term) = (request.prev_log_id, last_of(&request), request.vote.leader_id.term);
    let response = append(net, peer, told, request);
    async move {
        match response.await {
            // openraft unwraps prev for a conflict, and an append to an empty log cannot conflict.
            Ok((AppendEntriesResponse::Conflict, _)) if prev.is_none() => {
                let error = NetworkError::from_string("conflict with an empty log");
                (Err(RPCError::Network(error)), term, 0)
            }
            Ok((response, index)) => {
                (Ok(response.into_stream_result(prev, last)), term, index.unwrap_or(0))
            }
            Err(error) => (Err(error), term, 0),
        }
    }
}

/// The last entry that is in the log of who accepts the request.
fn last_of(request: &AppendEntriesRequest<TypeConfig>) -> Option<LogId> {
    request.entries.last().map(|entry| entry.log_id()).or(request.prev_log_id)
}

/// The answers in their order, each when the barrier lets it pass. While one is held back the next
/// are sent for all the same: the barrier learns what they acknowledge, which may be what opens it.
pub fn held<S>(
    answers: S,
    barrier: Option<Arc<Barrier>>,
) -> impl Stream<Item = Result<StreamAppendResult<TypeConfig>, RpcError>>
where
    S: Stream<Item = Answered>,
{
    let state = (Box::pin(answers.fuse()), VecDeque::<Answered>::new(), barrier);
    stream::unfold(state, |(mut answers, mut waiting, barrier)| async move {
        loop {
            let first = waiting.front().map(|(_, term, index)| (*term, *index));
            let pass = async {
                match (&barrier, first) {
                    (Some(barrier), Some((term, index))) => barrier.pass(term, index).await,
                    (None, Some(_)) => {}
                    (_, None) => std::future::pending().await,
                }
            };
            let has_room = waiting.len() < ANSWERS_HELD_MAX && !answers.is_done();
            if first.is_none() && !has_room {
                return None;
            }
            tokio::select! {
                biased;
                () = pass => {
                    let (answer, _, _) = waiting.pop_front()?;
                    return Some((answer, (answers, waiting, barrier)));
                }
                next = answers.next(), if has_room => waiting.extend(next),
            }
        }
    })
}
