//! Turns at contended keys, asked for by a peer.

use super::leases::patient;
use super::refusals::leading_beside_a_player;
use super::*;
use ram_raft::rpc::{Answer, Refusal};
use ram_raft::turns::TurnRequest;
use ram_store::answer::Outcome;
use ram_store::group::{self, Stamp};
use ram_store::proposed::{Hint, name_of};
use ram_store::write::{Command, Encoded};

async fn ask<T: serde::de::DeserializeOwned>(
    player: &Player,
    (id, kind): (u64, u8),
    body: Vec<u8>,
) -> Answer<T> {
    codec::decode("answer", &player.ask(id, kind, body).await).unwrap()
}

fn turn() -> Vec<u8> {
    codec::encode(&TurnRequest::Wait { name: name_of("", b"k").into() })
}

#[tokio::test]
async fn a_peer_is_told_of_the_value_that_it_has_proposed_itself() {
    let (id, _, player, served) = leading_beside_a_player().await;
    let first: Answer<Option<Hint>> = ask(&player, (id, rpc::TURN), turn()).await;
    assert_eq!(first, Ok(Some(Hint::Unknown)));
    let opened = ask(&player, (id, rpc::PROPOSE), group::open_session().to_vec()).await;
    let Ok(Outcome::SessionOpened { session }) = opened else { panic!("{opened:?}") };
    let stamp = Stamp { session, sequence: 1, acked_below: 1 };
    let put = Encoded::one("", &Command::put(b"k", b"v")).into_bytes();
    let put = group::group(stamp, std::iter::once(&put)).to_vec();
    let done: Answer<Outcome> = ask(&player, (id, rpc::PROPOSE), put).await;
    assert!(matches!(done, Ok(Outcome::Answers(_))));
    let second: Answer<Option<Hint>> = ask(&player, (id, rpc::TURN), turn()).await;
    assert_eq!(second, Ok(Some(Hint::Value(Bytes::from_static(b"v")))));
    let back = codec::encode(&TurnRequest::GiveBack { name: name_of("", b"k").into() });
    assert_eq!(ask::<Option<Hint>>(&player, (id, rpc::TURN), back).await, Ok(None));
    served.abort();
}

#[tokio::test]
async fn what_is_no_request_for_a_turn_is_refused() {
    let (id, _, player, served) = leading_beside_a_player().await;
    for body in [vec![], vec![7], [turn(), vec![0]].concat()] {
        let told: Answer<Option<Hint>> = ask(&player, (id, rpc::TURN), body).await;
        assert!(matches!(told, Err(Refusal::Stopped(_))), "{told:?}");
    }
    served.abort();
}

#[tokio::test]
async fn a_member_that_does_not_lead_gives_no_turns() {
    let member = open_member(&memory(), patient(), Open::New(CLUSTER)).await;
    let (id, handle) = (member.parts.identity.id, member.handle());
    let player = Player::beside(&member, PEER).await;
    let served = super::leases::serve(member);
    let told: Answer<Option<Hint>> = ask(&player, (id, rpc::TURN), turn()).await;
    assert_eq!(told, Err(Refusal::NotLeader));
    let answer = Arc::new(Mutex::new(None));
    let answered = answer.clone();
    let reply = Box::new(move |told| *answered.lock() = Some(told));
    handle.turn("", b"k", std::time::Instant::now() + LIMIT, reply).unwrap();
    wait_until("it is answered", || answer.lock().is_some()).await;
    assert_eq!(*answer.lock(), Some(Err(Error::Timeout)));
    served.abort();
}
