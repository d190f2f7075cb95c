//! A member as a resource of the VM: counterpart of ram_node.erl.
//!
//! Starting and stopping block, so they run on dirty schedulers. A member whose process died
//! without stopping it is stopped when its resource is collected, on a thread of its own.

use ram_core::folder::{self, Contents};
use ram_core::identity::ClusterId;
use ram_core::member::{Event, OnEvent};
use ram_core::node::Node;
use ram_core::opening::Open;
use rustler::env::OwnedEnv;
use rustler::types::LocalPid;
use rustler::{Binary, Decoder, Encoder, Env, NifResult, Term};
use std::path::PathBuf;
use std::sync::Arc;

use crate::config::StartConfig;
use crate::logging;
use crate::owner::Owners;
use crate::raw::{self, Type};
use crate::reply::Waiters;
use crate::terms;
use crate::thread;
use crate::value::CompiledTerms;

pub struct MemberResource {
    pub node: Arc<Node>,
    pub waiters: Arc<Waiters>,
}

pub static MEMBERS: Type<MemberResource> = Type::new();

impl<'a> Decoder<'a> for &'a MemberResource {
    fn decode(term: Term<'a>) -> NifResult<Self> {
        // An error that is made beforehand has to be dropped in each call.
        let Some(member) = MEMBERS.object(term) else { return Err(rustler::Error::BadArg) };
        Ok(member)
    }
}

impl Drop for MemberResource {
    fn drop(&mut self) {
        // Stopping joins threads, and this may run on any scheduler.
        let node = self.node.clone();
        let stop = move || thread::run(&mut || node.stop());
        // If no thread can be made, dropping the node stops it here.
        let _ = std::thread::Builder::new().name("ram-stop".into()).spawn(stop);
    }
}

/// `member_start(Config, again | {fresh, ClusterId}) -> {ok, Member} | {error, Reason}`. The
/// calling process is told of events as `{ram_member, removed | {failed, Text}}`.
#[rustler::nif(schedule = "DirtyIo")]
fn member_start<'a>(env: Env<'a>, config: StartConfig<'a>, cluster: Binary<'a>) -> Term<'a> {
    let birth = match <[u8; 16]>::try_from(cluster.as_slice()) {
        Ok(id) => Open::New(ClusterId(id)),
        // Empty: the cluster that the data folder holds.
        Err(_) => Open::Existing,
    };
    logging::send_to(env.pid());
    let values = Arc::new(CompiledTerms);
    let started = Node::start(config.config(), values, birth, notify(env.pid()));
    terms::result(env, started, |node| (terms::ok(), member(env, node)).encode(env))
}

/// `member_check(Config) -> ok | {error, {config, Key, Why}}`: would a member start with it?
#[rustler::nif]
fn member_check<'a>(env: Env<'a>, config: StartConfig<'a>) -> Term<'a> {
    terms::done(env, config.config().check())
}

fn member(env: Env, node: Node) -> Term {
    let waiters = Arc::new(Waiters::default());
    node.host(Arc::new(Owners::new(waiters.clone())));
    MEMBERS.term(env, MemberResource { node: Arc::new(node), waiters })
}

fn notify(owner: LocalPid) -> OnEvent {
    Arc::new(move |event| {
        // An error means that the owner is gone.
        let _ = OwnedEnv::new().send_and_clear(&owner, |env| match &event {
            Event::Removed => terms::removed(env),
            Event::Failed(cause) => terms::failed(env, cause),
        });
    })
}

/// Ends the member; the answers it still owes are `{error, noproc}`.
#[rustler::nif(schedule = "DirtyIo")]
fn member_stop<'a>(env: Env<'a>, member: &'a MemberResource) -> Term<'a> {
    member.node.stop();
    terms::ok().encode(env)
}

/// `{ok, Status} | {error, noproc}`
#[rustler::nif]
fn member_status<'a>(env: Env<'a>, member: &'a MemberResource) -> Term<'a> {
    terms::result(env, member.node.status(), |status| {
        let (config, waiting) = (member.node.config(), member.waiters.len());
        (terms::ok(), terms::status(env, &status, config, waiting)).encode(env)
    })
}

#[rustler::nif]
fn member_set_address<'a>(
    env: Env<'a>,
    member: &'a MemberResource,
    id: u64,
    address: String,
) -> Term<'a> {
    member.node.set_address(id, address);
    terms::ok().encode(env)
}

/// `member_recover(Member, Old, New) -> {ok, NewMember, LastLogIndex} | {error, Reason}`. The
/// former member is stopped, unless it is not of the cluster Old.
#[rustler::nif(schedule = "DirtyIo")]
fn member_recover<'a>(
    env: Env<'a>,
    member: &'a MemberResource,
    old: Binary<'a>,
    new: Binary<'a>,
) -> NifResult<Term<'a>> {
    let id = |binary: Binary| <[u8; 16]>::try_from(binary.as_slice()).map(ClusterId);
    let old = id(old).map_err(|_| rustler::Error::BadArg)?;
    let new = id(new).map_err(|_| rustler::Error::BadArg)?;
    let recovered = member.node.recover(old, new, notify(env.pid()));
    Ok(terms::result(env, recovered, |(node, last_log_index)| {
        (terms::ok(), self::member(env, node), last_log_index).encode(env)
    }))
}

/// `member_rename(Member, Config, New) -> {ok, NewMember} | {error, joined | Reason}`: the only
/// member of its cluster goes on under another name, as that of the cluster New. `joined`: it is
/// not the only one, and it goes on as it was; else it is stopped.
#[rustler::nif(schedule = "DirtyIo")]
fn member_rename<'a>(
    env: Env<'a>,
    member: &'a MemberResource,
    config: StartConfig<'a>,
    new: Binary<'a>,
) -> NifResult<Term<'a>> {
    let new = <[u8; 16]>::try_from(new.as_slice()).map_err(|_| rustler::Error::BadArg)?;
    let renamed = member.node.rename(config.config(), ClusterId(new), notify(env.pid()));
    Ok(terms::result(env, renamed, |node| (terms::ok(), self::member(env, node)).encode(env)))
}

#[rustler::nif]
fn member_set_cookie<'a>(env: Env<'a>, member: &'a MemberResource, cookie: Binary<'a>) -> Term<'a> {
    member.node.set_cookie(cookie.to_vec());
    terms::ok().encode(env)
}

/// Stops the member and removes its data: `ok | {error, Reason}`.
#[rustler::nif(schedule = "DirtyIo")]
fn member_erase<'a>(env: Env<'a>, member: &'a MemberResource) -> Term<'a> {
    terms::done(env, member.node.erase())
}

/// Stops the member, which its cluster has removed, and moves its data aside:
/// `{ok, Prefix} | {error, Reason}`, with how the names of its files begin now.
#[rustler::nif(schedule = "DirtyIo")]
fn member_set_aside<'a>(env: Env<'a>, member: &'a MemberResource) -> Term<'a> {
    let named = |prefix: String| (terms::ok(), raw::binary(env, prefix.as_bytes())).encode(env);
    terms::result(env, member.node.set_aside(), named)
}

/// As `member_erase`, if the member never had an entry in its log; else `{error, joined}`, and it
/// has stopped.
#[rustler::nif(schedule = "DirtyIo")]
fn member_abandon<'a>(env: Env<'a>, member: &'a MemberResource) -> Term<'a> {
    terms::done(env, member.node.abandon())
}

/// What a data folder holds: `none | {ok, ClusterId} | {error, Reason}`. Finishes what was begun
/// there and interrupted: see ram_core's `folder`.
#[rustler::nif(schedule = "DirtyIo")]
fn folder_look<'a>(env: Env<'a>, data_dir: String) -> Term<'a> {
    terms::result(env, folder::look(&PathBuf::from(data_dir)), |contents| match contents {
        Contents::Member(identity) => {
            (terms::ok(), terms::cluster(env, &identity.cluster)).encode(env)
        }
        Contents::Nothing => terms::none(env),
    })
}

/// Removes what the folder holds of this cluster; empty: whatever it holds of ram.
/// `ok | {error, Reason}`.
#[rustler::nif(schedule = "DirtyIo")]
fn folder_erase<'a>(env: Env<'a>, data_dir: String, cluster: Binary<'a>) -> Term<'a> {
    let only = <[u8; 16]>::try_from(cluster.as_slice()).ok().map(ClusterId);
    terms::done(env, folder::erase_at(&PathBuf::from(data_dir), only))
}
