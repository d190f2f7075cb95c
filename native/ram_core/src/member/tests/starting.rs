//! Peers that connect while a member is still starting, and a member that starts again.

use super::leases::{append, first_append, members, patient, serve};
use super::*;
use ram_log::FailingDisk;

/// A member that had much to apply at its start took no append on a connection of before, for as
/// long as that connection stood: it was there, voted, and followed nobody.
#[tokio::test]
async fn a_leader_that_connected_while_a_member_was_starting_is_followed_when_it_has_started() {
    let member = open_member(&memory(), patient(), Open::New(CLUSTER)).await;
    let (id, raft) = (member.parts.identity.id, member.parts.replica.raft.clone());
    let changes = member.parts.members.clone();
    let (service, members) = (member.parts.service.clone(), members(&member));
    let player = Player::beside(&member, PEER).await;
    service.stop_serving();
    let told = player.ask(id, rpc::APPEND, rpc::encode_append(&first_append(&members))).await;
    let told: std::result::Result<(), String> = codec::decode("answer", &told).unwrap();
    assert!(told.unwrap_err().contains("starting"));
    service.serve(raft, changes);
    let served = serve(member);
    _ = append(&player, id, &first_append(&members)).await;
    served.abort();
}

/// With no majority there is no new entry, and the last one is of before the start.
#[tokio::test]
async fn a_member_tells_its_status_when_its_disk_cannot_be_read() {
    let disk = FailingDisk::after(i64::MAX, MemoryDisk::default());
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let member = open_member(&shared, patient(), Open::New(CLUSTER)).await;
    let (id, members) = (member.parts.identity.id, members(&member));
    let player = Player::beside(&member, PEER).await;
    let served = serve(member);
    _ = append(&player, id, &first_append(&members)).await;
    served.abort();
    _ = served.await;

    let member = open_member(&shared, patient(), Open::Existing).await;
    let handle = member.handle();
    let served = serve(member);
    disk.fail_after(0);
    let status = handle.status().unwrap();
    assert_eq!((status.last_log_index, status.last_log_term), (2, super::leases::TERM));
    assert!(status.joined);
    served.abort();
}
