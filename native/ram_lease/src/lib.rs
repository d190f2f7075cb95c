//! Who may answer a read, so that every read is linearizable: it shows at least what any write or
//! read that ended before it began has shown.
//!
//! # By quorum
//!
//! [`quorum`]: the leader confirms with a majority that it still leads and names an index; the
//! asked node answers when it has applied that. One round trip, shared by the reads that wait.
//!
//! # By lease
//!
//! A node answers alone, without a message, while it knows that nothing can be committed which it
//! does not know of. A member that accepts an append votes for nobody for its *vote hold* L, which
//! is the maximum of its own election timeout, and says in its answer how long that is: members
//! may have different ones. The story of a lease, D long, with D less than the L of the leader:
//!
//! 1. *Grant* ([`grants`], [`lease`]). A node R asks the leader and notes its clock. The leader
//!    computes d, which is D or less if the vote holds of a quorum end before; it notes that R
//!    holds a lease until d (1 + e) from now, fixes C, its last log index, and answers. R holds the
//!    lease until d (1 - e) after it asked. The leader asks itself in the same way.
//! 2. *Pending* ([`pending`]). Every node marks the keys of an entry before it acknowledges the
//!    entry, and unmarks them when it has applied it.
//! 3. *Commit barrier* ([`barrier`]). The leader lets Raft count acknowledgements only up to the
//!    index that every holder of a lease has acknowledged: so what is committed is marked or
//!    applied on every holder, if its index is above C.
//! 4. *Read* ([`answer`]). The lease is valid, C is applied, the key is not marked: look it up. If
//!    only the latter two fail, wait until what is marked now is applied. Else ask a quorum.
//! 5. *A new leader* waits for nothing: no lease outlives a quorum's vote holds ([`vote_hold`]).
//!
//! # Invariants
//!
//! - I1: an entry is committed only after every holder of a lease that may be alive has marked it,
//!   or has been told a C that is not below it.
//! - I2: a holder's lease is over when the leader's note of it is, and before the vote holds of a
//!   quorum are.
//! - I3: no member votes within the vote hold that it told, restarts and another L after them
//!   included (`ram_raft::vote_hold`); nor does a leader before the leases it granted are over.
//!
//! The simulator looks at each after every step (`ram_sim/src/invariants/lease_*.rs`), the model in
//! every state, and where a member votes or begins to lead there is an assertion of I3.
//!
//! A vote hold is an interval of *another's* clock: if that is fast and the leader's slow, L (1-e)
//! of the leader's is too long. So of each hold L (1 - e) / (1 + e) counts, from when the append
//! was sent; d ends when the first of a quorum's holds does. The leader's own is no bound: it votes
//! for nobody before the leases it granted are over, and grants none while it votes.
//!
//! # Guards
//!
//! Before the lead is handed over granting stops for the rest of the term and the leases run out,
//! since the transfer target is voted for in spite of vote holds, and may be late. Before a
//! membership change granting stops and the leases run out too: a precaution, since the majorities
//! of successive configurations meet, and whoever accepts the next one begins a new vote hold. But
//! no grant may rest on voters that are older than the configuration before the newest, and a
//! holder that was removed is waited for like any other. Another vote or an installed snapshot drop
//! a node's lease; a leader that lost its lead forgets its holders. A holder that lags is not
//! renewed, and after the second time gets no lease for a while: it slows writes for D at most.
//!
//! # Source
//!
//! Leases: Gray and Cheriton, *Leases* (SOSP 1989); read leases for every replica: Moraru, Andersen
//! and Kaminsky, *Paxos Quorum Leases* (SoCC 2014). ReadIndex: Ongaro's thesis, section 6.4. The
//! protocol as it stands here is checked by `ram_model`.
//!
//! # Expiry
//!
//! Beside leases, the clocks of members are asked for one thing: how long keys have been there that
//! have a time to live ([`majority_clock`]).
//!
//! # What may never enter
//!
//! Raft's types, sockets, files; the content of the table decides nothing here.

#![forbid(unsafe_code)]
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

pub mod answer;
pub mod barrier;
pub mod clock;
pub mod counts;
pub mod grants;
pub mod lease;
pub mod majority_clock;
#[cfg(any(test, feature = "simulation"))]
pub mod manual;
pub mod mode;
mod notify;
pub mod pending;
pub mod quorum;
pub mod uptime;
pub mod vote_hold;

use ram_threads::sync::AtomicU64;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use answer::Unanswerable;
use barrier::Barrier;
use clock::Clock;
use counts::Counts;
use grants::LeaseTimeouts;
use lease::Lease;
use pending::Pending;
pub use quorum::{Read, Unserved, serve};
use uptime::Uptime;
use vote_hold::VoteHold;

/// What one member knows of all this. Clones share it.
#[derive(Debug, Clone)]
pub struct Reads {
    pub own: u64,
    /// This member asks for leases; one that does not needs no marks.
    pub asks: bool,
    pub timeouts: LeaseTimeouts,
    pub clock: Arc<dyn Clock>,
    pub uptime: Uptime,
    pub pending: Arc<Pending>,
    pub lease: Arc<Lease>,
    pub vote_hold: Arc<VoteHold>,
    pub barrier: Arc<Barrier>,
    pub counts: Arc<Counts>,
    applied_index: Arc<AtomicU64>,
}

impl Reads {
    /// Of the member `own`.
    pub fn new(own: u64, asks: bool, timeouts: LeaseTimeouts, clock: Arc<dyn Clock>) -> Reads {
        let vote_hold = Arc::new(VoteHold::default());
        let barrier = Arc::new(Barrier::new(own, timeouts, clock.clone(), vote_hold.clone()));
        Reads {
            own,
            asks,
            timeouts,
            uptime: Uptime::begin(clock.clone()),
            clock,
            pending: Arc::default(),
            lease: Arc::default(),
            vote_hold,
            barrier,
            counts: Arc::default(),
            applied_index: Arc::default(),
        }
    }

    /// The table shows all entries up to `index`. Called after it does.
    pub fn applied(&self, index: u64) {
        self.applied_index.fetch_max(index, Ordering::SeqCst);
        self.pending.applied(index);
    }

    /// May this member vote now, and ask for votes?
    pub fn may_vote(&self) -> bool {
        self.vote_hold.is_over(self.clock.now())
    }

    /// Returns when this member may vote.
    pub async fn vote_hold_ends(&self) {
        clock::reached(self.clock.as_ref(), || self.vote_hold.until()).await;
    }

    /// May this member answer alone, by its lease, what is asked now of keys of which this tells
    /// whether one is pending?
    fn may_answer(&self, is_pending: impl FnOnce() -> bool) -> Result<(), Unanswerable> {
        answer::may_answer(
            || self.lease.held(|| self.clock.now()),
            || self.applied_index.load(Ordering::SeqCst),
            is_pending,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::grants::Grant;
    use super::manual::ManualClock;
    use super::mode::{ReadMode, ReadPath, Scope};
    use super::*;
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn a_member_may_vote_when_its_vote_hold_is_over_and_not_before() {
        let clock = Arc::new(ManualClock::default());
        let timeouts =
            LeaseTimeouts { lease: Duration::from_millis(100), hold: Duration::from_millis(200) };
        let reads = Reads::new(1, true, timeouts, clock.clone());
        assert!(reads.may_vote());
        reads.vote_hold.extend(clock.now().after(Duration::from_millis(50)));
        assert!(!reads.may_vote());
        let mut ends = std::pin::pin!(reads.vote_hold_ends());
        assert!(futures_util::poll!(ends.as_mut()).is_pending());
        clock.advance(Duration::from_millis(50));
        ends.await;
        assert!(reads.may_vote());
    }

    #[test]
    fn a_holder_answers_from_its_index_on_what_is_not_pending() {
        let clock = Arc::new(ManualClock::default());
        let timeouts =
            LeaseTimeouts { lease: Duration::from_millis(100), hold: Duration::from_millis(200) };
        let reads = Reads::new(1, true, timeouts, clock.clone());
        let read_path = |key| reads.read_path(ReadMode::Lease, key);
        assert_eq!(read_path(b"k"), ReadPath::Quorum);
        let grant = Grant { term: 1, lasts: timeouts.lease, from_index: 3 };
        assert!(reads.lease.take(reads.lease.ask(clock.now(), 1), &grant));
        assert_eq!(read_path(b"k"), ReadPath::Applied { index: 3 });
        reads.applied(3);
        assert_eq!(read_path(b"k"), ReadPath::Now);
        reads.pending.mark(4, std::iter::once(Ok::<_, ()>(&b"k"[..])));
        assert_eq!(read_path(b"k"), ReadPath::Applied { index: 4 });
        assert_eq!(read_path(b"other"), ReadPath::Now);
        let path_of = |scope| reads.read_path_of(ReadMode::Lease, scope);
        assert_eq!(path_of(Scope::Keys(&[b"other", b"k"])), ReadPath::Applied { index: 4 });
        assert_eq!(path_of(Scope::Keys(&[b"other"])), ReadPath::Now);
        assert_eq!(path_of(Scope::All), ReadPath::Applied { index: 4 });
        assert_eq!(reads.read_path(ReadMode::Quorum, b"other"), ReadPath::Quorum);
        assert_eq!(reads.read_path(ReadMode::Local, b"k"), ReadPath::Now);
        reads.applied(4);
        assert_eq!(read_path(b"k"), ReadPath::Now);
        assert_eq!(path_of(Scope::All), ReadPath::Now);
        clock.advance(Duration::from_millis(99));
        assert_eq!(read_path(b"k"), ReadPath::Quorum);
    }
}
