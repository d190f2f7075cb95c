//! Is a member where it is said to be, and who answers there if not?

use super::*;

use crate::UnreachedCause as Cause;

/// Asks member 1, whose peer 2 is said to be at `address`.
async fn reach(a: &Member, address: &str) -> Result<(), Unreached> {
    let limit = Duration::from_secs(5);
    within(a.net.reach(PeerId(2), address.to_owned(), limit)).await
}

fn outage(a: &Member) -> Option<Outage> {
    a.status(2).outage
}

/// A listener that lets the system take connections and says nothing.
async fn mute() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    (listener, address)
}

#[tokio::test]
async fn who_is_not_reached_is_told_with_address_and_cause() {
    let a = start(options(1)).await;
    let mut outsider = options(2);
    outsider.cookie = Cookie::new("other");
    let mut foreigner = options(2);
    foreigner.cluster = ClusterId([8; 16]);
    let (outsider, foreigner) = (start(outsider).await, start(foreigner).await);
    let (other, refusing) = (start(options(3)).await, start(options(2)).await);
    refusing.witness.0.refusal.store(9, Ordering::Relaxed);
    let (reserved, nobody) = failure::nobody();
    let cases = [
        (nobody.to_string(), Cause::ConnectionRefused),
        ("no-such-host.invalid:1".to_owned(), Cause::UnknownHost),
        (outsider.net.advertised(), Cause::WrongCookie),
        (foreigner.net.advertised(), Cause::WrongCluster),
        (other.net.advertised(), Cause::WrongPeer),
        (refusing.net.advertised(), Cause::NotAdmitted),
    ];
    for (attempts, (address, cause)) in (1..).zip(&cases) {
        let unreached = reach(&a, address).await.unwrap_err();
        assert_eq!(unreached.cause, *cause, "{address}: {unreached:?}");
        wait_until("it is counted", || outage(&a).is_some_and(|seen| seen.attempts == attempts))
            .await;
        let seen = outage(&a).unwrap();
        assert_eq!((&seen.address, seen.cause, seen.text), (address, *cause, unreached.text));
    }
    assert_eq!(a.net.stats().connect_failures, cases.len() as u64);
    drop(reserved);
}

#[tokio::test]
async fn a_host_that_says_nothing_is_late_and_does_not_hold_up_the_question() {
    let a = start(options(1)).await;
    let (_listener, address) = mute().await;
    let limit = Duration::from_millis(100);
    let unreached = within(a.net.reach(PeerId(2), address, limit)).await.unwrap_err();
    assert_eq!(unreached.cause, Cause::Timeout);
}

#[tokio::test]
async fn an_outage_ends_with_the_connection_and_the_connection_stays_for_requests() {
    let (a, b) = pair().await;
    let (reserved, nobody) = failure::nobody();
    reach(&a, &nobody.to_string()).await.unwrap_err();
    reach(&a, &b.net.advertised()).await.unwrap();
    assert_eq!(outage(&a), None);
    assert_eq!(a.status(2).name.as_deref(), Some("ram@box2"));
    reach(&a, &b.net.advertised()).await.unwrap();
    a.call(2, ECHO, b"").await.unwrap();
    assert_eq!(a.net.stats().connects, 1);
    drop(reserved);
}

#[tokio::test]
async fn a_question_does_not_take_the_failure_of_a_former_address_for_its_answer() {
    let mut hasty = options(1);
    hasty.handshake_timeout = Duration::from_millis(300);
    let (a, b) = (start(hasty).await, start(options(2)).await);
    let (_listener, address) = mute().await;
    a.net.set_address(PeerId(2), address);
    let _pending = a.net.send(PeerId(2), ECHO, Bytes::new()).unwrap();
    assert_eq!(reach(&a, &b.net.advertised()).await, Ok(()));
}

#[tokio::test]
async fn a_connection_that_stands_is_believed_only_when_it_answers() {
    let mut hasty = options(1);
    hasty.stall_timeout = Duration::from_millis(200);
    let a = start(hasty).await;
    let (listener, address) = mute().await;
    let own = Credentials { id: PeerId(2), ..raw_credentials() };
    let asked = reach(&a, &address);
    let frozen = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        handshake::accept(&mut stream, &own, || (), |_| Ok(())).await.unwrap();
        drop(listener);
        stream
    };
    let (answer, _stream) = within(async { tokio::join!(asked, frozen) }).await;
    assert!(answer.is_err(), "{answer:?}");
}

/// Whoever knows the cookie can say so of any member, and it cut all that had no connection then.
#[tokio::test]
async fn a_member_that_is_said_to_be_elsewhere_is_found_where_it_was_when_it_became_one() {
    let (a, b) = pair().await;
    let (reserved, nobody) = failure::nobody();
    a.net.set_configured_address(PeerId(2), &b.net.advertised());
    for _ in 0..3 {
        a.net.set_address(PeerId(2), nobody.to_string());
        within(async {
            while a.call(2, ECHO, b"").await.is_err() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        })
        .await;
        assert_eq!(reach(&a, &nobody.to_string()).await, Ok(()), "on the connection that stands");
        a.net.shared.peer(PeerId(2)).unwrap().close();
        assert!(reach(&a, &nobody.to_string()).await.is_err(), "a question is of that address");
    }
    drop(reserved);
}
