//! What goes wrong: dead peers, peers without the cookie, corruption.

use super::*;

use std::net::SocketAddr;
use tokio::net::TcpSocket;

/// An address where nobody listens, for as long as the socket is kept.
pub(super) fn nobody() -> (TcpSocket, SocketAddr) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

#[tokio::test]
async fn a_member_that_restarts_on_its_port_is_reached_again() {
    let (a, b) = pair().await;
    a.call(2, ECHO, b"").await.unwrap();
    let mut again = options(2);
    again.listen_port = b.net.local_port();
    within(b.net.shutdown()).await;
    let _b = start(again).await;
    within(async {
        while a.call(2, ECHO, b"").await.is_err() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    assert_eq!(a.net.stats().connects, 2);
}

#[tokio::test]
async fn a_broken_connection_fails_what_was_sent_as_unknown() {
    let (a, b) = pair().await;
    let pending = a.net.send(PeerId(2), HOLD, Bytes::new()).unwrap();
    wait_until("the request arrived", || !b.witness.0.held.lock().is_empty()).await;
    within(b.net.shutdown()).await;
    let error = within(pending).await.unwrap_err();
    assert!(matches!(error, NetError::Broken { .. }) && error.sent(), "{error:?}");
}

#[tokio::test]
async fn during_the_back_off_requests_fail_at_once_and_a_new_address_ends_it() {
    let (a, b) = patient_pair().await;
    let (_reserved, nobody) = nobody();
    a.net.set_address(PeerId(2), nobody.to_string());
    let queued = a.net.send(PeerId(2), ECHO, Bytes::new()).unwrap();
    let error = within(queued).await.unwrap_err();
    assert!(matches!(error, NetError::Unreachable { .. }) && !error.sent(), "{error:?}");
    assert_eq!(a.net.send(PeerId(2), ECHO, Bytes::new()).err(), Some(error.clone()));
    assert_eq!(a.status(2).last_error, Some(error.to_string()));
    a.net.set_address(PeerId(2), b.net.advertised());
    assert!(a.call(2, ECHO, b"").await.is_ok());
}

#[tokio::test]
async fn a_connection_from_a_peer_ends_the_back_off() {
    let (a, b) = patient_pair().await;
    b.witness.0.refusal.store(9, Ordering::Relaxed);
    let refused = NetError::Refused { peer: PeerId(2), code: 9 };
    assert_eq!(a.call(2, ECHO, b"").await, Err(refused.clone()));
    b.witness.0.refusal.store(0, Ordering::Relaxed);
    assert_eq!(a.call(2, ECHO, b"").await, Err(refused));
    b.net.set_address(PeerId(1), a.net.advertised());
    b.call(1, ECHO, b"").await.unwrap();
    assert!(a.call(2, ECHO, b"").await.is_ok());
}

/// A pair whose back-off is longer than any test.
async fn patient_pair() -> (Member, Member) {
    pair_with(|options| {
        options.backoff_min = 60 * LIMIT;
        options.backoff_max = 60 * LIMIT;
    })
    .await
}

#[tokio::test]
async fn an_attempt_is_repeated_after_the_back_off() {
    let a = start(options(1)).await;
    let (reserved, nobody) = nobody();
    a.net.set_address(PeerId(2), nobody.to_string());
    assert!(a.call(2, ECHO, b"").await.is_err());
    let mut late = options(2);
    late.listen_port = nobody.port();
    drop(reserved);
    let _b = start(late).await;
    within(async {
        while a.call(2, ECHO, b"").await.is_err() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_call_that_times_out_knows_that_it_was_sent_and_frees_its_slot() {
    let (a, _b) = pair().await;
    a.call(2, ECHO, b"").await.unwrap();
    let limit = Duration::from_millis(20);
    let error = a.net.call(PeerId(2), HOLD, Bytes::new(), limit).await.unwrap_err();
    assert_eq!(error, NetError::Timeout { peer: PeerId(2), sent: true });
    assert_eq!(a.status(2).in_flight, 0);
}

#[tokio::test]
async fn a_silent_peer_that_owes_an_answer_is_given_up() {
    let mut hasty = options(1);
    hasty.stall_timeout = Duration::from_millis(100);
    let (a, b) = (start(hasty).await, Witness::default());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    a.net.set_address(PeerId(2), listener.local_addr().unwrap().to_string());
    let forgotten = a.net.send(PeerId(2), ECHO, Bytes::new()).unwrap();
    let _frozen = within(async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let own = Credentials { id: PeerId(2), ..raw_credentials() };
        handshake::accept(&mut stream, &own, || (), |_| b.admit(PeerId(1), "ram@box1"))
            .await
            .unwrap();
        let mut request = [0; frame::HEADER_BYTES];
        stream.read_exact(&mut request).await.unwrap();
        stream
    })
    .await;
    // Given up by its caller; still owed by the peer, which has it.
    drop(forgotten);
    assert_eq!(a.status(2).in_flight, 0);
    wait_until("it is given up", || !a.status(2).connected).await;
    let reason = a.status(2).last_error.unwrap();
    assert!(reason.contains("no sign of life"), "{reason}");
}

#[tokio::test]
async fn past_its_bound_the_queue_of_a_peer_is_overloaded() {
    let mut small = options(1);
    small.peer_queue_bytes_max = 1 << 20;
    let a = start(small).await;
    let mute = TcpListener::bind("127.0.0.1:0").await.unwrap();
    a.net.set_address(PeerId(2), mute.local_addr().unwrap().to_string());
    let mut pending = Vec::new();
    let error = loop {
        match a.net.send(PeerId(2), ECHO, vec![0; 100_000]) {
            Ok(reply) => pending.push(reply),
            Err(error) => break error,
        }
        assert!(pending.len() < 100, "nothing stops the queue");
    };
    assert_eq!((error, pending.len()), (NetError::Overloaded { peer: PeerId(2) }, 10));
    assert!(a.status(2).queued_bytes <= 1 << 20);
}

#[tokio::test]
async fn a_peer_that_does_not_read_its_replies_is_not_read_from() {
    let mut small = options(2);
    small.peer_queue_bytes_max = 256 << 10;
    let b = start(small).await;
    let mut stream = b.raw_peer().await;
    let requests = 700;
    let (mut reader, mut writer) = stream.split();
    let write = async {
        for id in 1..=requests {
            writer.write_all(&frame_bytes(id, LARGE_REPLY, vec![0; 40_000])).await.unwrap();
        }
    };
    let mut write = std::pin::pin!(write);
    let pause = Duration::from_millis(500);
    let blocked = tokio::time::timeout(pause, write.as_mut()).await;
    assert!(blocked.is_err(), "all requests were taken in while no reply was read");
    let queued = b.witness.0.replies.lock().as_ref().unwrap().queued_bytes();
    assert!(queued <= (256 << 10) + (65 << 10), "{queued} bytes of replies are queued");
    let reply_bytes = frame::HEADER_BYTES + (64 << 10);
    let mut replies = vec![0; reply_bytes * usize::try_from(requests).unwrap()];
    within(async { tokio::join!(write, reader.read_exact(&mut replies)) }).await.1.unwrap();
}

#[tokio::test]
async fn a_wrong_cookie_a_wrong_cluster_and_a_wrong_member_are_counted_apart() {
    let b = start(options(2)).await;
    let mut outsider = options(1);
    outsider.cookie = Cookie::new("other");
    let mut foreigner = options(1);
    foreigner.cluster = ClusterId([8; 16]);
    for (options, to, kind, reason) in [
        (outsider, 2, RefusalKind::WrongCookie, "cookie"),
        (foreigner, 2, RefusalKind::WrongCluster, "another cluster"),
        (options(1), 3, RefusalKind::WrongPeer, "meant for member 3, reached member 2"),
    ] {
        let a = start(options).await;
        a.net.set_address(PeerId(to), b.net.advertised());
        let error = a.call(to, ECHO, b"").await.unwrap_err();
        assert!(error.to_string().contains(reason) && !error.sent(), "{error}");
        wait_until(reason, || b.refused(kind) == 1).await;
    }
    assert_eq!((b.net.stats().accepts, b.net.peers()), (0, vec![]));
}

#[tokio::test]
async fn a_member_that_the_policy_refuses_is_told_the_reason() {
    let (a, b) = pair().await;
    b.witness.0.refusal.store(9, Ordering::Relaxed);
    let refused = NetError::Refused { peer: PeerId(2), code: 9 };
    assert_eq!(a.call(2, ECHO, b"").await, Err(refused));
    assert_eq!(a.witness.count(&Event::RefusedBy(PeerId(2), 9)), 1);
    wait_until("it is counted", || b.refused(RefusalKind::Refused) == 1).await;
}

#[tokio::test]
async fn another_wire_version_is_answered_with_ours() {
    let b = start(options(2)).await;
    let mut stream = b.raw_socket().await;
    let hello = [&handshake::MAGIC[..], &[0, 99], &[0, 0]].concat();
    stream.write_all(&hello).await.unwrap();
    let mut told = Vec::new();
    within(stream.read_to_end(&mut told)).await.unwrap();
    let ours = handshake::WIRE_VERSION.to_be_bytes();
    assert_eq!(told, [&handshake::MAGIC[..], &ours, &[0, 0]].concat());
    wait_until("it is counted", || b.refused(RefusalKind::Version) == 1).await;
}

#[tokio::test]
async fn garbage_closes_the_connection_and_harms_nobody() {
    let (a, b) = pair().await;
    a.call(2, ECHO, b"").await.unwrap();
    let mut stream = b.raw_socket().await;
    stream.write_all(&[0x5a; 4096]).await.unwrap();
    wait_closed(&mut stream).await;
    wait_until("it is counted", || b.refused(RefusalKind::NotOurs) == 1).await;
    a.call(2, ECHO, b"").await.unwrap();
    assert_eq!(a.net.stats().connects, 1);
}

#[tokio::test]
async fn a_proven_peer_that_sends_no_frames_is_closed() {
    let b = start(options(2)).await;
    let whole = frame_bytes(1, ECHO, vec![1; 100]);
    let flipped = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        bytes
    };
    let bad = [flipped(3), flipped(12), flipped(60), vec![0xff; 100]];
    for (count, bytes) in (1..).zip(&bad) {
        let mut stream = b.raw_peer().await;
        stream.write_all(bytes).await.unwrap();
        wait_closed(&mut stream).await;
        wait_until("it is counted", || b.refused(RefusalKind::BadFrame) == count).await;
    }
    assert_eq!(*b.witness.0.requests.lock(), Vec::<Bytes>::new());
}

#[tokio::test]
async fn an_over_long_frame_closes_the_connection_at_its_header() {
    let mut small = options(2);
    small.frame_bytes_max = 1000;
    let b = start(small).await;
    let mut stream = b.raw_peer().await;
    let frame = frame_bytes(1, ECHO, vec![1; 1001]);
    stream.write_all(&frame[..frame::HEADER_BYTES]).await.unwrap();
    wait_closed(&mut stream).await;
    wait_until("it is counted", || b.refused(RefusalKind::BadFrame) == 1).await;
}

#[tokio::test]
async fn a_panic_in_a_service_ends_its_connection_alone() {
    let (a, b) = pair().await;
    let other = start(options(3)).await;
    other.net.set_address(PeerId(2), b.net.advertised());
    other.call(2, ECHO, b"").await.unwrap();
    assert!(a.call(2, PANIC, b"").await.unwrap_err().sent());
    assert!(other.call(2, ECHO, b"").await.is_ok());
    assert_eq!(other.net.stats().connects, 1);
    wait_until("the slot is free", || !b.status(1).accepted).await;
    within(async {
        while a.call(2, ECHO, b"").await.is_err() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_port_in_use_and_bad_options_are_told_apart() {
    let b = start(options(2)).await;
    let mut taken = options(1);
    taken.listen_port = b.net.local_port();
    let mut open = options(1);
    open.cookie = Cookie::new("");
    for (options, listen) in [(taken, true), (open, false)] {
        let service = Arc::new(Witness::default());
        let error =
            Net::start(options, Arc::new(TcpTransport::default()), service).await.err().unwrap();
        assert_eq!(matches!(error, NetError::Listen { .. }), listen, "{error}");
    }
}

#[tokio::test]
async fn a_new_cookie_is_proven_from_then_on_and_connections_that_stand_stay() {
    let (a, b) = pair().await;
    a.call(2, ECHO, b"").await.unwrap();
    a.net.set_cookie(b"another".to_vec());
    a.call(2, ECHO, b"").await.unwrap();
    assert_eq!(a.net.stats().connects, 1);
    b.net.forget(PeerId(1));
    wait_until("the old cookie is refused", || {
        a.net.set_address(PeerId(2), b.net.advertised());
        let _ = a.net.send(PeerId(2), ECHO, Bytes::new());
        b.refused(RefusalKind::WrongCookie) > 0
    })
    .await;
    b.net.set_cookie(b"another".to_vec());
    // What proves nothing is not taken.
    b.net.set_cookie(Vec::new());
    let call = async {
        while a.call(2, ECHO, b"").await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    within(call).await;
}
