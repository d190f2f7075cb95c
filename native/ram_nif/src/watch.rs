//! Watches: counterpart of ram_watch.erl. A watch is an object of the virtual machine, whose term
//! is its reference, in the call and in each message.

use ram_core::Error;
use ram_core::watch::{Control, Deliver, Keys, Message, Spec};
use rustler::env::OwnedEnv;
use rustler::types::LocalPid;
use rustler::{Atom, Binary, Decoder, Encoder, Env, NifResult, Term};
use std::ops::Bound;
use std::sync::Arc;

use crate::arguments::{decode_range, encode_key, table_name};
use crate::config::Mode;
use crate::member::MemberResource;
use crate::raw::{Held, Monitor, Type};
use crate::reply::{Ticket, Waiters};
use crate::request::{READ_LOST, deadline, queue};
use crate::terms;

pub static WATCHES: Type<Watch> = Type::new();

mod atoms {
    rustler::atoms! { ok, error, all, key, none, upside_down }
}

/// The object holds no member: it may outlive it.
pub struct Watch(Control);

impl Monitor for Watch {
    /// The receiver is gone.
    fn down(&self) {
        self.0.end();
    }
}

/// Sends what there is to send, on a thread of the member.
struct Receiver {
    pid: LocalPid,
    watch: Arc<Held<Watch>>,
    waiters: Arc<Waiters>,
}

impl Deliver for Receiver {
    fn deliver(&self, message: Message<'_>) -> bool {
        if terms::is_short_event(message) {
            return self
                .waiters
                .tell(&self.pid, |env| terms::event(env, self.watch.term(env), message));
        }
        OwnedEnv::new()
            .send_and_clear(&self.pid, |env| terms::event(env, self.watch.term(env), message))
            .is_ok()
    }
}

/// `{To, From | none, Initial, Old, EventsMax, BytesMax, MayWait}`
struct Options {
    pid: LocalPid,
    from: Option<u64>,
    initial: bool,
    old: bool,
    events_max: usize,
    bytes_max: u64,
    may_wait: bool,
}

impl<'a> Decoder<'a> for Options {
    fn decode(term: Term<'a>) -> NifResult<Self> {
        let (pid, from, initial, old, events_max, bytes_max, may_wait) =
            term.decode::<(LocalPid, Term, bool, bool, usize, u64, bool)>()?;
        let from = if atoms::none() == from { None } else { Some(from.decode()?) };
        Ok(Options { pid, from, initial, old, events_max, bytes_max, may_wait })
    }
}

/// Queues it; `What :: all | {key, Key} | Range`, see `arguments::range`. The answer is `{ok,
/// Watch, Revision}`, after which messages come.
#[rustler::nif(schedule = "DirtyCpu")]
fn watch<'a>(
    env: Env<'a>,
    member: &'a MemberResource,
    reference: Term<'a>,
    (table, what): (Binary<'a>, Term<'a>),
    options: Options,
    Mode(mode): Mode,
    timeout_ms: u64,
) -> NifResult<Term<'a>> {
    let keys = match decode_keys(env, member, what)? {
        Ok(keys) if is_upside_down(&keys) => {
            return Ok((atoms::error(), atoms::upside_down()).encode(env));
        }
        Ok(keys) => keys,
        Err(wrong) => return Ok(wrong),
    };
    let (pid, table) = (options.pid, table_name(&table)?.to_owned());
    let Options { from, may_wait, initial, old, events_max, bytes_max, .. } = options;
    let spec = Spec { table, keys, from, may_wait, initial, old, events_max, bytes_max };
    let control = member.node.watches().control();
    let watch = Arc::new(WATCHES.hold(Watch(control.clone())));
    if !watch.monitor(env, &pid) {
        control.end();
    }
    let waiters = member.waiters.clone();
    let deliver = Box::new(Receiver { pid, watch: watch.clone(), waiters });
    Ok(queue(env, member, (reference, READ_LOST), |ticket| {
        let begun = control.clone();
        let reply = Box::new(move |answer: ram_core::Result<ram_core::Result<u64>>| {
            if !told(ticket, &watch, answer.and_then(|begun| begun)) {
                begun.end();
            }
        });
        member.node.watch(mode, (spec, control), deliver, deadline(timeout_ms), reply)
    }))
}

/// False: the caller has given up.
fn told(ticket: Ticket, watch: &Held<Watch>, begun: Result<u64, Error>) -> bool {
    ticket.answered(|env| {
        terms::result(env, begun, |revision| (atoms::ok(), watch.term(env), revision).encode(env))
    })
}

fn decode_keys<'a>(
    env: Env<'a>,
    member: &MemberResource,
    what: Term<'a>,
) -> NifResult<Result<Keys, Term<'a>>> {
    if atoms::all() == what {
        return Ok(Ok(Keys::All));
    }
    if let Ok((kind, key)) = what.decode::<(Atom, Term<'a>)>()
        && kind == atoms::key()
    {
        let mut bytes = Vec::with_capacity(32);
        return Ok(encode_key(env, member, key, usize::MAX, &mut bytes)?.map(|_| Keys::One(bytes)));
    }
    Ok(decode_range(env, member, what, usize::MAX)?.map(|range| Keys::Range(range.from, range.to)))
}

fn is_upside_down(keys: &Keys) -> bool {
    match keys {
        Keys::Range(Bound::Included(from), Bound::Included(to)) => from > to,
        _ => false,
    }
}

/// Nothing is sent any more when this returns. Waits for a message that is being sent.
#[rustler::nif(schedule = "DirtyCpu")]
fn unwatch<'a>(env: Env<'a>, watch: Term<'a>) -> Term<'a> {
    if let Some(watch) = WATCHES.object(watch) {
        watch.0.end_now();
    }
    atoms::ok().encode(env)
}

/// The receiver has seen a message of this revision, and all before.
#[rustler::nif]
fn watch_ack<'a>(env: Env<'a>, watch: Term<'a>, revision: u64) -> Term<'a> {
    if let Some(watch) = WATCHES.object(watch) {
        watch.0.ack(revision);
    }
    atoms::ok().encode(env)
}
