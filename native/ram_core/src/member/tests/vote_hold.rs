//! A member that ran before elects nobody before its vote hold is over (I3), itself included. It is
//! the only voter here, which nobody else's refusal holds up.

use ram_raft::openraft::raft::{TransferLeaderRequest, VoteRequest};
use std::collections::BTreeSet;

use super::*;
use ram_lease::grants::Ask;
use ram_raft::election_holdoff::{LargeAppends, hold_off_elections};
use ram_raft::elections;
use ram_raft::failure_detector::{InboundPeers, watch_leader};
use ram_raft::types::{TypeConfig, Vote};

fn config() -> Config {
    timed(50, 150, 700)
}

/// A founded member that was started again; nothing is served yet.
async fn started_again() -> Member {
    let disk = memory();
    let member = open_member(&disk, config(), Open::New(CLUSTER)).await;
    found(&member).await;
    member.serve(std::future::ready(())).await;
    open_member(&disk, config(), Open::Existing).await
}

#[tokio::test]
async fn a_member_that_starts_with_shorter_timeouts_keeps_what_it_promised_under_longer_ones() {
    let disk = memory();
    let longer = open_member(&disk, timed(50, 150, 900), Open::New(CLUSTER)).await;
    found(&longer).await;
    longer.serve(std::future::ready(())).await;
    let start = async || open_member(&disk, timed(20, 60, 100), Open::Existing).await;
    let left = |member: &Member| {
        let reads = &member.parts.replica.reads;
        reads.vote_hold.until().since(reads.clock.now())
    };
    for _ in 0..2 {
        let shorter = start().await;
        assert!(left(&shorter) > Duration::from_millis(150), "{:?} left", left(&shorter));
        shorter.serve(std::future::ready(())).await;
    }
    let shorter = start().await;
    let log = LogStore::new(shorter.parts.replica.log.clone());
    shorter
        .serve(async {
            let over = || log.longest_hold().unwrap() == Some(Duration::from_millis(100));
            wait_until("the vote hold of the longer ones is over", over).await;
        })
        .await;
    assert!(left(&start().await) <= Duration::from_millis(101));
}

/// It leads, and may be asked for both at once.
#[tokio::test]
async fn a_member_grants_no_lease_while_it_votes() {
    let member = open_member(&memory(), config(), Open::New(CLUSTER)).await;
    found(&member).await;
    let (raft, reads) = (member.parts.replica.raft.clone(), member.parts.replica.reads.clone());
    let (id, vote) = (member.parts.identity.id, raft.metrics().borrow_watched().vote);
    let term = vote.leader_id.term;
    let grant = || {
        let ask = Ask { id, term, renews: false };
        reads.barrier.grant(&ask, || Some(vec![BTreeSet::from([id])]))
    };
    let request = VoteRequest::new(Vote::new(term + 1, PEER), None);
    let mut voting = Box::pin(elections::vote(raft, reads.clone(), request));
    assert!(futures_util::poll!(voting.as_mut()).is_pending(), "raft has not seen it yet");
    assert_eq!(grant(), Err(Refused::Changing));
    assert!(!voting.await.unwrap().vote_granted, "its log is shorter");
    grant().unwrap();
    let request = VoteRequest::new(Vote::new(term + 1, PEER), None);
    let refused = elections::vote(member.parts.replica.raft.clone(), reads, request).await;
    assert!(refused.unwrap_err().contains("vote hold"));
}

/// The vote hold of another start of the same member may still go on.
#[tokio::test]
async fn a_member_is_made_the_first_of_a_cluster_when_its_vote_hold_is_over() {
    let member = open_member(&memory(), config(), Open::New(CLUSTER)).await;
    let reads = &member.parts.replica.reads;
    reads.vote_hold.after_restart(reads.clock.now(), Duration::from_millis(300));
    found(&member).await;
    assert!(!is_kept(&member), "it voted for itself within a vote hold");
}

fn elections_of(member: &Member) -> Elections {
    Elections::of(member.parts.replica.raft.clone(), member.parts.replica.reads.clone())
}

/// Waits until the member leads, and sees that it was free to.
async fn leads_when_free(member: &Member) {
    let reads = &member.parts.replica.reads;
    leads(&member.parts.replica.raft).await;
    assert!(reads.vote_hold.is_over(reads.clock.now()), "elected within a vote hold");
}

fn is_kept(member: &Member) -> bool {
    let reads = &member.parts.replica.reads;
    !reads.vote_hold.is_over(reads.clock.now())
}

#[tokio::test]
async fn a_member_whose_holdoff_ends_under_a_vote_hold_starts_no_election() {
    let member = started_again().await;
    let elections = elections_of(&member);
    tokio::spawn(elections.keep_vote_hold());
    let (_leader, led) = watch::channel(Some(PEER));
    let large_appends = LargeAppends::default();
    large_appends.chunk_from(PEER);
    let election_holdoff = tokio::spawn(hold_off_elections(elections, led, large_appends.clone()));
    tokio::task::yield_now().await;
    large_appends.chunk_from(PEER);
    assert!(is_kept(&member), "too slow to see anything");
    leads_when_free(&member).await;
    election_holdoff.abort();
}

#[tokio::test]
async fn elections_go_on_when_the_last_reason_to_hold_them_off_has_ended() {
    let member = started_again().await;
    let (raft, elections) = (&member.parts.replica.raft, elections_of(&member));
    let election_holdoff = elections.hold_off();
    elections.keep_vote_hold().await;
    let wait = raft.wait(Some(config().election_timeout_max));
    assert!(wait.state(ServerState::Leader, "leads").await.is_err(), "the hold-off goes on");
    drop(election_holdoff);
    leads(raft).await;
}

#[tokio::test]
async fn a_member_whose_leader_is_lost_does_not_campaign_under_a_vote_hold() {
    let member = started_again().await;
    let elections = elections_of(&member);
    tokio::spawn(elections.keep_vote_hold());
    let (_leader, led) = watch::channel(Some(PEER));
    let (raft, soon) = (member.parts.replica.raft.clone(), Duration::from_millis(10));
    let failure_detector =
        tokio::spawn(watch_leader(raft, elections, led, InboundPeers::default(), soon));
    leads_when_free(&member).await;
    failure_detector.abort();
}

#[tokio::test]
async fn a_member_that_is_to_take_over_the_lead_refuses_under_a_vote_hold() {
    let member = started_again().await;
    let (id, player) = (member.parts.identity.id, Player::beside(&member, PEER).await);
    tokio::spawn(elections_of(&member).keep_vote_hold());
    let vote = member.parts.replica.raft.metrics().borrow_watched().vote;
    let request = TransferLeaderRequest::<TypeConfig>::new(vote, id, None);
    let answer = player.ask(id, rpc::TRANSFER_LEADER, Bytes::from(codec::encode(&request))).await;
    assert!(is_kept(&member), "too slow to see anything");
    let refused: std::result::Result<(), String> = codec::decode("answer", &answer).unwrap();
    assert!(refused.unwrap_err().contains("vote hold"));
    leads_when_free(&member).await;
}
