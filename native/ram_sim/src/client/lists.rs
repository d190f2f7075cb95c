//! Transactions that read lists and append to them: see [`lists`](ram_check::lists). All numbers
//! are different. Lists are given up after some seconds, so that they stay short; those of one time
//! stand together in an ordered table, and are also read as a range.

use bytes::Bytes;
use ram_check::lists::{Step, Transaction};
use ram_check::{CallId, Told};
use ram_store::answer::Found;
use ram_store::write::{Command, Comparison, Condition, Place, State};
use rand::RngExt;
use rand::seq::SliceRandom;
use std::ops::Bound;

use super::tables::{How, View, end_of, ran};
use super::{Asked, Client};
use crate::host::now_ns;

const TABLE: &str = "lists";
const LISTS: usize = 3;
const KEPT_NS: u64 = 6_000_000_000;

/// Which time it is.
fn now() -> u64 {
    now_ns() / KEPT_NS
}

/// What the keys of a time begin with.
fn begin_of(time: u64) -> String {
    format!("{time:05}.")
}

impl Client {
    pub async fn work_on_lists(&mut self) {
        if self.rng.random_bool(0.35) {
            let how = self.some_way();
            _ = self.read_lists(now(), how).await;
        } else {
            self.append().await;
        }
    }

    /// Reads all lists there ever were.
    pub async fn read_all_lists(&mut self) -> bool {
        for time in 0..=now() {
            if !self.read_lists(time, How::Together).await {
                return false;
            }
        }
        true
    }

    /// Reads all lists of a time, and notes what they hold.
    async fn read_lists(&mut self, time: u64, how: How) -> bool {
        let time = begin_of(time);
        let keys = self.lists(&time);
        let id = self.calls_lists(Transaction(keys.iter().map(|key| read(key)).collect()));
        let view = self.view(TABLE, &keys, time.as_bytes(), how).await;
        let saw = view.as_ref().map(|view| keys.iter().map(|key| list(view, key)).collect());
        self.returns_lists(id, saw.map_or(Told::Unknown, Told::Done));
        view.is_some()
    }

    /// Reads some lists, or the range of all, appends to some of them, and reads others after that:
    /// if what was read first is as it was then.
    async fn append(&mut self) {
        let (time, by_range) = (begin_of(now()), self.rng.random_bool(0.3));
        let mut keys = self.lists(&time);
        let read_first = if by_range { LISTS } else { self.rng.random_range(1..=LISTS) };
        let how = if by_range { How::ByScan } else { How::Together };
        let Some(view) = self.view(TABLE, &keys[..read_first], time.as_bytes(), how).await else {
            return;
        };
        let rest = keys.split_off(read_first);
        let appended = self.rng.random_range(1..=read_first.min(2));
        let appends: Vec<(Bytes, i64, String)> = keys[..appended]
            .iter()
            .map(|key| {
                let number = self.fresh_number();
                (key.clone(), number, appended_to(&list(&view, key), number))
            })
            .collect();
        let appended = appends.iter().map(|(key, number, _)| Step::append(&name(key), *number));
        let steps = keys.iter().map(|key| read(key)).chain(appended);
        let steps = steps.chain(rest.iter().map(|key| read(key))).collect();
        let id = self.calls_lists(Transaction(steps));
        let puts = appends.iter().map(|(key, _, value)| Command::put(key, value.as_bytes()));
        let gets = rest.iter().map(|key| Command::Get { at: Place::of(key) });
        let commands: Vec<_> = puts.chain(gets).collect();
        let end = end_of(time.as_bytes());
        let conditions = match by_range {
            true => vec![unchanged_range(&view, time.as_bytes(), &end)],
            false => keys.iter().map(|key| unchanged(&view, key)).collect(),
        };
        let told = match self.transact(TABLE, &conditions, &commands).await {
            Asked::Done(answer) => match ran(answer) {
                Some(found) => {
                    let before = keys.iter().map(|key| list(&view, key));
                    let after = found.iter().map(|found| found.as_ref().map_or_else(Vec::new, of));
                    Told::Done(before.chain(after).collect())
                }
                None => Told::Failed,
            },
            Asked::Unknown => Told::Unknown,
            Asked::Failed => Told::Failed,
        };
        let is_refused = told == Told::Failed;
        self.returns_lists(id, told);
        if is_refused && view.keys.is_empty() {
            self.create_table(TABLE, true).await;
        }
    }

    /// In some order.
    fn lists(&mut self, time: &str) -> Vec<Bytes> {
        let mut keys: Vec<Bytes> =
            (0..LISTS).map(|number| Bytes::from(format!("{time}l{number}"))).collect();
        keys.shuffle(&mut self.rng);
        keys
    }

    fn fresh_number(&self) -> i64 {
        let state = &mut *self.world.borrow_mut();
        state.numbers += 1;
        state.numbers
    }

    fn calls_lists(&self, request: Transaction) -> CallId {
        self.note(&request);
        let state = &mut *self.world.borrow_mut();
        state.lists.call(&self.name, &self.node, request, now_ns())
    }

    fn returns_lists(&self, id: CallId, told: Told<Vec<Vec<i64>>>) {
        self.note(&told);
        self.world.borrow_mut().lists.ret(id, told, now_ns()).unwrap();
    }
}

fn name(key: &[u8]) -> String {
    String::from_utf8_lossy(key).into_owned()
}

fn read(key: &[u8]) -> Step {
    Step::read(&name(key))
}

fn list(view: &View, key: &Bytes) -> Vec<i64> {
    view.keys.get(key).map(|seen| numbers(&seen.value)).unwrap_or_default()
}

fn of(found: &Found) -> Vec<i64> {
    numbers(&found.value)
}

fn numbers(value: &[u8]) -> Vec<i64> {
    name(value).split(',').map(|number| number.parse().unwrap()).collect()
}

fn appended_to(list: &[i64], number: i64) -> String {
    let words = list.iter().chain([&number]).map(i64::to_string);
    words.collect::<Vec<_>>().join(",")
}

fn unchanged<'a>(view: &View, key: &'a Bytes) -> Condition<'a> {
    let revision = view.keys.get(key).map(|seen| seen.revision);
    let is = revision.map_or(State::Absent, |at| State::Revision(Comparison::Equal, at));
    Condition::Key { at: Place::of(key), is }
}

/// Also what was not there is not there.
fn unchanged_range<'a>(view: &View, from: &'a [u8], to: &'a [u8]) -> Condition<'a> {
    Condition::Unchanged {
        table: None,
        range: (Bound::Included(from), Bound::Excluded(to)),
        revision: view.revision.unwrap_or_default(),
        entries: view.keys.len() as u64,
    }
}
