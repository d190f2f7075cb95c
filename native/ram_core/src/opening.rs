//! Opening a member: from a configuration and a data folder to a running Raft.

use std::sync::Arc;

use crate::config::Config;
use crate::environment::Environment;
use crate::folder::{self, Contents};
use crate::identity::{self, ClusterId, Identity, MEMBER};
use crate::running::Running;
use crate::watch::Watches;
use crate::{Error, Result};
use ram_lease::Reads;
use ram_lease::grants::LeaseTimeouts;
use ram_lease::mode::ReadMode;
use ram_log::{Disk, Log, LogOptions};
use ram_net::{Cookie, Net, NetError, NetOptions, PeerId, Transport};
use ram_raft::heard::Heard;
use ram_raft::log_store::LogStore;
use ram_raft::members::Members;
use ram_raft::network::Network;
use ram_raft::quorum::Quorum;
use ram_raft::recover;
use ram_raft::replica::{self, Replica, Settings};
use ram_raft::service::RaftService;
use ram_raft::state_machine::StateMachine;
use ram_raft::terms::{Terms, may_grow};
use ram_raft::types::Member as Peer;
use ram_raft::vote_hold;
use ram_raft::worker::Worker;

/// Whoever is silent for so many is not only late.
const STALL_HEARTBEATS: u32 = 5;

/// What a member is opened as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Open {
    /// Serve the cluster that the data folder holds.
    Existing,
    /// Be a new incarnation in this cluster; the data folder must hold none.
    New(ClusterId),
}

/// All that a member owns while it runs.
pub struct Parts {
    pub identity: Identity,
    pub replica: Replica,
    pub members: Members,
    pub service: RaftService,
    pub worker: Worker,
    pub transfer: Worker,
    pub watches: Watches,
}

impl Parts {
    pub fn running(&self) -> Running {
        Running { identity: self.identity.clone(), replica: self.replica.clone() }
    }
}

/// Opens the data, binds the socket and starts raft. A fresh member that cannot start leaves
/// nothing.
pub async fn open(config: &Config, open: Open, environment: Environment) -> Result<Parts> {
    let workers = [environment.worker.clone(), environment.transfer.clone()];
    let disk = environment.disk.clone();
    let opened = match identify(&disk, config, open) {
        Ok(identity) => {
            let opened = open_as(config, identity, open, environment).await;
            opened.inspect_err(|_| undo(&disk, open))
        }
        Err(error) => Err(error),
    };
    // What was not opened is not closed by anybody else.
    opened.inspect_err(|_| workers.iter().for_each(Worker::close))
}

async fn open_as(
    config: &Config,
    mut identity: Identity,
    open: Open,
    environment: Environment,
) -> Result<Parts> {
    let Environment { disk, transport, open_log, worker, transfer, values, clock } = environment;
    let log = open_log(disk.clone()).map_err(Error::failed)?;
    let timeouts = LeaseTimeouts { lease: config.read_lease(), hold: config.election_timeout_max };
    let reads = Reads::new(identity.id, config.reads == ReadMode::Lease, timeouts, clock);
    vote_hold::begin(&log, &reads, open == Open::Existing).await.map_err(Error::failed)?;
    let (writes, takes) = (worker.clone(), transfer.clone());
    let run = identity::draw()?;
    let machine = StateMachine::open(disk.clone(), (writes, takes), values, reads.clone(), run);
    let mut machine = machine.map_err(Error::failed)?;
    let applied = machine.applied();
    let watches = Watches::new(config.watch_history_bytes, applied.tables().revision());
    machine.observe(watches.observer());
    check_snapshot(&disk, &log, applied.index())?;
    let store = LogStore::open(log.clone(), reads.clone(), applied.index());
    let store = store.map_err(Error::failed)?.packing(config.limits.frame_bytes_max);
    let newest = store.newest();
    let saved_vote = store.saved_vote().map_err(Error::failed)?;
    let terms = Terms::begin(saved_vote.as_ref(), reads.clock.clone(), config.election_timeout_max);
    let heard = Heard::new(reads.clock.clone());
    let service = RaftService::new(
        applied.clone(),
        reads.clone(),
        (terms.clone(), heard.clone()),
        disk.clone(),
        transfer.clone(),
    );
    let net = listen(config, &identity, transport, service.clone()).await?;
    let known_port = std::mem::replace(&mut identity.port, net.local_port());
    let pack_bytes_max = config.limits.frame_bytes_max;
    let told = (terms.clone(), heard.clone());
    let network = Network::new(net.clone(), reads.clone(), told, transfer.clone(), pack_bytes_max);
    // One that is the only voter would be elected without asking anybody. Later: `elections`.
    let can_campaign = saved_vote.is_none_or(|vote| may_grow(vote.leader_id.term));
    let settings = Settings {
        heartbeat: config.heartbeat,
        election_timeout_min: config.election_timeout_min,
        election_timeout_max: config.election_timeout_max,
        snapshot_every: config.snapshot_every,
        may_campaign: reads.may_vote() && can_campaign,
    };
    let raft = replica::start(identity.id, settings, network, store, machine).await;
    let raft = raft.map_err(Error::failed)?;
    // Before anybody hears of this member, and before it answers anybody.
    match open {
        Open::New(_) => folder::complete(&disk, &identity)?,
        Open::Existing if known_port == identity.port => {}
        Open::Existing => identity.save(&disk, MEMBER)?,
    }
    let round_max = config.election_timeout_max;
    let members =
        Members::new(raft.clone(), net.clone(), reads.clone(), applied.clone(), round_max);
    service.serve(raft.clone(), members.clone());
    let (id, quorum) = (identity.id, Quorum::default());
    let replica = Replica { id, raft, net, log, newest, applied, reads, terms, heard, quorum };
    Ok(Parts { identity, replica, members, service, worker, transfer, watches })
}

/// A fresh member enters the folder here; [`folder::complete`] ends that.
fn identify(disk: &Arc<dyn Disk>, config: &Config, open: Open) -> Result<Identity> {
    match (open, folder::contents(disk)?) {
        (Open::Existing, contents) => identity_of(&config.name, contents, disk),
        (Open::New(_), Contents::Member(_)) => Err(Error::OtherCluster),
        (Open::New(cluster), Contents::Nothing) => {
            let fresh = Identity::new(cluster, &config.name, disk.is_new())?;
            folder::begin(disk, &fresh)?;
            Ok(fresh)
        }
    }
}

fn identity_of(name: &str, contents: Contents, disk: &Arc<dyn Disk>) -> Result<Identity> {
    match contents {
        Contents::Member(known) if known.name == name => Ok(known),
        Contents::Member(known) => Err(Error::Config {
            key: "data_dir".into(),
            reason: format!("the data in {} belongs to node {}", disk.path(), known.name),
        }),
        Contents::Nothing => Err(Error::Stopped),
    }
}

/// A fresh member that could not start leaves nothing: all of ram in the folder is its own, since
/// there was nothing when it entered. One that was there before is left as it is.
fn undo(disk: &Arc<dyn Disk>, open: Open) {
    if let Open::New(_) = open
        && let Err(error) = folder::undo_join(disk)
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
            disk.path()
        ))),
        _ => Ok(()),
    }
}

/// Makes the stopped member that lies on this disk, known as a node of this name, the only one of
/// a new cluster: see `raft::recover`. From now on its name is that of `config`. Returns the index
/// of the last log entry that it kept.
pub async fn recover(
    known_as: &str,
    config: &Config,
    disk: &Arc<dyn Disk>,
    new: ClusterId,
) -> Result<u64> {
    let mut identity = identity_of(known_as, folder::contents(disk)?, disk)?;
    identity.name.clone_from(&config.name);
    let address = net_options(config, &identity).advertised(identity.port);
    let address = address.map_err(|error| listen_error(&error))?;
    let log = Log::open(disk.clone(), LogOptions::default()).map_err(Error::failed)?;
    let member = Peer::new(identity.name.clone(), address);
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
        let mut options = net_options(config, identity);
        options.listen_port = port;
        let service = Arc::new(service.clone());
        result = Net::start(options, transport.clone(), service)
            .await
            .map(Arc::new)
            .map_err(|error| listen_error(&error));
        if result.is_ok() {
            break;
        }
    }
    result
}

fn net_options(config: &Config, identity: &Identity) -> NetOptions {
    let cookie = Cookie::new(config.cookie.clone());
    let mut options = NetOptions::new(PeerId(identity.id), identity.cluster, &config.name, cookie);
    options.listen_host = config.listen_host.clone();
    options.advertise = config.advertise.clone();
    // What is lost on a connection that went dead is no silence of its member: it is made anew
    // several times before what that owns goes.
    let patience = (config.owner_timeout / 4).max(STALL_HEARTBEATS * config.heartbeat);
    let timeouts =
        [&mut options.stall_timeout, &mut options.connect_timeout, &mut options.handshake_timeout];
    timeouts.into_iter().for_each(|timeout| *timeout = patience.min(*timeout));
    options
}

fn listen_error(error: &NetError) -> Error {
    Error::Config { key: "listen".into(), reason: error.to_string() }
}
