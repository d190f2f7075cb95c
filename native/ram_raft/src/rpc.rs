//! The messages between members: a kind of request for each purpose, and its bytes.
//!
//! All but appends are encoded with bincode. An append is `header length u32, header, bodies`: the
//! header has the length of each entry's bytes, which follow unchanged (see `entry`).

use bytes::{BufMut, Bytes, BytesMut};
use openraft::entry::RaftEntry;
use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse};
use serde::{Deserialize, Serialize};
use std::time::Duration;

use super::entry;
use super::terms;
use super::types::{LogId, Member, SnapshotMeta, TypeConfig, Vote};
use ram_store::codec::{self, DecodeError};

pub const APPEND: u8 = 1;
pub const VOTE: u8 = 2;
pub const PRE_VOTE: u8 = 3;
pub const TRANSFER_LEADER: u8 = 4;
pub const SNAPSHOT: u8 = 5;
pub const PROPOSE: u8 = 6;
pub const READ_INDEX: u8 = 7;
pub const CHANGE_MEMBER: u8 = 8;
/// A request for a read lease: `ram_lease::grants::Ask`.
pub const LEASE: u8 = 9;
/// Asks a member how far it has come: `catch_up::Progress`.
pub const PROGRESS: u8 = 10;

/// Asks a member whether the asking one was removed.
pub const IS_REMOVED: u8 = 11;

/// Asks the leader for a turn at a contended key: `turns::TurnRequest`.
pub const TURN: u8 = 12;

/// Asks a member for a reading of its clock, and which run of it this is: `rounds::Pulse`.
pub const PULSE: u8 = 13;

/// Tells the leader which owners of the asking member have ended: a list of them.
pub const OWNERS_ENDED: u8 = 14;

/// A code in place of an answer when the handshake of a removed member is refused.
pub const REASON_REMOVED: u8 = 1;

/// Why the member that was asked, thinking it leads, did not do it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// It does not lead (any more); nothing happened.
    NotLeader,
    /// It lost the lead while at it: the proposal may still be committed.
    Unknown,
    /// Another membership change is under way; nothing happened.
    Busy,
    UnknownMember,
    LastMember,
    /// The id was removed before, and ids do not come back; nothing happened.
    Removed,
    /// A member that the change needs does not answer; there is no change.
    NotReached {
        member: Member,
        cause: String,
    },
    /// The new member was taken out again.
    NotCaughtUp {
        member: Member,
        why: String,
    },
    /// The proposal cannot be applied, or is larger than any may be; nothing happened.
    Unfit(String),
    /// It has stopped; nothing happened.
    Stopped(String),
}

pub type Answer<T> = Result<T, Refusal>;

impl Refusal {
    /// Would whoever leads say the same?
    pub fn is_final(&self) -> bool {
        match self {
            Refusal::NotLeader | Refusal::Unknown | Refusal::Busy | Refusal::Stopped(_) => false,
            Refusal::UnknownMember
            | Refusal::LastMember
            | Refusal::Removed
            | Refusal::NotReached { .. }
            | Refusal::NotCaughtUp { .. }
            | Refusal::Unfit(_) => true,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum MemberChange {
    /// Makes it a voter; another member of the same name (its former self) goes.
    Add { id: u64, member: Member },
    /// Takes every member of this name out.
    Remove { name: String },
    /// Takes out this member of the name and no other: the undoing of its addition.
    RemoveOne { id: u64, name: String },
}

impl MemberChange {
    pub fn name(&self) -> &str {
        match self {
            MemberChange::Add { member, .. } => &member.name,
            MemberChange::Remove { name } | MemberChange::RemoveOne { name, .. } => name,
        }
    }
}

/// A chunk of a snapshot file. An empty chunk only asks how far the receiver has come.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SnapshotChunk {
    pub vote: Vote,
    pub meta: SnapshotMeta,
    pub file_bytes: u64,
    pub offset: u64,
    pub chunk: Bytes,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum SnapshotProgress {
    /// Send on from this offset.
    Continue { offset: u64 },
    /// Installed, or not wanted; the receiver's vote tells which.
    Done { vote: Vote },
}

/// The answer to an append, and the vote hold of the member that gave it: who accepts an append
/// votes for nobody for so long, by its own clock.
#[derive(Debug, Serialize, Deserialize)]
pub struct AppendAnswer {
    pub response: AppendEntriesResponse<TypeConfig>,
    pub hold: Duration,
}

#[derive(Serialize, Deserialize)]
struct AppendHeader {
    vote: Vote,
    prev_log_id: Option<LogId>,
    leader_commit: Option<LogId>,
    first_index: u64,
    entry_bytes: Vec<u32>,
}

impl AppendHeader {
    /// Do the numbers fit each other? Raft counts on from them.
    fn check(&self) -> Result<(), DecodeError> {
        let mut named = self.prev_log_id.iter().chain(&self.leader_commit);
        let first = self.prev_log_id.as_ref().map_or(0, |prev| prev.index().saturating_add(1));
        let is_behind = self.entry_bytes.is_empty() || self.first_index == first;
        if is_behind && named.all(|log_id| terms::fits(log_id, &self.vote)) {
            return Ok(());
        }
        Err(DecodeError::new("append request", "log ids that do not fit each other"))
    }
}

/// The chunks of an append request; payloads are shared with the entries, not copied.
pub fn encode_append(request: &AppendEntriesRequest<TypeConfig>) -> Vec<Bytes> {
    let mut bodies = Vec::with_capacity(request.entries.len() * 2 + 1);
    let mut entry_bytes = Vec::with_capacity(request.entries.len());
    for entry in &request.entries {
        let (header, payload) = entry::parts(entry);
        let bytes = entry::HEADER_BYTES + payload.len();
        entry_bytes.push(u32::try_from(bytes).unwrap_or(u32::MAX));
        bodies.push(Bytes::copy_from_slice(&header));
        bodies.push(payload);
    }
    let header = codec::encode(&AppendHeader {
        vote: request.vote,
        prev_log_id: request.prev_log_id,
        leader_commit: request.leader_commit,
        first_index: request.entries.first().map_or(0, |entry| entry.index()),
        entry_bytes,
    });
    let mut front = BytesMut::with_capacity(4 + header.len());
    front.put_u32_le(u32::try_from(header.len()).unwrap_or(u32::MAX));
    front.put_slice(&header);
    bodies.insert(0, front.freeze());
    bodies
}

pub fn decode_append(mut bytes: Bytes) -> Result<AppendEntriesRequest<TypeConfig>, DecodeError> {
    let cut = || DecodeError::new("append request", "cut short");
    let length = split(&mut bytes, 4).ok_or_else(cut)?;
    let length = u32::from_le_bytes(length.as_ref().try_into().map_err(|_| cut())?);
    let header = split(&mut bytes, length as usize).ok_or_else(cut)?;
    let header: AppendHeader = codec::decode("append header", &header)?;
    header.check()?;
    let mut entries = Vec::with_capacity(header.entry_bytes.len());
    for (index, length) in (header.first_index..).zip(header.entry_bytes) {
        let body = split(&mut bytes, length as usize).ok_or_else(cut)?;
        let entry = entry::decode(index, body)?;
        if !terms::fits(&entry.log_id, &header.vote) {
            return Err(DecodeError::new("append request", "an entry of a later term"));
        }
        entries.push(entry);
    }
    if !bytes.is_empty() {
        return Err(DecodeError::new("append request", "trailing bytes"));
    }
    Ok(AppendEntriesRequest {
        vote: header.vote,
        prev_log_id: header.prev_log_id,
        leader_commit: header.leader_commit,
        entries,
    })
}

/// What most requests are answered with.
pub(super) fn encode_answer<A: Serialize, E: ToString>(answer: Result<A, E>) -> Bytes {
    let answer = answer.map_err(|error| error.to_string());
    Bytes::from(codec::encode(&answer))
}

pub(super) fn stopped(reason: impl ToString) -> Bytes {
    Bytes::from(codec::encode(&Err::<(), String>(reason.to_string())))
}

fn split(bytes: &mut Bytes, length: usize) -> Option<Bytes> {
    (bytes.len() >= length).then(|| bytes.split_to(length))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Membership, Payload};
    use openraft::EntryPayload;
    use std::collections::BTreeMap;

    fn request() -> AppendEntriesRequest<TypeConfig> {
        let members = BTreeMap::from([(1, Member::default())]);
        let payloads = [
            EntryPayload::Blank,
            EntryPayload::Normal(Payload(Bytes::from_static(b"proposal"))),
            EntryPayload::Membership(Membership::from(members)),
        ];
        let entries = (7u64..).zip(payloads);
        let entries = entries.map(|(index, payload)| super::super::types::Entry {
            log_id: entry::log_id(3, index),
            payload,
        });
        AppendEntriesRequest {
            vote: Vote::new_committed(3, 1),
            prev_log_id: Some(entry::log_id(2, 6)),
            leader_commit: None,
            entries: entries.collect(),
        }
    }

    #[test]
    fn an_append_request_survives_the_wire() {
        let request = request();
        let decoded = decode_append(encode_append(&request).concat().into()).unwrap();
        assert_eq!(format!("{decoded:?}"), format!("{request:?}"));
        assert_eq!(decoded.entries, request.entries);
    }

    #[test]
    fn an_append_request_cut_anywhere_is_refused() {
        let bytes = Bytes::from(encode_append(&request()).concat());
        for end in 0..bytes.len() {
            assert!(decode_append(bytes.slice(..end)).is_err(), "cut at {end}");
        }
    }
}
