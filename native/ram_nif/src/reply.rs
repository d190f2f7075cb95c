//! Answers to processes: one message for each request, or none.
//!
//! A request has an id and waits in [`Waiters`]. Who removes the id owns the answer: the member,
//! which then sends `{Reference, Result}`, or the caller, whose time is over, by `cancel`. So after
//! a successful cancel nothing will come, and after a failed one the message is certain.

use dashmap::DashMap;
use rustler::env::{OwnedEnv, SavedTerm};
use rustler::types::LocalPid;
use rustler::{Encoder, Env, Term};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use ram_core::Error;

use crate::terms;

#[derive(Default)]
pub struct Waiters {
    waiting: DashMap<u64, Waiter>,
    next_id: AtomicU64,
}

struct Waiter {
    pid: LocalPid,
    /// Never contended: who removed the waiter has it alone. The lock makes it shareable.
    message: Mutex<(OwnedEnv, SavedTerm)>,
}

impl Waiters {
    /// Makes the calling process wait for one message with this reference. `lost` is what it is
    /// told when the member ends with the request under way.
    pub fn enter(self: &Arc<Self>, env: Env, reference: Term, lost: Error) -> Ticket {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let own = OwnedEnv::new();
        let reference = own.save(reference);
        let message = Mutex::new((own, reference));
        self.waiting.insert(id, Waiter { pid: env.pid(), message });
        Ticket { id, waiters: self.clone(), lost }
    }

    /// True when the request was still waiting: then no message will come.
    pub fn cancel(&self, id: u64) -> bool {
        self.waiting.remove(&id).is_some()
    }

    pub fn len(&self) -> usize {
        self.waiting.len()
    }
}

/// The right to answer one request. One that is dropped unanswered, because the member ends,
/// answers `lost`.
pub struct Ticket {
    id: u64,
    waiters: Arc<Waiters>,
    lost: Error,
}

impl Ticket {
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Sends the answer, unless the caller has given up. Only from a thread of the member.
    pub fn answer(self, make: impl for<'a> FnOnce(Env<'a>) -> Term<'a>) {
        self.send(make);
    }

    fn send(&self, make: impl for<'a> FnOnce(Env<'a>) -> Term<'a>) {
        let Some((_, waiter)) = self.waiters.waiting.remove(&self.id) else { return };
        // Poisoned: a panic while the message was saved; then nobody was told to wait.
        let Ok((mut own, reference)) = waiter.message.into_inner() else { return };
        // An error means that the process is gone.
        let pid = waiter.pid;
        let _ = own.send_and_clear(&pid, |env| (reference.load(env), make(env)).encode(env));
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let on_member = std::thread::current().name().is_some_and(|name| name.starts_with("ram-"));
        if on_member {
            self.send(|env| terms::error(env, &self.lost));
        } else {
            // The request was refused on the caller's own scheduler: the call returns the reason.
            self.waiters.cancel(self.id);
        }
    }
}
