//! Looks at every member after a step, and shows the invariants what has changed.

use bytes::Bytes;
use ram_core::observation::{Observation, SeenEntry};
use std::collections::{BTreeMap, BTreeSet};

use crate::impostor::FAR_TERM;
use crate::invariants::{
    FullTime, HeldLease, Invariants, LeaseEnds, LeaseMarks, LeaseRecords, Once, OwnedKeys, Sight,
};
use crate::world::{RunningMember, State};

const NS_A_MS: u64 = 1_000_000;

#[derive(Default)]
pub struct Watch {
    pub invariants: Invariants,
    full_time: FullTime,
    lease_ends: LeaseEnds,
    lease_marks: LeaseMarks,
    lease_records: LeaseRecords,
    owned_keys: OwnedKeys,
    /// Steps of members, and those in which they held a lease.
    pub lived_steps: u64,
    pub leased_steps: u64,
    last: BTreeMap<usize, (u64, Observation)>,
    led: BTreeSet<(u64, u64)>,
}

impl Watch {
    pub fn look(&mut self, state: &mut State) {
        let running: Vec<(usize, RunningMember)> =
            state.running().map(|(host, running)| (host, running.clone())).collect();
        for (host, member) in running {
            let Some(now) = member.handle.observe() else { continue };
            let before = self.last.get(&host).filter(|(start, _)| *start == member.start);
            let before = before.map(|(_, before)| *before);
            if before == Some(now) {
                continue;
            }
            self.last.insert(host, (member.start, now));
            let at_ns = state.now_ns;
            state.trace.note(at_ns, (host, now));
            if let Err((invariant, detail)) = self.judge(state, &member, before, now) {
                state.violated(invariant, detail);
            }
        }
        self.look_at_leases(state);
    }

    fn look_at_leases(&mut self, state: &mut State) {
        let leases: Vec<HeldLease> =
            state.running().filter_map(|(host, member)| self.lease_of(host, member)).collect();
        self.lived_steps += state.running().count() as u64;
        self.leased_steps += leases.len() as u64;
        let granted =
            state.running().filter_map(|(_, member)| member.leases.borrow().granted.clone());
        let records = granted.collect();
        let seen = self.last.values().map(|(_, seen)| seen);
        let led = seen.filter(|seen| seen.leads).map(|seen| seen.term);
        let checked = [
            (LeaseEnds::NAME, self.lease_ends.check(&leases, led)),
            (LeaseMarks::NAME, self.lease_marks.check(&leases, self.invariants.committed_index())),
            (LeaseRecords::NAME, self.lease_records.check(&leases, records)),
        ];
        for (name, result) in checked {
            if let Err(detail) = result {
                state.violated(name, detail);
            }
        }
    }

    fn lease_of(&self, host: usize, member: &RunningMember) -> Option<HeldLease> {
        let (term, from_index) = member.leases.borrow().held?;
        let (_, seen) = self.last.get(&host).filter(|(start, _)| *start == member.start)?;
        let last_index = seen.end_index.saturating_sub(1).max(seen.applied_index);
        Some(HeldLease { id: seen.id, term, from_index, last_index })
    }

    fn judge(
        &mut self,
        state: &mut State,
        member: &RunningMember,
        before: Option<Observation>,
        now: Observation,
    ) -> Result<(), (&'static str, String)> {
        if now.term >= FAR_TERM {
            return Err(("no_term_is_beyond_elections", format!("{now:?}")));
        }
        let from = before.map_or(0, |before| before.applied_index);
        let read = |from: u64| {
            let range = from.max(now.first_index)..now.end_index;
            // A log that cannot be read has failed, and its member with it.
            member.handle.seen_entries(range).unwrap_or_default()
        };
        let entries = read(from);
        if now.leads {
            self.full_time.leads(now.term, state.now_ns / NS_A_MS);
        }
        let is_new_leader = now.leads && self.led.insert((now.id, now.term));
        let new_leader_log = is_new_leader.then(|| read(0));
        let has_applied = before.is_none_or(|before| before.applied_index != now.applied_index);
        let keys: Vec<Bytes> = state.owning.keys().chain(&state.keys).cloned().collect();
        let looked = has_applied.then(|| member.handle.items(&keys)).flatten();
        let items = looked.filter(|(at, _)| *at == now.applied_index).map(|(_, items)| items);
        for item in items.iter().flatten().flatten() {
            state.once.saw(&item.value(), item.revision()).map_err(|why| (Once::NAME, why))?;
        }
        if let Some(items) = &items {
            let owned = &items[..keys.len() - state.keys.len()];
            self.owned_keys.check(state, member, owned)?;
        }
        if has_applied {
            self.look_at_times(state, member, (from, &now), &entries)?;
        }
        let before_index = before.and_then(|before| before.membership_index);
        let has_changed = now.membership_index != before_index;
        let members = has_changed.then(|| member.handle.seen_members());
        self.invariants.check(&Sight {
            start: member.start,
            now,
            entries: &entries,
            items: items.as_deref(),
            members: members.as_ref(),
            new_leader_log: new_leader_log.as_deref(),
        })
    }

    fn look_at_times(
        &mut self,
        state: &mut State,
        member: &RunningMember,
        (before, now): (u64, &Observation),
        entries: &[SeenEntry],
    ) -> Result<(), (&'static str, String)> {
        let keys: Vec<Bytes> = state.timed.keys().cloned().collect();
        let Some((at, items)) = member.handle.items(&keys) else { return Ok(()) };
        if at != now.applied_index {
            return Ok(());
        }
        let holds = keys.into_iter().zip(items).filter_map(|(key, item)| item.map(|_| key));
        let (moment, holds) = ((member.start, state.now_ns / NS_A_MS), holds.collect());
        self.full_time
            .check(moment, (before, now), entries, (&mut state.timed, holds))
            .map_err(|detail| (FullTime::NAME, detail))
    }
}
