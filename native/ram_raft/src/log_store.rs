//! openraft's log storage on the segment log.
//!
//! The log keeps entries by index and a few named values, and knows the meaning of neither; here
//! they get one. Appends, votes, truncations and purges pass through the log's one writer, in the
//! order of the calls.
//!
//! The commit index is saved lazily, with the next batch. After a restart the member applies what
//! it knows to be committed at once, and learns the rest from the leader. No read is answered from
//! that state alone: a read index or a lease is asked for first (`ram_lease`).
//!
//! The keys of an entry are marked as pending before the entry is appended, and so before anybody
//! is told that it was. When the leader's own entries are on disk, openraft is told when the commit
//! barrier lets that pass.

use bytes::Bytes;
use futures_util::future::ready;
use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use openraft::entry::RaftEntry;
use openraft::storage::{IOFlushed, LogState, RaftLogStorage};
use openraft::{EntryPayload, OptionalSend, RaftLogReader};
use parking_lot::Mutex;
use serde::de::DeserializeOwned;
use std::fmt::Debug;
use std::io;
use std::ops::{Bound, RangeBounds};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

use super::entry;
use super::types::{Entry, LogId, Payload, TypeConfig, Vote};
use ram_lease::Reads;
use ram_lease::lease::NoLeaseReason;
use ram_limits::PACK_BYTES_MAX;
use ram_log::Log;
use ram_sabotage::{Fault, armed};
use ram_store::codec;
use ram_store::group::Proposal;

const VOTE: u8 = 0;
const COMMITTED: u8 = 1;
const PURGED: u8 = 2;
const LONGEST_HOLD: u8 = 3;

#[derive(Clone)]
pub struct LogStore {
    log: Log,
    /// `None`: nobody reads by what this store does.
    reads: Option<Reads>,
    /// What one append request to a follower carries, so that heartbeats are not stuck behind it; a
    /// larger entry goes alone.
    pack_bytes_max: u64,
    newest: LastLogId,
}

/// The id of the last entry of a log, also when it was purged: as this store changes it, and
/// without a look into the log.
#[derive(Clone, Default)]
pub struct LastLogId(Arc<Mutex<Option<LogId>>>);

impl LastLogId {
    pub fn log_id(&self) -> Option<LogId> {
        *self.0.lock()
    }

    fn set(&self, log_id: Option<LogId>) {
        *self.0.lock() = log_id;
    }
}

impl LogStore {
    /// To look into a log, or to change it outside of Raft.
    pub fn new(log: Log) -> Self {
        let newest = LastLogId::default();
        LogStore { log, reads: None, pack_bytes_max: PACK_BYTES_MAX as u64, newest }
    }

    /// Packs no more into a request than this, and no more than any does.
    pub fn packing(self, bytes_max: usize) -> Self {
        LogStore { pack_bytes_max: bytes_max.min(PACK_BYTES_MAX) as u64, ..self }
    }

    /// For a member whose table shows the entries up to `applied_index`: what the log holds beyond
    /// was acknowledged, and is pending.
    pub fn open(log: Log, reads: Reads, applied_index: u64) -> io::Result<Self> {
        let store = LogStore::new(log);
        let (mut next, end) = store.held(&(applied_index.saturating_add(1)..));
        while next < end && reads.asks {
            let entries = store.read_pack(next, end)?;
            entries.iter().for_each(|entry| mark(&reads, entry));
            let Some(last) = entries.last() else { break };
            next = last.index() + 1;
        }
        store.newest.set(store.last_log_id()?);
        Ok(LogStore { reads: Some(reads), ..store })
    }

    /// Of a store that was opened for a member.
    pub fn newest(&self) -> LastLogId {
        self.newest.clone()
    }

    /// Does this member lead the term of these entries? Only its leader makes entries of a term,
    /// and a vote for itself says who that is.
    fn leads(&self, reads: &Reads, term: u64) -> io::Result<bool> {
        let vote: Option<Vote> = self.value(VOTE)?;
        let own = |vote: Vote| vote.leader_id.voted_for == reads.own && vote.leader_id.term == term;
        Ok(vote.is_some_and(own))
    }

    /// Another vote than before makes leases void, and those this member granted.
    fn see_vote(&self, reads: &Reads, vote: &Vote) -> io::Result<()> {
        let known: Option<Vote> = self.value(VOTE)?;
        if known.is_none_or(|known| known.leader_id != vote.leader_id) {
            reads.lease.drop_for(NoLeaseReason::OtherVote);
            reads.barrier.forget();
        }
        Ok(())
    }

    fn value<T: DeserializeOwned>(&self, name: u8) -> io::Result<Option<T>> {
        match self.log.value(name) {
            Some(bytes) => Ok(Some(codec::decode("saved value of the log", &bytes)?)),
            None => Ok(None),
        }
    }

    fn read(&self, start: u64, end: u64, bytes_max: u64) -> io::Result<Vec<Entry>> {
        let records = self.log.read(start..end, bytes_max)?;
        let decoded = records.into_iter().map(|(index, bytes)| entry::decode(index, bytes));
        Ok(decoded.collect::<Result<Vec<Entry>, _>>()?)
    }

    fn read_pack(&self, start: u64, end: u64) -> io::Result<Vec<Entry>> {
        self.read(start, end, self.pack_bytes_max)
    }

    /// The id of the last entry, also when it was purged.
    pub fn last_log_id(&self) -> io::Result<Option<LogId>> {
        match self.log.last_index() {
            Some(last) => Ok(self.read(last, last + 1, u64::MAX)?.pop().map(|e| e.log_id())),
            None => self.value(PURGED),
        }
    }

    /// `None`: this member never voted, and never followed a leader.
    pub fn saved_vote(&self) -> io::Result<Option<Vote>> {
        self.value(VOTE)
    }

    /// The longest vote hold that may be alive: see `vote_hold`. `None`: none was ever saved.
    pub fn longest_hold(&self) -> io::Result<Option<Duration>> {
        self.value(LONGEST_HOLD)
    }

    /// Returns when it is on disk.
    pub async fn save_longest_hold(&self, hold: Duration) -> io::Result<()> {
        let bytes = Bytes::from(codec::encode(&hold));
        self.written(|log, done| log.set_value(LONGEST_HOLD, bytes, done)).await
    }

    /// Appends an entry outside of Raft and waits until it is on disk.
    pub async fn append_alone(&self, entry: &Entry) -> io::Result<()> {
        let records = vec![(entry.index(), entry::encode(entry))];
        self.written(|log, done| log.append(records, done)).await
    }

    /// The indexes of `range` that the log holds.
    fn held(&self, range: &impl RangeBounds<u64>) -> (u64, u64) {
        let start = match range.start_bound() {
            Bound::Included(start) => *start,
            Bound::Excluded(start) => start.saturating_add(1),
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(end) => end.saturating_add(1),
            Bound::Excluded(end) => *end,
            Bound::Unbounded => u64::MAX,
        };
        match (self.log.first_index(), self.log.last_index()) {
            (Some(first), Some(last)) => (start.max(first), end.min(last.saturating_add(1))),
            _ => (0, 0),
        }
    }

    /// Runs one write of the log and waits until it is on disk.
    async fn written(
        &self,
        write: impl FnOnce(&Log, Box<dyn FnOnce(io::Result<()>) + Send>),
    ) -> io::Result<()> {
        let (sender, receiver) = oneshot::channel();
        write(
            &self.log,
            Box::new(move |result| {
                // Nobody waits any more when the member is stopping.
                let _ = sender.send(result);
            }),
        );
        receiver.await.unwrap_or_else(|_| Err(io::Error::other("the log was closed")))
    }
}

/// Marks what the entry may change.
fn mark(reads: &Reads, entry: &Entry) {
    let EntryPayload::Normal(Payload(proposal)) = &entry.payload else { return };
    if !reads.asks {
        return;
    }
    match Proposal::decode(proposal) {
        Ok(proposal) => reads.pending.mark(entry.index(), proposal.keys()),
        // It will end the member when it is applied.
        Err(error) => reads.pending.mark(entry.index(), std::iter::once(Err(error))),
    }
}

impl RaftLogReader<TypeConfig> for LogStore {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> Result<Vec<Entry>, io::Error> {
        let (start, end) = self.held(&range);
        if start >= end { Ok(Vec::new()) } else { self.read(start, end, u64::MAX) }
    }

    /// Piece by chunk: after a start the range may be all of the log.
    async fn entries_stream<RB>(
        &mut self,
        range: RB,
    ) -> impl Stream<Item = Result<Entry, io::Error>> + OptionalSend
    where
        RB: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        let store = self.clone();
        let chunks = stream::try_unfold(self.held(&range), move |(start, end)| {
            let chunk = if start < end { store.read_pack(start, end) } else { Ok(vec![]) };
            ready(chunk.map(|entries| {
                let next = start + entries.len() as u64;
                (!entries.is_empty()).then_some((entries, (next, end)))
            }))
        });
        Box::pin(chunks.map_ok(|entries| stream::iter(entries).map(Ok)).try_flatten())
    }

    async fn limited_get_log_entries(
        &mut self,
        start: u64,
        end: u64,
    ) -> Result<Vec<Entry>, io::Error> {
        let (start, end) = self.held(&(start..end));
        if start >= end { Ok(Vec::new()) } else { self.read_pack(start, end) }
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, io::Error> {
        if armed(Fault::ForgetVote) { Ok(None) } else { self.value(VOTE) }
    }
}

impl RaftLogStorage<TypeConfig> for LogStore {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<TypeConfig>, io::Error> {
        let last_purged_log_id = self.value(PURGED)?;
        Ok(LogState { last_purged_log_id, last_log_id: self.last_log_id()? })
    }

    async fn get_log_reader(&mut self) -> Self::LogReader {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), io::Error> {
        if let Some(reads) = &self.reads {
            self.see_vote(reads, vote)?;
        }
        let bytes = Bytes::from(codec::encode(vote));
        self.written(|log, done| log.set_value(VOTE, bytes, done)).await
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), io::Error> {
        if let Some(committed) = committed {
            self.log.set_value_lazy(COMMITTED, Bytes::from(codec::encode(&committed)));
        }
        Ok(())
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, io::Error> {
        self.value(COMMITTED)
    }

    async fn append<I>(
        &mut self,
        entries: I,
        callback: IOFlushed<TypeConfig>,
    ) -> Result<(), io::Error>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries: Vec<Entry> = entries.into_iter().collect();
        let last = entries.last().map(|entry| entry.log_id());
        let mut leading = None;
        if let (Some(reads), Some(last)) = (&self.reads, last) {
            entries.iter().for_each(|entry| mark(reads, entry));
            let term = entry::term_of(&last);
            if self.leads(reads, term)? {
                reads.barrier.appending(term, last.index());
                leading = Some((reads.barrier.clone(), term, last.index()));
            }
        }
        let records = entries.iter().map(|e| (e.index(), entry::encode(e))).collect();
        let done = move |result: io::Result<()>| match (leading, result) {
            (Some((barrier, term, index)), Ok(())) => {
                barrier.defer(term, index, Box::new(move || callback.io_completed(Ok(()))));
            }
            (_, result) => callback.io_completed(result),
        };
        if last.is_some() {
            self.newest.set(last);
        }
        self.log.append(records, Box::new(done));
        Ok(())
    }

    async fn truncate_after(&mut self, last_log_id: Option<LogId>) -> Result<(), io::Error> {
        let after = last_log_id.map(|log_id| log_id.index());
        self.newest.set(last_log_id);
        self.written(|log, done| log.truncate_after(after, done)).await?;
        if let Some(reads) = &self.reads {
            reads.pending.truncated(after);
        }
        Ok(())
    }

    async fn purge(&mut self, log_id: LogId) -> Result<(), io::Error> {
        self.newest.set(self.newest.log_id().max(Some(log_id)));
        self.log.set_value_lazy(PURGED, Bytes::from(codec::encode(&log_id)));
        self.written(|log, done| log.purge(log_id.index(), done)).await
    }
}
