//! Clients: they read and write through the member they are on, and note what they asked and what
//! they learnt: one key at a time (`keys`), or several at once (`tables`), as the accounts of a
//! bank (`bank`) and as lists that are appended to (`lists`); keys that expire (`expiring`), and
//! those that have owners (`owning`); and watches (`receiving`).

mod bank;
mod expiring;
mod keys;
mod lists;
mod owning;
mod receiving;
mod tables;

use bytes::Bytes;
use ram_core::handle::Handle;
use rand::RngExt;
use rand::rngs::StdRng;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};

use crate::entropy;
use crate::host::now_ns;
use crate::plan::host_name;
use crate::world::World;
use keys::Known;
pub use owning::run as own;
pub use receiving::{Copy, run as receive};
use tables::How;

struct Client {
    world: World,
    handle: Handle,
    name: String,
    node: String,
    timeout: Duration,
    writes: u64,
    known: Known,
    rng: StdRng,
}

/// What came of a request.
enum Asked<T> {
    Done(T),
    /// It may have happened, or may still.
    Unknown,
    /// It did not happen.
    Failed,
}

/// Works until the member ends.
pub async fn run(world: World, handle: Handle, host: usize, start: u64, number: usize) {
    let (seed, think_max_ms) = {
        let state = world.borrow();
        (state.plan.seed, state.plan.think_max_ms)
    };
    let mut rng = entropy::stream(seed, "client", start * 100 + number as u64);
    let timeout = Duration::from_millis(rng.random_range(200..3000));
    let name = format!("{start}.{number}");
    let mut client = Client::new(world, handle, (host, name), timeout, rng);
    loop {
        sleep(Duration::from_millis(client.rng.random_range(1..=think_max_ms))).await;
        if client.world.borrow().clients_rest {
            continue;
        }
        match client.rng.random_range(0..100) {
            0..70 => client.work_on_keys().await,
            70..78 => client.count().await,
            78..86 => client.work_at_the_bank().await,
            86..90 => client.put_for_a_while().await,
            _ => client.work_on_lists().await,
        }
    }
}

/// Writes, and reads everything, once the faults are over.
pub async fn prove(world: World, handle: Handle, host: usize) {
    let name = format!("prover.{host}.{}", now_ns());
    let rng = entropy::stream(world.borrow().plan.seed, "prover", host as u64);
    let mut client = Client::new(world.clone(), handle, (host, name), Duration::from_secs(5), rng);
    let (keys, counters) = {
        let state = world.borrow();
        (state.keys.clone(), state.counters.clone())
    };
    if !client.put(&keys[0]).await {
        return;
    }
    for key in keys.iter().chain(&counters) {
        if !client.read(key).await {
            return;
        }
    }
    let has_read = client.look_at_the_bank(How::Together).await && client.read_all_lists().await;
    world.borrow_mut().hosts[host].is_proven |= has_read;
}

impl Client {
    fn new(
        world: World,
        handle: Handle,
        (host, name): (usize, String),
        timeout: Duration,
        rng: StdRng,
    ) -> Client {
        let (node, known) = (host_name(host), Known::new());
        Client { world, handle, name, node, timeout, writes: 0, known, rng }
    }

    /// Asks and waits.
    async fn ask<T>(
        &self,
        ask: impl FnOnce(Instant, oneshot::Sender<ram_core::Result<T>>) -> ram_core::Result<()>,
    ) -> Asked<T> {
        let (sender, answer) = oneshot::channel();
        match ask(Instant::now() + self.timeout, sender) {
            Err(_) => Asked::Failed,
            Ok(()) => match tokio::time::timeout(self.timeout, answer).await {
                Ok(Ok(Ok(answer))) => Asked::Done(answer),
                _ => Asked::Unknown,
            },
        }
    }

    fn note(&self, event: impl std::fmt::Debug) {
        self.world.borrow_mut().trace.note(now_ns(), (&self.name, event));
    }

    fn fresh_value(&mut self) -> Bytes {
        self.writes += 1;
        Bytes::from(format!("{}-{}", self.name, self.writes))
    }
}
