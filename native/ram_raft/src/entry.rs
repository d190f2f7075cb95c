//! The bytes of an entry: `kind u8, term u64 (little endian), payload`.
//!
//! The index is not in them: a log record and an append request both know it.

use bytes::{BufMut, Bytes, BytesMut};
use openraft::EntryPayload;
use openraft::entry::RaftEntry;
use openraft::vote::RaftLeaderId;

use super::types::{Entry, LogId, Membership, Payload, TypeConfig};
use ram_store::codec::{self, DecodeError};

const BLANK: u8 = 0;
const NORMAL: u8 = 1;
const MEMBERSHIP: u8 = 2;
pub const HEADER_BYTES: usize = 9;

type CommittedLeader = openraft::alias::CommittedLeaderIdOf<TypeConfig>;

/// The log id of `index` in `term`.
pub fn log_id(term: u64, index: u64) -> LogId {
    let leader = openraft::alias::LeaderIdOf::<TypeConfig>::new(term, 0);
    LogId::new(leader.to_committed(), index)
}

pub fn term_of(log_id: &LogId) -> u64 {
    let leader: &CommittedLeader = log_id.committed_leader_id();
    **leader
}

/// The header and the payload; the payload is shared, not copied.
pub fn parts(entry: &Entry) -> ([u8; HEADER_BYTES], Bytes) {
    let (kind, payload) = match &entry.payload {
        EntryPayload::Blank => (BLANK, Bytes::new()),
        EntryPayload::Normal(Payload(bytes)) => (NORMAL, bytes.clone()),
        EntryPayload::Membership(membership) => {
            (MEMBERSHIP, Bytes::from(codec::encode(membership)))
        }
    };
    let mut header = [0; HEADER_BYTES];
    let (first, rest) = header.split_at_mut(1);
    first.fill(kind);
    rest.copy_from_slice(&term_of(&entry.log_id()).to_le_bytes());
    (header, payload)
}

pub fn encode(entry: &Entry) -> Bytes {
    let (header, payload) = parts(entry);
    let mut bytes = BytesMut::with_capacity(HEADER_BYTES + payload.len());
    bytes.put_slice(&header);
    bytes.put_slice(&payload);
    bytes.freeze()
}

/// The entry at `index`; its payload is a part of `bytes`, not a copy.
pub fn decode(index: u64, mut bytes: Bytes) -> Result<Entry, DecodeError> {
    let wrong = || DecodeError::new("entry", "unknown kind or cut header");
    if bytes.len() < HEADER_BYTES {
        return Err(wrong());
    }
    let header = bytes.split_to(HEADER_BYTES);
    let (kind, term) = header.split_at(1);
    let term = u64::from_le_bytes(term.try_into().map_err(|_| wrong())?);
    let payload = match kind {
        [BLANK] => EntryPayload::Blank,
        [NORMAL] => EntryPayload::Normal(Payload(bytes)),
        [MEMBERSHIP] => {
            EntryPayload::Membership(codec::decode::<Membership>("membership", &bytes)?)
        }
        _ => return Err(wrong()),
    };
    Ok(Entry { log_id: log_id(term, index), payload })
}
