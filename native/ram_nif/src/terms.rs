//! Values of the core as terms.

use ram_core::Error;
use ram_core::config::{Config, Storage};
use ram_core::net::{Outage, PeerStatus, RefusalKind, Unreached, UnreachedCause};
use ram_core::node::Status;
use ram_core::node::identity::ClusterId;
use ram_core::node::status::{ReadStatus, Role, Suffrage};
use ram_core::reads::grants::Refused;
use ram_core::reads::lease::Cause;
use ram_core::store::command::Answer;
use ram_core::store::table::Item;
use rustler::types::map::map_new;
use rustler::{Atom, Encoder, Env, NewBinary, Term};
use std::time::Duration;

use crate::value::{self, Found};

mod atoms {
    rustler::atoms! {
        ok, error, none, undefined, value, encoded, conflict,
        // reasons
        config, value_too_large, key_too_large, batch_too_large, bad_key, not_member,
        last_member, not_reached, not_caught_up, other_cluster, joined, unreadable, in_use,
        not_erased,
        overloaded, timeout, noproc, removed, failed, file, not_empty, partly,
        // events
        ram_member,
        // status
        cluster, id, address, role, leader, candidate, follower, learner, voter, down, term,
        members, last_log_index, last_log_term, applied_index, snapshot_index, purged_index,
        entries, entry_bytes, applied_groups, failure, storage, disk, memory, data_dir,
        log, net, syncs, bytes_written, disk_bytes, segments, records, frames_sent, frames_received,
        bytes_sent, bytes_received, connects, accepts, refusals, waiting,
        // how reads are answered, and why not by lease
        reads, local, waited, quorum, lease, held, absent, not_asked, no_leader, no_answer,
        other_vote, snapshot, ran_out, not_leading, unconfirmed, lagging, changing, handing_over,
        // who is there
        quorum_lost_ms, heard,
        // refusals
        not_ours, version, wrong_cookie, wrong_cluster, wrong_peer, refused, closed, crowded,
        bad_frame,
        // peers, and why one is not reached
        peers, name, connected, accepted, queued_bytes, in_flight, outage, cause, text, lasts_ms,
        attempts, connect_failures, unreached, no_address, unknown_host, connection_refused,
        no_route, not_admitted,
    }
}
pub use atoms::ok;

pub fn binary<'a>(env: Env<'a>, bytes: &[u8]) -> Term<'a> {
    let mut binary = NewBinary::new(env, bytes.len());
    binary.as_mut_slice().copy_from_slice(bytes);
    binary.into()
}

/// `{error, Reason}`, see ram_error.erl for the reasons.
pub fn error<'a>(env: Env<'a>, error: &Error) -> Term<'a> {
    (atoms::error(), reason(env, error)).encode(env)
}

pub fn reason<'a>(env: Env<'a>, error: &Error) -> Term<'a> {
    let text = |text: &str| binary(env, text.as_bytes());
    match error {
        Error::Config { key, reason } => (atoms::config(), text(key), text(reason)).encode(env),
        Error::ValueTooLarge { bytes, bytes_max } => {
            (atoms::value_too_large(), *bytes, *bytes_max).encode(env)
        }
        Error::KeyTooLarge { bytes_max } => (atoms::key_too_large(), *bytes_max).encode(env),
        Error::BatchTooLarge { bytes_max } => (atoms::batch_too_large(), *bytes_max).encode(env),
        Error::Refused(why) => (atoms::refused(), text(why)).encode(env),
        Error::UnknownMember(name) => (atoms::not_member(), text(name)).encode(env),
        Error::LastMember(name) => (atoms::last_member(), text(name)).encode(env),
        Error::Removed(name) => (atoms::removed(), text(name)).encode(env),
        Error::NotReached { name, address, cause } => {
            (atoms::not_reached(), text(name), text(address), text(cause)).encode(env)
        }
        Error::NotCaughtUp { name, address, why } => {
            (atoms::not_caught_up(), text(name), text(address), text(why)).encode(env)
        }
        Error::OtherCluster => atoms::other_cluster().encode(env),
        Error::Joined => atoms::joined().encode(env),
        Error::Unreadable(what) => (atoms::unreadable(), text(what)).encode(env),
        Error::InUse(what) => (atoms::in_use(), text(what)).encode(env),
        Error::NotErased(what) => (atoms::not_erased(), text(what)).encode(env),
        Error::File(what) => (atoms::file(), text(what)).encode(env),
        Error::NotEmpty => atoms::not_empty().encode(env),
        Error::Partly { restored, total, cause } => {
            (atoms::partly(), *restored, *total, reason(env, cause)).encode(env)
        }
        Error::Overloaded => atoms::overloaded().encode(env),
        Error::Timeout => atoms::timeout().encode(env),
        Error::Stopped => atoms::noproc().encode(env),
        Error::Failed(cause) => (atoms::failed(), text(cause)).encode(env),
    }
}

pub fn none(env: Env) -> Term {
    atoms::none().encode(env)
}

pub fn bad_key(env: Env, why: Atom) -> Term {
    (atoms::error(), (atoms::bad_key(), why)).encode(env)
}

/// `{ok, Revision} | {conflict, none | {Value, Revision}} | {error, Reason}`
pub fn answer<'a>(env: Env<'a>, answer: ram_core::Result<Answer>) -> Term<'a> {
    match answer {
        Ok(Answer::Done { revision }) => (atoms::ok(), revision).encode(env),
        Ok(Answer::Conflict { current: None }) => (atoms::conflict(), atoms::none()).encode(env),
        Ok(Answer::Conflict { current: Some(found) }) => {
            (atoms::conflict(), (binary(env, &found.value), found.revision)).encode(env)
        }
        Err(cause) => error(env, &cause),
    }
}

/// `{value, Value, Revision} | {encoded, Binary, Revision} | none | {error, Reason}`
pub fn item<'a>(env: Env<'a>, item: ram_core::Result<Option<Item>>) -> Term<'a> {
    match item {
        Ok(Some(item)) => match value::found(env, &item) {
            Found::Term(term) => (atoms::value(), term, item.revision()).encode(env),
            Found::Encoded(etf) => (atoms::encoded(), etf, item.revision()).encode(env),
        },
        Ok(None) => atoms::none().encode(env),
        Err(cause) => error(env, &cause),
    }
}

/// `ok | {error, Reason}`
pub fn done<'a>(env: Env<'a>, result: ram_core::Result<()>) -> Term<'a> {
    match result {
        Ok(()) => atoms::ok().encode(env),
        Err(cause) => error(env, &cause),
    }
}

pub fn cluster<'a>(env: Env<'a>, cluster: &ClusterId) -> Term<'a> {
    binary(env, &cluster.0)
}

pub fn removed<'a>(env: Env<'a>) -> Term<'a> {
    (atoms::ram_member(), atoms::removed()).encode(env)
}

pub fn failed<'a>(env: Env<'a>, cause: &str) -> Term<'a> {
    (atoms::ram_member(), (atoms::failed(), binary(env, cause.as_bytes()))).encode(env)
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
        .with(atoms::log(), log(env, status))
        .with(atoms::net(), net(env, status))
        .with(atoms::peers(), peers)
        .1
}

fn reads<'a>(env: Env<'a>, reads: &ReadStatus) -> Term<'a> {
    let lease = match reads.lease {
        Ok(_left) => atoms::held().encode(env),
        Err(cause) => (atoms::absent(), absence(env, cause)).encode(env),
    };
    Map::new(env)
        .with(atoms::local(), reads.local)
        .with(atoms::waited(), reads.waited)
        .with(atoms::quorum(), reads.quorum)
        .with(atoms::lease(), lease)
        .1
}

fn absence(env: Env, cause: Cause) -> Term {
    let cause = match cause {
        Cause::NotAsked => atoms::not_asked(),
        Cause::NoLeader => atoms::no_leader(),
        Cause::NoAnswer => atoms::no_answer(),
        Cause::OtherVote => atoms::other_vote(),
        Cause::Snapshot => atoms::snapshot(),
        Cause::RanOut => atoms::ran_out(),
        Cause::Refused(refused) => {
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
    cause.encode(env)
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

/// `{ok, [ok | {unreached, Cause, Text}]} | {error, Reason}`
pub fn reached<'a>(
    env: Env<'a>,
    answers: ram_core::Result<Vec<Result<(), Unreached>>>,
) -> Term<'a> {
    let each = |answer: &Result<(), Unreached>| match answer {
        Ok(()) => atoms::ok().encode(env),
        Err(Unreached { cause, text }) => {
            (atoms::unreached(), unreached(*cause), binary(env, text.as_bytes())).encode(env)
        }
    };
    match answers {
        Ok(answers) => {
            let answers: Vec<Term> = answers.iter().map(each).collect();
            (atoms::ok(), answers).encode(env)
        }
        Err(cause) => error(env, &cause),
    }
}

fn unreached(cause: UnreachedCause) -> Atom {
    match cause {
        UnreachedCause::NoAddress => atoms::no_address(),
        UnreachedCause::UnknownHost => atoms::unknown_host(),
        UnreachedCause::ConnectionRefused => atoms::connection_refused(),
        UnreachedCause::NoRoute => atoms::no_route(),
        UnreachedCause::Timeout => atoms::timeout(),
        UnreachedCause::NotOurs => atoms::not_ours(),
        UnreachedCause::Version => atoms::version(),
        UnreachedCause::WrongCookie => atoms::wrong_cookie(),
        UnreachedCause::WrongCluster => atoms::wrong_cluster(),
        UnreachedCause::WrongPeer => atoms::wrong_peer(),
        UnreachedCause::NotAdmitted => atoms::not_admitted(),
        UnreachedCause::Closed => atoms::closed(),
        UnreachedCause::Failed => atoms::failed(),
    }
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
