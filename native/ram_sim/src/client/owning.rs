//! Processes that own keys: they are begun on each member, put keys for themselves and for others,
//! and end, most of them in the middle of something.

use bytes::Bytes;
use ram_core::handle::Handle;
use ram_store::answer::Answer;
use ram_store::owners::run_of;
use ram_store::write::{Command, Condition, EncodedOwner, Place, Setting, State};
use rand::RngExt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::{Asked, Client};
use crate::entropy;
use crate::owning::Hosted;
use crate::plan::{node_name, pick};
use crate::world::World;

const LIVING_MAX: usize = 4;
/// Of some: they outlive a silence of their member.
const LIFE_MAX_MS: u64 = 20_000;
const SHORT_LIFE_MAX_MS: u64 = 4000;

/// Begins processes until the member ends.
pub async fn run(world: World, handle: Handle, host: usize, start: u64) {
    let seed = world.borrow().plan.seed;
    let mut rng = entropy::stream(seed, "owners", start);
    let processes = Hosted::default();
    let run = run_of(&handle.owner_here(b"")).expect("an owner");
    world.borrow_mut().owning.begin(run, host, start, processes.clone());
    handle.host(Arc::new(processes.clone()));
    let mut living = JoinSet::new();
    for number in 0.. {
        sleep(Duration::from_millis(rng.random_range(50..800))).await;
        while living.try_join_next().is_some() {}
        if living.len() >= LIVING_MAX || world.borrow().clients_rest {
            continue;
        }
        let name = format!("owner.{start}.{number}");
        let rng = entropy::stream(seed, "owner", start * 10_000 + number);
        let patience = Duration::from_secs(2);
        let client = Client::new(world.clone(), handle.clone(), (host, name), patience, rng);
        living.spawn_local(live(client, processes.clone()));
    }
}

async fn live(mut client: Client, processes: Hosted) {
    let name = Bytes::from(client.name.clone());
    processes.begin(&name);
    client.note("begins");
    let is_long = client.rng.random_bool(0.3);
    let life_max_ms = if is_long { LIFE_MAX_MS } else { SHORT_LIFE_MAX_MS };
    let life = Duration::from_millis(client.rng.random_range(20..life_max_ms));
    let _ = timeout(life, client.own()).await;
    client.note("ends");
    processes.end(&name);
}

impl Client {
    async fn own(&mut self) {
        while !self.world.borrow().clients_rest {
            match self.rng.random_range(0..100) {
                0..60 => self.lock().await,
                60..80 => self.put_owned(true).await,
                _ => self.put_owned(false).await,
            }
            sleep(Duration::from_millis(self.rng.random_range(5..400))).await;
        }
    }

    /// Puts a key where there is none, and may delete it when it has worked a little.
    async fn lock(&mut self) {
        let locks = self.world.borrow().owning.locks.clone();
        let key = pick(&mut self.rng, &locks).expect("a lock").clone();
        let holders = self.world.borrow().owning.holders(&key);
        let owner = self.handle.owner_here(self.name.as_bytes());
        let is_absent = Condition::Key { at: Place::of(&key), is: State::Absent };
        let (value, has_it) = self.put_for(&key, &owner, Some(is_absent)).await;
        if has_it != Some(true) {
            return;
        }
        self.judge_holders(&key, &value, &holders);
        self.judge_told(&key, &value).await;
        if self.rng.random_bool(0.25) {
            sleep(Duration::from_millis(self.rng.random_range(1..500))).await;
            self.unlock(&key, &value).await;
        }
    }

    async fn unlock(&mut self, key: &Bytes, value: &Bytes) {
        self.world.borrow_mut().owning.release(value);
        let at = Place::of(key);
        let is_own = Condition::Key { at, is: State::Value(value) };
        _ = self.decide(Some(is_own), &Command::Delete { at }).await;
    }

    /// Who had it before this was asked for has it no more.
    fn judge_holders(&self, key: &Bytes, value: &Bytes, holders: &[Bytes]) {
        let mut state = self.world.borrow_mut();
        state.owning.acked(value);
        state.owning.count("locks that were taken");
        let holds = |holder: &&Bytes| !state.owning.may_go(holder, &|run| state.has_ended(run));
        if let Some(holder) = holders.iter().find(holds).cloned() {
            let text = format!("{key:?} was given to {value:?}, and {holder:?} has it");
            state.violated("a_lock_has_one_owner", text);
        }
    }

    /// It was given this key, and has it here or knows that it is lost, also when its member has
    /// never applied the write.
    async fn judge_told(&mut self, key: &Bytes, value: &Bytes) {
        let Some(found) = self.look_for(key).await else { return };
        if found.is_some_and(|item| *item.value() == **value) {
            return;
        }
        let mut state = self.world.borrow_mut();
        state.owning.count("locks that were lost before they were seen");
        if !state.owning.was_told(value) {
            let text = format!("{key:?} was given to {value:?}, which has it no more");
            state.violated("who_lost_a_key_is_told", text);
        }
    }

    /// For this process, or one of another member, whatever is there.
    async fn put_owned(&mut self, is_own: bool) {
        let others = self.world.borrow().owning.others.clone();
        let key = pick(&mut self.rng, &others).expect("a key").clone();
        let owner = match is_own {
            true => Some(self.handle.owner_here(self.name.as_bytes())),
            false => self.other_owner().await,
        };
        if let Some(owner) = owner {
            _ = self.put_for(&key, &owner, None).await;
        }
    }

    async fn other_owner(&mut self) -> Option<Vec<u8>> {
        let living = {
            let state = self.world.borrow();
            let of = |(host, running): (usize, &crate::world::RunningMember)| {
                let names = state.owning.living_on(host, running.start);
                names.into_iter().map(move |name| (host, name)).collect::<Vec<_>>()
            };
            state.running().flat_map(of).collect::<Vec<_>>()
        };
        let (host, name) = pick(&mut self.rng, &living)?.clone();
        let ask = |deadline: Instant, sender: oneshot::Sender<_>| {
            let reply = Box::new(move |owner| _ = sender.send(owner));
            self.handle.owner(node_name(host), name, deadline.into_std(), reply)
        };
        match self.ask(ask).await {
            Asked::Done(owner) => Some(owner),
            _ => None,
        }
    }

    async fn put_for(
        &mut self,
        key: &Bytes,
        owner: &[u8],
        condition: Option<Condition<'_>>,
    ) -> (Bytes, Option<bool>) {
        let value = self.fresh_value();
        self.world.borrow_mut().owning.put(key.clone(), value.clone(), owner.to_vec());
        let (ttl_ms, owner) = (Setting::Clear, Setting::To(EncodedOwner(owner)));
        let put = Command::Put { at: Place::of(key), value: &value, ttl_ms, owner };
        let has_it = self.decide(condition, &put).await;
        self.note((key, &value, has_it));
        (value, has_it)
    }

    /// Did the condition hold? `None`: that is not known.
    pub async fn decide(
        &self,
        condition: Option<Condition<'_>>,
        command: &Command<'_>,
    ) -> Option<bool> {
        let writing = self.transaction(condition, std::slice::from_ref(command));
        let asked = self.ask(|deadline: Instant, sender: oneshot::Sender<_>| {
            let reply = Box::new(move |answer| _ = sender.send(answer));
            writing?.submit(deadline.into_std(), reply)
        });
        match asked.await {
            Asked::Done(Answer::Ran { succeeded, .. }) => Some(succeeded),
            _ => None,
        }
    }
}
