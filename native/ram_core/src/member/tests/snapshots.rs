//! Snapshots that a played leader sends: whose are taken, what is left of them, and where their
//! bytes are written.

use ram_raft::openraft::network::{RPCOption, RaftNetworkFactory, RaftNetworkV2};
use std::io;

use super::leases::{LATER, TERM, append, first_append, members, patient, serve, snapshot_chunk};
use super::*;
use ram_limits::CHUNK_BYTES_MAX;
use ram_log::DiskFile;
use ram_log::StoredSnapshot;
use ram_raft::heard::Heard;
use ram_raft::network::Network;
use ram_raft::rpc::{SnapshotChunk, SnapshotProgress};
use ram_raft::terms::Terms;
use ram_raft::types::{Membership, TypeConfig, Vote};

type Snapshot = ram_raft::openraft::alias::SnapshotOf<TypeConfig, StoredSnapshot>;
type Taken = std::result::Result<SnapshotProgress, String>;

async fn send(player: &Player, member: u64, chunk: &SnapshotChunk) -> Taken {
    let body = Bytes::from(codec::encode(chunk));
    codec::decode("answer", &player.ask(member, rpc::SNAPSHOT, body).await).unwrap()
}

fn half(members: &Membership) -> SnapshotChunk {
    let mut chunk = snapshot_chunk(members.clone());
    chunk.chunk = chunk.chunk.slice(..chunk.chunk.len() / 2);
    chunk
}

fn snapshots(disk: &Arc<dyn Disk>) -> Vec<String> {
    let names = disk.list().unwrap().into_iter();
    names.filter(|name| name.contains("snapshot")).collect()
}

/// A member that has what its leader, player 9, appended first.
async fn follower(disk: &Arc<dyn Disk>) -> (u64, Membership, Player, tokio::task::JoinHandle<()>) {
    let member = open_member(disk, patient(), Open::New(CLUSTER)).await;
    let (id, members) = (member.parts.identity.id, members(&member));
    let player = Player::beside(&member, PEER).await;
    let served = serve(member);
    append(&player, id, &first_append(&members)).await;
    (id, members, player, served)
}

#[tokio::test]
async fn half_a_snapshot_goes_with_its_connection() {
    let disk = memory();
    let (id, members, player, served) = follower(&disk).await;
    let taken = send(&player, id, &half(&members)).await.unwrap();
    assert!(matches!(taken, SnapshotProgress::Continue { offset } if offset > 0), "{taken:?}");
    assert_eq!(snapshots(&disk).len(), 1);
    player.net.shutdown().await;
    wait_until("the half is removed", || snapshots(&disk).is_empty()).await;
    served.abort();
}

#[tokio::test]
async fn its_leader_goes_on_with_half_a_snapshot_on_the_next_connection() {
    let disk = memory();
    let member = open_member(&disk, patient(), Open::New(CLUSTER)).await;
    let (id, members) = (member.parts.identity.id, members(&member));
    let player = Player::beside(&member, PEER).await;
    let again = Player::beside(&member, PEER).await;
    let served = serve(member);
    append(&player, id, &first_append(&members)).await;
    let sent = half(&members);
    send(&player, id, &sent).await.unwrap();
    player.net.shutdown().await;
    let asked = SnapshotChunk { chunk: Bytes::new(), ..sent.clone() };
    let taken = send(&again, id, &asked).await.unwrap();
    let half_bytes = sent.chunk.len() as u64;
    assert!(matches!(taken, SnapshotProgress::Continue { offset } if offset == half_bytes));
    // In another term it is another leader, as far as anybody knows.
    let later = SnapshotChunk { vote: Vote::new_committed(TERM + 1, PEER), ..asked };
    let taken = send(&again, id, &later).await.unwrap();
    assert!(matches!(taken, SnapshotProgress::Continue { offset: 0 }), "{taken:?}");
    served.abort();
}

#[tokio::test]
async fn another_snapshot_of_the_leader_takes_the_place_of_the_half_that_has_come() {
    let disk = memory();
    let (id, members, player, served) = follower(&disk).await;
    send(&player, id, &half(&members)).await.unwrap();
    let mut other = half(&members);
    other.meta.last_log_id = Some(ram_raft::entry::log_id(TERM, LATER + 1));
    send(&player, id, &other).await.unwrap();
    assert_eq!(snapshots(&disk), [format!("{}.part", ram_log::snapshot_name(LATER + 1))]);
    served.abort();
}

#[tokio::test]
async fn only_the_leader_of_a_term_that_is_not_over_sends_snapshots() {
    let disk = memory();
    let (id, members, player, served) = follower(&disk).await;
    let with_vote = |vote| SnapshotChunk { vote, ..half(&members) };
    for wrong in [Vote::new_committed(TERM, 8), Vote::new(TERM, PEER), Vote::new_committed(4, PEER)]
    {
        let taken = send(&player, id, &with_vote(wrong)).await;
        assert!(taken.is_err(), "{wrong:?}: {taken:?}");
    }
    let mut early = with_vote(Vote::new_committed(TERM - 1, PEER));
    early.meta.last_log_id = Some(ram_raft::entry::log_id(TERM - 1, LATER));
    let taken = send(&player, id, &early).await.unwrap();
    let now = Vote::new_committed(TERM, PEER);
    assert!(matches!(taken, SnapshotProgress::Done { vote } if vote == now), "{taken:?}");
    let mut large = half(&members);
    large.chunk = vec![0; CHUNK_BYTES_MAX + 1].into();
    assert!(send(&player, id, &large).await.is_err());
    assert_eq!(snapshots(&disk), Vec::<String>::new());
    served.abort();
}

/// openraft would stop the member for good.
#[tokio::test]
async fn a_snapshot_that_contradicts_what_is_committed_is_refused_and_harms_nobody() {
    let disk = memory();
    let (id, members, player, served) = follower(&disk).await;
    let mut wrong = snapshot_chunk(members.clone());
    wrong.vote = Vote::new_committed(TERM + 1, PEER);
    wrong.meta.last_log_id = Some(ram_raft::entry::log_id(TERM + 1, 2));
    assert!(send(&player, id, &wrong).await.is_err());
    let mut other_head = snapshot_chunk(members.clone());
    other_head.meta.last_membership = Default::default();
    assert!(send(&player, id, &other_head).await.unwrap_err().contains("announced"));
    assert_eq!(snapshots(&disk), Vec::<String>::new());
    let taken = send(&player, id, &snapshot_chunk(members)).await.unwrap();
    assert!(matches!(taken, SnapshotProgress::Done { .. }), "{taken:?}");
    assert_eq!(snapshots(&disk), [ram_log::snapshot_name(LATER)]);
    served.abort();
}

#[tokio::test]
async fn a_snapshot_of_what_the_member_has_is_answered_and_leaves_nothing() {
    let disk = memory();
    let (id, members, player, served) = follower(&disk).await;
    send(&player, id, &snapshot_chunk(members.clone())).await.unwrap();
    send(&player, id, &snapshot_chunk(members)).await.unwrap();
    assert_eq!(snapshots(&disk), [ram_log::snapshot_name(LATER)]);
    served.abort();
}

/// Tells which threads worked on the files of snapshots.
#[derive(Debug, Clone, Default)]
struct Watched {
    disk: MemoryDisk,
    /// Guards the names of the threads.
    threads: Arc<Mutex<std::collections::BTreeSet<String>>>,
}

struct WatchedFile(Box<dyn DiskFile>, Option<Watched>);

impl Watched {
    fn threads(&self) -> Vec<String> {
        self.threads.lock().iter().cloned().collect()
    }

    fn wrap(&self, name: &str, file: Box<dyn DiskFile>) -> Box<dyn DiskFile> {
        let is_snapshot = name.contains("snapshot");
        Box::new(WatchedFile(file, is_snapshot.then(|| self.clone())))
    }
}

impl Disk for Watched {
    fn list(&self) -> io::Result<Vec<String>> {
        self.disk.list()
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        Ok(self.wrap(name, self.disk.open(name)?))
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        Ok(self.wrap(name, self.disk.create(name)?))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.disk.remove(name)
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.disk.sync_dir()
    }
}

impl WatchedFile {
    fn seen(&self) -> &dyn DiskFile {
        if let Some(watched) = &self.1 {
            let thread = std::thread::current();
            watched.threads.lock().insert(thread.name().unwrap_or_default().to_owned());
        }
        self.0.as_ref()
    }
}

impl DiskFile for WatchedFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.seen().read_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.seen().write_at(bytes, offset)
    }

    fn grow(&self, len: u64) -> io::Result<()> {
        self.seen().grow(len)
    }

    fn len(&self) -> io::Result<u64> {
        self.seen().len()
    }

    fn sync_data(&self) -> io::Result<()> {
        self.seen().sync_data()
    }
}

#[tokio::test]
async fn no_piece_of_a_snapshot_is_written_or_read_on_the_thread_of_heartbeats() {
    let watched = Watched::default();
    let disk: Arc<dyn Disk> = Arc::new(watched.clone());
    let member = open_member(&disk, patient(), Open::New(CLUSTER)).await;
    let (id, members) = (member.parts.identity.id, members(&member));
    let (net, reads, transfer) = (
        member.parts.replica.net.clone(),
        member.parts.replica.reads.clone(),
        member.parts.transfer.clone(),
    );
    let player = Player::beside(&member, PEER).await;
    let served = serve(member);
    append(&player, id, &first_append(&members)).await;
    let mut chunk = snapshot_chunk(members);
    let (meta, whole) = (chunk.meta.clone(), chunk.chunk.clone());
    let middle = whole.len() / 2;
    for (offset, bytes) in [(0, whole.slice(..middle)), (middle, whole.slice(middle..))] {
        (chunk.offset, chunk.chunk) = (offset as u64, bytes);
        send(&player, id, &chunk).await.unwrap();
    }
    assert_eq!(snapshots(&disk), [ram_log::snapshot_name(LATER)]);
    assert_eq!(watched.threads(), ["ram-transfer"]);

    watched.threads.lock().clear();
    let peer = Peer::new("peer@here", player.net.advertised());
    let told = (
        Terms::begin(None, reads.clock.clone(), Duration::from_secs(1)),
        Heard::new(reads.clock.clone()),
    );
    let mut way = Network::new(net, reads, told, transfer, 64).new_client(PEER, &peer).await;
    let snapshot = Snapshot { meta, snapshot: StoredSnapshot::at(disk, LATER) };
    let option = RPCOption::new(LIMIT);
    let vote = Vote::new_committed(TERM, PEER);
    let sending = way.full_snapshot(vote, snapshot, std::future::pending(), option);
    let asked = wait_until("chunks are sent", || player.chunks.load(Ordering::Relaxed) > 3);
    tokio::select! {
        sent = sending => panic!("each chunk was asked for again: {sent:?}"),
        () = asked => {}
    }
    assert_eq!(watched.threads(), ["ram-transfer"]);
    served.abort();
}
