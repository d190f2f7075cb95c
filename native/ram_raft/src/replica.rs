//! What the parts of a running member share of Raft, and the settings that Raft is started with.

use openraft::async_runtime::WatchReceiver;
use openraft::{ServerState, SnapshotPolicy};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

use crate::Raft;
use crate::heard::Heard;
use crate::leader;
use crate::log_store::LastLogId;
use crate::quorum::{self, Quorum};
use crate::state_machine::Applied;
use crate::terms::Terms;
use crate::types::Metrics;
use ram_lease::Reads;
use ram_log::Log;
use ram_net::Net;

/// For so long the next leader is waited for when this one hands over.
const HANDOVER_TIMEOUT: Duration = Duration::from_millis(500);

/// What a member is in its term.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Leader,
    Candidate,
    Follower,
    Learner,
    /// It has stopped.
    Down,
}

/// A running replica. Clones share it; all of it may be used from any thread.
#[derive(Clone)]
pub struct Replica {
    pub id: u64,
    pub raft: Raft,
    pub net: Arc<Net>,
    pub log: Log,
    pub newest: LastLogId,
    pub applied: Applied,
    pub reads: Reads,
    pub terms: Terms,
    pub heard: Heard,
    pub quorum: Quorum,
}

impl Replica {
    pub fn metrics(&self) -> Metrics {
        self.raft.metrics().borrow_watched().clone()
    }

    /// The members of the newest membership in the log, committed or not: is it a voter, in one of
    /// the two configurations if there are two?
    pub fn newest_members(&self) -> BTreeMap<u64, bool> {
        let newest = self.metrics().membership_config.membership().clone();
        let is_voter = |id: &u64| newest.voter_ids().any(|voter| voter == *id);
        newest.nodes().map(|(id, _)| (*id, is_voter(id))).collect()
    }

    /// Is this the only member in every configuration that it knows of?
    pub fn is_alone(&self) -> bool {
        let newest = self.metrics().membership_config.membership().clone();
        [newest, self.applied.membership()].iter().all(|membership| {
            let mut ids = membership.nodes().map(|(id, _)| *id);
            ids.next() == Some(self.id) && ids.next().is_none()
        })
    }

    /// Publishes who leads until Raft has stopped; then says why it did.
    pub async fn publish_leader(&self, leader: watch::Sender<Option<u64>>) -> String {
        let mut metrics = self.raft.metrics();
        loop {
            let (running, now) = {
                let metrics = metrics.borrow_watched();
                (metrics.running_state.clone(), metrics.current_leader)
            };
            if let Err(fatal) = running {
                return fatal.to_string();
            }
            let is_other = leader.send_if_modified(|known| std::mem::replace(known, now) != now);
            if is_other && now.is_some() {
                self.reads.uptime.led_anew();
            }
            if metrics.changed().await.is_err() {
                return "raft has stopped".into();
            }
        }
    }

    /// Gives the lead to the follower that has most of the log, so that writers do not have to wait
    /// for an election.
    pub async fn hand_over(&self) {
        let metrics = self.metrics();
        if role(&metrics) != Role::Leader {
            return;
        }
        let voters: Vec<u64> = metrics.membership_config.voter_ids().collect();
        let replication = metrics.replication.unwrap_or_default();
        let followers = replication.iter().filter(|(id, _)| voters.contains(id) && **id != self.id);
        let Some((target, _)) = followers.max_by_key(|(_, log_id)| **log_id) else { return };
        if leader::transfer(&self.raft, &self.reads, *target).await.is_err() {
            return;
        }
        let is_over = |m: &Metrics| m.current_leader.is_some_and(|leader| leader != self.id);
        let wait = self.raft.wait(Some(HANDOVER_TIMEOUT));
        // Without an answer of the target in time the others elect one.
        let _ = wait.metrics(is_over, "lead handed over").await;
    }

    /// Tells when the majority is lost and when it is back, as long as that is awaited.
    pub async fn watch_quorum(self, election_timeout: Duration) {
        let Replica { raft, net, heard, reads, quorum, .. } = self;
        let sight = quorum::Sight { raft, net, heard, clock: reads.clock, election_timeout };
        quorum::watch(sight, quorum).await;
    }

    /// Stops Raft, whether it had failed before or not.
    pub async fn shut_down(&self) {
        let _ = self.raft.shutdown().await;
    }
}

pub fn role(metrics: &Metrics) -> Role {
    match (&metrics.running_state, metrics.state) {
        (Err(_), _) | (_, ServerState::Shutdown) => Role::Down,
        (_, ServerState::Leader) => Role::Leader,
        (_, ServerState::Candidate) => Role::Candidate,
        (_, ServerState::Follower) => Role::Follower,
        (_, ServerState::Learner) => Role::Learner,
    }
}

/// The times of an election, and how much of the log is kept behind a snapshot.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    pub heartbeat: Duration,
    pub election_timeout_min: Duration,
    pub election_timeout_max: Duration,
    pub snapshot_every: u64,
    /// Whether it may campaign from the start.
    pub may_campaign: bool,
}

impl Settings {
    /// As openraft takes them.
    pub(crate) fn to_openraft(self) -> Result<openraft::Config, openraft::ConfigError> {
        let ms = |duration: Duration| duration.as_millis() as u64;
        let config = openraft::Config {
            cluster_name: "ram".into(),
            heartbeat_interval: ms(self.heartbeat),
            election_timeout_min: ms(self.election_timeout_min),
            election_timeout_max: ms(self.election_timeout_max),
            install_snapshot_timeout: 60_000,
            // `snapshot_schedule` decides.
            snapshot_policy: SnapshotPolicy::Never,
            // A follower that lags is given the log as long as the log is there.
            replication_lag_threshold: u64::MAX,
            max_in_snapshot_log_to_keep: self.snapshot_every / 4,
            purge_batch_size: 256,
            max_payload_entries: 256,
            enable_elect: self.may_campaign,
            enable_pre_vote: Some(true),
            enable_leader_restore: Some(false),
            allow_log_reversion: Some(false),
            removed_leader_step_down: openraft::StepDownPolicy::Never,
            quorum_loss_probe_interval: Some(2 * ms(self.election_timeout_max)),
            ..Default::default()
        };
        config.validate()
    }
}

/// Starts Raft.
///
/// # Errors
///
/// Settings that Raft refuses, or a disk that fails; with the words for it.
pub async fn start(
    id: u64,
    settings: Settings,
    network: crate::network::Network,
    log: crate::log_store::LogStore,
    machine: crate::state_machine::StateMachine,
) -> Result<Raft, String> {
    let config = settings.to_openraft().map_err(|error| error.to_string())?;
    let raft = Raft::new(id, Arc::new(config), network, log, machine).await;
    raft.map_err(|error| error.to_string())
}
