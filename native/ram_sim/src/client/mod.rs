//! Clients: they read and write a few hot keys through the member they are on, and note what they
//! asked and what they learnt. Every value is written once in a run, so it names its write.

use bytes::Bytes;
use ram_check::{Action, Op, Outcome, Value};
use ram_core::handle::{Handle, Writing};
use ram_store::answer::Answer;
use ram_store::write::{Command, Comparison, Condition, Place, State, Write};
use ram_table::table::Item;
use rand::RngExt;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};

use crate::entropy;
use crate::host::now_ns;
use crate::plan::host_name;
use crate::world::World;

/// What a key held when this client last looked: the value and its revision.
type Known = BTreeMap<Bytes, (Bytes, u64)>;

struct Client {
    world: World,
    handle: Handle,
    name: String,
    node: String,
    timeout: Duration,
    writes: u64,
    known: Known,
}

/// Works until the member ends.
pub async fn run(world: World, handle: Handle, host: usize, start: u64, number: usize) {
    let (seed, think_max_ms) = {
        let state = world.borrow();
        (state.plan.seed, state.plan.think_max_ms)
    };
    let mut rng = entropy::stream(seed, "client", start * 100 + number as u64);
    let timeout = Duration::from_millis(rng.random_range(200..3000));
    let mut client = Client::new(world, handle, host, format!("{start}.{number}"), timeout);
    loop {
        sleep(Duration::from_millis(rng.random_range(1..=think_max_ms))).await;
        if client.world.borrow().clients_rest {
            continue;
        }
        let key = {
            let state = client.world.borrow();
            state.keys[rng.random_range(0..state.keys.len())].clone()
        };
        match rng.random_range(0..100) {
            0..40 => _ = client.read(&key).await,
            40..70 => _ = client.put(&key).await,
            70..78 => _ = client.delete(&key).await,
            _ => client.cas(&key, rng.random_bool(0.9)).await,
        }
    }
}

/// Writes, and reads every key, once the faults are over.
pub async fn prove(world: World, handle: Handle, host: usize) {
    let name = format!("prover.{host}.{}", now_ns());
    let mut client = Client::new(world.clone(), handle, host, name, Duration::from_secs(5));
    let keys = world.borrow().keys.clone();
    if !client.put(&keys[0]).await {
        return;
    }
    for key in &keys {
        if !client.read(key).await {
            return;
        }
    }
    world.borrow_mut().hosts[host].is_proven = true;
}

impl Client {
    fn new(world: World, handle: Handle, host: usize, name: String, timeout: Duration) -> Client {
        let node = host_name(host);
        Client { world, handle, name, node, timeout, writes: 0, known: Known::new() }
    }

    async fn read(&mut self, key: &Bytes) -> bool {
        let (sender, answer) = oneshot::channel();
        let handle = self.handle.clone();
        let asked = key.clone();
        let mode = handle.config().reads;
        let share = |item: Option<&Item>| Some(item.cloned());
        let ask = move |deadline: Instant| match handle.look(mode, &asked, share)? {
            Some(found) => {
                _ = sender.send(Ok(found));
                Ok(())
            }
            None => {
                let reply = Box::new(move |read| _ = sender.send(read));
                handle.read(mode, asked, deadline.into_std(), reply)
            }
        };
        let read = self.asking(key, Action::Read, ask, answer, |read: &Option<Item>| {
            Outcome::Saw(read.as_ref().map(|item| value(&item.value())))
        });
        let Some(read) = read.await else { return false };
        match read {
            Some(item) => {
                let found = Bytes::from(item.value().into_owned());
                self.saw(&found, item.revision());
                self.known.insert(key.clone(), (found, item.revision()));
            }
            None => _ = self.known.remove(key),
        }
        true
    }

    async fn put(&mut self, key: &Bytes) -> bool {
        let new = self.fresh_value();
        let writing = self.plain(&Command::put(key, &new));
        let written = self.write(key, Action::Write(value(&new)), writing).await;
        self.learn(key, Some(new), written);
        written.is_some()
    }

    async fn delete(&mut self, key: &Bytes) -> bool {
        let writing = self.plain(&Command::delete(key));
        let written = self.write(key, Action::Delete, writing).await;
        self.learn(key, None, written);
        written.is_some()
    }

    async fn cas(&mut self, key: &Bytes, is_put: bool) {
        let known = self.known.get(key).cloned();
        let is = |(_, at): &(Bytes, u64)| State::Revision(Comparison::Equal, *at);
        let is = known.as_ref().map_or(State::Absent, is);
        let new = is_put.then(|| self.fresh_value());
        let command = match &new {
            Some(new) => Command::put(key, new),
            None => Command::delete(key),
        };
        let writing = self.conditional(key, is, &command);
        let action = Action::Cas {
            expect: known.map(|(found, _)| value(&found)),
            new: new.as_deref().map(value),
        };
        match self.write(key, action, writing).await {
            Some(Some(revision)) => self.learn(key, new, Some(Some(revision))),
            _ => _ = self.known.remove(key),
        }
    }

    fn plain(&self, command: &Command<'_>) -> ram_core::Result<Writing<'_>> {
        let mut writing = self.handle.writing(&Write::Batch { table: "", commands: 1 });
        writing.command(command)?;
        Ok(writing)
    }

    fn conditional(
        &self,
        key: &[u8],
        is: State<'_>,
        command: &Command<'_>,
    ) -> ram_core::Result<Writing<'_>> {
        let head = Write::Transaction { table: "", conditions: 1, then: 1, otherwise: 0 };
        let mut writing = self.handle.writing(&head);
        writing.condition(&Condition::Key { at: Place::of(key), is })?;
        writing.command(command)?;
        Ok(writing)
    }

    /// The revision of what was done; `None` in it is a conflict.
    async fn write(
        &self,
        key: &Bytes,
        action: Action,
        writing: ram_core::Result<Writing<'_>>,
    ) -> Option<Option<u64>> {
        let (sender, answer) = oneshot::channel();
        let reply = Box::new(move |answer| _ = sender.send(answer));
        let ask = |deadline: Instant| writing?.submit(deadline.into_std(), reply);
        let written = self.asking(key, action, ask, answer, |answer| match done(answer) {
            Some(_) => Outcome::Ok,
            None => Outcome::Conflict,
        });
        written.await.map(|answer| done(&answer))
    }

    /// Asks and waits, and notes both. `None` when it is not known to be done.
    async fn asking<T>(
        &self,
        key: &Bytes,
        action: Action,
        ask: impl FnOnce(Instant) -> ram_core::Result<()>,
        answer: oneshot::Receiver<ram_core::Result<T>>,
        outcome: impl FnOnce(&T) -> Outcome,
    ) -> Option<T> {
        let op = Op::new(&String::from_utf8_lossy(key), action);
        let id = {
            let (state, at_ns) = (&mut *self.world.borrow_mut(), now_ns());
            state.trace.note(at_ns, (&self.name, &op));
            state.history.call(&self.name, &self.node, op, at_ns)
        };
        let (learnt, answer) = match ask(Instant::now() + self.timeout) {
            Err(_) => (Outcome::Failed, None),
            Ok(()) => match tokio::time::timeout(self.timeout, answer).await {
                Ok(Ok(Ok(answer))) => (outcome(&answer), Some(answer)),
                _ => (Outcome::Unknown, None),
            },
        };
        let (state, at_ns) = (&mut *self.world.borrow_mut(), now_ns());
        state.trace.note(at_ns, (&self.name, &learnt));
        state.history.ret(id, learnt, at_ns).unwrap();
        answer
    }

    fn learn(&mut self, key: &Bytes, new: Option<Bytes>, written: Option<Option<u64>>) {
        match (new, written) {
            (Some(new), Some(Some(revision))) => {
                // A write that was answered too early does not know its revision.
                if revision > 0 {
                    self.saw(&new, revision);
                }
                self.known.insert(key.clone(), (new, revision));
            }
            _ => _ = self.known.remove(key),
        }
    }

    fn saw(&self, tag: &[u8], revision: u64) {
        let mut state = self.world.borrow_mut();
        if let Err(detail) = state.once.saw(tag, revision) {
            state.violated(crate::invariants::Once::NAME, detail);
        }
    }

    fn fresh_value(&mut self) -> Bytes {
        self.writes += 1;
        Bytes::from(format!("{}-{}", self.name, self.writes))
    }
}

/// The revision, unless a condition did not hold.
fn done(answer: &Answer) -> Option<u64> {
    match answer {
        Answer::Done { revision } | Answer::Ran { succeeded: true, revision, .. } => {
            Some(*revision)
        }
        _ => None,
    }
}

fn value(bytes: &[u8]) -> Value {
    Value::Text(String::from_utf8_lossy(bytes).as_ref().into())
}
