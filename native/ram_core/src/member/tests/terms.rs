//! Messages of peers with the cookie that speak of terms no election reaches, to whole members.

use ram_raft::openraft::raft::{VoteRequest, VoteResponse};
use ram_raft::openraft::storage::RaftLogStorage;

use super::leases::{append, first_append, members, patient, serve};
use super::*;
use ram_raft::entry;
use ram_raft::rpc::AppendAnswer;
use ram_raft::types::{TypeConfig, Vote};

const FAR: u64 = u64::MAX;

fn far_log_id() -> ram_raft::types::LogId {
    entry::log_id(FAR, FAR)
}

/// Marked as a transfer of the lead, which is voted for while a leader is heard.
fn vote_request(term: u64) -> VoteRequest<TypeConfig> {
    let mut request = VoteRequest::new(Vote::new(term, PEER), Some(far_log_id()));
    request.leadership_transfer = true;
    request
}

fn term(raft: &Raft) -> u64 {
    raft.metrics().borrow_watched().current_term
}

/// One such message ended elections for good, after restarts too.
#[tokio::test]
async fn a_member_that_is_asked_for_its_vote_in_the_last_term_of_all_leads_on_and_after_restarts() {
    let disk = memory();
    let mut open = Open::New(CLUSTER);
    for _ in 0..3 {
        let member = open_member(&disk, timed(50, 150, 300), open).await;
        let (id, raft) = (member.parts.identity.id, member.parts.replica.raft.clone());
        if open == Open::New(CLUSTER) {
            found(&member).await;
        }
        open = Open::Existing;
        let player = Player::beside(&member, PEER).await;
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let served = tokio::spawn(member.serve(async { _ = stopped.await }));
        leads(&raft).await;
        let before = term(&raft);
        for kind in [rpc::PRE_VOTE, rpc::VOTE] {
            let request = Bytes::from(codec::encode(&vote_request(FAR)));
            let answer = player.ask(id, kind, request).await;
            let answer: std::result::Result<VoteResponse<TypeConfig>, String> =
                codec::decode("answer", &answer).unwrap();
            assert!(answer.is_err() || !answer.unwrap().vote_granted);
        }
        let mut request = first_append(&Default::default());
        request.vote = Vote::new_committed(FAR, PEER);
        let answer = player.ask(id, rpc::APPEND, rpc::encode_append(&request)).await;
        let answer: std::result::Result<AppendAnswer, String> =
            codec::decode("answer", &answer).unwrap();
        assert!(answer.is_err(), "{answer:?}");
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert_eq!(term(&raft), before);
        leads(&raft).await;
        stop.send(()).unwrap();
        served.await.unwrap();
    }
}

/// It follows a leader that it hears, and knows the configuration.
#[tokio::test]
async fn a_peer_of_no_configuration_does_not_move_the_term_of_a_member_that_hears_its_leader() {
    const UNKNOWN: u64 = PEER + 1;
    let member = open_member(&memory(), patient(), Open::New(CLUSTER)).await;
    let (id, raft) = (member.parts.identity.id, member.parts.replica.raft.clone());
    let members = members(&member);
    let (leader, unknown) =
        (Player::beside(&member, PEER).await, Player::beside(&member, UNKNOWN).await);
    let served = serve(member);
    append(&leader, id, &first_append(&members)).await;
    let before = term(&raft);
    let mut request = vote_request(before + 1);
    request.vote = Vote::new(before + 1, UNKNOWN);
    let ask = async |player: &Player, request: &VoteRequest<TypeConfig>| {
        let answer = player.ask(id, rpc::VOTE, Bytes::from(codec::encode(request))).await;
        codec::decode::<std::result::Result<VoteResponse<TypeConfig>, String>>("answer", &answer)
            .unwrap()
    };
    let refused = ask(&unknown, &request).await.unwrap_err();
    assert!(refused.contains("no configuration"), "{refused}");
    assert_eq!(term(&raft), before);
    let granted = ask(&leader, &vote_request(before + 1)).await.unwrap();
    assert!(granted.vote_granted, "the lead is transferred to a member");
    served.abort();
}

/// Raft counts on from them.
#[tokio::test]
async fn an_append_whose_numbers_do_not_fit_each_other_is_refused_and_the_next_is_taken() {
    let member = open_member(&memory(), patient(), Open::New(CLUSTER)).await;
    let (id, members) = (member.parts.identity.id, members(&member));
    let player = Player::beside(&member, PEER).await;
    let served = serve(member);
    let right = first_append(&members);
    let mut wrong = Vec::new();
    for far in [far_log_id(), entry::log_id(6, 2)] {
        let mut request = first_append(&members);
        request.leader_commit = Some(far);
        wrong.push(request);
        let mut request = first_append(&members);
        request.prev_log_id = Some(far);
        wrong.push(request);
    }
    let mut request = first_append(&members);
    request.entries.iter_mut().for_each(|entry| {
        entry.log_id = entry::log_id(5, FAR);
    });
    wrong.push(request);
    for request in wrong {
        let answer = player.ask(id, rpc::APPEND, rpc::encode_append(&request)).await;
        let answer: std::result::Result<AppendAnswer, String> =
            codec::decode("answer", &answer).unwrap();
        assert!(answer.is_err(), "{answer:?} to {request}");
    }
    append(&player, id, &right).await;
    served.abort();
}

/// On the disk of a member that took such a vote before there was a guard.
async fn poisoned(term: u64) -> Arc<dyn Disk> {
    let disk = memory();
    let member = open_member(&disk, timed(50, 150, 300), Open::New(CLUSTER)).await;
    found(&member).await;
    member.serve(std::future::ready(())).await;
    let log = ram_log::Log::open(disk.clone(), ram_log::LogOptions::default()).unwrap();
    LogStore::new(log.clone()).save_vote(&Vote::new(term, PEER)).await.unwrap();
    log.close().unwrap();
    disk
}

/// Its own next term was 0, which ended raft with a panic.
#[tokio::test]
async fn a_member_with_a_vote_of_no_election_on_its_disk_opens_and_campaigns_never() {
    let disk = poisoned(FAR).await;
    let member = open_member(&disk, timed(50, 150, 300), Open::Existing).await;
    let raft = member.parts.replica.raft.clone();
    let served = serve(member);
    let leads = raft.wait(Some(Duration::from_secs(1))).state(ServerState::Leader, "leads").await;
    assert!(leads.is_err());
    assert!(raft.metrics().borrow_watched().running_state.is_ok());
    assert_eq!(term(&raft), FAR);
    served.abort();
}

#[tokio::test]
async fn a_recovery_brings_back_a_member_with_a_vote_of_no_election() {
    for term in [FAR, FAR - 1, ram_limits::COUNTER_MAX] {
        let disk = poisoned(term).await;
        let config = timed(50, 150, 300);
        let recovered = opening::recover(&config.name, &config, &disk, ClusterId([8; 16]));
        recovered.await.unwrap();
        let member = open_member(&disk, config, Open::Existing).await;
        let raft = member.parts.replica.raft.clone();
        let served = serve(member);
        leads(&raft).await;
        served.abort();
    }
}
