//! What members and their callers share as threads: how threads are made (whoever embeds the core
//! may have them run inside something of its own), the [`stripe`] of each, the [`tickets`] of those
//! who wait for an answer, and the locks that a model checker can take over ([`sync`]).

#![forbid(unsafe_code)]
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

pub mod stripe;
pub mod sync;
pub mod tickets;

#[cfg(feature = "loom")]
pub use loom;

use std::io;
use std::sync::OnceLock;
use std::thread::{Builder, JoinHandle};

/// Has to call what it is given, once.
pub type Around = fn(&mut dyn FnMut());

static AROUND: OnceLock<Around> = OnceLock::new();

/// From now on, whatever runs on a thread of a member runs inside of `around`. The first call of a
/// process counts.
pub fn run_inside(around: Around) {
    let _ = AROUND.set(around);
}

pub fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    let mut run = Some(run);
    Builder::new().name(name.to_owned()).spawn(move || {
        let mut once = || {
            if let Some(run) = run.take() {
                run();
            }
        };
        match AROUND.get() {
            Some(around) => around(&mut once),
            None => once(),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::sync::mpsc::channel;

    thread_local! {
        static INSIDE: Cell<bool> = const { Cell::new(false) };
    }

    #[test]
    fn a_thread_runs_once_inside_of_what_its_owner_wants_and_has_its_name() {
        let (sender, receiver) = channel();
        let tell = sender.clone();
        spawn("ram-test", move || tell.send(INSIDE.get()).unwrap()).unwrap().join().unwrap();
        run_inside(|run| {
            INSIDE.set(true);
            run();
        });
        let told = move || {
            let name = std::thread::current().name().map(str::to_owned);
            sender.send(INSIDE.get() && name.as_deref() == Some("ram-test")).unwrap();
        };
        spawn("ram-test", told).unwrap().join().unwrap();
        assert_eq!(receiver.iter().collect::<Vec<_>>(), [false, true]);
    }
}
