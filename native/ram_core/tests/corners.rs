//! The corners of the space of settings: each is refused at start with the key that is wrong, or a
//! cluster with it does all that its limits promise: the largest value and the largest batch, a
//! restart, a snapshot, and a second member that catches up by log and by snapshot.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ram_core::Reply;
use ram_core::config::{Config, Limits, Storage};
use ram_core::handle::Change;
use ram_core::identity::ClusterId;
use ram_core::node::Node;
use ram_core::opening::Open;
use ram_core::{Error, Result};
use ram_lease::mode::ReadMode;
use ram_limits::{
    COMMAND_OVERHEAD_BYTES, COMMANDS_BYTES_MAX, FRAME_BYTES_MIN, PACK_BYTES_MAX, SETTING_MAX,
};
use ram_raft::rpc::MemberChange;
use ram_raft::types::Member;
use ram_store::answer::Answer;
use ram_store::write::{Command, Write};
use ram_table::value::Plain;

const LIMIT: Duration = Duration::from_secs(60);
const CLUSTER: ClusterId = ClusterId([7; 16]);
const COMMAND_MAX: usize = COMMANDS_BYTES_MAX - COMMAND_OVERHEAD_BYTES;

fn config(name: &str, folder: &Path, limits: Limits) -> Config {
    Config {
        name: format!("{name}@127.0.0.1"),
        data_dir: folder.join(name),
        storage: Storage::Disk,
        listen_host: "127.0.0.1".into(),
        listen_port: 0,
        advertise: None,
        cookie: b"secret".to_vec(),
        // A debug build takes its time for a value of many bytes.
        heartbeat: Duration::from_millis(250),
        election_timeout_min: Duration::from_millis(1000),
        election_timeout_max: Duration::from_millis(2000),
        reads: ReadMode::Quorum,
        read_lease: None,
        snapshot_every: 1,
        watch_history_bytes: 1 << 20,
        owner_timeout: Duration::from_millis(15_000),
        default_table_type: None,
        limits,
    }
}

fn start(config: &Config, open: Open) -> Node {
    Node::start(config.clone(), Arc::new(Plain), open, Arc::new(|event| eprintln!("{event:?}")))
        .unwrap()
}

fn answered<T: Send + 'static>(ask: impl FnOnce(Instant, Reply<T>) -> Result<()>) -> Result<T> {
    let (sender, receiver) = std::sync::mpsc::channel();
    ask(Instant::now() + LIMIT, Box::new(move |done| _ = sender.send(done)))?;
    receiver.recv_timeout(LIMIT).expect("an answer")
}

fn change(node: &Node, change: Change) {
    answered(|deadline, reply| node.change(change, deadline, reply)).unwrap();
}

fn write(node: &Node, commands: &[Command<'_>]) -> Result<Answer> {
    let head = Write::Batch { table: "", commands: commands.len() as u32 };
    answered(|deadline, reply| {
        let mut writing = node.writing(&head)?;
        commands.iter().try_for_each(|command| writing.command(command))?;
        writing.submit(deadline, reply)
    })
}

fn put(node: &Node, key: &[u8], value: &[u8]) -> Result<Answer> {
    let command = Command::put(key, value);
    answered(|deadline, reply| node.write(&command, deadline, reply))
}

fn get(node: &Node, key: &[u8]) -> Option<Vec<u8>> {
    answered(|deadline, reply| node.sync(deadline, reply)).unwrap();
    let value =
        |item: Option<&ram_table::table::Item>| Some(item.map(|item| item.value().into_owned()));
    node.look(ReadMode::Local, key, value).unwrap().unwrap()
}

fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < LIMIT, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The entries before the last snapshot are gone, so who comes now is given the snapshot.
fn has_snapshot_alone(config: &Config) -> bool {
    let names = std::fs::read_dir(&config.data_dir).unwrap();
    let is_snapshot = |name: &str| name.ends_with(".snap");
    names.flatten().any(|entry| is_snapshot(&entry.file_name().to_string_lossy()))
}

fn as_member(node: &Node) -> (u64, Member) {
    let status = node.status().unwrap();
    let name = node.config().name.clone();
    (status.id, Member::new(name, status.address))
}

/// All that the limits promise, on two members, of which the second comes late.
fn works(limits: Limits) {
    let folder = tempfile::tempdir().unwrap();
    let first = config("a", folder.path(), limits);
    // The other has the defaults: it must take what the first one may write.
    let second = config("b", folder.path(), Limits::default());
    let node = start(&first, Open::New(CLUSTER));
    let (id, member) = as_member(&node);
    change(&node, Change::Initialize(BTreeMap::from([(id, member)])));
    let key = vec![1; limits.key_bytes_max];
    let value = vec![2; limits.value_bytes_max];
    put(&node, &key, &value).unwrap();
    write(&node, &[Command::put(&key, &value)]).unwrap();
    assert!(matches!(
        put(&node, &[1; 1], &vec![2; limits.value_bytes_max + 1]),
        Err(Error::ValueTooLarge { .. })
    ));
    let deletes = limits.key_bytes_max.min(1 << 20) / (limits.key_bytes_max.min(16) + 4) + 1;
    let short = vec![3; limits.key_bytes_max.min(16)];
    write(&node, &vec![Command::delete(&short); deletes]).unwrap();
    node.stop();

    let node = start(&first, Open::Existing);
    eventually("a snapshot", || has_snapshot_alone(&first));
    assert!(get(&node, &key).unwrap() == value);
    let other = start(&second, Open::New(CLUSTER));
    let (id, member) = as_member(&other);
    change(&node, Change::Member(MemberChange::Add { id, member }));
    assert!(get(&other, &key).unwrap() == value);
    put(&node, &key, &value).unwrap();
    // Larger than the first may write itself, and through it: it leads.
    let larger = vec![5; 7 * 1024 * 1024];
    put(&other, b"larger", &larger).unwrap();
    for node in [&node, &other] {
        assert!(get(node, &key).unwrap() == value && get(node, b"larger").unwrap() == larger);
    }
    other.stop();
    node.stop();
}

/// Which key `check` names, if it refuses.
fn refused(limits: Limits) -> Option<String> {
    match config("a", Path::new("nowhere"), limits).check() {
        Ok(()) => None,
        Err(Error::Config { key, .. }) => Some(key),
        Err(other) => panic!("{other:?}"),
    }
}

/// All combinations of the least, the default, the most and more of every setting; those that are
/// taken and have small values do what they promise, a sample of each kind.
#[test]
fn every_corner_of_the_settings_is_refused_with_its_key_or_works() {
    let default = Limits::default();
    let most = SETTING_MAX as usize;
    let mut taken = 0;
    for key in [0, 1, default.key_bytes_max, COMMAND_MAX, most] {
        for value in [0, 1, default.value_bytes_max, COMMAND_MAX - key.min(COMMAND_MAX), most] {
            let write = key.saturating_add(value).saturating_add(COMMAND_OVERHEAD_BYTES);
            for batch in [0, 1, COMMANDS_BYTES_MAX, COMMANDS_BYTES_MAX + 1, usize::MAX] {
                for queue in [0, write - 1, write, most, usize::MAX] {
                    for requests in [0, 1, most, usize::MAX] {
                        for frame in [0, FRAME_BYTES_MIN, PACK_BYTES_MAX, most, usize::MAX] {
                            let limits = Limits {
                                key_bytes_max: key,
                                value_bytes_max: value,
                                batch_bytes_max: batch,
                                queue_bytes_max: queue,
                                queue_requests_max: requests,
                                frame_bytes_max: frame,
                            };
                            let is_right = [
                                ("key_bytes_max", (1..COMMAND_MAX).contains(&key)),
                                ("value_bytes_max", value > 0 && write <= COMMANDS_BYTES_MAX),
                                ("batch_bytes_max", (1..=COMMANDS_BYTES_MAX).contains(&batch)),
                                ("queue_bytes_max", (write..=most).contains(&queue)),
                                ("queue_requests_max", (1..=most).contains(&requests)),
                                ("frame_bytes_max", (FRAME_BYTES_MIN..=most).contains(&frame)),
                            ];
                            let wrong = is_right.iter().find(|(_, is_right)| !is_right);
                            let wrong = wrong.map(|(name, _)| (*name).to_owned());
                            assert_eq!(refused(limits), wrong, "{limits:?}");
                            taken += usize::from(wrong.is_none());
                        }
                    }
                }
            }
        }
    }
    assert!(taken > 50, "{taken}");
}

fn small() -> Limits {
    Limits {
        key_bytes_max: 1,
        value_bytes_max: 1,
        batch_bytes_max: 1,
        queue_bytes_max: 2 + COMMAND_OVERHEAD_BYTES,
        queue_requests_max: 1,
        frame_bytes_max: FRAME_BYTES_MIN,
    }
}

#[test]
fn a_cluster_with_the_least_of_everything_works() {
    works(small());
}

#[test]
fn a_cluster_with_large_values_in_small_frames_batches_and_queues_works() {
    let (key_bytes_max, value_bytes_max) = (64 * 1024, 6 * 1024 * 1024);
    let queue_bytes_max = key_bytes_max + value_bytes_max + COMMAND_OVERHEAD_BYTES;
    works(Limits { key_bytes_max, value_bytes_max, queue_bytes_max, ..small() });
}

#[test]
fn a_cluster_with_a_large_key_and_the_most_of_everything_else_works() {
    let most = SETTING_MAX as usize;
    works(Limits {
        key_bytes_max: 20 * 1024 * 1024,
        value_bytes_max: 1,
        batch_bytes_max: COMMANDS_BYTES_MAX,
        queue_bytes_max: most,
        queue_requests_max: most,
        frame_bytes_max: most,
    });
}
