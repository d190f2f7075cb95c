//! The status of a member as a map: see ram_node.erl.

use ram_core::config::{Config, Storage};
use ram_core::status::Status;
use ram_core::status::{ReadStatus, Role, Suffrage};
use ram_core::watch::Sizes;
use ram_lease::grants::Refused;
use ram_lease::lease::NoLeaseReason;
use ram_net::{Outage, PeerStatus, RefusalKind};
use rustler::types::map::map_new;
use rustler::{Atom, Encoder, Env, Term};
use std::time::Duration;

use super::{cluster, unreached};
use crate::raw::binary;

mod atoms {
    rustler::atoms! {
        undefined, cluster, id, address, role, leader, candidate, follower, learner, voter, down,
        term, members, joined, last_log_index, last_log_term, applied_index, snapshot_index,
        purged_index, entries, entry_bytes, applied_groups, failure, storage, disk, memory,
        data_dir, waiting,
        // who is there
        quorum_lost_ms, heard,
        // the log and the network
        log, net, syncs, bytes_written, disk_bytes, segments, records, frames_sent, frames_received,
        bytes_sent, bytes_received, connects, connect_failures, accepts, refusals,
        // how reads are answered, and why not by lease
        reads, local, waited, quorum, lease, held, absent, not_asked, no_leader, no_answer,
        other_vote, snapshot, ran_out, not_leading, unconfirmed, lagging, changing, handing_over,
        // watches
        watches, count, history_bytes,
        // refusals
        not_ours, version, wrong_cookie, wrong_cluster, wrong_peer, refused, timeout, closed,
        crowded, bad_frame,
        // peers
        peers, name, connected, accepted, queued_bytes, in_flight, outage, cause, text, lasts_ms,
        attempts,
    }
}

struct Map<'a>(Env<'a>, Term<'a>);

impl<'a> Map<'a> {
    fn new(env: Env<'a>) -> Self {
        Map(env, map_new(env))
    }

    fn with(self, key: Atom, value: impl Encoder) -> Self {
        let with = self.1.map_put(key, value);
        // `map_put` fails only on what is not a map.
        Map(self.0, with.unwrap_or(self.1))
    }
}

pub fn status<'a>(env: Env<'a>, status: &Status, config: &Config, waiting: usize) -> Term<'a> {
    let text = |text: &str| binary(env, text.as_bytes());
    let members: Vec<Term> = status
        .members
        .iter()
        .map(|(id, member, standing)| {
            let standing = match standing {
                Suffrage::Voter => atoms::voter(),
                Suffrage::Learner => atoms::learner(),
            };
            (*id, text(&member.name), text(&member.address), standing).encode(env)
        })
        .collect();
    let role = match status.role {
        Role::Leader => atoms::leader(),
        Role::Candidate => atoms::candidate(),
        Role::Follower => atoms::follower(),
        Role::Learner => atoms::learner(),
        Role::Down => atoms::down(),
    };
    let (storage, data_dir) = match config.storage {
        Storage::Disk => (atoms::disk(), text(&config.data_dir.to_string_lossy())),
        Storage::Memory => (atoms::memory(), atoms::undefined().encode(env)),
    };
    let peers: Vec<Term> = status.peers.iter().map(|each| peer(env, each)).collect();
    let undefined = atoms::undefined().encode(env);
    let failure = status.failure.as_deref().map_or(undefined, text);
    let leader = status.leader.map_or(undefined, |id| id.encode(env));
    let ms = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    let lost_ms = status.without_quorum.map_or(undefined, |span| ms(span).encode(env));
    let heard: Vec<(u64, u64)> = status.heard.iter().map(|(id, ago)| (*id, ms(*ago))).collect();
    Map::new(env)
        .with(atoms::cluster(), cluster(env, &status.cluster))
        .with(atoms::id(), status.id)
        .with(atoms::address(), text(&status.address))
        .with(atoms::role(), role)
        .with(atoms::leader(), leader)
        .with(atoms::term(), status.term)
        .with(atoms::quorum(), status.without_quorum.is_none())
        .with(atoms::quorum_lost_ms(), lost_ms)
        .with(atoms::heard(), heard)
        .with(atoms::members(), members)
        .with(atoms::joined(), status.joined)
        .with(atoms::last_log_index(), status.last_log_index)
        .with(atoms::last_log_term(), status.last_log_term)
        .with(atoms::applied_index(), status.applied_index)
        .with(atoms::snapshot_index(), status.snapshot_index)
        .with(atoms::purged_index(), status.purged_index)
        .with(atoms::entries(), status.entries)
        .with(atoms::entry_bytes(), status.entry_bytes)
        .with(atoms::applied_groups(), status.applied_groups)
        .with(atoms::failure(), failure)
        .with(atoms::waiting(), waiting)
        .with(atoms::storage(), storage)
        .with(atoms::data_dir(), data_dir)
        .with(atoms::reads(), reads(env, &status.reads))
        .with(atoms::watches(), watches(env, &status.watches))
        .with(atoms::log(), log(env, status))
        .with(atoms::net(), net(env, status))
        .with(atoms::peers(), peers)
        .1
}

fn reads<'a>(env: Env<'a>, reads: &ReadStatus) -> Term<'a> {
    let lease = match reads.lease {
        Ok(_left) => atoms::held().encode(env),
        Err(cause) => (atoms::absent(), no_lease(env, cause)).encode(env),
    };
    Map::new(env)
        .with(atoms::local(), reads.local)
        .with(atoms::waited(), reads.waited)
        .with(atoms::quorum(), reads.quorum)
        .with(atoms::lease(), lease)
        .1
}

fn no_lease(env: Env, reason: NoLeaseReason) -> Term {
    let reason = match reason {
        NoLeaseReason::NotAsked => atoms::not_asked(),
        NoLeaseReason::NoLeader => atoms::no_leader(),
        NoLeaseReason::NoAnswer => atoms::no_answer(),
        NoLeaseReason::OtherVote => atoms::other_vote(),
        NoLeaseReason::Snapshot => atoms::snapshot(),
        NoLeaseReason::RanOut => atoms::ran_out(),
        NoLeaseReason::Refused(refused) => {
            let why = match refused {
                Refused::NotLeading => atoms::not_leading(),
                Refused::Unconfirmed => atoms::unconfirmed(),
                Refused::Lagging => atoms::lagging(),
                Refused::Changing => atoms::changing(),
                Refused::HandingOver => atoms::handing_over(),
            };
            return (atoms::refused(), why).encode(env);
        }
    };
    reason.encode(env)
}

fn watches<'a>(env: Env<'a>, watches: &Sizes) -> Term<'a> {
    Map::new(env)
        .with(atoms::count(), watches.watches)
        .with(atoms::queued_bytes(), watches.queued_bytes)
        .with(atoms::history_bytes(), watches.history_bytes)
        .1
}

fn log<'a>(env: Env<'a>, status: &Status) -> Term<'a> {
    Map::new(env)
        .with(atoms::syncs(), status.log.syncs)
        .with(atoms::records(), status.log.records)
        .with(atoms::bytes_written(), status.log.bytes_written)
        .with(atoms::disk_bytes(), status.log.disk_bytes)
        .with(atoms::segments(), status.log.segments)
        .1
}

fn net<'a>(env: Env<'a>, status: &Status) -> Term<'a> {
    let refused = status.net.refusals.iter().filter(|(_, count)| *count > 0);
    let refusals =
        refused.fold(Map::new(env), |map, (kind, count)| map.with(refusal(*kind), count));
    Map::new(env)
        .with(atoms::frames_sent(), status.net.frames_sent)
        .with(atoms::frames_received(), status.net.frames_received)
        .with(atoms::bytes_sent(), status.net.bytes_sent)
        .with(atoms::bytes_received(), status.net.bytes_received)
        .with(atoms::connects(), status.net.connects)
        .with(atoms::connect_failures(), status.net.connect_failures)
        .with(atoms::accepts(), status.net.accepts)
        .with(atoms::refusals(), refusals.1)
        .1
}

fn peer<'a>(env: Env<'a>, peer: &PeerStatus) -> Term<'a> {
    let undefined = atoms::undefined().encode(env);
    let text = |text: &Option<String>| {
        text.as_ref().map_or(undefined, |text| binary(env, text.as_bytes()))
    };
    let outage = peer.outage.as_ref().map_or(undefined, |outage| self::outage(env, outage));
    Map::new(env)
        .with(atoms::id(), peer.id.0)
        .with(atoms::name(), text(&peer.name))
        .with(atoms::address(), text(&peer.address))
        .with(atoms::connected(), peer.connected)
        .with(atoms::accepted(), peer.accepted)
        .with(atoms::queued_bytes(), peer.queued_bytes)
        .with(atoms::in_flight(), peer.in_flight)
        .with(atoms::outage(), outage)
        .1
}

fn outage<'a>(env: Env<'a>, outage: &Outage) -> Term<'a> {
    let lasts_ms = u64::try_from(outage.lasts.as_millis()).unwrap_or(u64::MAX);
    Map::new(env)
        .with(atoms::address(), binary(env, outage.address.as_bytes()))
        .with(atoms::cause(), unreached(outage.cause))
        .with(atoms::text(), binary(env, outage.text.as_bytes()))
        .with(atoms::lasts_ms(), lasts_ms)
        .with(atoms::attempts(), outage.attempts)
        .1
}

fn refusal(kind: RefusalKind) -> Atom {
    match kind {
        RefusalKind::NotOurs => atoms::not_ours(),
        RefusalKind::Version => atoms::version(),
        RefusalKind::WrongCookie => atoms::wrong_cookie(),
        RefusalKind::WrongCluster => atoms::wrong_cluster(),
        RefusalKind::WrongPeer => atoms::wrong_peer(),
        RefusalKind::Refused => atoms::refused(),
        RefusalKind::Timeout => atoms::timeout(),
        RefusalKind::Closed => atoms::closed(),
        RefusalKind::Crowded => atoms::crowded(),
        RefusalKind::BadFrame => atoms::bad_frame(),
    }
}
