//! What must hold after every step, each in a file of its own.
//!
//! From Ongaro and Ousterhout, *In Search of an Understandable Consensus Algorithm* (2014), figure
//! 3, as far as it can be seen from outside, and what ram adds: a request is applied at most once.
//! They are fed by `watch` with what changed in a member since the last step.

mod applied_grows;
mod full_time;
mod leader_completeness;
mod lease_ends;
mod lease_marks;
mod lease_records;
mod log_matching;
mod new_costs_nothing;
mod once;
mod one_leader;
mod owned_keys;
mod ready_voters;
mod same_state;
mod term_grows;

pub use full_time::FullTime;
pub use lease_ends::LeaseEnds;
pub use lease_marks::LeaseMarks;
pub use lease_records::LeaseRecords;
pub use new_costs_nothing::{NewCostsNothing, Wall};
pub use once::Once;
pub use owned_keys::OwnedKeys;

use applied_grows::AppliedGrows;
use leader_completeness::LeaderCompleteness;
use log_matching::LogMatching;
use one_leader::OneLeader;
use ram_core::observation::{Observation, SeenEntry};
use ram_table::table::Item;
use ready_voters::ReadyVoters;
use same_state::SameState;
use std::collections::BTreeMap;
use term_grows::TermGrows;

/// A member that has changed in a step.
pub struct Sight<'a> {
    /// Names the member's run: another after each start.
    pub start: u64,
    pub now: Observation,
    /// The log from the last applied index that was seen to its end.
    pub entries: &'a [SeenEntry],
    /// The keys of the run, when the applied index has changed.
    pub items: Option<&'a [Option<Item>]>,
    /// The members of the newest membership in its log, and whether they are voters, when it is
    /// another one than before.
    pub members: Option<&'a BTreeMap<u64, bool>>,
    /// All of the log, when this member was not seen leading in this term before.
    pub new_leader_log: Option<&'a [SeenEntry]>,
}

/// A read lease that a member holds.
#[derive(Debug, Clone, Copy)]
pub struct HeldLease {
    /// The Raft id of the holder.
    pub id: u64,
    pub term: u64,
    /// What the holder must have applied before it answers.
    pub from_index: u64,
    /// The last entry it has in its log, or in a snapshot.
    pub last_index: u64,
}

type Checked = Result<(), String>;

#[derive(Default)]
pub struct Invariants {
    one_leader: OneLeader,
    term_grows: TermGrows,
    log_matching: LogMatching,
    leader_completeness: LeaderCompleteness,
    applied_grows: AppliedGrows,
    same_state: SameState,
    ready_voters: ReadyVoters,
}

impl Invariants {
    /// The name of the invariant that does not hold, and why.
    pub fn check(&mut self, sight: &Sight<'_>) -> Result<(), (&'static str, String)> {
        let named = |name| move |detail| (name, detail);
        self.one_leader.check(sight).map_err(named("one_leader_per_term"))?;
        self.term_grows.check(sight).map_err(named("a_term_only_grows"))?;
        self.log_matching.check(sight).map_err(named("log_matching"))?;
        self.leader_completeness.check(sight).map_err(named("leader_completeness"))?;
        self.applied_grows.check(sight).map_err(named("applied_only_grows"))?;
        self.same_state.check(sight).map_err(named("same_index_same_state"))?;
        let committed_index = self.committed_index();
        let ready = self.ready_voters.check(sight, committed_index);
        ready.map_err(named("a_voter_has_what_was_committed_when_it_came"))
    }

    pub fn committed_index(&self) -> u64 {
        self.leader_completeness.committed_index()
    }

    pub fn promotions(&self) -> u64 {
        self.ready_voters.promotions
    }

    pub fn elections(&self) -> usize {
        self.one_leader.elections()
    }
}
