//! One member on real threads, without files.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Event, Node, OnEvent, Open};
use crate::Reply;
use crate::config::Config;
use crate::config::tests::timed;
use crate::handle::{Change, Writing};
use crate::identity::ClusterId;
use crate::{Error, Result};
use ram_lease::lease::NoLeaseReason;
use ram_lease::mode::ReadMode;
use ram_log::{Disk, MemoryDisk};
use ram_raft::rpc::MemberChange;
use ram_raft::types::Member;
use ram_store::answer::Answer;
use ram_store::write::{Command, Write};
use ram_table::table::{Item, TableType};
use ram_table::value::Plain;

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
    let open = Open::New(ClusterId([7; 16]));
    let node = Node::start(config(), Arc::new(Plain), open, on_event).unwrap();
    let id = node.status().unwrap().id;
    change(&node, Change::Initialize(BTreeMap::from([(id, member())])));
    node
}

fn member() -> Member {
    Member::new(config().name, "127.0.0.1:1")
}

fn put(node: &Node, deadline: Instant) -> Result<Answer> {
    let (sender, receiver) = std::sync::mpsc::channel();
    let command = Command::put(b"k", b"v");
    node.write(&command, deadline, Box::new(move |answer| _ = sender.send(answer)))?;
    receiver.recv_timeout(LIMIT).expect("an answer")
}

fn reading_by_lease() -> Config {
    Config { reads: ReadMode::Lease, ..config() }
}

fn made(config: Config) -> Node {
    let node =
        Node::start(config, Arc::new(Plain), Open::New(ClusterId([7; 16])), Arc::new(|_| {}))
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
    assert_eq!(node.status().unwrap().reads.lease, Err(NoLeaseReason::NotAsked));
    node.stop();
}

/// A learner may hold a lease that the only voter granted before it went down.
#[test]
fn the_only_voter_that_starts_again_leads_no_sooner_than_what_it_promised_is_over() {
    let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::default());
    let values = Arc::new(Plain);
    let start = |open| {
        let on_event: OnEvent = Arc::new(|_| {});
        Node::start_on(disk.clone(), config(), values.clone(), open, on_event).unwrap()
    };
    let node = start(Open::New(ClusterId([7; 16])));
    let id = node.status().unwrap().id;
    change(&node, Change::Initialize(BTreeMap::from([(id, member())])));
    put(&node, Instant::now() + LIMIT).unwrap();
    node.stop();
    let begun = Instant::now();
    let node = start(Open::Existing);
    put(&node, Instant::now() + LIMIT).unwrap();
    assert!(begun.elapsed() >= config().election_timeout_max);
    node.stop();
}

#[test]
fn a_lease_that_is_as_long_as_the_vote_hold_is_refused_and_so_is_one_of_a_heartbeat() {
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
    let command = Command::put(b"k", b"v");
    node.write(&command, Instant::now() + LIMIT, Box::new(|_| panic!("a defect"))).unwrap();
    match events.recv_timeout(LIMIT).unwrap() {
        Event::Failed(why) => assert!(why.contains("panicked"), "{why}"),
        other => panic!("{other:?}"),
    }
    node.stop();
}

/// A member alone, with a learner that a lost leader has left: a former self of it, or one that it
/// was adding. Returns the id of the member; those of the learners are the next.
fn beside_learners(names: &[String]) -> (Node, u64) {
    let node = alone(Arc::new(|_| {}));
    let id = node.status().unwrap().id;
    let raft = node.with(|running| running.replica.raft.clone()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for (name, learner) in names.iter().zip(id + 1..) {
        let member = Member { name: name.clone(), ..member() };
        runtime.block_on(raft.add_learner(learner, member, false)).unwrap();
    }
    (node, id)
}

fn ids(node: &Node) -> Vec<u64> {
    node.status().unwrap().members.iter().map(|(id, _, _)| *id).collect()
}

fn wait_for_ids(node: &Node, expected: &[u64]) {
    let limit = Instant::now() + LIMIT;
    while ids(node) != expected {
        assert!(Instant::now() < limit, "{:?}", ids(node));
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// And nobody asks for the addition again: the simulator, seeds 8, 72, 296, 316, 860.
#[test]
fn learners_that_a_lost_leader_left_go_by_themselves() {
    let (node, id) = beside_learners(&[member().name, "ram2@here".into()]);
    assert_eq!(ids(&node), [id, id + 1, id + 2]);
    wait_for_ids(&node, &[id]);
    node.stop();
}

/// The leader was lost between making the new one a voter and dropping the former one, and the
/// addition is asked for again.
#[test]
fn a_former_self_that_a_lost_leader_left_goes_when_its_node_is_added_again() {
    let (node, id) = beside_learners(&[member().name]);
    change(&node, Change::Member(MemberChange::Add { id, member: member() }));
    assert_eq!(ids(&node), [id]);
    node.stop();
}

fn changed(node: &Node, change: MemberChange) -> Result<()> {
    answer(|deadline, reply| node.change(Change::Member(change), deadline, reply))
}

/// An address at which nothing listens, of a member that was not there before.
fn absent() -> Member {
    Member::new("ram2@here", "127.0.0.1:1")
}

#[test]
fn a_member_that_cannot_be_reached_is_not_added_and_the_one_that_is_there_serves_on() {
    let node = alone(Arc::new(|_| {}));
    let id = node.status().unwrap().id;
    let begun = Instant::now();
    let refused = changed(&node, MemberChange::Add { id: id + 1, member: absent() });
    let Err(Error::NotReached { name, address, cause }) = refused else { panic!("{refused:?}") };
    assert_eq!((name, address), (absent().name, absent().address));
    assert!(cause.contains("refused"), "{cause}");
    assert!(begun.elapsed() < Duration::from_secs(10));
    assert_eq!(ids(&node), [id]);
    put(&node, Instant::now() + LIMIT).unwrap();
    node.stop();
}

/// The leader that added the learner was lost, and the learner with it.
#[test]
fn a_learner_that_does_not_answer_is_taken_out_when_its_addition_is_asked_for_again() {
    let (node, id) = beside_learners(&[absent().name]);
    let add = MemberChange::Add { id: id + 1, member: absent() };
    let refused = changed(&node, add.clone());
    assert!(matches!(refused, Err(Error::NotReached { .. })), "{refused:?}");
    assert_eq!(ids(&node), [id]);
    // Its id is never used again.
    assert_eq!(changed(&node, add), Err(Error::Removed(absent().name)));
    put(&node, Instant::now() + LIMIT).unwrap();
    node.stop();
}

#[test]
fn the_removal_of_one_id_leaves_the_others_of_its_name_and_may_be_asked_for_again() {
    let (node, id) = beside_learners(&[absent().name, absent().name]);
    let remove = MemberChange::RemoveOne { id: id + 1, name: absent().name };
    for _ in 0..2 {
        assert_eq!(changed(&node, remove.clone()), Ok(()));
        assert_eq!(ids(&node), [id, id + 2]);
    }
    let unknown = MemberChange::RemoveOne { id: id + 3, name: absent().name };
    assert_eq!(changed(&node, unknown), Err(Error::UnknownMember(absent().name)));
    node.stop();
}

#[test]
fn a_removal_ends_the_addition_of_the_same_name_that_waits_for_its_learner() {
    let (node, id) = beside_learners(&[absent().name]);
    let begun = Instant::now();
    let (sender, added) = std::sync::mpsc::channel();
    let add = Change::Member(MemberChange::Add { id: id + 1, member: absent() });
    node.change(add, begun + LIMIT, Box::new(move |done| _ = sender.send(done))).unwrap();
    assert_eq!(changed(&node, MemberChange::RemoveOne { id: id + 1, name: absent().name }), Ok(()));
    assert!(begun.elapsed() < Duration::from_secs(4), "it waited for the addition");
    let added = added.recv_timeout(LIMIT).unwrap();
    assert!(matches!(added, Err(Error::NotCaughtUp { .. })), "{added:?}");
    assert_eq!(ids(&node), [id]);
    node.stop();
}

#[test]
fn the_only_member_goes_on_with_its_data_under_a_new_name_and_in_a_new_cluster() {
    let node = alone(Arc::new(|_| {}));
    put(&node, Instant::now() + LIMIT).unwrap();
    let listens_on_all = Config { listen_host: "0.0.0.0".into(), ..config() };
    let named = Config { name: "new@127.0.0.1".into(), ..listens_on_all };
    let renamed = node.rename(named, ClusterId([8; 16]), Arc::new(|_| {})).unwrap();
    answer(|deadline, reply| renamed.sync(deadline, reply)).unwrap();
    let status = renamed.status().unwrap();
    assert_eq!(status.cluster, ClusterId([8; 16]));
    let members: Vec<(&str, &str)> = status
        .members
        .iter()
        .map(|(_, member, _)| (member.name.as_str(), member.address.as_str()))
        .collect();
    assert_eq!(members, [("new@127.0.0.1", status.address.as_str())]);
    assert!(status.address.starts_with("127.0.0.1:"), "{}", status.address);
    let found = renamed.look(ReadMode::Local, b"k", |item| Some(item.is_some())).unwrap();
    assert_eq!(found, Some(true));
    assert!(put(&node, Instant::now() + LIMIT).is_err());
    put(&renamed, Instant::now() + LIMIT).unwrap();
}

#[test]
fn a_member_that_others_know_is_not_renamed_and_serves_on() {
    let (node, _) = beside_learners(&["ram@there".to_owned()]);
    let named = Config { name: "new@127.0.0.1".into(), ..config() };
    let refused = node.rename(named, ClusterId([8; 16]), Arc::new(|_| {}));
    assert_eq!(refused.err(), Some(Error::Joined));
    put(&node, Instant::now() + LIMIT).unwrap();
    assert_eq!(node.status().unwrap().cluster, ClusterId([7; 16]));
}

#[test]
fn a_cluster_is_made_with_the_default_table_that_its_first_member_is_set_to() {
    for (set_to, expected) in [
        (None, TableType::Set),
        (Some(TableType::Set), TableType::Set),
        (Some(TableType::OrderedSet), TableType::OrderedSet),
    ] {
        let node = made(Config { default_table_type: set_to, ..config() });
        assert_eq!(node.applied().table().table_type(), expected);
        node.stop();
    }
}

#[test]
fn a_key_of_a_table_is_looked_at_in_the_call_where_its_mode_allows() {
    let node = made(config());
    let write = |writing: Writing<'_>| {
        let (sender, receiver) = std::sync::mpsc::channel();
        let reply = Box::new(move |answer| _ = sender.send(answer));
        writing.submit(Instant::now() + LIMIT, reply).unwrap();
        receiver.recv_timeout(LIMIT).expect("an answer").unwrap()
    };
    write(node.writing(&Write::CreateTable { table: "t", ordered: true }).unwrap());
    let mut put = node.writing(&Write::Batch { table: "t", commands: 1 }).unwrap();
    put.command(&Command::put(b"k", b"v")).unwrap();
    write(put);
    let value = |item: Option<&Item>| Some(item.map(|item| item.value().to_vec()));
    let look = |table, mode, key| node.look_in(table, mode, key, value);
    assert_eq!(look("t", ReadMode::Local, b"k"), Ok(Some(Some(b"v".to_vec()))));
    assert_eq!(look("t", ReadMode::Local, b"other"), Ok(Some(None)));
    assert_eq!(look("", ReadMode::Local, b"k"), Ok(Some(None)));
    assert_eq!(look("nowhere", ReadMode::Local, b"k"), Ok(None));
    assert_eq!(look("t", ReadMode::Quorum, b"k"), Ok(None));
    assert_eq!(look("t", ReadMode::Lease, b"k"), Ok(None), "no lease is asked for here");
    node.stop();
    assert_eq!(look("t", ReadMode::Local, b"k"), Err(Error::Stopped));
}
