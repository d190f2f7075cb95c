//! Owners of keys: processes of this node, which are watched as long as they own some, and nodes.
//! An owner is called what `term_to_binary/1` makes of it.

use ram_core::owning::{Ended, Processes};
use rustler::Encoder;
use rustler::env::OwnedEnv;
use rustler::types::LocalPid;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::key;
use crate::raw::{Held, Monitor, Type, binary, term_of_etf};
use crate::reply::Waiters;

pub static OWNERS: Type<Watched> = Type::new();

mod atoms {
    rustler::atoms! { ram_event, owner_lost, unreadable_key }
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
