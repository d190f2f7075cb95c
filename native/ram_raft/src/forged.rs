//! What no member says, for the simulator to say: only with the feature `simulation`.

use bytes::Bytes;
use openraft::raft::{VoteRequest, VoteResponse};

use super::entry;
use super::types::{TypeConfig, Vote};
use ram_store::codec;

/// A request for a vote, as if the lead had been transferred to the candidate, whose log is ahead
/// of all others.
pub fn vote_request(term: u64, candidate: u64) -> Bytes {
    let last = entry::log_id(term, 1 << 40);
    let mut request = VoteRequest::<TypeConfig>::new(Vote::new(term, candidate), Some(last));
    request.leadership_transfer = true;
    Bytes::from(codec::encode(&request))
}

pub fn is_granted(answer: &[u8]) -> bool {
    let answer: Result<Result<VoteResponse<TypeConfig>, String>, _> =
        codec::decode("answer to a request for a vote", answer);
    matches!(answer, Ok(Ok(response)) if response.vote_granted)
}
