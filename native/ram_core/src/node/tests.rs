//! One member on real threads, without files.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::identity::ClusterId;
use super::{Birth, Change, Event, Node, OnEvent, Reply};
use crate::config::Config;
use crate::config::tests::timed;
use crate::log::{Disk, MemoryDisk};
use crate::raft::rpc::MemberChange;
use crate::raft::types::Member;
use crate::reads::lease::Cause;
use crate::reads::mode::ReadMode;
use crate::store::command::{Answer, Command};
use crate::store::table::Item;
use crate::store::value::Plain;
use crate::{Error, Result};

const LIMIT: Duration = Duration::from_secs(20);

fn config() -> Config {
    Config { reads: ReadMode::Quorum, ..timed(50, 150, 300) }
}

/// Asks and waits for the answer.
fn answer(ask: impl FnOnce(Instant, Reply<()>) -> Result<()>) -> Result<()> {
    let (sender, receiver) = std::sync::mpsc::channel();
    ask(Instant::now() + LIMIT, Box::new(move |done| _ = sender.send(done)))?;
    receiver.recv_timeout(LIMIT).expect("an answer")
}

/// Makes the change; when it returns, the change is committed and seen.
fn change(node: &Node, change: Change) {
    answer(|deadline, reply| node.change(change, deadline, reply)).unwrap();
    answer(|deadline, reply| node.sync(deadline, reply)).unwrap();
}

fn alone(on_event: OnEvent) -> Node {
    let birth = Birth::Fresh(ClusterId([7; 16]));
    let node = Node::start(config(), Arc::new(Plain), birth, on_event).unwrap();
    let id = node.status().unwrap().id;
    change(&node, Change::Initialize(BTreeMap::from([(id, member())])));
    node
}

fn member() -> Member {
    Member { name: config().name, address: "127.0.0.1:1".into() }
}

fn put(node: &Node, deadline: Instant) -> Result<Answer> {
    let (sender, receiver) = std::sync::mpsc::channel();
    let command = Command::Put { key: b"k", value: b"v" };
    node.write(&command, deadline, Box::new(move |answer| _ = sender.send(answer)))?;
    receiver.recv_timeout(LIMIT).expect("an answer")
}

fn reading_by_lease() -> Config {
    Config { reads: ReadMode::Lease, ..config() }
}

fn made(config: Config) -> Node {
    let node =
        Node::start(config, Arc::new(Plain), Birth::Fresh(ClusterId([7; 16])), Arc::new(|_| {}))
            .unwrap();
    let id = node.status().unwrap().id;
    change(&node, Change::Initialize(BTreeMap::from([(id, member())])));
    node
}

/// Waits until the member answers at once.
fn read_now(node: &Node, key: &[u8]) -> Option<Vec<u8>> {
    let begun = Instant::now();
    loop {
        let value = |item: Option<&Item>| Some(item.map(|item| item.value().to_vec()));
        if let Some(found) = node.look(ReadMode::Lease, key, value).unwrap() {
            return found;
        }
        assert!(begun.elapsed() < LIMIT, "{:?}", node.status().unwrap().reads);
        std::thread::yield_now();
    }
}

#[test]
fn a_member_with_a_lease_answers_at_once_and_shows_every_write_that_was_answered() {
    let node = made(reading_by_lease());
    assert_eq!(read_now(&node, b"k"), None);
    for _ in 0..20 {
        put(&node, Instant::now() + LIMIT).unwrap();
        assert_eq!(read_now(&node, b"k"), Some(b"v".to_vec()));
    }
    let reads = node.status().unwrap().reads;
    assert!(reads.lease.is_ok() && reads.local >= 21, "{reads:?}");
    assert_eq!(reads.quorum, 0);
    node.stop();
}

#[test]
fn without_leases_no_read_is_answered_at_once_and_the_reason_is_told() {
    let node = made(config());
    put(&node, Instant::now() + LIMIT).unwrap();
    let is_there = |mode| node.look(mode, b"k", |item| Some(item.is_some())).unwrap();
    assert_eq!([ReadMode::Lease, ReadMode::Quorum].map(is_there), [None, None]);
    assert_eq!(is_there(ReadMode::Local), Some(true));
    for (mode, quorum) in [(ReadMode::Local, 0), (ReadMode::Lease, 1), (ReadMode::Quorum, 2)] {
        let (sender, receiver) = std::sync::mpsc::channel();
        let reply = Box::new(move |read| _ = sender.send(read));
        node.read(mode, "k".into(), Instant::now() + LIMIT, reply).unwrap();
        let read: Result<Option<Item>> = receiver.recv_timeout(LIMIT).expect("an answer");
        assert_eq!(*read.unwrap().unwrap().value(), *b"v");
        assert_eq!(node.status().unwrap().reads.quorum, quorum, "{mode:?}");
    }
    assert_eq!(node.status().unwrap().reads.lease, Err(Cause::NotAsked));
    node.stop();
}

/// A learner may hold a lease that the only voter granted before it went down.
#[test]
fn the_only_voter_that_starts_again_leads_no_sooner_than_what_it_promised_is_over() {
    let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::default());
    let values = Arc::new(Plain);
    let start = |birth| {
        let on_event: OnEvent = Arc::new(|_| {});
        Node::start_on(disk.clone(), config(), values.clone(), birth, on_event).unwrap()
    };
    let node = start(Birth::Fresh(ClusterId([7; 16])));
    let id = node.status().unwrap().id;
    change(&node, Change::Initialize(BTreeMap::from([(id, member())])));
    put(&node, Instant::now() + LIMIT).unwrap();
    node.stop();
    let begun = Instant::now();
    let node = start(Birth::Again);
    put(&node, Instant::now() + LIMIT).unwrap();
    assert!(begun.elapsed() >= config().election_timeout_max);
    node.stop();
}

#[test]
fn a_lease_that_is_as_long_as_the_promise_is_refused_and_so_is_one_of_a_heartbeat() {
    for (lease_ms, is_right) in [(50, false), (100, true), (240, true), (260, false)] {
        let lease = Some(Duration::from_millis(lease_ms));
        let checked = Config { read_lease: lease, ..config() }.check();
        assert_eq!(checked.is_ok(), is_right, "{lease_ms}: {checked:?}");
    }
    assert_eq!(config().read_lease(), Duration::from_millis(180));
}

/// The proposer panicked when all that waited was late, and no write was answered after that.
#[test]
fn a_write_whose_time_is_over_before_its_turn_is_told_so_and_the_next_is_done() {
    let node = alone(Arc::new(|_| {}));
    put(&node, Instant::now() + LIMIT).unwrap();
    assert_eq!(put(&node, Instant::now()), Err(Error::Timeout));
    put(&node, Instant::now() + LIMIT).unwrap();
    node.stop();
}

/// The place in the queue was given back after the answer, so the next request found it taken.
#[test]
fn with_room_for_one_request_a_caller_that_waits_for_its_answers_is_never_refused() {
    let mut config = config();
    config.limits.queue_requests_max = 1;
    let node = made(config);
    for _ in 0..1000 {
        put(&node, Instant::now() + LIMIT).unwrap();
    }
    node.stop();
}

#[test]
fn a_part_of_a_member_that_panics_ends_the_member_and_is_told() {
    let (sender, events) = std::sync::mpsc::sync_channel(8);
    let node = alone(Arc::new(move |event| _ = sender.try_send(event)));
    let command = Command::Put { key: b"k", value: b"v" };
    node.write(&command, Instant::now() + LIMIT, Box::new(|_| panic!("a defect"))).unwrap();
    match events.recv_timeout(LIMIT).unwrap() {
        Event::Failed(why) => assert!(why.contains("panicked"), "{why}"),
        other => panic!("{other:?}"),
    }
    node.stop();
}

/// A member alone with a learner of its name, as a lost leader leaves the former self of one; the
/// learner's id is the next one.
fn beside_a_former_self() -> (Node, u64) {
    let node = alone(Arc::new(|_| {}));
    let id = node.status().unwrap().id;
    add_learner(&node, id + 1, member());
    (node, id)
}

fn add_learner(node: &Node, id: u64, learner: Member) {
    let raft = node.with(|running| running.raft.clone()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(raft.add_learner(id, learner, false)).unwrap();
}

/// As below, and nobody asks for the addition again: the simulator, seeds 8, 72, 296, 316, 860.
#[test]
fn a_former_self_that_a_lost_leader_left_goes_by_itself() {
    let (node, id) = beside_a_former_self();
    add_learner(&node, id + 2, Member { name: "ram2@here".into(), ..member() });
    let limit = Instant::now() + LIMIT;
    let ids = || node.status().unwrap().members.iter().map(|(id, _, _)| *id).collect::<Vec<_>>();
    while ids() != [id, id + 2] {
        assert!(Instant::now() < limit, "{:?}", ids());
        std::thread::sleep(Duration::from_millis(50));
    }
    node.stop();
}

/// The leader was lost between making the new one a voter and dropping the former one, and the
/// addition is asked for again.
#[test]
fn a_former_self_that_a_lost_leader_left_goes_when_its_node_is_added_again() {
    let (node, id) = beside_a_former_self();
    assert_eq!(node.status().unwrap().members.len(), 2);

    change(&node, Change::Member(MemberChange::Add { id, member: member() }));
    let members = node.status().unwrap().members;
    assert_eq!(members.iter().map(|(id, _, _)| *id).collect::<Vec<_>>(), [id]);
    node.stop();
}
