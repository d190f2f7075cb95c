use std::time::Duration;

use tokio::io::{DuplexStream, duplex};
use tokio::time::timeout;

use super::*;
use crate::identity::{ADDRESS_BYTES_MAX, NAME_BYTES_MAX};

const LIMIT: Duration = Duration::from_secs(5);

fn member(id: u64) -> Credentials {
    Credentials {
        cookie: Cookie::new("monster"),
        cluster: ClusterId([7; 16]),
        id: PeerId(id),
        name: format!("ram@box{id}"),
        address: format!("box{id}:1"),
    }
}

type Answer = Result<Greeting, HandshakeError>;

/// Both ends of one handshake.
async fn meet(initiator: &Credentials, expected: u64, acceptor: &Credentials) -> (Answer, Answer) {
    meet_with(initiator, expected, acceptor, Ok(())).await
}

async fn meet_with(
    initiator: &Credentials,
    expected: u64,
    acceptor: &Credentials,
    admission: Result<(), u8>,
) -> (Answer, Answer) {
    let (mut here, mut there) = duplex(1 << 16);
    let opening = async move { initiate(&mut here, initiator, PeerId(expected)).await };
    let accepting = async move { accept(&mut there, acceptor, || (), |_| admission).await };
    timeout(LIMIT, async { tokio::join!(opening, accepting) }).await.unwrap()
}

async fn accept_bytes(bytes: &[u8]) -> (Answer, Vec<u8>) {
    let (mut outsider, mut there) = duplex(1 << 16);
    outsider.write_all(bytes).await.unwrap();
    outsider.shutdown().await.unwrap();
    let answer = timeout(LIMIT, accept(&mut there, &member(2), || (), |_| Ok(()))).await.unwrap();
    drop(there);
    let mut told = Vec::new();
    outsider.read_to_end(&mut told).await.unwrap();
    (answer, told)
}

#[tokio::test]
async fn members_of_one_cluster_with_one_cookie_learn_of_each_other() {
    let (opened, accepted) = meet(&member(1), 2, &member(2)).await;
    let greeting = |id: u64| Greeting {
        id: PeerId(id),
        name: format!("ram@box{id}"),
        address: format!("box{id}:1"),
    };
    assert_eq!(opened, Ok(greeting(2)));
    assert_eq!(accepted, Ok(greeting(1)));
}

#[tokio::test]
async fn a_wrong_cookie_is_noticed_by_the_acceptor_and_not_explained() {
    let outsider = Credentials { cookie: Cookie::new("other"), ..member(1) };
    let (opened, accepted) = meet(&outsider, 2, &member(2)).await;
    assert_eq!(accepted, Err(HandshakeError::WrongCookie));
    assert_eq!(opened, Err(HandshakeError::ClosedAfterProof));
}

#[tokio::test]
async fn an_acceptor_that_does_not_know_the_cookie_is_noticed() {
    let (mut here, mut there) = duplex(1 << 16);
    let impostor = async {
        read_message(&mut there).await.unwrap();
        write_message(&mut there, &[1; NONCE_BYTES]).await.unwrap();
        read_message(&mut there).await.unwrap();
        let mut welcome = member(2).welcome(&Ok(()));
        welcome.put_slice(&[0; PROOF_BYTES]);
        write_message(&mut there, &welcome).await.unwrap();
    };
    let own = member(1);
    let opening = initiate(&mut here, &own, PeerId(2));
    let (opened, ()) = timeout(LIMIT, async { tokio::join!(opening, impostor) }).await.unwrap();
    assert_eq!(opened, Err(HandshakeError::WrongCookie));
}

#[tokio::test]
async fn another_cluster_is_told_so_after_it_proved_the_cookie() {
    let other = Credentials { cluster: ClusterId([8; 16]), ..member(1) };
    let (opened, accepted) = meet(&other, 2, &member(2)).await;
    assert_eq!(opened, Err(HandshakeError::WrongCluster));
    assert_eq!(accepted, Err(HandshakeError::WrongCluster));
}

#[tokio::test]
async fn a_member_that_moved_into_anothers_address_is_not_mistaken_for_it() {
    let wrong = Err(HandshakeError::WrongPeer { expected: PeerId(2), actual: PeerId(3) });
    assert_eq!(meet(&member(1), 2, &member(3)).await, (wrong.clone(), wrong));
}

#[test]
fn a_welcome_counts_only_from_this_cluster_and_from_whom_it_was_asked_of() {
    let judge = |status: u8, cluster: u8, id: u64| {
        let other = Credentials { cluster: ClusterId([cluster; 16]), ..member(id) };
        let mut welcome = other.welcome(&Ok(()));
        welcome[0] = status;
        member(1).judge(&welcome, PeerId(2)).map(|greeting| greeting.id)
    };
    let wrong_peer =
        |id| Err(HandshakeError::WrongPeer { expected: PeerId(2), actual: PeerId(id) });
    assert_eq!(judge(WELCOME, 7, 2), Ok(PeerId(2)));
    assert_eq!(judge(WELCOME, 8, 2), Err(HandshakeError::WrongCluster));
    assert_eq!(judge(WRONG_CLUSTER, 7, 2), Err(HandshakeError::WrongCluster));
    assert_eq!(judge(WELCOME, 7, 3), wrong_peer(3));
    assert_eq!(judge(WRONG_PEER, 7, 2), wrong_peer(2));
    assert_eq!(judge(99, 7, 2), Err(HandshakeError::NotOurs));
}

#[tokio::test]
async fn a_hello_is_named_only_if_it_names_this_cluster_and_this_member() {
    for (cluster, to, is_named) in [(7, 2, true), (8, 2, false), (7, 3, false)] {
        let other = Credentials { cluster: ClusterId([cluster; 16]), ..member(1) };
        let (mut here, mut there) = duplex(1 << 16);
        let hello = other.hello(PeerId(to)).unwrap();
        write_message(&mut here, &hello).await.unwrap();
        here.shutdown().await.unwrap();
        let mut named = false;
        let own = member(2);
        let accepted = accept(&mut there, &own, || named = true, |_| Ok(()));
        assert!(timeout(LIMIT, accepted).await.unwrap().is_err());
        assert_eq!(named, is_named, "cluster {cluster}, member {to}");
    }
}

#[tokio::test]
async fn the_reason_of_a_refusal_reaches_the_initiator() {
    let refused = Err(HandshakeError::Refused { code: 42 });
    let answers = meet_with(&member(1), 2, &member(2), Err(42)).await;
    assert_eq!(answers, (refused.clone(), refused));
}

#[tokio::test]
async fn our_own_messages_sent_back_to_us_prove_nothing() {
    let (opened, accepted) = meet(&member(1), 2, &member(1)).await;
    assert!(opened.is_err() && accepted.is_err());
    let (opened, accepted) = meet(&member(1), 1, &member(1)).await;
    assert!(opened.is_err() && accepted.is_err());

    let (mut here, mirror) = duplex(1 << 16);
    let (mut reads, mut writes) = tokio::io::split(mirror);
    let echo = tokio::io::copy(&mut reads, &mut writes);
    let opened = async move { initiate(&mut here, &member(1), PeerId(2)).await };
    assert!(timeout(LIMIT, async { tokio::join!(opened, echo) }).await.unwrap().0.is_err());
}

#[test]
fn the_same_words_are_another_proof_in_the_other_role() {
    let proof = |role| member(1).mac(role, &[b"said"]).unwrap().finalize().into_bytes();
    assert_ne!(proof(INITIATOR), proof(ACCEPTOR));
}

/// Passes messages on, altering one byte of the `nth` from the initiator or of the acceptor.
async fn alter(mut from: DuplexStream, mut to: DuplexStream, mut nth: i32) {
    for turn in 0..4 {
        let (source, sink) =
            if turn % 2 == 0 { (&mut from, &mut to) } else { (&mut to, &mut from) };
        let Ok(mut message) = read_message(source).await else { return };
        if nth == 0 {
            let middle = message.len() / 2;
            message[middle] ^= 1;
        }
        nth -= 1;
        if write_message(sink, &message).await.is_err() {
            return;
        }
    }
}

#[tokio::test]
async fn nothing_that_is_said_can_be_altered_on_the_way() {
    for nth in 0..4 {
        let ((mut here, left), (right, mut there)) = (duplex(1 << 16), duplex(1 << 16));
        let opening = async move { initiate(&mut here, &member(1), PeerId(2)).await };
        let accepting = async move { accept(&mut there, &member(2), || (), |_| Ok(())).await };
        let all = async { tokio::join!(opening, accepting, alter(left, right, nth)) };
        let (opened, accepted, ()) = timeout(LIMIT, all).await.unwrap();
        assert!(opened.is_err(), "message {nth} altered: {opened:?}");
        assert!(nth == 3 || accepted.is_err(), "message {nth} altered: {accepted:?}");
    }
}

#[tokio::test]
async fn a_recorded_conversation_opens_nothing() {
    let hello = member(1).hello(PeerId(2)).unwrap();
    let old_proof = member(1).mac(INITIATOR, &[&hello, &[9; NONCE_BYTES]]).unwrap();
    let mut recorded = Vec::new();
    write_message(&mut recorded, &hello).await.unwrap();
    write_message(&mut recorded, &old_proof.finalize().into_bytes()).await.unwrap();
    let (answer, told) = accept_bytes(&recorded).await;
    assert_eq!(answer, Err(HandshakeError::WrongCookie));
    assert_eq!(told.len(), PREAMBLE_BYTES + NONCE_BYTES);
}

#[tokio::test]
async fn each_hello_and_each_challenge_has_a_nonce_of_its_own() {
    let hello = || member(1).hello(PeerId(2)).unwrap()[..NONCE_BYTES].to_vec();
    assert_ne!(hello(), hello());
    let mut message = Vec::new();
    write_message(&mut message, &member(1).hello(PeerId(2)).unwrap()).await.unwrap();
    let challenge = accept_bytes(&message).await.1;
    assert_eq!(challenge.len(), PREAMBLE_BYTES + NONCE_BYTES);
    assert_ne!(challenge, accept_bytes(&message).await.1);
}

#[tokio::test]
async fn both_sides_learn_of_a_version_mismatch() {
    let mismatch = HandshakeError::Version { theirs: 999, ours: WIRE_VERSION };
    let mut hello = MAGIC.to_vec();
    hello.put_u16(999);
    hello.put_u16(60_000);
    hello.put_slice(&[0; 100]);
    let (answer, told) = accept_bytes(&hello).await;
    assert_eq!(answer, Err(mismatch.clone()));
    assert_eq!(told, [&MAGIC[..], &WIRE_VERSION.to_be_bytes(), &[0, 0]].concat());

    let (mut here, mut there) = duplex(1 << 16);
    let mut preamble = MAGIC.to_vec();
    preamble.put_u32(999 << 16);
    there.write_all(&preamble).await.unwrap();
    let opened = timeout(LIMIT, initiate(&mut here, &member(1), PeerId(2))).await.unwrap();
    assert_eq!(opened, Err(mismatch));
}

#[tokio::test]
async fn garbage_is_not_ours_and_is_told_nothing() {
    let (answer, told) = accept_bytes(b"GET / HTTP/1.1\r\n\r\n").await;
    assert_eq!((answer, told), (Err(HandshakeError::NotOurs), vec![]));
}

#[tokio::test]
async fn a_message_longer_than_any_of_ours_is_not_waited_for() {
    let mut message = MAGIC.to_vec();
    message.put_u16(WIRE_VERSION);
    message.put_u16(u16::try_from(MESSAGE_BYTES_MAX).unwrap() + 1);
    let (mut outsider, mut there) = duplex(1 << 16);
    outsider.write_all(&message).await.unwrap();
    let answer = timeout(LIMIT, accept(&mut there, &member(2), || (), |_| Ok(()))).await.unwrap();
    assert_eq!(answer, Err(HandshakeError::NotOurs));
}

#[tokio::test]
async fn a_message_of_the_longest_length_is_read() {
    let (mut here, mut there) = duplex(1 << 16);
    let message = vec![7; MESSAGE_BYTES_MAX];
    write_message(&mut here, &message).await.unwrap();
    assert_eq!(timeout(LIMIT, read_message(&mut there)).await.unwrap(), Ok(message));
}

#[tokio::test]
async fn the_longest_name_and_address_fit() {
    let long = Credentials {
        name: "n".repeat(NAME_BYTES_MAX),
        address: "a".repeat(ADDRESS_BYTES_MAX),
        ..member(1)
    };
    let (opened, accepted) = meet(&long, 2, &member(2)).await;
    assert!(opened.is_ok());
    assert_eq!(accepted.unwrap().address, long.address);
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_a_parser_panic(bytes in proptest::collection::vec(0u8.., 0..700)) {
        let _ = Hello::parse(&bytes);
        let _ = member(1).judge(&bytes, PeerId(2));
    }
}
