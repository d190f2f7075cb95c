//! The life of a member, on the runtime of whoever opens it: open, serve, close.

use openraft::ServerState;
use openraft::async_runtime::WatchReceiver;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use super::backup::{self, Desk};
use super::handle::Handle;
use super::leases;
use super::opening::{self, Parts};
use super::proposer;
use super::quorum;
use super::route::Route;
use super::snapshots;
use super::surroundings::Surroundings;
use super::{Birth, Change, Event, OnEvent, Queued, Queues};
use crate::config::Config;
use crate::{Error, Result};
use ram_lease::Reads;
use ram_raft::elections::Elections;
use ram_raft::leader;
use ram_raft::patience;
use ram_raft::removal;
use ram_raft::succession;
use ram_raft::types::Raft;
use ram_raft::vote_hold;

const HANDOVER_TIMEOUT: Duration = Duration::from_millis(500);
/// Changes of the cluster under way from here; more wait in their queue.
const CHANGES_AT_ONCE_MAX: usize = 64;

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
        birth: Birth,
        surroundings: Surroundings,
        on_event: OnEvent,
    ) -> Result<Member> {
        let parts = opening::open(&config, birth, surroundings).await?;
        let config = Arc::new(config);
        let (handle, queues) = Handle::new(config.clone(), parts.running());
        Ok(Member { config, parts, queues, handle, on_event })
    }

    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Serves until it is told to stop or raft has stopped; then closes what was opened.
    pub async fn serve(self, stop: impl Future<Output = ()>) {
        let Member { config, parts, queues, on_event, .. } = self;
        serve(&parts, &config, queues, on_event, stop).await;
        close(&parts).await;
        if let Err(error) = parts.log.close() {
            tracing::error!("the log did not close well: {error}");
        }
        parts.worker.close();
        parts.transfer.close();
    }
}

async fn serve(
    parts: &Parts,
    config: &Config,
    queues: Queues,
    on_event: OnEvent,
    stop: impl Future<Output = ()>,
) {
    let (leader, leader_watch) = watch::channel(None);
    let (raft, net, reads) = (parts.raft.clone(), parts.net.clone(), parts.reads.clone());
    let route = Route::new(raft.clone(), net.clone(), leader_watch.clone(), parts.members.clone());
    let mut tasks = JoinSet::new();
    let elections = Elections::of(raft.clone(), reads.clone());
    tasks.spawn(elections.keep_promise());
    tasks.spawn(elections.keep_still());
    tasks.spawn(vote_hold::settle(&parts.log, &reads));
    let watched = reads.barrier.clone();
    tasks.spawn(async move { watched.watch_ends().await });
    if reads.asks {
        tasks.spawn(leases::keep(raft, net, reads.clone(), leader_watch.clone()));
    }
    tasks.spawn(proposer::propose_all(queues.writes, route.clone(), config.limits.batch_bytes_max));
    let reader = route.clone();
    let read_index = move |deadline| {
        let route = reader.clone();
        async move { route.read_index(deadline).await }
    };
    tasks.spawn(ram_lease::serve(queues.reads, parts.applied.watch(), read_index));
    tasks.spawn(change_all(queues.changes, parts.raft.clone(), reads, route));
    tasks.spawn(parts.members.clone().finish_changes());
    let (callers, arrivals) = (parts.service.callers().clone(), parts.service.arrivals().clone());
    let (led, raft, lease) =
        (leader_watch.clone(), parts.raft.clone(), config.election_timeout_max);
    tasks.spawn(succession::succeed(raft, elections.clone(), led, callers, lease));
    tasks.spawn(patience::be_patient(elections, leader_watch, arrivals));
    let (raft, log, applied) = (parts.raft.clone(), parts.log.clone(), parts.applied.clone());
    // Members take theirs at different times: a snapshot costs processor and disk.
    let every = config.snapshot_every + config.snapshot_every * (parts.identity.id % 64) / 64;
    let sight = quorum::Sight {
        raft: parts.raft.clone(),
        net: parts.net.clone(),
        heard: parts.heard.clone(),
        clock: parts.reads.clock.clone(),
        election_timeout: config.election_timeout_max,
    };
    tasks.spawn(quorum::watch(sight, parts.quorum.clone()));
    tasks.spawn(snapshots::keep(raft, log, applied, every));
    let desk = Desk {
        raft: parts.raft.clone(),
        applied: parts.applied.clone(),
        worker: parts.worker.clone(),
        cluster: parts.identity.cluster,
        limits: config.limits,
        entrance: queues.entrance,
    };
    tasks.spawn(backup::serve(queues.backups, desk));
    let rumour = parts.service.rumour().clone();
    tokio::select! {
        () = stop => {}
        () = removal::proven(parts.raft.clone(), parts.net.clone(), rumour) => {
            on_event(Event::Removed);
        }
        reason = follow(parts.raft.clone(), leader) => on_event(Event::Failed(reason)),
        reason = panicked(&mut tasks) => on_event(Event::Failed(reason)),
    }
    // A snapshot of much data would hold up all that follows.
    parts.worker.give_up();
    parts.transfer.give_up();
    tasks.shutdown().await;
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

/// Publishes who leads until raft has stopped; then says why it did.
async fn follow(raft: Raft, leader: watch::Sender<Option<u64>>) -> String {
    let mut metrics = raft.metrics();
    loop {
        let (running, now) = {
            let metrics = metrics.borrow_watched();
            (metrics.running_state.clone(), metrics.current_leader)
        };
        if let Err(fatal) = running {
            return fatal.to_string();
        }
        leader.send_if_modified(|known| std::mem::replace(known, now) != now);
        if metrics.changed().await.is_err() {
            return "raft has stopped".into();
        }
    }
}

async fn change_all(
    mut queue: tokio::sync::mpsc::Receiver<Queued>,
    raft: Raft,
    reads: Reads,
    route: Route,
) {
    let places = Arc::new(Semaphore::new(CHANGES_AT_ONCE_MAX));
    // Nobody closes the places.
    while let Ok(place) = places.clone().acquire_owned().await {
        let Some(Queued { change, deadline, reply }) = queue.recv().await else { return };
        let (raft, reads, route) = (raft.clone(), reads.clone(), route.clone());
        tokio::spawn(async move {
            let _place = place;
            let changed = match change {
                Change::Initialize(members) => {
                    leader::initialize(&raft, &reads, members).await.map_err(|_| Error::Stopped)
                }
                Change::Member(change) => route.change_member(change, deadline).await,
            };
            reply(changed);
        });
    }
}

async fn close(parts: &Parts) {
    hand_over(&parts.raft, &parts.reads).await;
    parts.service.stop_serving();
    // It is stopping; whether raft had failed before makes no difference.
    let _ = parts.raft.shutdown().await;
    parts.net.shutdown().await;
}

/// Gives the lead to the follower that has most of the log, so that writers do not have to wait for
/// an election.
async fn hand_over(raft: &Raft, reads: &Reads) {
    let metrics = raft.metrics().borrow_watched().clone();
    if metrics.state != ServerState::Leader {
        return;
    }
    let voters: Vec<u64> = metrics.membership_config.voter_ids().collect();
    let replication = metrics.replication.unwrap_or_default();
    let followers =
        replication.iter().filter(|(id, _)| voters.contains(id) && *id != raft.node_id());
    let Some((heir, _)) = followers.max_by_key(|(_, log_id)| **log_id) else { return };
    if leader::transfer(raft, reads, *heir).await.is_err() {
        return;
    }
    let wait = raft.wait(Some(HANDOVER_TIMEOUT));
    let own = *raft.node_id();
    // Without an heir in time the others elect one.
    let _ = wait
        .metrics(|m| m.current_leader.is_some_and(|leader| leader != own), "lead handed over")
        .await;
}

#[cfg(test)]
mod tests;
