//! Reply tickets: a request gets one message, or its caller cancels it; never both.
//!
//! `request` enters the calling process into [`Waiters`] and gives the [`Ticket`] to the core,
//! which answers with it: the message is `{Reference, Result}`. That only one of the two ends a
//! request is `ram_threads::tickets`: after a successful cancel no message comes, and after a
//! failed one the message is there or on its way.

use rustler::env::OwnedEnv;
use rustler::types::LocalPid;
use rustler::{Encoder, Env, Term};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ram_core::Error;
use ram_threads::tickets::Tickets;

use crate::raw::{HeapTerm, HeapWriter};
use crate::terms;
use crate::thread;

/// How many references share an environment.
const REFERENCES_PER_HEAP: usize = 64;
/// How many answers are made before their environment is cleared.
const ANSWERS_PER_CLEAR: usize = 64;

#[derive(Default)]
pub struct Waiters {
    tickets: Tickets<Waiter>,
    /// Guards the heap that takes the references of new requests: see `raw::HeapTerm` what an
    /// environment for each would cost.
    references: Mutex<Option<HeapWriter>>,
    /// Guards the environment in which the thread of the member that answers makes short answers.
    reply_env: Mutex<ReplyEnv>,
}

struct Waiter {
    pid: LocalPid,
    reference: HeapTerm,
}

#[derive(Default)]
struct ReplyEnv {
    env: OwnedEnv,
    /// Since it was cleared.
    answers: usize,
}

impl Waiters {
    /// Makes the calling process wait for one message with this reference. `lost` is what it is
    /// told when the member ends with the request under way. `None` when there is no memory.
    pub fn enter(self: &Arc<Self>, env: Env, reference: Term, lost: Error) -> Option<Ticket> {
        let reference = self.copy_out(reference)?;
        let id = self.tickets.enter(Waiter { pid: env.pid(), reference });
        Some(Ticket { id, waiters: self.clone(), lost, is_answered: false })
    }

    /// A copy that any thread can read.
    fn copy_out(&self, reference: Term) -> Option<HeapTerm> {
        let mut heap = locked(&self.references);
        if heap.as_ref().is_none_or(HeapWriter::is_full) {
            *heap = HeapWriter::new(REFERENCES_PER_HEAP);
        }
        heap.as_mut()?.add(reference)
    }

    /// True when the request was still waiting: then no message will come.
    pub fn cancel(&self, id: u64) -> bool {
        self.tickets.cancel(id)
    }

    /// Sends a short message, which is copied. False: the process is gone. Only from a thread of
    /// the member.
    pub fn tell(&self, pid: &LocalPid, make: impl for<'a> FnOnce(Env<'a>) -> Term<'a>) -> bool {
        let mut reply = locked(&self.reply_env);
        let sent = reply.env.run(|env| env.send(pid, make(env)));
        reply.answers += 1;
        if reply.answers == ANSWERS_PER_CLEAR {
            reply.env.clear();
            reply.answers = 0;
        }
        sent.is_ok()
    }

    pub fn len(&self) -> usize {
        self.tickets.len()
    }
}

/// A panic while it was held leaves nothing half done.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The right to answer one request. Dropped unanswered, because the member ends, it answers
/// `lost`.
pub struct Ticket {
    id: u64,
    waiters: Arc<Waiters>,
    lost: Error,
    is_answered: bool,
}

impl Ticket {
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Sends a short answer, unless the caller has given up. It is copied, since making an
    /// environment to give away with it takes longer. Only from a thread of the member.
    pub fn answer(mut self, make: impl for<'a> FnOnce(Env<'a>) -> Term<'a>) {
        let _ = self.send(make);
    }

    /// As [`Ticket::answer`], without a copy.
    pub fn answer_long(mut self, make: impl for<'a> FnOnce(Env<'a>) -> Term<'a>) {
        let Some(waiter) = self.take() else { return };
        // An error means that the process is gone.
        let _ = OwnedEnv::new()
            .send_and_clear(&waiter.pid, |env| (waiter.reference.copy(env), make(env)).encode(env));
    }

    /// As [`Ticket::answer`]; false: the caller has given up, and is told nothing.
    pub fn answered(mut self, make: impl for<'a> FnOnce(Env<'a>) -> Term<'a>) -> bool {
        self.send(make)
    }

    fn send(&mut self, make: impl for<'a> FnOnce(Env<'a>) -> Term<'a>) -> bool {
        let Some(waiter) = self.take() else { return false };
        // If the process is gone, nobody waits.
        let _ = self
            .waiters
            .tell(&waiter.pid, |env| (waiter.reference.copy(env), make(env)).encode(env));
        true
    }

    fn take(&mut self) -> Option<Waiter> {
        self.is_answered = true;
        self.waiters.tickets.take(self.id)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if self.is_answered {
            return;
        }
        if thread::is_of_member() {
            let lost = self.lost.clone();
            let _ = self.send(|env| terms::error(env, &lost));
        } else {
            // The request was refused on the caller's own scheduler: the call returns the reason.
            self.waiters.cancel(self.id);
        }
    }
}
