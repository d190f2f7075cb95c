//! The life of a member, on the runtime of whoever opens it: open, serve, close.

use openraft::async_runtime::WatchReceiver;
use openraft::{ServerState, SnapshotPolicy};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use super::backup::{self, Desk};
use super::folder::{self, Contents};
use super::handle::Handle;
use super::identity::{ClusterId, Identity, MEMBER};
use super::leases;
use super::proposer;
use super::route::Route;
use super::running::Running;
use super::snapshots;
use super::surroundings::Surroundings;
use super::{Birth, Change, Event, OnEvent, Queued, Queues};
use crate::config::Config;
use crate::log::{Disk, Log, LogOptions};
use crate::net::{self, Cookie, Net, NetOptions, PeerId, Transport};
use crate::raft::elections::Elections;
use crate::raft::leader;
use crate::raft::log_store::LogStore;
use crate::raft::members::Members;
use crate::raft::network::Network;
use crate::raft::patience;
use crate::raft::recover;
use crate::raft::service::RaftService;
use crate::raft::state_machine::{Applied, StateMachine};
use crate::raft::succession;
use crate::raft::types::{Member as Peer, Raft};
use crate::raft::vote_hold;
use crate::raft::worker::Worker;
use crate::reads::grants::Spans;
use crate::reads::mode::ReadMode;
use crate::reads::{self, Reads};
use crate::{Error, Result};

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
        let (worker, disk) = (surroundings.worker.clone(), surroundings.disk.clone());
        let identity = identify(&disk, &config, birth)?;
        let opened = open(&config, identity, birth, surroundings, on_event.clone()).await;
        // What was not opened is not closed by anybody else.
        let parts = opened.inspect_err(|_| worker.close());
        let parts = parts.inspect_err(|_| undo(&disk, birth))?;
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
    }
}

/// All that a member owns while it runs.
struct Parts {
    raft: Raft,
    net: Arc<Net>,
    log: Log,
    worker: Worker,
    service: RaftService,
    members: Members,
    applied: Applied,
    reads: Reads,
    identity: Identity,
}

impl Parts {
    fn running(&self) -> Running {
        Running {
            raft: self.raft.clone(),
            net: self.net.clone(),
            log: self.log.clone(),
            identity: self.identity.clone(),
            applied: self.applied.clone(),
            reads: self.reads.clone(),
        }
    }
}

async fn open(
    config: &Config,
    mut identity: Identity,
    birth: Birth,
    surroundings: Surroundings,
    on_event: OnEvent,
) -> Result<Parts> {
    let Surroundings { disk, transport, open_log, worker, values, clock } = surroundings;
    let log = open_log(disk.clone()).map_err(Error::failed)?;
    let mut raft_config = raft_config(config)?;
    let hold = Duration::from_millis(raft_config.election_timeout_max);
    let spans = Spans { lease: config.read_lease(), hold };
    let reads = Reads::new(identity.id, config.reads == ReadMode::Lease, spans, clock);
    vote_hold::begin(&log, &reads, birth == Birth::Again).await.map_err(Error::failed)?;
    let machine = StateMachine::open(disk.clone(), worker.clone(), values, reads.clone());
    let machine = machine.map_err(Error::failed)?;
    let applied = machine.applied();
    check_snapshot(&disk, &log, applied.index())?;
    let store = LogStore::open(log.clone(), reads.clone(), applied.index());
    let store = store.map_err(Error::failed)?.packing(config.limits.frame_bytes_max);
    let on_removed = Box::new(move || on_event(Event::Removed));
    let service =
        RaftService::new(applied.clone(), reads.clone(), disk.clone(), worker.clone(), on_removed);
    let net = listen(config, &identity, transport, service.clone()).await?;
    let known_port = std::mem::replace(&mut identity.port, net.local_port());
    let network = Network::new(net.clone(), reads.clone(), config.limits.frame_bytes_max);
    // One that is the only voter would be elected without asking anybody. Later: `elections`.
    raft_config.enable_elect = reads.may_vote();
    let raft_config = Arc::new(raft_config);
    let raft = Raft::new(identity.id, raft_config, network, store, machine).await;
    let raft = raft.map_err(Error::failed)?;
    // Before anybody hears of this member, and before it answers anybody.
    match birth {
        Birth::Fresh(_) => folder::complete(&disk, &identity)?,
        Birth::Again if known_port == identity.port => {}
        Birth::Again => identity.save(&disk, MEMBER)?,
    }
    let round_max = config.election_timeout_max;
    let members =
        Members::new(raft.clone(), net.clone(), reads.clone(), applied.clone(), round_max);
    service.serve(raft.clone(), members.clone());
    Ok(Parts { raft, net, log, worker, service, members, applied, reads, identity })
}

/// A fresh member enters the folder here; [`folder::complete`] ends that.
fn identify(disk: &Arc<dyn Disk>, config: &Config, birth: Birth) -> Result<Identity> {
    match (birth, folder::contents(disk)?) {
        (Birth::Again, Contents::Member(known)) if known.name == config.name => Ok(known),
        (Birth::Again, Contents::Member(known)) => Err(Error::Config {
            key: "data_dir".into(),
            reason: format!("the data in {} belongs to node {}", disk.place(), known.name),
        }),
        (Birth::Again, Contents::Nothing) => Err(Error::Stopped),
        (Birth::Fresh(_), Contents::Member(_)) => Err(Error::OtherCluster),
        (Birth::Fresh(cluster), Contents::Nothing) => {
            let fresh = Identity::new(cluster, &config.name, disk.is_new())?;
            folder::begin(disk, &fresh)?;
            Ok(fresh)
        }
    }
}

/// A fresh member that could not start leaves nothing: all of ram in the folder is its own, since
/// there was nothing when it entered. One that was there before is left as it is.
fn undo(disk: &Arc<dyn Disk>, birth: Birth) {
    if let Birth::Fresh(_) = birth
        && let Err(error) = folder::erase(disk)
    {
        tracing::error!("{error}; the next start tries again");
    }
}

/// What was purged from the log has to be in a snapshot.
fn check_snapshot(disk: &Arc<dyn Disk>, log: &Log, snapshot_index: u64) -> Result<()> {
    match log.purged_index() {
        Some(purged) if purged > snapshot_index => Err(Error::Unreadable(format!(
            "a snapshot is missing in {}: the log begins after entry {purged}, and the newest \
             snapshot ends at {snapshot_index}; restore it, or move the folder away and let the \
             node join afresh",
            disk.place()
        ))),
        _ => Ok(()),
    }
}

/// Makes the stopped member that lies on this disk the only one of a new cluster: see
/// `raft::recover`. Returns the index of the last log entry that it kept.
pub async fn recover(config: &Config, disk: &Arc<dyn Disk>, new: ClusterId) -> Result<u64> {
    let mut identity = identify(disk, config, Birth::Again)?;
    let log = Log::open(disk.clone(), LogOptions::default()).map_err(Error::failed)?;
    let listening = format!("{}:{}", config.listen_host, identity.port);
    let address = config.advertise.clone().unwrap_or(listening);
    let member = Peer { name: identity.name.clone(), address };
    let sole = recover::make_sole_voter(LogStore::new(log.clone()), identity.id, member).await;
    log.close().map_err(Error::failed)?;
    let sole = sole.map_err(Error::failed)?;
    identity.cluster = new;
    identity.save(disk, MEMBER)?;
    Ok(sole.index().saturating_sub(1))
}

async fn listen(
    config: &Config,
    identity: &Identity,
    transport: Arc<dyn Transport>,
    service: RaftService,
) -> Result<Arc<Net>> {
    // The port it had before, where peers look for it first; another one if that is taken now.
    let saved = identity.port;
    let ports = match config.listen_port {
        0 if saved != 0 => vec![saved, 0],
        port => vec![port],
    };
    let mut result = Err(Error::failed("no port to listen on"));
    for port in ports {
        let cookie = Cookie::new(config.cookie.clone());
        let cluster = net::ClusterId(identity.cluster.0);
        let mut options = NetOptions::new(PeerId(identity.id), cluster, &config.name, cookie);
        options.listen_host = config.listen_host.clone();
        options.listen_port = port;
        options.advertise = config.advertise.clone();
        let service = Arc::new(service.clone());
        result = Net::start(options, transport.clone(), service)
            .await
            .map(Arc::new)
            .map_err(|error| Error::Config { key: "listen".into(), reason: error.to_string() });
        if result.is_ok() {
            break;
        }
    }
    result
}

fn raft_config(config: &Config) -> Result<openraft::Config> {
    let ms = |duration: Duration| duration.as_millis() as u64;
    let raft_config = openraft::Config {
        cluster_name: "ram".into(),
        heartbeat_interval: ms(config.heartbeat),
        election_timeout_min: ms(config.election_timeout_min),
        election_timeout_max: ms(config.election_timeout_max),
        install_snapshot_timeout: 60_000,
        // `snapshots::keep` decides.
        snapshot_policy: SnapshotPolicy::Never,
        // A follower that lags is given the log as long as the log is there.
        replication_lag_threshold: u64::MAX,
        max_in_snapshot_log_to_keep: config.snapshot_every / 4,
        purge_batch_size: 256,
        max_payload_entries: 256,
        enable_pre_vote: Some(true),
        enable_leader_restore: Some(false),
        allow_log_reversion: Some(false),
        removed_leader_step_down: openraft::StepDownPolicy::Never,
        quorum_loss_probe_interval: Some(2 * ms(config.election_timeout_max)),
        ..Default::default()
    };
    raft_config.validate().map_err(Error::failed)
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
    tasks.spawn(reads::serve(queues.reads, parts.applied.watch(), read_index));
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
    tokio::select! {
        () = stop => {}
        reason = follow(parts.raft.clone(), leader) => on_event(Event::Failed(reason)),
        reason = panicked(&mut tasks) => on_event(Event::Failed(reason)),
    }
    // A snapshot of much data would hold up all that follows.
    parts.worker.give_up();
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
