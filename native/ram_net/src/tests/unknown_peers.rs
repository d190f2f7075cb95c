//! Unknown peers, which have the cookie and are no members, and half frames: how much memory and
//! how many connections they get.

use super::*;

const LARGE: usize = 1 << 20;

/// A member with room for one large frame of unknown peers, and for two of members.
fn roomy() -> NetOptions {
    let mut options = options(2);
    options.frame_bytes_max = LARGE;
    options.receiving_bytes_max = 2 * LARGE;
    options.unknown_peers_receiving_bytes_max = LARGE;
    options.stall_timeout = Duration::from_millis(300);
    options
}

/// Sends a frame but for its last byte.
async fn half_a_frame(stream: &mut TcpStream) {
    let frame = frame_bytes(1, ECHO, vec![7; LARGE]);
    stream.write_all(&frame[..frame.len() - 1]).await.unwrap();
}

#[tokio::test]
async fn half_frames_of_many_made_up_ids_take_the_budget_of_one() {
    let mut patient = roomy();
    patient.stall_timeout = 10 * LIMIT;
    let b = start(patient).await;
    let before = b.net.stats().bytes_received;
    let mut peers = Vec::new();
    for id in 0..10 {
        let mut peer = b.raw_peer_with(UNKNOWN + id).await;
        let _ = tokio::time::timeout(Duration::from_millis(100), half_a_frame(&mut peer)).await;
        peers.push(peer);
    }
    let taken = (b.net.stats().bytes_received - before) as usize;
    assert!(taken >= LARGE, "{taken}");
    assert!(taken <= LARGE + peers.len() * 2 * frame::READ_BYTES, "{taken}");
    let member = start(options(1)).await;
    member.net.set_address(PeerId(2), b.net.advertised());
    member.net.call(PeerId(2), ECHO, vec![1; LARGE], LIMIT).await.unwrap();
}

#[tokio::test]
async fn a_peer_that_stalls_with_half_a_frame_is_closed_and_others_get_its_budget() {
    let b = start(roomy()).await;
    let mut silent = [b.raw_peer_with(11).await, b.raw_peer_with(12).await];
    for stream in &mut silent {
        half_a_frame(stream).await;
    }
    let member = start(options(1)).await;
    member.net.set_address(PeerId(2), b.net.advertised());
    member.net.call(PeerId(2), ECHO, vec![1; LARGE], LIMIT).await.unwrap();
    for stream in &mut silent {
        wait_closed(stream).await;
    }
}

#[tokio::test]
async fn a_slow_large_frame_arrives_whole_while_no_other_needs_the_budget() {
    let b = start(roomy()).await;
    let mut slow = b.raw_peer().await;
    let frame = frame_bytes(1, ECHO, vec![7; 2 * frame::READ_BYTES]);
    for part in frame.chunks(frame.len() / 8) {
        slow.write_all(part).await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    wait_until("it has come", || b.witness.0.requests.lock().len() == 1).await;
}

#[tokio::test]
async fn unknown_peers_have_few_slots_and_the_oldest_of_them_is_closed() {
    let mut few = options(2);
    few.unknown_peers_max = 2;
    let b = start(few).await;
    let member = b.raw_peer().await;
    let mut peers = Vec::new();
    for id in 0..4 {
        peers.push(b.raw_peer_with(UNKNOWN + id).await);
        wait_until("it has its slot", || b.net.shared.inbound_slots.is_taken(PeerId(UNKNOWN + id)))
            .await;
    }
    for stream in &mut peers[..2] {
        wait_closed(stream).await;
    }
    let has_slot = |id| b.net.shared.inbound_slots.is_taken(PeerId(id));
    assert!(has_slot(1) && has_slot(UNKNOWN + 2) && has_slot(UNKNOWN + 3));
    drop(member);
}

#[tokio::test]
async fn nothing_is_kept_of_an_unknown_peer_that_has_gone_unless_its_address_was_given() {
    let b = start(options(2)).await;
    b.net.set_address(PeerId(UNKNOWN), "127.0.0.1:1".to_owned());
    for id in 0..3 {
        drop(b.raw_peer_with(UNKNOWN + id).await);
    }
    let known = || b.net.peers().iter().map(|peer| peer.id.0).collect::<Vec<_>>();
    wait_until("they are forgotten", || b.net.stats().accepts == 3 && known() == [UNKNOWN]).await;
}
