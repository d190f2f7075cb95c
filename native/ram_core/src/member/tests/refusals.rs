//! What must not enter the log is refused by the leader, and whoever asked is told at once.

use proptest::prelude::Rng;

use super::leases::{append, first_append, members, patient, serve};
use super::*;
use ram_limits::PROPOSAL_BYTES_MAX;
use ram_raft::Raft;
use ram_raft::openraft::EntryPayload;
use ram_raft::rpc::{Answer, Refusal};
use ram_raft::turns::Turns;
use ram_raft::types::Payload;
use ram_store::answer::Outcome;
use ram_store::group::{self, Stamp};
use ram_store::write::{Command, Encoded};
use tokio::task::JoinHandle;

/// A member alone in its cluster, which serves, and a player that may ask it: its id and its Raft.
pub(super) async fn leading_beside_a_player() -> (u64, Raft, Player, JoinHandle<()>) {
    let member = open_member(&memory(), timed(50, 150, 300), Open::New(CLUSTER)).await;
    let id = member.parts.identity.id;
    found(&member).await;
    let player = Player::beside(&member, PEER).await;
    let raft = member.parts.replica.raft.clone();
    (id, raft, player, serve(member))
}

/// In the log they would end every member, also at each further start.
#[tokio::test]
async fn a_proposal_that_cannot_be_applied_is_refused_by_the_leader_and_harms_nobody() {
    let (id, raft, player, served) = leading_beside_a_player().await;
    let ask = async |proposal: Bytes| -> Answer<Outcome> {
        codec::decode("answer", &player.ask(id, rpc::PROPOSE, proposal).await).unwrap()
    };
    let opened = ask(group::open_session()).await;
    let Ok(Outcome::SessionOpened { session }) = opened else { panic!("{opened:?}") };
    let stamp = |sequence| Stamp { session, sequence, acked_below: 1 };
    let put = Encoded::one("", &Command::put(b"k", b"v")).into_bytes();
    let good = group::group(stamp(1), std::iter::once(&put));
    let cut = good.slice(..good.len() - 1);
    // As a version to come may know more kinds of commands.
    let newer = Bytes::from([&good[..good.len() - put.len()], &[200], &put[1..]].concat());
    for wrong in [cut, newer, Bytes::from_static(b"no proposal"), Bytes::new()] {
        let told = ask(wrong.clone()).await;
        assert!(matches!(told, Err(Refusal::Unfit(_))), "{wrong:?}: {told:?}");
    }
    let large = vec![0; PROPOSAL_BYTES_MAX];
    let large = Encoded::one("", &Command::put(b"k", &large)).into_bytes();
    let large = group::group(stamp(2), std::iter::once(large));
    assert!(matches!(
        leader::propose(&raft, &Turns::default(), id, large).await,
        Err(Refusal::Unfit(_))
    ));
    assert!(matches!(ask(good).await, Ok(Outcome::Answers(answers)) if answers.len() == 1));
    served.abort();
}

/// It was sent again and again until the caller's time was over, and its outcome was not known.
#[tokio::test]
async fn a_write_that_the_leader_refuses_for_good_is_answered_at_once_as_refused() {
    let member = open_member(&memory(), patient(), Open::New(CLUSTER)).await;
    let (id, members, handle) = (member.parts.identity.id, members(&member), member.handle());
    let player = Player::beside(&member, PEER).await;
    let refused: Answer<Outcome> = Err(Refusal::Unfit("too strange".into()));
    *player.proposals.lock() = Some(Bytes::from(codec::encode(&refused)));
    let served = serve(member);
    append(&player, id, &first_append(&members)).await;

    let told = Arc::new(Mutex::new(None));
    let answer = told.clone();
    let put = Command::put(b"k", b"v");
    let reply = Box::new(move |answered| *answer.lock() = Some(answered));
    handle.write(&put, std::time::Instant::now() + 2 * LIMIT, reply).unwrap();
    wait_until("it is answered", || told.lock().is_some()).await;
    assert_eq!(*told.lock(), Some(Err(Error::Refused("too strange".into()))));
    served.abort();
}

/// It is in the log of the others, so nobody may pass over it.
#[tokio::test]
async fn a_committed_entry_that_cannot_be_applied_ends_the_member_and_is_told_with_the_way_out() {
    let disk = memory();
    let (failed, told) = tokio::sync::oneshot::channel();
    let failed = Mutex::new(Some(failed));
    let on_event = move |event| _ = failed.lock().take().map(|failed| failed.send(event));
    let worked = || Environment::real(disk.clone(), Storage::Memory, Arc::new(Plain)).unwrap();
    let opened = Member::open(patient(), Open::New(CLUSTER), worked(), Arc::new(on_event)).await;
    let member = opened.unwrap();
    let (id, mut request) = (member.parts.identity.id, first_append(&members(&member)));
    let player = Player::beside(&member, PEER).await;
    let served = serve(member);
    request.entries[2].payload = EntryPayload::Normal(Payload(Bytes::from_static(b"new")));
    _ = append(&player, id, &request).await;
    let Ok(Event::Failed(why)) = tokio::time::timeout(LIMIT, told).await.unwrap() else {
        panic!("it goes on");
    };
    served.await.unwrap();
    let again = Member::open(patient(), Open::Existing, worked(), Arc::new(|_| {})).await;
    for why in [why, again.err().unwrap().to_string()] {
        assert!(why.contains("entry 2 of the log (term 5) is committed"), "{why}");
        assert!(why.contains("start that version here"), "{why}");
    }
}

/// A new member knows nobody, and hears its first leader all the same.
#[tokio::test]
async fn a_peer_is_known_as_a_member_once_a_configuration_in_the_log_has_it() {
    let member = open_member(&memory(), patient(), Open::New(CLUSTER)).await;
    let (id, members, service) =
        (member.parts.identity.id, members(&member), member.parts.service.clone());
    let player = Player::beside(&member, PEER).await;
    let served = serve(member);
    assert!(!service.knows(PeerId(PEER)));
    let mut uncommitted = first_append(&members);
    uncommitted.leader_commit = None;
    append(&player, id, &uncommitted).await;
    wait_until("it is known", || service.knows(PeerId(PEER))).await;
    assert!(!service.knows(PeerId(PEER + 1)));
    served.abort();
}

/// Whatever a proven peer says without meaning: it is told so, and nothing else happens.
#[tokio::test]
async fn tens_of_thousands_of_random_frames_harm_nobody() {
    let (id, raft, player, served) = leading_beside_a_player().await;
    let mut random = proptest::test_runner::TestRng::deterministic_rng(
        proptest::test_runner::RngAlgorithm::ChaCha,
    );
    for _ in 0..40 {
        let frames = (0..500).map(|_| {
            let mut body = vec![0; (random.next_u32() % 64) as usize];
            random.fill_bytes(&mut body);
            player.net.call(PeerId(id), random.next_u32() as u8, body, LIMIT)
        });
        let answers = futures_util::future::join_all(frames.collect::<Vec<_>>()).await;
        assert!(answers.iter().all(|answer| answer.is_ok()));
    }
    let metrics = raft.metrics().borrow_watched().clone();
    assert_eq!((metrics.state, metrics.current_term), (ServerState::Leader, 1));
    let opened: Answer<Outcome> =
        codec::decode("answer", &player.ask(id, rpc::PROPOSE, group::open_session()).await)
            .unwrap();
    assert!(matches!(opened, Ok(Outcome::SessionOpened { .. })), "{opened:?}");
    served.abort();
}
