//! Negative controls: every sabotage is caught, and by what. Compiled with the feature `sabotage`:
//! `cargo test -p ram_sim --features sabotage --test sabotage -- --nocapture` prints the table.

#![cfg(feature = "sabotage")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use ram_sabotage::Fault;
use ram_sim::fleet::{self, Order};
use std::path::Path;

const SEEDS_MAX: u64 = 30;

/// Who was given a lock and reads it does not see that it has it, if the read is stale.
const STALE_READ: &[&str] = &["linearizable", "strictly_serializable", "who_lost_a_key_is_told"];

/// The least that catches it: what others catch it too is up to the seed.
fn expected(fault: Fault) -> &'static [&'static str] {
    match fault {
        Fault::ReplyBeforeCommit => &["linearizable"],
        Fault::ForgetVote => &["a_term_only_grows", "one_leader_per_term"],
        Fault::ReadWithoutIndex => STALE_READ,
        Fault::ApplyRetryTwice => &["at_most_once", "linearizable"],
        Fault::SkipPendingMark => STALE_READ,
        Fault::SkipCommitBarrier => &[
            "what_is_committed_is_marked_by_every_holder",
            "linearizable",
            "who_lost_a_key_is_told",
        ],
        Fault::PromoteUnready => {
            &["a_voter_has_what_was_committed_when_it_came", "a_new_member_costs_no_quorum"]
        }
        Fault::BelieveAnyTerm => &["no_term_is_beyond_elections"],
        Fault::HeedUnknownPeers => &[
            "an_unknown_peer_moves_no_term_while_a_leader_is_heard",
            "no_lease_outlives_its_vote_hold",
            "linearizable",
            "who_lost_a_key_is_told",
        ],
        Fault::BelieveOneRemoval => &["only_what_was_removed_is_given_up"],
        // A lock that another one has is written over.
        Fault::CheckAfterWriting => &[
            "linearizable",
            "a_bank_is_seen_whole",
            "strictly_serializable",
            "a_key_stays_with_its_owner",
        ],
        // What was found before is not in the log, so the states of the members differ, too, and
        // the copies of who watches.
        Fault::CountStale => &[
            "linearizable",
            "a_bank_is_seen_whole",
            "strictly_serializable",
            "at_most_once",
            "same_index_same_state",
            "no_change_is_missing",
        ],
        Fault::MixRevisions => &["a_bank_is_seen_whole", "strictly_serializable"],
        // It tells its watches of no deletion of the log, too, or twice.
        Fault::ExpireByOwnClock => {
            &["what_has_expired_is_gone", "nothing_expires_early", "no_change_is_missing"]
        }
        // What starts from a snapshot holds keys of nobody, and its leader ends none of them.
        Fault::ForgetOwner => &["same_index_same_state", "what_is_owned_goes"],
        Fault::ForgetEnd => &["what_is_owned_goes"],
        Fault::EndTheSilent => &["a_key_stays_with_its_owner"],
        Fault::AcceptDeposedExpiry => &["a_new_leader_gives_keys_all_their_time_again"],
        Fault::DropEvent => &["no_change_is_missing"],
        Fault::RepeatEvent => &["changes_come_once_and_in_order"],
        Fault::ForgetRestartVoteHold | Fault::AssumeOwnVoteHold | Fault::ForgetLongestVoteHold => {
            &["no_lease_outlives_its_vote_hold", "linearizable", "who_lost_a_key_is_told"]
        }
    }
}

#[test]
fn every_sabotage_is_caught() {
    let program = Path::new(env!("CARGO_BIN_EXE_ram-sim"));
    let mut unexpected = Vec::new();
    for fault in Fault::ALL {
        let sabotage = Some(fault.name().to_owned());
        let order = Order { first_seed: 1, seeds: SEEDS_MAX, seconds: 40, sabotage, is_hunt: true };
        let reports = fleet::run(program, &order, |_, _| {});
        let caught = reports.iter().find_map(|report| Some((report, report.violation.as_ref()?)));
        let Some((report, violation)) = caught else {
            println!("{:20} was not caught", fault.name());
            unexpected.push((fault.name(), None));
            continue;
        };
        let also: Vec<&str> = violation.detail.lines().filter_map(also).collect();
        println!(
            "{:20} caught by {:20} seed {}, at {} virtual ms, after {} seeds",
            fault.name(),
            [&[&*violation.invariant], &*also].concat().join(" and "),
            report.seed,
            violation.at_ns / 1_000_000,
            reports.len()
        );
        if !expected(fault).contains(&violation.invariant.as_str()) {
            unexpected.push((fault.name(), Some(violation.clone())));
        }
    }
    assert!(unexpected.is_empty(), "{unexpected:#?}");
}

/// The name of another judge that has refused the run.
fn also(line: &str) -> Option<&str> {
    line.strip_prefix("also ")?.split(':').next()
}
