//! The log of the core, handed to the logger of the VM.
//!
//! Only what ram itself says (targets "ram_..."), from level info up. Lines go as messages
//! `{ram_log, Level, Text}` to the process that started a member last; what is said on a scheduler
//! thread is dropped, since a message cannot be sent from there, and the core says nothing there.

use once_cell::sync::Lazy;
use rustler::Encoder;
use rustler::env::OwnedEnv;
use rustler::types::LocalPid;
use std::fmt::Write;
use std::sync::Mutex;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::{Subscriber, set_global_default};
use tracing::{Event, Level, Metadata};

use crate::thread;

mod atoms {
    rustler::atoms! { ram_log, error, warning, notice }
}

static LISTENER: Lazy<Mutex<Option<LocalPid>>> = Lazy::new(|| {
    // Fails only when a subscriber is set already, and this runs once.
    let _ = set_global_default(ToLogger);
    Mutex::new(None)
});

/// From now on the lines go to this process.
pub fn send_to(pid: LocalPid) {
    if let Ok(mut listener) = LISTENER.lock() {
        *listener = Some(pid);
    }
}

struct ToLogger;

impl Subscriber for ToLogger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event()
            && metadata.level() <= &Level::INFO
            && metadata.target().starts_with("ram_")
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        // No span is enabled; openraft's are all below this.
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let listener = LISTENER.lock().ok().and_then(|listener| *listener);
        let (true, Some(pid)) = (thread::is_of_member(), listener) else { return };
        let mut line = Line::default();
        event.record(&mut line);
        let level = match *event.metadata().level() {
            Level::ERROR => atoms::error(),
            Level::WARN => atoms::warning(),
            _ => atoms::notice(),
        };
        let message = (atoms::ram_log(), level, line.0);
        // An error means that the process is gone.
        let _ = OwnedEnv::new().send_and_clear(&pid, |env| message.encode(env));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// The message first, then its fields.
#[derive(Default)]
struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        // Writing to a String does not fail.
        let _ = match field.name() {
            "message" => write!(self.0, "{value:?}"),
            name => write!(self.0, " {name}={value:?}"),
        };
    }
}
