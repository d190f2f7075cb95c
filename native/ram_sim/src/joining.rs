//! Does what the Erlang side does in the product: makes the cluster, adds members that are not in
//! it, and wipes those that were removed.
//!
//! It goes by the newest committed membership that any member has shown. An id is added once and
//! removed once, so an id that was in and is not any more is gone for good.

use ram_core::status::Suffrage;
use ram_raft::types::Member;
use std::collections::{BTreeMap, BTreeSet};

use crate::plan::{address, host_name, node_name};
use crate::world::{Order, State};

const ASK_EVERY_STEPS: u64 = 300;

#[derive(Default)]
pub struct Joining {
    /// The index up to which the membership below was applied by whoever showed it.
    newest_index: u64,
    members: BTreeMap<u64, Suffrage>,
    ever: BTreeSet<u64>,
    is_made: bool,
    steps: u64,
    /// Additions that were begun since they were last taken.
    begun: Vec<Addition>,
}

/// The member of a host is added, as another host asked.
#[derive(Debug, Clone, Copy)]
pub struct Addition {
    pub host: usize,
    pub caller: usize,
}

impl Joining {
    /// Hosts whose disk has to be wiped: the member there was removed.
    pub fn act(&mut self, state: &mut State) -> Vec<usize> {
        self.steps += 1;
        self.learn_removed(state);
        if !self.steps.is_multiple_of(ASK_EVERY_STEPS) {
            return Vec::new();
        }
        self.learn(state);
        let ids: Vec<(usize, u64)> = state
            .running()
            .filter_map(|(host, running)| Some((host, running.handle.observe()?.id)))
            .collect();
        if !self.is_made {
            self.make(state, &ids);
            return Vec::new();
        }
        let mut removed = Vec::new();
        for (host, id) in &ids {
            match self.members.get(id) {
                Some(Suffrage::Voter) => {}
                None if self.ever.contains(id) => removed.push(*host),
                _ => self.ask(state, *host, *id, ids.len()),
            }
        }
        removed
    }

    /// Is every host's member a voter, as far as is known, and no change under way?
    pub fn is_whole(&self, state: &State) -> bool {
        let voters = state.running().filter(|(_, running)| {
            running.handle.observe().is_some_and(|now| {
                let suffrage = self.members.get(&now.id);
                now.is_settled && matches!(suffrage, Some(Suffrage::Voter))
            })
        });
        let count = voters.count();
        self.is_made && count == state.plan.hosts && self.members.len() == count
    }

    pub fn take_begun(&mut self) -> Vec<Addition> {
        std::mem::take(&mut self.begun)
    }

    /// At every step: who knows it may crash in the next one.
    fn learn_removed(&self, state: &mut State) {
        let is_known = |id: &u64| state.running().any(|(_, one)| one.handle.knows_removed(*id));
        let removed: Vec<u64> = self.ever.iter().copied().filter(is_known).collect();
        state.known_removed.extend(removed);
    }

    fn learn(&mut self, state: &mut State) {
        // Also those that came and went between two looks.
        self.ever.extend(state.refused.lock().unwrap().iter());
        for (_, running) in state.running() {
            let Ok(status) = running.handle.status() else { continue };
            let members = status.members.iter().map(|(id, _, suffrage)| (*id, *suffrage));
            let members: BTreeMap<u64, Suffrage> = members.collect();
            self.ever.extend(members.keys());
            if status.applied_index >= self.newest_index && !members.is_empty() {
                self.newest_index = status.applied_index;
                self.members = members;
            }
        }
        let is_gone = |id: &&u64| !self.members.contains_key(id);
        state.gone = self.ever.iter().filter(is_gone).copied().collect();
    }

    fn make(&mut self, state: &State, ids: &[(usize, u64)]) {
        if ids.len() == state.plan.hosts {
            let founders = ids.iter().take(state.plan.founders);
            let members = founders.map(|(host, id)| (*id, member(*host)));
            state.order(0, Order::Initialize(members.collect()));
            self.is_made = true;
        }
    }

    /// Asks the members in turn: one of them knows the leader.
    fn ask(&mut self, state: &State, host: usize, id: u64, hosts: usize) {
        let turn = (self.steps / ASK_EVERY_STEPS) as usize % hosts.max(1);
        let others: Vec<usize> =
            state.running().map(|(other, _)| other).filter(|other| *other != host).collect();
        if let Some(other) = others.get(turn % others.len().max(1)) {
            state.order(*other, Order::Join { id, member: member(host) });
            self.begun.push(Addition { host, caller: *other });
        }
    }
}

fn member(host: usize) -> Member {
    debug_assert!(address(host).starts_with(&host_name(host)));
    Member::new(node_name(host), address(host))
}
