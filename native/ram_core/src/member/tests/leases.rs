//! Leases of whole members: what ends them, and what they wait for.

use ram_raft::openraft::EntryPayload;
use ram_raft::openraft::raft::{AppendEntriesRequest, AppendEntriesResponse};

use super::*;
use ram_lease::lease::NoLeaseReason;
use ram_log::SnapshotSource;
use ram_raft::entry;
use ram_raft::rpc::{AppendAnswer, MemberChange, SnapshotChunk, SnapshotProgress};
use ram_raft::snapshot::{self, Head};
use ram_raft::types::{
    Entry, Membership, Payload, SnapshotMeta, StoredMembership, TypeConfig, Vote,
};
use ram_store::group::{self, Stamp};
use ram_store::write::{Command, Encoded};
use ram_store::{EntryId, Store};
use ram_table::table::Item;
use tokio::task::JoinHandle;

pub(super) const TERM: u64 = 5;
/// The snapshot holds the log up to here.
pub(super) const LATER: u64 = 100;

/// Its leases last for seconds.
pub(super) fn patient() -> Config {
    timed(50, 1_000, 10_000)
}

pub(super) fn serve(member: Member) -> JoinHandle<()> {
    tokio::spawn(member.serve(std::future::pending()))
}

fn put(value: &[u8]) -> Bytes {
    let stamp = Stamp { session: 1, sequence: 1, acked_below: 1 };
    let put = Encoded::one("", &Command::put(b"k", value)).into_bytes();
    group::group(stamp, std::iter::once(&put))
}

pub(super) fn members(of: &Member) -> Membership {
    members_with(of, &[PEER])
}

fn members_with(of: &Member, peers: &[u64]) -> Membership {
    let peer = |id: &u64| (*id, Peer::new("peer@here", "127.0.0.1:1"));
    let own = (of.parts.identity.id, as_peer(of));
    Membership::from(peers.iter().map(peer).chain([own]).collect::<BTreeMap<_, _>>())
}

/// The log that the played leader has: two members, a session, and a put of `old`.
pub(super) fn first_append(members: &Membership) -> AppendEntriesRequest<TypeConfig> {
    let payloads = [
        EntryPayload::Membership(members.clone()),
        EntryPayload::Normal(Payload(group::open_session())),
        EntryPayload::Normal(Payload(put(b"old"))),
    ];
    let entries = (0..).zip(payloads);
    let entries =
        entries.map(|(index, payload)| Entry { log_id: entry::log_id(TERM, index), payload });
    AppendEntriesRequest {
        vote: Vote::new_committed(TERM, PEER),
        prev_log_id: None,
        leader_commit: Some(entry::log_id(TERM, 2)),
        entries: entries.collect(),
    }
}

pub(super) async fn append(
    player: &Player,
    member: u64,
    request: &AppendEntriesRequest<TypeConfig>,
) -> Duration {
    let answer = player.ask(member, rpc::APPEND, rpc::encode_append(request)).await;
    let appended: std::result::Result<AppendAnswer, String> =
        codec::decode("answer", &answer).unwrap();
    let AppendAnswer { response, hold } = appended.unwrap();
    assert!(matches!(response, AppendEntriesResponse::Success), "{response:?}");
    hold
}

/// All of a snapshot in one chunk, in which the key is `new`.
pub(super) fn snapshot_chunk(members: Membership) -> SnapshotChunk {
    let disk = memory();
    let mut store = Store::empty(Arc::new(Plain));
    store.apply(EntryId { term: 1, index: 1 }, &group::open_session()).unwrap();
    store.apply(EntryId { term: 1, index: LATER }, &put(b"new")).unwrap();
    let membership = StoredMembership::new(Some(entry::log_id(TERM, 0)), members);
    let meta =
        SnapshotMeta { last_log_id: Some(entry::log_id(TERM, LATER)), last_membership: membership };
    let dump = store.dump();
    let head = Head { meta: meta.clone(), ..Head::default() };
    snapshot::write(disk.clone(), &head, &dump, || Ok(())).unwrap();
    let file = SnapshotSource::open(disk.as_ref(), LATER).unwrap();
    let mut chunk = vec![0; file.length_bytes() as usize];
    file.read_at(0, &mut chunk).unwrap();
    let (vote, file_bytes) = (Vote::new_committed(TERM, PEER), file.length_bytes());
    SnapshotChunk { vote, meta, file_bytes, offset: 0, chunk: chunk.into() }
}

fn value(handle: &Handle) -> Option<Vec<u8>> {
    let held = |item: Option<&Item>| item.map(|item| item.value().to_vec());
    handle.look(ReadMode::Lease, b"k", held).unwrap()
}

/// Others may hold leases on the strength of it.
#[tokio::test]
async fn an_acknowledgement_tells_the_vote_hold_also_of_a_member_that_asks_for_no_lease() {
    for reads in [ReadMode::Lease, ReadMode::Quorum, ReadMode::Local] {
        let config = Config { reads, ..timed(50, 150, 777) };
        let member = open_member(&memory(), config, Open::New(CLUSTER)).await;
        let (id, members) = (member.parts.identity.id, members(&member));
        let player = Player::beside(&member, PEER).await;
        let told = append(&player, id, &first_append(&members)).await;
        assert_eq!(told, Duration::from_millis(777));
    }
}

/// What the lease was granted for is not what the table shows then.
#[tokio::test]
async fn a_member_that_installs_a_snapshot_answers_by_no_lease_of_before() {
    let member = open_member(&memory(), patient(), Open::New(CLUSTER)).await;
    let (id, members, handle) = (member.parts.identity.id, members(&member), member.handle());
    let (applied, reads) =
        (member.parts.replica.applied.clone(), member.parts.replica.reads.clone());
    let player = Player::beside(&member, PEER).await;
    *player.answer.lock() =
        Some(Ok(Grant { term: TERM, lasts: reads.timeouts.lease, from_index: 2 }));
    let served = serve(member);

    append(&player, id, &first_append(&members)).await;
    wait_until("it answers by its lease", || value(&handle).is_some()).await;
    assert_eq!(value(&handle).unwrap(), b"old");

    *player.answer.lock() = Some(Err(Refused::Lagging));
    let chunk = Bytes::from(codec::encode(&snapshot_chunk(members)));
    let answer = player.ask(id, rpc::SNAPSHOT, chunk).await;
    let taken: std::result::Result<SnapshotProgress, String> =
        codec::decode("answer", &answer).unwrap();
    assert!(matches!(taken, Ok(SnapshotProgress::Done { .. })), "{taken:?}");
    assert_eq!((applied.index(), applied.table().entries()), (LATER, 1));
    assert_eq!(value(&handle), None);
    assert!(matches!(
        reads.lease.no_lease_reason(),
        NoLeaseReason::Snapshot | NoLeaseReason::Refused(_)
    ));
    served.abort();
}

#[tokio::test]
async fn a_member_asks_a_new_leader_while_the_former_one_owes_it_an_answer() {
    let member = open_member(&memory(), patient(), Open::New(CLUSTER)).await;
    let members = members_with(&member, &[PEER, PEER + 1]);
    let (id, reads) = (member.parts.identity.id, member.parts.replica.reads.clone());
    let former = Player::beside(&member, PEER).await;
    let newer = Player::beside(&member, PEER + 1).await;
    let (term, lasts) = (TERM + 1, reads.timeouts.lease);
    *newer.answer.lock() = Some(Ok(Grant { term, lasts, from_index: 2 }));
    let served = serve(member);

    append(&former, id, &first_append(&members)).await;
    let asked = || former.net.stats().frames_received > 1;
    wait_until("it has asked the former one", asked).await;
    let begun = std::time::Instant::now();
    let vote = Vote::new_committed(term, PEER + 1);
    let last = Some(entry::log_id(TERM, 2));
    let heartbeat =
        AppendEntriesRequest { vote, prev_log_id: last, leader_commit: last, entries: vec![] };
    append(&newer, id, &heartbeat).await;
    wait_until("it holds a lease", || reads.lease.held(|| reads.clock.now()).is_some()).await;
    assert!(begun.elapsed() < lasts / 2, "it waited for the former one");
    served.abort();
}

/// The majority that a lease rests on is not the one that the change brings.
#[tokio::test]
async fn the_membership_changes_when_no_lease_is_left_and_they_come_back_after_it() {
    let config = timed(50, 150, 600);
    let first = open_member(&memory(), config.clone(), Open::New(CLUSTER)).await;
    let second = Config { name: "ram2@127.0.0.1".into(), ..config };
    let second = open_member(&memory(), second, Open::New(CLUSTER)).await;
    found(&first).await;
    let (raft, reads) = (first.parts.replica.raft.clone(), first.parts.replica.reads.clone());
    let changes = first.parts.members.clone();
    let (id, joining) = (second.parts.identity.id, as_peer(&second));
    let others = second.parts.replica.reads.clone();
    let served = [serve(first), serve(second)];
    let holds = |reads: &Reads| reads.lease.held(|| reads.clock.now()).is_some();
    wait_until("the leader holds a lease", || holds(&reads)).await;

    let change = MemberChange::Add { id, member: joining };
    let changed = changes.change(change);
    let (ends, mut metrics) = (reads.lease.until(), raft.metrics());
    let watched = async {
        loop {
            let voters = metrics.borrow_watched().membership_config.voter_ids().count();
            if voters == 2 {
                break (holds(&reads), holds(&others), reads.clock.now() >= ends);
            }
            metrics.changed().await.unwrap();
        }
    };
    let (changed, seen) = tokio::time::timeout(LIMIT, async { tokio::join!(changed, watched) })
        .await
        .expect("a change in time");
    changed.unwrap();
    assert_eq!(seen, (false, false, true));
    wait_until("both hold leases again", || holds(&reads) && holds(&others)).await;
    served.iter().for_each(JoinHandle::abort);
}
