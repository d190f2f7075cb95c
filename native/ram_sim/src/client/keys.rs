//! Reads and writes of one key: of some that hold values, each of which is written once in a run,
//! so that it names its write, and of others that are counted with.

use bytes::Bytes;
use ram_check::{Action, Op, Outcome, Value};
use ram_core::handle::Writing;
use ram_store::answer::{Answer, Found};
use ram_store::write::{Command, Comparison, Condition, Place, State, Write};
use ram_table::table::Item;
use rand::RngExt;
use std::collections::BTreeMap;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::{Asked, Client};
use crate::host::now_ns;

/// What a key held when this client last looked: the value and its revision.
pub type Known = BTreeMap<Bytes, (Bytes, u64)>;

impl Client {
    pub async fn work_on_keys(&mut self) {
        let key = {
            let state = self.world.borrow();
            state.keys[self.rng.random_range(0..state.keys.len())].clone()
        };
        match self.rng.random_range(0..100) {
            0..40 => _ = self.read(&key).await,
            40..68 => _ = self.put(&key).await,
            68..74 => _ = self.delete(&key).await,
            74..80 => self.take(&key).await,
            _ => {
                let is_put = self.rng.random_bool(0.9);
                self.cas(&key, is_put).await;
            }
        }
    }

    /// Counts with a counter, or reads it.
    pub async fn count(&mut self) {
        let key = {
            let state = self.world.borrow();
            state.counters[self.rng.random_range(0..state.counters.len())].clone()
        };
        if self.rng.random_bool(0.3) {
            _ = self.read(&key).await;
            return;
        }
        let n = self.rng.random_range(1..=9i64);
        let count = n.to_le_bytes();
        let commands = [Command::Count { at: Place::of(&key), count: &count }];
        let writing = self.transaction(None, &commands);
        let outcome = |answer: &Answer| Outcome::Saw(first_result(answer).map(number));
        _ = self.write(&key, Action::Add(n), writing, outcome).await;
    }

    pub async fn read(&mut self, key: &Bytes) -> bool {
        let handle = self.handle.clone();
        let asked = key.clone();
        let mode = handle.config().reads;
        let share = |item: Option<&Item>| Some(item.cloned());
        let is_counter = key.starts_with(b"n");
        let ask = move |deadline: Instant, sender: oneshot::Sender<_>| match handle
            .look(mode, &asked, share)?
        {
            Some(found) => {
                _ = sender.send(Ok(found));
                Ok(())
            }
            None => {
                let reply = Box::new(move |read| _ = sender.send(read));
                handle.read(mode, asked, deadline.into_std(), reply)
            }
        };
        let outcome = |read: &Option<Item>| {
            let of = |item: &Item| match is_counter {
                true => number(&item.value()),
                false => value(&item.value()),
            };
            Outcome::Saw(read.as_ref().map(of))
        };
        let Some(read) = self.asking(key, Action::Read, ask, outcome).await else { return false };
        match read.filter(|_| !is_counter) {
            Some(item) => {
                let found = Bytes::from(item.value().into_owned());
                self.saw(&found, item.revision());
                self.known.insert(key.clone(), (found, item.revision()));
            }
            None => _ = self.known.remove(key),
        }
        true
    }

    pub async fn put(&mut self, key: &Bytes) -> bool {
        let new = self.fresh_value();
        let writing = self.plain(&Command::put(key, &new));
        let written = self.write(key, Action::Write(value(&new)), writing, met).await;
        self.learn(key, Some(new), written.as_ref().map(done));
        written.is_some()
    }

    async fn delete(&mut self, key: &Bytes) {
        let writing = self.plain(&Command::delete(key));
        _ = self.write(key, Action::Delete, writing, met).await;
        self.known.remove(key);
    }

    /// Reads and deletes.
    async fn take(&mut self, key: &Bytes) {
        let commands = [Command::Get { at: Place::of(key) }, Command::delete(key)];
        let writing = self.transaction(None, &commands);
        let outcome = |answer: &Answer| Outcome::Saw(first_result(answer).map(value));
        _ = self.write(key, Action::Swap(None), writing, outcome).await;
        self.known.remove(key);
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
        let condition = Condition::Key { at: Place::of(key), is };
        let writing = self.transaction(Some(condition), &[command]);
        let action = Action::Cas {
            expect: known.map(|(found, _)| value(&found)),
            new: new.as_deref().map(value),
        };
        match self.write(key, action, writing, met).await.as_ref().map(done) {
            Some(Some(revision)) => self.learn(key, new, Some(Some(revision))),
            _ => _ = self.known.remove(key),
        }
    }

    fn plain(&self, command: &Command<'_>) -> ram_core::Result<Writing<'_>> {
        let mut writing = self.handle.writing(&Write::Batch { table: "", commands: 1 })?;
        writing.command(command)?;
        Ok(writing)
    }

    pub fn transaction(
        &self,
        condition: Option<Condition<'_>>,
        commands: &[Command<'_>],
    ) -> ram_core::Result<Writing<'_>> {
        let (conditions, then) = (condition.iter().count() as u32, commands.len() as u32);
        let head = Write::Transaction { table: "", conditions, then, otherwise: 0 };
        let mut writing = self.handle.writing(&head)?;
        condition.iter().try_for_each(|condition| writing.condition(condition))?;
        commands.iter().try_for_each(|command| writing.command(command))?;
        Ok(writing)
    }

    async fn write(
        &self,
        key: &Bytes,
        action: Action,
        writing: ram_core::Result<Writing<'_>>,
        outcome: impl FnOnce(&Answer) -> Outcome,
    ) -> Option<Answer> {
        let ask = |deadline: Instant, sender: oneshot::Sender<_>| {
            let reply = Box::new(move |answer| _ = sender.send(answer));
            writing?.submit(deadline.into_std(), reply)
        };
        self.asking(key, action, ask, outcome).await
    }

    /// Asks and waits, and notes both. `None` when it is not known to be done.
    async fn asking<T>(
        &self,
        key: &Bytes,
        action: Action,
        ask: impl FnOnce(Instant, oneshot::Sender<ram_core::Result<T>>) -> ram_core::Result<()>,
        outcome: impl FnOnce(&T) -> Outcome,
    ) -> Option<T> {
        let op = Op::new(&String::from_utf8_lossy(key), action);
        self.note(&op);
        let id = self.world.borrow_mut().history.call(&self.name, &self.node, op, now_ns());
        let (learnt, answer) = match self.ask(ask).await {
            Asked::Done(answer) => (outcome(&answer), Some(answer)),
            Asked::Unknown => (Outcome::Unknown, None),
            Asked::Failed => (Outcome::Failed, None),
        };
        self.note(&learnt);
        self.world.borrow_mut().history.ret(id, learnt, now_ns()).unwrap();
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

fn met(answer: &Answer) -> Outcome {
    if done(answer).is_some() { Outcome::Ok } else { Outcome::Conflict }
}

fn first_result(answer: &Answer) -> Option<&[u8]> {
    let Answer::Ran { results: Some(results), .. } = answer else { return None };
    results.first()?.as_ref().map(|Found { value, .. }| &**value)
}

fn value(bytes: &[u8]) -> Value {
    Value::Text(String::from_utf8_lossy(bytes).as_ref().into())
}

/// As [`Plain`](ram_table::value::Plain) has them.
pub fn number_of(bytes: &[u8]) -> i64 {
    i64::from_le_bytes(bytes.try_into().unwrap())
}

fn number(bytes: &[u8]) -> Value {
    Value::from(number_of(bytes))
}
