//! The life of a member: open, serve, close. It runs where its opener awaits it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use crate::backup::{self, BackupService};
use crate::config::Config;
use crate::environment::Environment;
use crate::handle::{Change, Handle, Queued, Queues};
use crate::opening::{self, Open, Parts};
use crate::owning;
use crate::proposer;
use crate::route::Route;
use crate::scans::Scans;
use crate::turns;
use crate::watch::Watches;
use crate::{Error, Result};
use ram_lease::Reads;
use ram_raft::Raft;
use ram_raft::election_holdoff;
use ram_raft::elections::Elections;
use ram_raft::failure_detector;
use ram_raft::leader;
use ram_raft::lease_renewal;
use ram_raft::ownership;
use ram_raft::removal;
use ram_raft::replica::Replica;
use ram_raft::rounds::{self, ROUND_MIN};
use ram_raft::snapshot_schedule;
use ram_raft::state_machine::Applied;
use ram_raft::types::Member as Peer;
use ram_raft::vote_hold;
use ram_table::table::TableType;

/// Changes of the cluster under way from here; more wait in their queue.
const CHANGES_AT_ONCE_MAX: usize = 64;

/// What a member tells its owner unasked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// It was removed from its cluster and serves no more.
    Removed,
    /// It has stopped by itself.
    Failed(String),
}

pub type OnEvent = Arc<dyn Fn(Event) + Send + Sync>;

/// A member that is open: its data, its socket and its raft.
pub struct Member {
    config: Arc<Config>,
    parts: Parts,
    queues: Queues,
    handle: Handle,
    on_event: OnEvent,
}

impl Member {
    /// Opens the data, binds the socket and starts raft.
    pub async fn open(
        config: Config,
        open: Open,
        environment: Environment,
        on_event: OnEvent,
    ) -> Result<Member> {
        let parts = opening::open(&config, open, environment).await?;
        let config = Arc::new(config);
        let (handle, queues) = Handle::new(config.clone(), parts.running(), parts.watches.clone());
        Ok(Member { config, parts, queues, handle, on_event })
    }

    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Serves until it is told to stop or raft has stopped; then closes what was opened.
    pub async fn serve(self, stop: impl Future<Output = ()>) {
        let Member { config, parts, queues, on_event, handle } = self;
        let watches = EndWatches(parts.watches.clone());
        serve(&parts, &config, queues, handle.scans().clone(), on_event, stop).await;
        drop(watches);
        close(&parts).await;
        if let Err(error) = parts.replica.log.close() {
            tracing::error!("the log did not close well: {error}");
        }
        parts.worker.close();
        parts.transfer.close();
    }
}

/// Tells the receivers of all watches that these have ended, also when the member panics.
struct EndWatches(Watches);

impl Drop for EndWatches {
    fn drop(&mut self) {
        self.0.close();
    }
}

async fn serve(
    parts: &Parts,
    config: &Config,
    queues: Queues,
    scans: Scans,
    on_event: OnEvent,
    stop: impl Future<Output = ()>,
) {
    let (leader, led) = watch::channel(None);
    let replica = &parts.replica;
    let (raft, reads, members) = (&replica.raft, &replica.reads, &parts.members);
    let turns = parts.service.turns().clone();
    let route = Route::new(raft.clone(), replica.net.clone(), led.clone(), members.clone(), turns);
    let mut tasks = JoinSet::new();
    spawn_elections(&mut tasks, parts, &led, config.election_timeout_max);
    if reads.asks {
        tasks.spawn(lease_renewal::renew(replica.clone(), led.clone()));
    }
    let round = config.heartbeat.max(ROUND_MIN);
    let owner_timeout = config.owner_timeout.max(config.election_timeout_max);
    let settings = rounds::Settings { round, owner_timeout };
    let given = parts.service.turns().clone();
    tasks.spawn(rounds::lead(replica.clone(), given, led.clone(), settings));
    tasks.spawn(ownership::report(replica.clone(), led, round));
    tasks.spawn(proposer::propose_all(queues.writes, route.clone(), config.limits.batch_bytes_max));
    let reader = route.clone();
    let read_index = move |deadline| {
        let route = reader.clone();
        async move { route.read_index(deadline).await }
    };
    tasks.spawn(ram_lease::serve(queues.reads, replica.applied.watch(), read_index));
    tasks.spawn(turns::serve(queues.turns, route.clone()));
    tasks.spawn(owning::serve(queues.owners, replica.clone()));
    tasks.spawn(scans.sweep());
    tasks.spawn(parts.watches.clone().serve());
    let founds_ordered = config.default_table_type == Some(TableType::OrderedSet);
    let found = Founding { raft: raft.clone(), reads: reads.clone(), founds_ordered };
    tasks.spawn(change_all(queues.changes, found, route));
    tasks.spawn(compare_default_table(config.default_table_type, replica.applied.clone()));
    tasks.spawn(members.clone().finish_changes());
    // Members take theirs at different times: a snapshot costs processor and disk.
    let every = config.snapshot_every + config.snapshot_every * (replica.id % 64) / 64;
    tasks.spawn(replica.clone().watch_quorum(config.election_timeout_max));
    tasks.spawn(snapshot_schedule::schedule(replica.clone(), every));
    let service = BackupService {
        raft: raft.clone(),
        applied: replica.applied.clone(),
        worker: parts.worker.clone(),
        cluster: parts.identity.cluster,
        limits: config.limits,
        requests: queues.requests,
    };
    tasks.spawn(backup::serve(queues.backups, service));
    let removal_hint = parts.service.removal_hint().clone();
    tokio::select! {
        () = stop => {}
        () = removal::proven(raft.clone(), replica.net.clone(), removal_hint) => {
            on_event(Event::Removed);
        }
        reason = replica.publish_leader(leader) => on_event(Event::Failed(reason)),
        reason = panicked(&mut tasks) => on_event(Event::Failed(reason)),
    }
    // A snapshot of much data would hold up all that follows.
    parts.worker.give_up();
    parts.transfer.give_up();
    tasks.shutdown().await;
}

/// When this member may campaign, votes, and grants leases.
fn spawn_elections(
    tasks: &mut JoinSet<()>,
    parts: &Parts,
    led: &watch::Receiver<Option<u64>>,
    election_timeout: Duration,
) {
    let Replica { raft, log, reads, .. } = &parts.replica;
    let elections = Elections::of(raft.clone(), reads.clone());
    tasks.spawn(elections.keep_vote_hold());
    tasks.spawn(elections.keep_still());
    tasks.spawn(vote_hold::settle(log, reads));
    let barrier = reads.barrier.clone();
    tasks.spawn(async move { barrier.watch_ends().await });
    let (inbound, large_appends) =
        (parts.service.inbound().clone(), parts.service.large_appends().clone());
    let (elected, led_too) = (elections.clone(), led.clone());
    tasks.spawn(failure_detector::watch_leader(
        raft.clone(),
        elected,
        led_too,
        inbound,
        election_timeout,
    ));
    tasks.spawn(election_holdoff::hold_off_elections(elections, led.clone(), large_appends));
}

/// Waits until one of the tasks panics. A member that lacks one would leave requests without an
/// answer, and nobody would know why.
async fn panicked(tasks: &mut JoinSet<()>) -> String {
    while let Some(ended) = tasks.join_next().await {
        if ended.is_err_and(|error| error.is_panic()) {
            return "a part of the member panicked; see the standard error of the VM".into();
        }
    }
    std::future::pending().await
}

/// Makes this member the first of a new cluster.
#[derive(Clone)]
struct Founding {
    raft: Raft,
    reads: Reads,
    /// The default table is.
    founds_ordered: bool,
}

impl Founding {
    async fn found(self, mut members: BTreeMap<u64, Peer>) -> Result<()> {
        members.values_mut().for_each(|member| member.founds_ordered = self.founds_ordered);
        let founded = leader::initialize(&self.raft, &self.reads, members).await;
        founded.map_err(|_| Error::Stopped)
    }
}

/// Warns when the default table is not what this node is set to: it is what it was made.
async fn compare_default_table(set_to: Option<TableType>, applied: Applied) {
    let mut index = applied.watch();
    // The first entry, or a snapshot in its place, says what it is.
    let is_founded = |_: &u64| applied.membership().nodes().next().is_some();
    if index.wait_for(is_founded).await.is_err() {
        return;
    }
    let table_type = applied.table().table_type();
    if let Some(set_to) = set_to
        && set_to != table_type
    {
        tracing::warn!(
            "default_table_type is {set_to} here, but the default table of this cluster is a \
             {table_type}: it was made so, and stays so"
        );
    }
}

async fn change_all(
    mut queue: tokio::sync::mpsc::Receiver<Queued>,
    founding: Founding,
    route: Route,
) {
    let places = Arc::new(Semaphore::new(CHANGES_AT_ONCE_MAX));
    // Nobody closes the places.
    while let Ok(place) = places.clone().acquire_owned().await {
        let Some(Queued { change, deadline, reply }) = queue.recv().await else { return };
        let (founding, route) = (founding.clone(), route.clone());
        tokio::spawn(async move {
            let _place = place;
            let changed = match change {
                Change::Initialize(members) => founding.found(members).await,
                Change::Member(change) => route.change_member(change, deadline).await,
            };
            reply(changed);
        });
    }
}

async fn close(parts: &Parts) {
    parts.replica.hand_over().await;
    parts.service.stop_serving();
    parts.replica.shut_down().await;
    parts.replica.net.shutdown().await;
}

#[cfg(test)]
mod tests;
