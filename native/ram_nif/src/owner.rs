//! Owners of keys: processes of this node, which are watched as long as they own some, and nodes.
//! An owner is called what `term_to_binary/1` makes of it. Counterpart of ram_write.erl.

use ram_core::Error;
use ram_core::owning::{Ended, Processes};
use ram_store::write::Owner;
use rustler::env::OwnedEnv;
use rustler::types::LocalPid;
use rustler::{Binary, Encoder, Env, Term};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::key;
use crate::member::MemberResource;
use crate::raw::{Held, Monitor, Type, binary, term_of_etf};
use crate::reply::Waiters;
use crate::request::{READ_LOST, deadline, queue};
use crate::terms;

pub static OWNERS: Type<Watched> = Type::new();

mod atoms {
    rustler::atoms! { owner, none, ram_event, owner_lost, unreadable_key }
}

/// A process that owns keys.
pub struct Watched(Ended);

impl Monitor for Watched {
    fn down(&self) {
        self.0.tell();
    }
}

/// Those of this node. A monitor ends with its object.
pub struct Owners {
    waiters: Arc<Waiters>,
    /// Guards the objects, by the names of their processes.
    watched: Mutex<HashMap<Box<[u8]>, Held<Watched>>>,
}

impl Owners {
    pub fn new(waiters: Arc<Waiters>) -> Owners {
        Owners { waiters, watched: Mutex::default() }
    }

    fn with<T>(&self, call: impl FnOnce(&mut HashMap<Box<[u8]>, Held<Watched>>) -> T) -> T {
        call(&mut self.watched.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Processes for Owners {
    fn watch(&self, name: &[u8], ended: Ended) {
        let watched = match owner_of(name) {
            OwnedBy::Node => return,
            OwnedBy::Process(pid) => {
                let watched = OWNERS.hold(Watched(ended));
                if watched.monitor_from_thread(&pid) {
                    return self.with(|known| _ = known.insert(name.into(), watched));
                }
                watched
            }
            OwnedBy::Nobody => OWNERS.hold(Watched(ended)),
        };
        watched.down();
    }

    fn forget(&self, name: &[u8]) {
        // Freed without the lock: what a monitor calls takes others.
        let _watched = self.with(|known| known.remove(name));
    }

    fn lost(&self, name: &[u8], key: &[u8], revision: u64) {
        if let OwnedBy::Process(pid) = owner_of(name) {
            self.waiters.tell(&pid, |env| {
                let key = key::read(env, key)
                    .unwrap_or_else(|_| (atoms::unreadable_key(), binary(env, key)).encode(env));
                (atoms::ram_event(), atoms::owner_lost(), key, revision).encode(env)
            });
        }
    }
}

/// Whom a name means on this node, in this run of its virtual machine.
enum OwnedBy {
    Process(LocalPid),
    /// This node itself, which is there.
    Node,
    /// A process of a former run.
    Nobody,
}

fn owner_of(name: &[u8]) -> OwnedBy {
    OwnedEnv::new().run(|env| match term_of_etf(env, name) {
        Some(term) if term.is_atom() => OwnedBy::Node,
        Some(term) => term.decode().map_or(OwnedBy::Nobody, OwnedBy::Process),
        None => OwnedBy::Nobody,
    })
}

/// `Pid | Node | none`, of an owner as it is stored.
pub fn owner_term<'a>(env: Env<'a>, owner: &[u8]) -> Term<'a> {
    let name = Owner::decode(owner).map(|owner| owner.name);
    name.and_then(|name| term_of_etf(env, name)).unwrap_or_else(|| atoms::none().encode(env))
}

/// An owner of this node, for a put.
#[rustler::nif]
fn owner_here<'a>(env: Env<'a>, member: &'a MemberResource, name: Binary<'a>) -> Term<'a> {
    binary(env, &member.node.owner_here(&name))
}

/// An owner of another node. The answer is `{owner, Owner}`.
#[rustler::nif]
fn owner<'a>(
    env: Env<'a>,
    member: &'a MemberResource,
    reference: Term<'a>,
    node: &'a str,
    name: Binary<'a>,
    timeout_ms: u64,
) -> Term<'a> {
    queue(env, member, (reference, READ_LOST), |ticket| {
        let reply = Box::new(move |owner: Result<Vec<u8>, Error>| {
            ticket.answer(|env| {
                terms::result(env, owner, |owner| (atoms::owner(), binary(env, &owner)).encode(env))
            });
        });
        member.node.owner(node.to_owned(), name.to_vec(), deadline(timeout_ms), reply)
    })
}
