//! Keys with a time to live, on a member alone, and what its peers are told and refused.

use super::refusals::leading_beside_a_player;
use super::*;
use ram_raft::rounds::Pulse;
use ram_raft::rpc::{Answer, Refusal};
use ram_store::answer::Outcome;
use ram_store::group;
use ram_store::write::{Because, Due, Encoded, Place, Setting, Write};

/// What a leader writes by itself goes to nobody else, whatever term it names.
#[tokio::test]
async fn an_expiry_that_another_member_proposes_is_refused() {
    let (id, raft, player, served) = leading_beside_a_player().await;
    let mut expire = Encoded::of(&Write::End { keys: 1 });
    let because = Because::Expired { revision: 1 };
    expire.due(&Due { table: "", key: b"k", because });
    let term = raft.metrics().borrow_watched().current_term;
    for term in [term - 1, term, term + 1] {
        let proposal = group::lead(term, &expire);
        let answer = player.ask(id, rpc::PROPOSE, proposal).await;
        let answer: Answer<Outcome> = codec::decode("answer", &answer).unwrap();
        assert!(matches!(answer, Err(Refusal::Unfit(_))), "{answer:?}");
    }
    served.abort();
}

#[tokio::test]
async fn a_member_tells_what_its_clock_says_since_its_start_and_which_run_it_is() {
    let (id, _raft, player, served) = leading_beside_a_player().await;
    let ask = async || -> Pulse {
        let answer = player.ask(id, rpc::PULSE, Bytes::new()).await;
        codec::decode::<std::result::Result<_, String>>("answer", &answer).unwrap().unwrap()
    };
    let first = ask().await;
    tokio::time::sleep(Duration::from_millis(30)).await;
    let second = ask().await;
    assert_eq!(first.run, second.run);
    let passed_ms = second.ms - first.ms;
    assert!((30..10_000).contains(&passed_ms), "{first:?}, {second:?}");
    served.abort();
}

/// It makes no entry of the log, and no round, for keys that stay.
#[tokio::test]
async fn keys_go_when_their_time_is_over_and_the_others_stay() {
    let member = open_member(&memory(), timed(50, 150, 300), Open::New(CLUSTER)).await;
    found(&member).await;
    let replica = member.parts.replica.clone();
    let (handle, applied) = (member.handle(), replica.applied.clone());
    let served = tokio::spawn(member.serve(std::future::pending()));
    let write = |key: &'static [u8], ttl_ms| {
        let head = Write::Batch { table: "", commands: 1 };
        let mut writing = handle.writing(&head).unwrap();
        let put = ram_store::write::Command::put_lasting(Place::of(key), b"v", ttl_ms);
        writing.command(&put).unwrap();
        let deadline = std::time::Instant::now() + LIMIT;
        writing.submit(deadline, Box::new(|answer| _ = answer.unwrap())).unwrap();
    };
    let begun = tokio::time::Instant::now();
    write(b"goes", Setting::To(400));
    write(b"stays", Setting::Clear);
    let has = |key: &[u8]| applied.table().get(key).is_some();
    wait_until("both are there", || has(b"goes") && has(b"stays")).await;
    wait_until("one has gone", || !has(b"goes")).await;
    assert!(begun.elapsed() >= Duration::from_millis(400));
    let index = applied.index();
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert!(has(b"stays"));
    assert_eq!(applied.index(), index, "nothing is proposed where nothing is due");
    served.abort();
}
