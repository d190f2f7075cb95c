//! With every guard the invariants hold in all states within so many steps; without any one of
//! them there is a way to a stale read, which is printed: `cargo test -p ram_model -- --nocapture`.
//! The pause before a change of the voters is no such guard, and is shown not to be.

#![allow(clippy::panic)]

use ram_model::{ALL, Cluster, Guard, NODES, OUTSIDER, STALE, SUCCESSOR, Voters};
use stateright::{Checker, HasDiscoveries, Model};

/// From the first state; the ways below take up to twelve.
const STEPS: usize = 9;
const STEPS_OF_CHANGES: usize = 12;
/// Of the long tests.
const STEPS_LONG: usize = 11;
const STEPS_OF_CHANGES_LONG: usize = 10;
/// As the checker counts; it stops at the first way.
const DEPTH_WITHOUT_A_GUARD: usize = 16;

const TRUE_CLOCKS: [u8; NODES] = [10, 10, 10];

/// L, where all nodes have the same.
const LONG: u8 = 36;
/// Longer than it lasts after a crash, it lasts a tick.
const SHORT: u8 = 8;
const SAME_HOLDS: [[u8; NODES]; 2] = [[LONG; NODES]; 2];

fn cluster(without: Option<Guard>, rates: [u8; NODES]) -> Cluster {
    Cluster {
        without,
        rates,
        holds: SAME_HOLDS,
        ticks_max: 4,
        terms_max: 3,
        crashes_max: 1,
        voters: Voters(0b111),
        changes: &[],
        has_unknown_candidate: false,
        only_changes: false,
        invariants: ALL,
        sights: &[],
    }
}

/// One thread: with more of them a state may be met first by a detour, and what follows it be cut.
fn holds(cluster: Cluster, steps: usize) {
    let rates = cluster.rates;
    // The checker counts from one, and does not look at the states of the last level.
    let checker = cluster.checker().threads(1).target_max_depth(steps + 2).spawn_bfs().join();
    println!("clocks {rates:?}: {} states, {steps} steps", checker.unique_state_count());
    checker.assert_properties();
}

#[track_caller]
fn is_needed(cluster: Cluster) {
    let guard = cluster.without;
    let cluster = Cluster { invariants: &[STALE], sights: &[], ..cluster };
    let checker = cluster.checker().threads(2).target_max_depth(DEPTH_WITHOUT_A_GUARD);
    let checker = checker.finish_when(HasDiscoveries::Any).spawn_bfs().join();
    let states = checker.unique_state_count();
    let Some(path) = checker.discovery(STALE) else {
        panic!("without {guard:?} no stale read was found in {states} states");
    };
    println!("without {guard:?}, after {states} states, a stale read: {:?}", path.into_actions());
}

/// One leader all the time, no crash: a smaller space for what takes long.
fn one_leader(guard: Guard, rates: [u8; NODES]) -> Cluster {
    Cluster { terms_max: 1, crashes_max: 0, ..cluster(Some(guard), rates) }
}

fn two_leaders(guard: Guard, rates: [u8; NODES]) -> Cluster {
    Cluster { terms_max: 2, crashes_max: 0, ..cluster(Some(guard), rates) }
}

/// Nodes whose holds differ, and become shorter and longer.
fn differing(without: Option<Guard>, rates: [u8; NODES]) -> Cluster {
    let holds = [[LONG, SHORT, LONG], [SHORT, LONG, LONG]];
    Cluster { holds, ..cluster(without, rates) }
}

/// Node 2 leaves, which keeps it neither from asking for leases nor, while it does not know, from
/// asking for votes.
fn removal(without: Guard, rates: [u8; NODES]) -> Cluster {
    let cluster = Cluster { ticks_max: 3, changes: &[2], ..two_leaders(without, rates) };
    Cluster { sights: &[OUTSIDER, SUCCESSOR], ..cluster }
}

/// One voter becomes three: two of them are a majority without the first.
fn growth(without: Guard, rates: [u8; NODES]) -> Cluster {
    let cluster = Cluster { ticks_max: 2, changes: &[1, 2], ..two_leaders(without, rates) };
    Cluster { voters: Voters(0b001), sights: &[SUCCESSOR], ..cluster }
}

#[test]
fn with_every_guard_the_invariants_hold_when_the_leader_is_slow_and_a_follower_fast() {
    holds(cluster(None, [8, 12, 10]), STEPS);
}

#[test]
fn with_every_guard_the_invariants_hold_when_the_leader_is_fast_and_a_follower_slow() {
    holds(cluster(None, [12, 8, 10]), STEPS);
}

#[test]
fn with_every_guard_the_invariants_hold_when_vote_holds_differ_and_change() {
    holds(differing(None, [8, 12, 10]), STEPS);
}

#[test]
#[ignore = "minutes, and gigabytes of states"]
fn with_every_guard_the_invariants_hold_to_a_greater_depth() {
    holds(cluster(None, [8, 12, 10]), STEPS_LONG);
    holds(differing(None, [8, 12, 10]), STEPS_LONG);
}

#[test]
fn without_pending_marks_a_read_is_stale() {
    is_needed(one_leader(Guard::PendingMarks, TRUE_CLOCKS));
}

#[test]
fn without_the_commit_barrier_a_read_is_stale() {
    is_needed(one_leader(Guard::CommitBarrier, TRUE_CLOCKS));
}

#[test]
fn without_the_first_index_a_read_is_stale() {
    is_needed(one_leader(Guard::FirstIndex, TRUE_CLOCKS));
}

#[test]
fn without_the_bound_by_the_quorums_vote_hold_a_read_is_stale() {
    is_needed(two_leaders(Guard::QuorumVoteHold, TRUE_CLOCKS));
}

#[test]
fn without_allowing_for_the_drift_of_the_quorum_a_read_is_stale() {
    is_needed(two_leaders(Guard::OthersDrift, [8, 12, 10]));
}

#[test]
fn without_allowing_for_the_drift_of_the_holder_a_read_is_stale() {
    is_needed(one_leader(Guard::HoldersDrift, [12, 10, 8]));
}

#[test]
fn a_lease_that_counts_from_the_answer_makes_a_read_stale() {
    is_needed(one_leader(Guard::CountFromAsking, TRUE_CLOCKS));
}

#[test]
fn without_the_vote_hold_of_followers_a_read_is_stale() {
    is_needed(two_leaders(Guard::FollowersVoteHold, TRUE_CLOCKS));
}

#[test]
fn without_the_vote_hold_after_a_restart_a_read_is_stale() {
    is_needed(cluster(Some(Guard::RestartVoteHold), TRUE_CLOCKS));
}

#[test]
fn taking_the_leaders_own_vote_hold_for_that_of_others_makes_a_read_stale() {
    let holds = [[LONG, SHORT, SHORT]; 2];
    is_needed(Cluster { holds, ..two_leaders(Guard::ToldHold, TRUE_CLOCKS) });
}

#[test]
fn a_start_with_a_shorter_vote_hold_that_forgets_the_longer_one_makes_a_read_stale() {
    let holds = [[LONG; NODES], [SHORT; NODES]];
    let cluster = two_leaders(Guard::LongestHold, TRUE_CLOCKS);
    is_needed(Cluster { holds, crashes_max: 1, ticks_max: 1, ..cluster });
}

/// Two starts within a hold, the first with the longer one.
#[test]
fn a_longer_vote_hold_that_is_told_before_it_is_saved_makes_a_read_stale() {
    let holds = [[LONG, SHORT, SHORT], [LONG; NODES]];
    let cluster = two_leaders(Guard::SavedFirst, TRUE_CLOCKS);
    is_needed(Cluster { holds, crashes_max: 2, ticks_max: 1, only_changes: true, ..cluster });
}

#[test]
fn without_the_vote_hold_of_who_granted_a_read_is_stale() {
    is_needed(two_leaders(Guard::LeadersVoteHold, TRUE_CLOCKS));
}

#[test]
fn handing_over_before_the_leases_run_out_makes_a_read_stale() {
    is_needed(two_leaders(Guard::HandOverRunsOut, TRUE_CLOCKS));
}

#[test]
fn granting_after_the_lead_was_handed_over_makes_a_read_stale() {
    is_needed(two_leaders(Guard::HandOverForGood, TRUE_CLOCKS));
}

#[test]
fn a_grant_that_rests_on_voters_of_long_ago_makes_a_read_stale() {
    let cluster = growth(Guard::NewestVoters, [40, 40, 40]);
    is_needed(Cluster { only_changes: true, ..cluster });
}

#[test]
fn without_waiting_for_a_holder_that_is_no_voter_a_read_is_stale() {
    is_needed(removal(Guard::Outsiders, TRUE_CLOCKS));
}

/// It never leads; but whoever it takes from their leader may vote for another at once.
#[test]
fn an_unknown_candidate_that_moves_the_term_of_who_hears_a_leader_makes_a_read_stale() {
    let cluster = two_leaders(Guard::UnknownCandidates, TRUE_CLOCKS);
    is_needed(Cluster { has_unknown_candidate: true, terms_max: 3, ..cluster });
}

#[test]
fn with_every_guard_the_invariants_hold_in_spite_of_an_unknown_candidate() {
    let cluster = Cluster { has_unknown_candidate: true, ..cluster(None, [8, 12, 10]) };
    holds(cluster, STEPS - 1);
}

// A leader that pauses does less, so these hold for one that does, too.

#[test]
fn leases_may_live_while_a_voter_leaves() {
    let cluster = removal(Guard::ChangePauses, [16, 24, 20]);
    holds(Cluster { only_changes: true, ..cluster }, STEPS_OF_CHANGES);
}

#[test]
fn leases_may_live_while_voters_join() {
    let cluster = growth(Guard::ChangePauses, [24, 36, 30]);
    holds(Cluster { only_changes: true, ..cluster }, STEPS_OF_CHANGES);
}

#[test]
#[ignore = "minutes, and gigabytes of states"]
fn leases_may_live_while_the_voters_change_and_nodes_crash_and_the_lead_is_handed_over() {
    let removal = removal(Guard::ChangePauses, [16, 24, 20]);
    holds(Cluster { crashes_max: 1, ..removal }, STEPS_OF_CHANGES_LONG);
    let growth = growth(Guard::ChangePauses, [24, 36, 30]);
    holds(Cluster { crashes_max: 1, ..growth }, STEPS_OF_CHANGES_LONG);
}
