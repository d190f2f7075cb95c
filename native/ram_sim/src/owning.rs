//! Owners of keys, as the run knows them: which processes live on which run of which member, what
//! they own, and when a key may go.
//!
//! A key of an owner that lives may go only if its member was out of a leader's reach for the owner
//! timeout. That is seen from outside: a fault lay on the way between them, or ended a moment ago:
//! what is lost here is not sent again, so connections have to be given up and made anew
//! (`Owning::grace_ns`). Other leaders that came meanwhile make the product wait longer; that is
//! not counted.

use bytes::Bytes;
use ram_core::owning::{Ended, Processes};
use ram_store::owners::{Run, run_of};
use ram_store::write::Owner;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

const LOCKS: usize = 3;
const OTHERS: usize = 3;
/// To connect, and to be asked in the next round.
const ROUND_NS: u64 = 750_000_000;
/// In percent: what a majority of clocks may be wrong by, and a little.
const ERROR: u64 = 2;

/// The processes of one run of a member, by their names.
#[derive(Clone, Default)]
pub struct Hosted(Arc<Mutex<Known>>);

#[derive(Default)]
struct Known {
    living: BTreeSet<Vec<u8>>,
    watched: BTreeMap<Vec<u8>, Ended>,
    /// Which of them were told of the loss of which keys.
    lost: BTreeSet<(Vec<u8>, Vec<u8>)>,
}

impl Hosted {
    pub fn begin(&self, name: &[u8]) {
        self.0.lock().unwrap().living.insert(name.into());
    }

    pub fn end(&self, name: &[u8]) {
        let mut known = self.0.lock().unwrap();
        known.living.remove(name);
        let watched = known.watched.remove(name);
        drop(known);
        watched.iter().for_each(Ended::tell);
    }

    pub fn living(&self) -> Vec<Vec<u8>> {
        self.0.lock().unwrap().living.iter().cloned().collect()
    }

    fn lives(&self, name: &[u8]) -> bool {
        self.0.lock().unwrap().living.contains(name)
    }

    fn take_lost(&self, name: &[u8], key: &[u8]) -> bool {
        self.0.lock().unwrap().lost.remove(&(name.into(), key.into()))
    }
}

impl Processes for Hosted {
    fn watch(&self, name: &[u8], ended: Ended) {
        let mut known = self.0.lock().unwrap();
        if known.living.contains(name) {
            known.watched.insert(name.into(), ended);
        } else {
            drop(known);
            ended.tell();
        }
    }

    fn forget(&self, name: &[u8]) {
        self.0.lock().unwrap().watched.remove(name);
    }

    fn lost(&self, name: &[u8], key: &[u8], _revision: u64) {
        self.0.lock().unwrap().lost.insert((name.into(), key.into()));
    }
}

/// A run of a member.
pub struct HostedRun {
    pub host: usize,
    pub start: u64,
    pub member: u64,
    processes: Hosted,
}

/// A put of an owned key. Its value is written once.
struct Put {
    key: Bytes,
    owner: Bytes,
    /// Its owner was out of reach for long.
    is_excused: bool,
    /// Its owner deletes it.
    is_released: bool,
    is_acked: bool,
    /// Its owner was told that it lost this.
    is_told: bool,
}

pub struct Owning {
    /// Keys that are put only where they are absent, and deleted by their owners alone.
    pub locks: Vec<Bytes>,
    /// Keys that anybody puts, whoever owns them.
    pub others: Vec<Bytes>,
    timeout_ns: u64,
    /// A member that can be reached again answers within this time.
    grace_ns: u64,
    runs: BTreeMap<Run, HostedRun>,
    /// By their values.
    puts: BTreeMap<Bytes, Put>,
    /// From when to when hosts were out of reach, at the least one moment in each grace.
    unreached: BTreeMap<usize, (u64, u64)>,
    pub counts: BTreeMap<&'static str, u64>,
}

impl Owning {
    pub fn new(timeout_ms: u64) -> Owning {
        let named = |kind: &str, count: usize| {
            (0..count).map(|number| Bytes::from(format!("{kind}{number}"))).collect()
        };
        let timeout_ns = timeout_ms * 1_000_000;
        Owning {
            locks: named("ol", LOCKS),
            others: named("oo", OTHERS),
            timeout_ns,
            // A dead connection is given up after a quarter of it, and a quarter of that.
            grace_ns: timeout_ns / 3 + ROUND_NS,
            runs: BTreeMap::new(),
            puts: BTreeMap::new(),
            unreached: BTreeMap::new(),
            counts: BTreeMap::new(),
        }
    }

    pub fn keys(&self) -> impl Iterator<Item = &Bytes> {
        self.locks.iter().chain(&self.others)
    }

    pub fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    pub fn begin(&mut self, run: Run, host: usize, start: u64, processes: Hosted) {
        let member = run.member;
        self.runs.insert(run, HostedRun { host, start, member, processes });
    }

    pub fn living_on(&self, host: usize, start: u64) -> Vec<Vec<u8>> {
        let is_it = |run: &&HostedRun| run.host == host && run.start == start;
        self.runs.values().find(is_it).map(|run| run.processes.living()).unwrap_or_default()
    }

    /// It is about to be asked for.
    pub fn put(&mut self, key: Bytes, value: Bytes, owner: Vec<u8>) {
        let owner = Bytes::from(owner);
        self.puts.insert(
            value,
            Put {
                key,
                owner,
                is_excused: false,
                is_released: false,
                is_acked: false,
                is_told: false,
            },
        );
    }

    pub fn acked(&mut self, value: &Bytes) {
        self.puts.entry(value.clone()).and_modify(|put| put.is_acked = true);
    }

    pub fn release(&mut self, value: &Bytes) {
        self.puts.entry(value.clone()).and_modify(|put| put.is_released = true);
    }

    /// Who has it now, as they were told.
    pub fn holders(&self, lock: &Bytes) -> Vec<Bytes> {
        let has_it = |(_, put): &(&Bytes, &Put)| put.is_acked && put.key == *lock;
        self.puts.iter().filter(has_it).map(|(value, _)| value.clone()).collect()
    }

    /// Of the puts whose members were out of reach for the owner timeout, what they own may go.
    pub fn look_at_ways(&mut self, now_ns: u64, unreached: &BTreeSet<usize>) {
        let (timeout_ns, grace_ns) = (self.timeout_ns * (100 - ERROR) / 100, self.grace_ns);
        for host in unreached {
            let (since, last) = self.unreached.get(host).copied().unwrap_or((now_ns, now_ns));
            let since = if last + grace_ns < now_ns { now_ns } else { since };
            self.unreached.insert(*host, (since, now_ns));
        }
        for (host, (since, last)) in &self.unreached {
            if last + grace_ns < now_ns || last + grace_ns < since + timeout_ns {
                continue;
            }
            let runs = self.runs.iter().filter(|(_, run)| run.host == *host);
            let runs: BTreeSet<Run> = runs.map(|(run, _)| *run).collect();
            for put in self.puts.values_mut().filter(|put| !put.is_excused) {
                put.is_excused = run_of(&put.owner).is_some_and(|run| runs.contains(&run));
            }
        }
    }

    /// Has its owner ended, or its run? `has_ended` says so of that.
    pub fn is_dead(&self, value: &[u8], has_ended: &dyn Fn(&HostedRun) -> bool) -> bool {
        let Some(put) = self.puts.get(value) else { return true };
        let owner = Owner::decode(&put.owner).expect("an owner");
        let run = self.runs.get(&Run { member: owner.member, run: owner.run });
        run.is_none_or(|run| !run.processes.lives(owner.name) || has_ended(run))
    }

    pub fn may_go(&self, value: &[u8], has_ended: &dyn Fn(&HostedRun) -> bool) -> bool {
        let is_let_go = |put: &Put| put.is_excused || put.is_released;
        self.puts.get(value).is_none_or(is_let_go) || self.is_dead(value, has_ended)
    }

    pub fn is_released(&self, value: &[u8]) -> bool {
        self.puts.get(value).is_some_and(|put| put.is_released)
    }

    pub fn start_of(&self, run: Run) -> Option<u64> {
        self.runs.get(&run).map(|run| run.start)
    }

    /// Was its owner told that it lost this?
    pub fn was_told(&mut self, value: &[u8]) -> bool {
        let Some(put) = self.puts.get_mut(value) else { return false };
        let Some(owner) = Owner::decode(&put.owner) else { return false };
        let run = self.runs.get(&Run { member: owner.member, run: owner.run });
        put.is_told |= run.is_some_and(|run| run.processes.take_lost(owner.name, &put.key));
        put.is_told
    }
}
