//! What a leader does by itself: it ends keys, whose time is over ([`expiry`]) or whose owner is
//! gone ([`ownership`]).
//!
//! In rounds it asks the voters for readings of their clocks, and counts by a majority of them
//! ([`MajorityClock`]): nothing rests on one clock. The answers also tell which run of a member
//! this is. Whatever is proposed names the term, and is applied in no other. Without a key that has
//! a time to live or an owner nobody is asked.

use bytes::Bytes;
use futures_util::future::join_all;
use openraft::ServerState;
use openraft::async_runtime::WatchReceiver;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::sync::watch;

use crate::expiry;
use crate::leader;
use crate::ownership::{self, Silence};
use crate::replica::Replica;
use crate::rpc;
use crate::state_machine::Applied;
use crate::turns::Turns;
use ram_lease::majority_clock::{MajorityClock, Moment, Reading};
use ram_net::PeerId;
use ram_sabotage::{Fault, armed};
use ram_store::answer::Outcome;
use ram_store::codec;
use ram_store::group;
use ram_store::owners::Run;
use ram_store::timers::Timers;
use ram_store::write::Encoded;

/// The time from one round to the next, unless the heartbeat is slower.
pub const ROUND_MIN: Duration = Duration::from_millis(250);

/// What a member tells in a round: which run it is, and what its clock has counted in that.
pub type Pulse = Reading;

/// The settings of the rounds.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// From one to the next.
    pub round: Duration,
    /// For how long a member may be silent until what it and its processes own goes.
    pub owner_timeout: Duration,
}

/// As long as the member runs.
pub async fn lead(
    replica: Replica,
    turns: Turns,
    mut leader: watch::Receiver<Option<u64>>,
    settings: Settings,
) {
    let applied = replica.applied.clone();
    loop {
        while is_idle(&applied) {
            applied.work().notified().await;
        }
        if let Some(term) = led_term(&replica) {
            let lead = Lead { replica: &replica, turns: &turns, term, settings };
            let ended = lead.run().await;
            applied.timers().with(Timers::begin_anew);
            if ended.is_ok() {
                continue;
            }
            // Who leads and hears from no majority is refused at once, for as long as that lasts.
        }
        #[cfg(feature = "sabotage")]
        if armed(Fault::ExpireByOwnClock) {
            let over = applied.timers().with(|timers| timers.over_by(replica.reads.uptime.ms()));
            over.iter().for_each(|taken| taken.end(applied.tables()));
        }
        applied.timers().free().await;
        applied.owners().lists().free().await;
        tokio::select! {
            changed = leader.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(settings.round) => {}
        }
    }
}

/// Has no key a time to live, or an owner?
fn is_idle(applied: &Applied) -> bool {
    applied.timers().is_idle() && applied.owners().lists().is_idle()
}

/// The term in which this member leads.
fn led_term(replica: &Replica) -> Option<u64> {
    let metrics = replica.raft.metrics();
    let metrics = metrics.borrow_watched();
    (metrics.state == ServerState::Leader).then_some(metrics.current_term)
}

/// One lead of this member.
pub(crate) struct Lead<'a> {
    pub replica: &'a Replica,
    turns: &'a Turns,
    term: u64,
    settings: Settings,
}

/// The lead is over, or may be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lost;

impl Lead<'_> {
    /// Until there is nothing to do, or the lead is known to be over.
    async fn run(&self) -> Result<(), Lost> {
        self.replica.applied.owners().forget_reports();
        tokio::select! {
            ended = self.rounds() => ended,
            ended = ownership::end_reported(self) => ended,
        }
    }

    async fn rounds(&self) -> Result<(), Lost> {
        let applied = &self.replica.applied;
        let mut clock = MajorityClock::default();
        let mut silence = Silence::new(self.settings.owner_timeout);
        while led_term(self.replica) == Some(self.term) && !is_idle(applied) {
            let next = tokio::time::sleep(self.settings.round);
            let runs = applied.owners().lists().with(|owners| owners.runs());
            let (moment, pulses) = self.ask(&mut clock, &runs).await;
            expiry::heed(self, &moment).await?;
            ownership::heed(self, &mut silence, &moment, (&runs, &pulses)).await?;
            if !moment.is_settling {
                next.await;
            }
        }
        Ok(())
    }

    /// A round: the voters, and the members of these runs.
    async fn ask(
        &self,
        clock: &mut MajorityClock,
        runs: &BTreeSet<Run>,
    ) -> (Moment, BTreeMap<u64, Pulse>) {
        let voters: BTreeSet<u64> = {
            let metrics = self.replica.raft.metrics();
            let metrics = metrics.borrow_watched();
            metrics.membership_config.voter_ids().collect()
        };
        self.replica.applied.timers().with(Timers::begin_round);
        let asked: BTreeSet<u64> =
            runs.iter().map(|run| run.member).chain(voters.clone()).collect();
        let pulses = join_all(asked.iter().map(|id| self.pulse(*id))).await;
        let pulses: BTreeMap<u64, Pulse> = pulses.into_iter().flatten().collect();
        (clock.round(&voters, &pulses), pulses)
    }

    async fn pulse(&self, id: u64) -> Option<(u64, Pulse)> {
        let Replica { net, reads, applied, .. } = self.replica;
        if id == reads.own {
            let run = applied.owners().own().run;
            return Some((id, Pulse { run, ms: reads.uptime.ms() }));
        }
        let round = self.settings.round;
        let answer = net.call(PeerId(id), rpc::PULSE, Bytes::new(), round).await.ok()?;
        let answer = codec::decode::<Result<Pulse, String>>("pulse", &answer);
        Some((id, answer.ok()?.ok()?))
    }

    /// Until it is applied here. `Lost`: it is not applied, or not known to be.
    pub async fn propose(&self, write: &Encoded) -> Result<(), Lost> {
        let proposal = group::lead(self.term, write);
        let (Replica { raft, reads, .. }, sent) = (self.replica, proposal.clone());
        match leader::propose(raft, self.turns, reads.own, proposal).await {
            Ok(Outcome::Answers(_)) => Ok(()),
            Ok(_) | Err(_) => {
                if armed(Fault::AcceptDeposedExpiry) {
                    self.send_on(sent).await;
                }
                Err(Lost)
            }
        }
    }

    /// For sabotage alone: to whoever leads now.
    async fn send_on(&self, proposal: Bytes) {
        let leader = self.replica.metrics().current_leader;
        if let Some(leader) = leader.filter(|leader| *leader != self.replica.id) {
            let round = self.settings.round;
            let _ = self.replica.net.call(PeerId(leader), rpc::PROPOSE, proposal, round).await;
        }
    }
}
