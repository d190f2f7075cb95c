//! One member on real threads, without files.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::identity::ClusterId;
use super::{Birth, Change, Node, Reply};
use crate::Result;
use crate::config::{Config, Limits, Storage};
use crate::raft::rpc::MemberChange;
use crate::raft::types::Member;

const LIMIT: Duration = Duration::from_secs(20);

fn config() -> Config {
    Config {
        name: "ram1@127.0.0.1".into(),
        data_dir: "nowhere".into(),
        storage: Storage::Memory,
        listen_host: "127.0.0.1".into(),
        listen_port: 0,
        advertise: None,
        cookie: b"secret".to_vec(),
        heartbeat: Duration::from_millis(50),
        election_timeout_min: Duration::from_millis(150),
        election_timeout_max: Duration::from_millis(300),
        snapshot_every: 1000,
        limits: Limits::default(),
    }
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

/// The leader was lost between making the new one a voter and dropping the former one, and the
/// addition is asked for again.
#[test]
fn a_former_self_that_a_lost_leader_left_goes_when_its_node_is_added_again() {
    let node = Node::start(config(), Birth::Fresh(ClusterId([7; 16])), Arc::new(|_| {})).unwrap();
    let id = node.status().unwrap().id;
    let member = Member { name: config().name, address: "127.0.0.1:1".into() };
    change(&node, Change::Initialize(BTreeMap::from([(id, member.clone())])));

    let raft = node.with(|running| running.raft.clone()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(raft.add_learner(id + 1, member.clone(), false)).unwrap();
    assert_eq!(node.status().unwrap().members.len(), 2);

    change(&node, Change::Member(MemberChange::Add { id, member }));
    let members = node.status().unwrap().members;
    assert_eq!(members.iter().map(|(id, _, _)| *id).collect::<Vec<_>>(), [id]);
    node.stop();
}
