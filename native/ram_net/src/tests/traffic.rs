//! What works: requests, replies, and who knows whom.

use super::*;

#[tokio::test]
async fn requests_are_answered_in_both_directions() {
    let (a, b) = pair().await;
    assert_eq!(a.call(2, ECHO, b"ping").await, Ok(Bytes::from_static(b"ping")));
    assert_eq!(b.net.address(PeerId(1)), Some(a.net.advertised()));
    assert_eq!(b.call(1, ECHO, b"pong").await, Ok(Bytes::from_static(b"pong")));
    let status = a.status(2);
    assert!(status.connected && status.accepted && status.last_error.is_none(), "{status:?}");
    let stats = a.net.stats();
    assert_eq!((stats.connects, stats.accepts), (1, 1));
    assert_eq!((stats.frames_sent, stats.frames_received), (2, 2));
    assert_eq!(stats.bytes_sent, 2 * (4 + frame::HEADER_BYTES as u64));
}

#[tokio::test]
async fn ten_thousand_requests_at_once_arrive_in_order_and_are_all_answered() {
    let (a, b) = pair().await;
    let body = |i: u32| Bytes::copy_from_slice(&i.to_be_bytes());
    let pending: Vec<_> =
        (0..10_000).map(|i| a.net.send(PeerId(2), ECHO, body(i)).unwrap()).collect();
    let replies = within(futures_util::future::join_all(pending)).await;
    for (i, reply) in (0..).zip(replies) {
        assert_eq!(reply, Ok(body(i)));
    }
    let arrived = b.witness.0.requests.lock();
    assert!(arrived.iter().eq((0..10_000).map(body).collect::<Vec<_>>().iter()));
    assert_eq!(a.status(2).in_flight, 0);
}

#[tokio::test]
async fn replies_may_come_in_another_order() {
    let (a, b) = pair().await;
    let first = a.net.send(PeerId(2), HOLD, Bytes::new()).unwrap();
    let second = a.net.send(PeerId(2), HOLD, Bytes::new()).unwrap();
    wait_until("both arrived", || b.witness.0.held.lock().len() == 2).await;
    let mut held = std::mem::take(&mut *b.witness.0.held.lock());
    while let Some((id, replies)) = held.pop_back() {
        replies.send(id, id.to_be_bytes().to_vec()).unwrap();
    }
    let (first, second) = within(async { tokio::join!(first, second) }).await;
    assert!(first.unwrap() < second.unwrap());
}

#[tokio::test]
async fn a_body_of_20_mib_in_pieces_arrives_whole() {
    let (a, _b) = pair().await;
    let piece = |seed: u8| -> Bytes { (0..10 << 20).map(|i| seed ^ (i % 251) as u8).collect() };
    let pieces = vec![piece(1), Bytes::from_static(b"|"), piece(2)];
    let reply = within(a.net.call(PeerId(2), ECHO, pieces.clone(), LIMIT)).await.unwrap();
    assert!(reply == pieces.concat(), "the body comes back as it was sent");
    assert!(a.call(2, ECHO, b"after").await.is_ok());
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_before_it_is_queued() {
    let (a, b) = pair_with(|options| options.frame_bytes_max = 100).await;
    let too_large = NetError::FrameTooLarge { bytes: 101, bytes_max: 100 };
    let refused = a.net.send(PeerId(2), ECHO, vec![0; 101]).err();
    assert_eq!(refused, Some(too_large.clone()));
    assert!(within(a.net.call(PeerId(2), ECHO, vec![0; 100], LIMIT)).await.is_ok());
    let replies = b.witness.0.replies.lock().clone().unwrap();
    assert_eq!(replies.send(1, vec![0; 101]), Err(too_large));
}

#[tokio::test]
async fn the_largest_body_allowed_fits_an_empty_queue() {
    let (a, _b) = pair_with(|options| {
        options.frame_bytes_max = 1 << 20;
        options.peer_queue_bytes_max = 1 << 20;
    })
    .await;
    assert!(within(a.net.call(PeerId(2), ECHO, vec![0; 1 << 20], LIMIT)).await.is_ok());
}

#[tokio::test]
async fn a_busy_peer_is_not_a_dead_one() {
    let stall = Duration::from_millis(200);
    let (a, b) = pair_with(|options| options.stall_timeout = stall).await;
    let pending = a.net.send(PeerId(2), HOLD, Bytes::new()).unwrap();
    wait_until("the request arrived", || !b.witness.0.held.lock().is_empty()).await;
    // Time is what this is about: several stall times pass.
    tokio::time::sleep(4 * stall).await;
    let (id, replies) = b.witness.0.held.lock().pop_front().unwrap();
    replies.send(id, b"late".as_slice()).unwrap();
    assert_eq!(within(pending).await, Ok(Bytes::from_static(b"late")));
}

#[tokio::test]
async fn a_service_can_hang_up() {
    let (a, b) = pair().await;
    let pending = a.net.send(PeerId(2), HOLD, Bytes::new()).unwrap();
    wait_until("the request arrived", || !b.witness.0.held.lock().is_empty()).await;
    let (id, replies) = b.witness.0.held.lock().pop_front().unwrap();
    replies.close();
    assert!(within(pending).await.unwrap_err().sent());
    assert_eq!(replies.send(id, Bytes::new()), Err(NetError::Closed));
}

#[tokio::test]
async fn a_second_connection_of_a_member_replaces_the_first() {
    let (a, b) = pair().await;
    a.call(2, ECHO, b"").await.unwrap();
    let again = start(options(1)).await;
    again.net.set_address(PeerId(2), b.net.advertised());
    again.call(2, ECHO, b"").await.unwrap();
    wait_until("the first is closed", || !a.status(2).connected).await;
    assert!(again.status(2).connected);
    assert_eq!(b.net.address(PeerId(1)), Some(again.net.advertised()));
    let (on, off) = (Event::Connected(PeerId(1)), Event::Disconnected(PeerId(1)));
    assert_eq!(*b.witness.0.events.lock(), vec![on.clone(), off, on]);
}

#[tokio::test]
async fn a_forgotten_peer_is_closed_and_unknown() {
    let (a, b) = pair().await;
    a.call(2, ECHO, b"").await.unwrap();
    b.call(1, ECHO, b"").await.unwrap();
    let pending = a.net.send(PeerId(2), HOLD, Bytes::new()).unwrap();
    wait_until("the request arrived", || !b.witness.0.held.lock().is_empty()).await;
    a.net.forget(PeerId(2));
    assert!(within(pending).await.unwrap_err().sent());
    assert_eq!((a.net.peers(), a.net.address(PeerId(2))), (vec![], None));
    let unknown = a.net.send(PeerId(2), ECHO, Bytes::new()).err().unwrap();
    assert!(matches!(unknown, NetError::Unreachable { .. }));
    wait_until("both connections end", || {
        let status = b.status(1);
        !status.connected && !status.accepted
    })
    .await;
}

#[tokio::test]
async fn shutting_down_leaves_no_task_and_no_listener() {
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let before = tasks();
    let (a, b) = pair().await;
    a.call(2, ECHO, b"").await.unwrap();
    b.call(1, ECHO, b"").await.unwrap();
    let _outsider = a.raw_socket().await;
    let pending = a.net.send(PeerId(2), HOLD, Bytes::new()).unwrap();
    assert!(tasks() > before);
    within(a.net.shutdown()).await;
    assert!(within(pending).await.is_err());
    assert_eq!(a.net.send(PeerId(2), ECHO, Bytes::new()).err(), Some(NetError::Closed));
    assert!(TcpStream::connect(a.net.advertised()).await.is_err());
    within(b.net.shutdown()).await;
    wait_until("no task is left", || tasks() == before).await;
}

#[tokio::test]
async fn a_dropped_network_closes_its_connections() {
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let before = tasks();
    let (a, b) = pair().await;
    a.call(2, ECHO, b"").await.unwrap();
    drop(a);
    wait_until("b notices", || !b.status(1).accepted).await;
    drop(b);
    wait_until("no task is left", || tasks() == before).await;
}

#[test]
fn a_network_can_be_used_from_any_thread() {
    fn shared<T: Send + Sync>() {}
    shared::<Net>();
    shared::<PendingReply>();
    shared::<Replies>();
}
