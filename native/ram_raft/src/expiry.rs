//! Expiry: the leader proposes that keys go whose time to live is over.
//!
//! Nobody else decides, and the leader not by its own clock. In rounds it asks the voters for
//! readings of theirs, and counts by a majority of them ([`MajorityClock`]); the keys wait in lists
//! ([`ram_store::timers`]), which every member keeps. What is proposed names the term, and of each
//! key the write that gave it its time: so it does nothing in another term, or to a key that was
//! given another time meanwhile. A new leader begins with all keys anew.
//!
//! One proposal is on its way at a time, and small: writers wait for no more than that.
//!
//! # Source
//!
//! Leases of etcd are the model, and their faults: time left that is lost or lengthened with the
//! leader, keys that go while they are renewed, revokes of a leader that was paused.

use bytes::Bytes;
use futures_util::future::join_all;
use openraft::ServerState;
use openraft::async_runtime::WatchReceiver;
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::task::yield_now;

use crate::leader;
use crate::replica::Replica;
use crate::rpc;
use crate::turns::Turns;
use ram_lease::majority_clock::{MajorityClock, Moment, Reading};
use ram_net::PeerId;
use ram_sabotage::{Fault, armed};
use ram_store::answer::Outcome;
use ram_store::codec;
use ram_store::group;
use ram_store::observe::{Change, Observer};
use ram_store::timers::{self, Loaded, Portion, Taken, Timers};
use ram_table::tables::Tables;

/// The time from one round to the next, unless the heartbeat is slower.
pub const ROUND_MIN: Duration = Duration::from_millis(250);
/// What one proposal may expire, and how many entries are looked at for it without a rest.
const PORTION: Portion = Portion { keys: 1000, bytes: 256 * 1024, looked_at: 4096 };
/// Entries that are placed without a rest: about a millisecond.
const PLACED_AT_ONCE: usize = 4096;

/// The lists of a member: whoever applies adds to them. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct SharedTimers {
    /// Guards the lists, for moments.
    timers: Arc<Mutex<Timers>>,
    /// Told when there is something in them.
    some: Arc<Notify>,
}

impl SharedTimers {
    /// To be told of each change of these tables.
    pub fn observer(&self, tables: Arc<Tables>) -> Box<dyn Observer> {
        Box::new(Applier { timers: self.clone(), tables })
    }

    /// All tables were replaced by others, which were loaded with these.
    pub fn replace(&self, loaded: Loaded) {
        self.with(|timers| timers.replaced(loaded));
        self.some.notify_one();
    }

    fn with<T>(&self, call: impl FnOnce(&mut Timers) -> T) -> T {
        call(&mut self.timers.lock())
    }

    async fn has_some(&self) {
        while self.with(|timers| timers.is_idle()) {
            self.some.notified().await;
        }
    }
}

/// Adds to the lists as changes are applied.
struct Applier {
    timers: SharedTimers,
    tables: Arc<Tables>,
}

impl Observer for Applier {
    fn changed(&mut self, change: &Change<'_>) {
        if !change.old.into_iter().chain(change.new).any(|item| item.has_life()) {
            return;
        }
        let Applier { timers, tables } = self;
        let was_idle = timers.with(|timers| {
            let was_idle = timers.is_idle();
            timers.changed(change, tables);
            was_idle
        });
        if was_idle {
            timers.some.notify_one();
        }
    }

    fn written(&mut self, _revision: u64) {}

    fn wants(&self, _table: &str) -> bool {
        false
    }

    fn dropped(&mut self, table: &str) {
        self.timers.with(|timers| timers.dropped(table));
    }

    fn replaced(&mut self, _revision: u64) {}
}

/// As long as the member runs. `round`: the time from one round to the next.
pub async fn expire(
    replica: Replica,
    turns: Turns,
    mut leader: watch::Receiver<Option<u64>>,
    round: Duration,
) {
    let timers = replica.applied.timers().clone();
    loop {
        timers.has_some().await;
        if let Some(term) = led_term(&replica) {
            let clock = MajorityClock::default();
            let lead = Lead { replica: &replica, turns: &turns, timers: &timers, term, round };
            lead.run(clock).await;
            timers.with(Timers::begin_anew);
            continue;
        }
        #[cfg(feature = "sabotage")]
        if armed(Fault::ExpireByOwnClock) {
            let over = timers.with(|timers| timers.over_by(replica.reads.uptime.ms()));
            over.iter().for_each(|taken| taken.end(replica.applied.tables()));
        }
        while timers.with(Timers::free_some) {
            yield_now().await;
        }
        tokio::select! {
            changed = leader.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(round) => {}
        }
    }
}

/// The term in which this member leads.
fn led_term(replica: &Replica) -> Option<u64> {
    let metrics = replica.raft.metrics();
    let metrics = metrics.borrow_watched();
    (metrics.state == ServerState::Leader).then_some(metrics.current_term)
}

/// One lead of this member.
struct Lead<'a> {
    replica: &'a Replica,
    turns: &'a Turns,
    timers: &'a SharedTimers,
    term: u64,
    round: Duration,
}

/// The lead is over, or may be.
struct Lost;

impl Lead<'_> {
    /// Until the lead is over, or no key has a time to live.
    async fn run(&self, mut clock: MajorityClock) {
        while led_term(self.replica) == Some(self.term)
            && !self.timers.with(|timers| timers.is_idle())
        {
            let next = tokio::time::sleep(self.round);
            let moment = self.ask(&mut clock).await;
            if self.heed(&moment).await.is_err() {
                return;
            }
            if !moment.is_settling {
                next.await;
            }
        }
    }

    /// A round.
    async fn ask(&self, clock: &mut MajorityClock) -> Moment {
        let voters: BTreeSet<u64> = {
            let metrics = self.replica.raft.metrics();
            let metrics = metrics.borrow_watched();
            metrics.membership_config.voter_ids().collect()
        };
        self.timers.with(Timers::begin_round);
        let readings = voters.iter().map(|id| self.reading(*id));
        let answers = join_all(readings).await.into_iter().flatten();
        clock.round(&voters, &answers.collect::<BTreeMap<_, _>>())
    }

    async fn reading(&self, id: u64) -> Option<(u64, Reading)> {
        let Replica { net, reads, .. } = self.replica;
        if id == reads.own {
            return Some((id, reads.uptime.reading()));
        }
        let answer = net.call(PeerId(id), rpc::CLOCK, Bytes::new(), self.round).await.ok()?;
        let answer = codec::decode::<Result<Reading, String>>("reading of a clock", &answer);
        Some((id, answer.ok()?.ok()?))
    }

    async fn heed(&self, moment: &Moment) -> Result<(), Lost> {
        if moment.is_anew {
            self.timers.with(Timers::begin_anew);
        } else if let Some(high) = moment.high {
            while self.timers.with(|timers| timers.place(high, PLACED_AT_ONCE)) > 0 {
                yield_now().await;
            }
        }
        let tables = self.replica.applied.tables();
        loop {
            let mut taken = Vec::new();
            let is_all =
                self.timers.with(|timers| timers.take_due(moment.low, tables, PORTION, &mut taken));
            if !taken.is_empty() {
                self.propose(taken).await?;
            }
            if is_all {
                break;
            }
            yield_now().await;
        }
        while self.timers.with(Timers::free_some) {
            yield_now().await;
        }
        Ok(())
    }

    /// Until it is applied here.
    async fn propose(&self, taken: Vec<Taken>) -> Result<(), Lost> {
        let proposal = group::lead(self.term, &timers::expire(&taken));
        let (Replica { raft, reads, .. }, sent) = (self.replica, proposal.clone());
        match leader::propose(raft, self.turns, reads.own, proposal).await {
            Ok(Outcome::Answers(_)) => {
                self.timers.with(Timers::are_gone);
                Ok(())
            }
            // Of another term, or not applied, or not known to be.
            Ok(_) | Err(_) => {
                if armed(Fault::AcceptDeposedExpiry) {
                    self.send_on(sent).await;
                }
                self.timers.with(|timers| timers.give_back(taken));
                Err(Lost)
            }
        }
    }

    /// For sabotage alone: to whoever leads now.
    async fn send_on(&self, proposal: Bytes) {
        let leader = self.replica.metrics().current_leader;
        if let Some(leader) = leader.filter(|leader| *leader != self.replica.id) {
            let _ = self.replica.net.call(PeerId(leader), rpc::PROPOSE, proposal, self.round).await;
        }
    }
}
