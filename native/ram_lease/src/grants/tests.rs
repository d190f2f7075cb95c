//! Grants of one leader, at times that the tests make up.

use super::*;

const OWN: u64 = 1;
const TIMEOUTS: LeaseTimeouts =
    LeaseTimeouts { lease: Duration::from_millis(100), hold: Duration::from_millis(200) };

fn at(ms: u64) -> Time {
    Time::from_ns(ms * 1_000_000)
}

fn voters() -> Vec<BTreeSet<u64>> {
    vec![BTreeSet::from([1, 2, 3])]
}

/// A leader of term 5 whose log and followers stand at 10, at 1000 ms.
fn leader() -> Grants {
    let mut grants = Grants::default();
    grants.appended(5, 10);
    for id in [2, 3] {
        grants.acked(5, id, &ack(Some(10), 1000));
    }
    grants
}

/// Of what was sent at `sent`, by a member that holds its vote for as long as this one.
fn ack(index: Option<u64>, sent: u64) -> Ack {
    Ack { index, sent: at(sent), hold: TIMEOUTS.hold }
}

fn ask(grants: &mut Grants, id: u64, renews: bool, now: u64) -> Result<Grant, Refused> {
    let ask = Ask { id, term: 5, renews };
    grants.grant(&ask, at(now), OWN, &voters(), TIMEOUTS.lease)
}

/// Member `id` holds a lease, granted at 1000 ms.
fn granted(grants: &mut Grants, id: u64) -> Grant {
    assert_eq!(ask(grants, id, false, 1000), Err(Refused::Lagging), "the first takes a note");
    ask(grants, id, false, 1000).unwrap()
}

#[test]
fn a_lease_lasts_no_longer_than_the_vote_hold_of_a_quorum() {
    let mut grants = leader();
    assert_eq!(granted(&mut grants, 2).lasts, TIMEOUTS.lease);
    // The quorum answered what was sent at 1000: 200 x 0.99 / 1.01 = 196.03 are sure.
    let late = ask(&mut grants, 2, true, 1150).unwrap();
    assert!(late.lasts > Duration::from_millis(46) && late.lasts < Duration::from_millis(47));
    assert_eq!(ask(&mut grants, 2, true, 1197), Err(Refused::Unconfirmed));
}

/// Each member has a hold of its own, and the leader's says nothing of theirs.
#[test]
fn a_lease_lasts_no_longer_than_a_quorum_said_that_it_holds_its_votes() {
    let hold = |ms| Duration::from_millis(ms);
    let told = |grants: &mut Grants, id, ms, sent| {
        grants.acked(5, id, &Ack { index: Some(10), sent: at(sent), hold: hold(ms) });
    };
    let mut grants = Grants::default();
    grants.appended(5, 10);
    // 50 x 0.99 / 1.01 = 49.01 are sure.
    told(&mut grants, 2, 50, 1000);
    let lasts = |grants: &mut Grants, now| ask(grants, OWN, false, now).unwrap().lasts;
    assert_eq!(lasts(&mut grants, 1000).as_millis(), 49);
    told(&mut grants, 3, 80, 1000);
    assert_eq!(lasts(&mut grants, 1000).as_millis(), 78, "one other is enough");
    told(&mut grants, 3, 20, 1010);
    assert_eq!(lasts(&mut grants, 1010).as_millis(), 68, "what was said before is kept");
    assert_eq!(ask(&mut grants, OWN, false, 1079), Err(Refused::Unconfirmed));
    let five = [BTreeSet::from([1, 2, 3, 4, 5])];
    told(&mut grants, 4, 1000, 1010);
    let of_five = Ask { id: OWN, term: 5, renews: false };
    let granted = grants.grant(&of_five, at(1010), OWN, &five, TIMEOUTS.lease).unwrap();
    assert_eq!(granted.lasts.as_millis(), 68, "of five two others, and the shorter of them");
}

#[test]
fn one_answer_of_three_confirms_nothing_that_is_older() {
    let mut grants = leader();
    grants.acked(5, 2, &ack(Some(10), 1100));
    // 1 and 2 are a quorum.
    assert_eq!(
        ask(&mut grants, OWN, false, 1200).unwrap().lasts,
        at(1296).since(at(1200)) + Duration::from_nanos(39_603)
    );
    let both = [BTreeSet::from([1, 2, 3]), BTreeSet::from([3, 4, 5])];
    let joint = Ask { id: OWN, term: 5, renews: false };
    assert_eq!(
        grants.grant(&joint, at(1000), OWN, &both, TIMEOUTS.lease),
        Err(Refused::Unconfirmed)
    );
    grants.acked(5, 4, &ack(None, 1050));
    let joint = grants.grant(&joint, at(1150), OWN, &both, TIMEOUTS.lease).unwrap();
    assert!(joint.lasts < Duration::from_millis(47), "the older of the two majorities counts");
}

#[test]
fn a_leader_alone_relies_on_itself_and_one_without_voters_on_nobody() {
    let mut grants = leader();
    let ask = Ask { id: OWN, term: 5, renews: false };
    let alone = [BTreeSet::from([OWN])];
    assert_eq!(
        grants.grant(&ask, at(9000), OWN, &alone, TIMEOUTS.lease).unwrap().lasts,
        TIMEOUTS.lease
    );
    assert_eq!(grants.grant(&ask, at(9000), OWN, &[], TIMEOUTS.lease), Err(Refused::Unconfirmed));
}

#[test]
fn the_first_index_stays_while_a_lease_is_renewed_without_a_break() {
    let mut grants = leader();
    assert_eq!(granted(&mut grants, 2).from_index, 10);
    grants.appended(5, 20);
    grants.acked(5, 2, &ack(Some(20), 1050));
    assert_eq!(ask(&mut grants, 2, true, 1060).unwrap().from_index, 10);
    assert_eq!(ask(&mut grants, 2, false, 1060).unwrap().from_index, 20, "it holds none");
    grants.appended(5, 30);
    grants.acked(5, 2, &ack(Some(30), 1200));
    assert_eq!(ask(&mut grants, 2, true, 1210).unwrap().from_index, 30, "it had run out");
}

#[test]
fn an_entry_is_held_back_until_every_holder_has_it_or_its_lease_is_over() {
    let mut grants = leader();
    assert_eq!(grants.open_upto(at(1000), OWN), Some(u64::MAX));
    granted(&mut grants, 2);
    granted(&mut grants, 3);
    grants.appended(5, 12);
    grants.acked(5, 2, &ack(Some(12), 1010));
    assert_eq!(grants.open_upto(at(1020), OWN), Some(10));
    grants.acked(5, 3, &ack(Some(11), 1010));
    assert_eq!(grants.open_upto(at(1020), OWN), Some(11));
    // What is granted for 100 ms counts as 101 here.
    assert_eq!(grants.next_end(at(1020), OWN), Some(at(1101)));
    assert_eq!(grants.open_upto(at(1100), OWN), Some(11));
    assert_eq!(grants.open_upto(at(1101), OWN), Some(u64::MAX));
}

#[test]
fn the_leaders_own_lease_holds_nothing_back_and_is_waited_for_before_the_lead_changes() {
    let mut grants = leader();
    ask(&mut grants, OWN, false, 1000).unwrap();
    assert_eq!(grants.open_upto(at(1000), OWN), Some(u64::MAX));
    assert_eq!(grants.latest_end(), at(1101));
}

#[test]
fn a_renewal_that_is_shorter_does_not_shorten_what_the_holder_already_has() {
    let mut grants = leader();
    granted(&mut grants, 2);
    grants.acked(5, 2, &ack(Some(10), 1000));
    let short = Duration::from_millis(1);
    let renewal = Ask { id: 2, term: 5, renews: true };
    grants.grant(&renewal, at(1010), OWN, &voters(), short).unwrap();
    assert_eq!(grants.next_end(at(1010), OWN), Some(at(1101)));
}

#[test]
fn a_laggard_is_not_renewed_and_stays_without_for_a_while() {
    let mut grants = leader();
    granted(&mut grants, 2);
    grants.appended(5, 20);
    ask(&mut grants, 2, true, 1030).unwrap();
    for now in [1060, 1090] {
        assert_eq!(ask(&mut grants, 2, true, now), Err(Refused::Lagging));
    }
    grants.acked(5, 2, &ack(Some(20), 1100));
    grants.acked(5, 3, &ack(Some(20), 1400));
    assert_eq!(ask(&mut grants, 2, false, 1120), Err(Refused::Lagging), "it is shut out");
    assert_eq!(ask(&mut grants, 2, false, 1489), Err(Refused::Lagging));
    ask(&mut grants, 2, false, 1490).unwrap();
    // Again, and soon: twice as long.
    grants.appended(5, 30);
    ask(&mut grants, 2, true, 1500).unwrap();
    for now in [1510, 1520] {
        assert_eq!(ask(&mut grants, 2, true, now), Err(Refused::Lagging));
    }
    grants.acked(5, 2, &ack(Some(30), 2300));
    assert_eq!(ask(&mut grants, 2, false, 2319), Err(Refused::Lagging));
    ask(&mut grants, 2, false, 2320).unwrap();
}

#[test]
fn one_slow_moment_costs_no_lease_and_another_one_soon_after_does() {
    let mut grants = leader();
    granted(&mut grants, 2);
    grants.appended(5, 20);
    ask(&mut grants, 2, true, 1030).unwrap();
    assert_eq!(ask(&mut grants, 2, true, 1060), Err(Refused::Lagging));
    grants.acked(5, 2, &ack(Some(20), 1070));
    ask(&mut grants, 2, true, 1090).unwrap();
    grants.appended(5, 30);
    ask(&mut grants, 2, true, 1120).unwrap();
    assert_eq!(ask(&mut grants, 2, true, 1150), Err(Refused::Lagging));
    grants.acked(5, 2, &ack(Some(30), 1160));
    assert_eq!(ask(&mut grants, 2, true, 1180), Err(Refused::Lagging), "it is shut out");
}

#[test]
fn one_that_never_had_a_lease_gets_it_once_it_keeps_up() {
    let mut grants = leader();
    grants.appended(5, 100);
    assert_eq!(ask(&mut grants, 2, false, 1000), Err(Refused::Lagging));
    assert_eq!(ask(&mut grants, 2, false, 1010), Err(Refused::Lagging));
    grants.acked(5, 2, &ack(Some(100), 1015));
    ask(&mut grants, 2, false, 1020).unwrap();
}

#[test]
fn a_leader_that_hands_over_grants_nothing_more_in_its_term() {
    let mut grants = leader();
    granted(&mut grants, 2);
    grants.hand_over();
    assert_eq!(ask(&mut grants, 2, true, 1010), Err(Refused::HandingOver));
    assert_eq!(grants.open_upto(at(1010), OWN), Some(10), "what was granted still counts");
    assert!(grants.hands_over());
    grants.appended(6, 30);
    assert!(!grants.hands_over());
    let own = Ask { id: OWN, term: 6, renews: false };
    assert_eq!(
        grants.grant(&own, at(1), OWN, &voters(), TIMEOUTS.lease),
        Err(Refused::Unconfirmed)
    );
}

#[test]
fn another_term_begins_without_holders_and_answers_of_the_former_do_not_count() {
    let mut grants = leader();
    granted(&mut grants, 2);
    grants.forget();
    assert_eq!(ask(&mut grants, 2, true, 1010), Err(Refused::NotLeading));
    assert_eq!(grants.latest_end(), at(1101), "this member's vote hold goes on");
    grants.appended(7, 40);
    grants.acked(5, 2, &ack(Some(10), 1010));
    grants.acked(5, 3, &ack(Some(10), 1010));
    let own = Ask { id: OWN, term: 7, renews: false };
    assert_eq!(
        grants.grant(&own, at(1010), OWN, &voters(), TIMEOUTS.lease),
        Err(Refused::Unconfirmed)
    );
    assert_eq!(grants.open_upto(at(1010), OWN), Some(u64::MAX));
}

#[test]
fn the_next_end_is_that_of_another_member_whose_lease_is_alive() {
    let mut grants = leader();
    let own = Ask { id: OWN, term: 5, renews: false };
    grants.grant(&own, at(1000), OWN, &voters(), Duration::from_millis(10)).unwrap();
    assert_eq!(grants.next_end(at(1000), OWN), None, "its own is not waited for");
    granted(&mut grants, 2);
    assert_eq!(grants.next_end(at(1000), OWN), Some(at(1101)));
    assert_eq!(grants.next_end(at(1101), OWN), None, "it is over");
}

#[test]
fn a_lease_that_ends_now_is_not_renewed_with_its_first_index() {
    let mut grants = leader();
    granted(&mut grants, 2);
    grants.appended(5, 20);
    grants.acked(5, 2, &ack(Some(20), 1100));
    assert_eq!(ask(&mut grants, 2, true, 1101).unwrap().from_index, 20);
}

#[test]
fn one_that_lags_without_a_lease_is_never_shut_out() {
    let mut grants = leader();
    grants.appended(5, 100);
    for now in [1000, 1010, 1020, 1030] {
        assert_eq!(ask(&mut grants, 2, false, now), Err(Refused::Lagging));
    }
    grants.acked(5, 2, &ack(Some(100), 1035));
    ask(&mut grants, 2, false, 1040).unwrap();
}

/// Lags once more at `again`, after it was forgiven at 1060, and catches up. Is it shut out?
fn is_shut_out_after(again: u64) -> bool {
    let mut grants = leader();
    granted(&mut grants, 2);
    grants.appended(5, 20);
    ask(&mut grants, 2, true, 1030).unwrap();
    assert_eq!(ask(&mut grants, 2, true, 1060), Err(Refused::Lagging));
    grants.acked(5, 2, &ack(Some(20), again - 10));
    grants.acked(5, 3, &ack(Some(20), again - 10));
    ask(&mut grants, 2, true, again - 5).unwrap();
    grants.appended(5, 30);
    ask(&mut grants, 2, true, again - 3).unwrap();
    assert_eq!(ask(&mut grants, 2, true, again), Err(Refused::Lagging));
    grants.acked(5, 2, &ack(Some(30), again));
    ask(&mut grants, 2, true, again + 1).is_err()
}

#[test]
fn one_slow_moment_is_forgiven_again_when_four_leases_have_passed() {
    let forgiven = 1060 + 4 * 100;
    assert!(is_shut_out_after(forgiven - 1));
    assert!(!is_shut_out_after(forgiven));
}

#[test]
fn a_member_that_kept_up_for_as_long_as_it_was_shut_out_begins_anew() {
    let lease = Duration::from_millis(100);
    let span = Duration::from_millis(400);
    let peer =
        |until| Peer { back_off: Some(BackOff { until: at(until), span }), ..Peer::default() };
    assert_eq!(peer(1000).longer_back_off(at(1399), lease).span, span * 2);
    assert_eq!(peer(1000).longer_back_off(at(1400), lease).span, span);
}
