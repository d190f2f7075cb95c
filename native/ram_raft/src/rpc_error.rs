//! Answers of peers as openraft takes them: what was said, or the kind of error.
//!
//! "Unreachable" has openraft wait before it tries again; "network" has it try at once.

use openraft::errors::{NetworkError, RPCError, Unreachable};
use serde::de::DeserializeOwned;

use crate::terms::Terms;
use crate::types::{TypeConfig, Vote};
use ram_net::{NetError, PeerId};
use ram_store::codec;

pub type RpcError = RPCError<TypeConfig>;

/// What a peer's raft said, or that it has stopped.
pub fn answer<A: DeserializeOwned>(reply: &[u8]) -> Result<A, RpcError> {
    let answer: Result<A, String> = codec::decode("reply", reply)
        .map_err(|error| RPCError::Network(NetworkError::new(&error)))?;
    answer.map_err(|stopped| RPCError::Unreachable(Unreachable::from_string(stopped)))
}

pub fn rpc_error(error: NetError) -> RpcError {
    match error {
        // The peer is there and was working on it.
        NetError::Timeout { .. } | NetError::Broken { .. } | NetError::Overloaded { .. } => {
            RPCError::Network(NetworkError::new(&error))
        }
        gone => RPCError::Unreachable(Unreachable::new(&gone)),
    }
}

/// A vote in an answer, which Raft adopts if it is higher.
pub fn believe(terms: &Terms, peer: PeerId, vote: &Vote) -> Result<(), RpcError> {
    let heard = terms.hear_answer(peer.0, vote.leader_id.term);
    heard.map_err(|no| RPCError::Unreachable(Unreachable::from_string(no.to_string())))
}
