use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::*;
use crate::config::tests::timed;
use crate::config::{Config, Storage};
use crate::handle::Change;
use crate::node::Node;
use crate::opening::Open;
use ram_log::MemoryDisk;
use ram_raft::types::Member;
use ram_store::write::Command;
use ram_table::value::Plain;

const CLUSTER: ClusterId = ClusterId([7; 16]);
const LIMIT: Duration = Duration::from_secs(30);
/// Bytes of a value: a few of them fill a segment.
const VALUE_BYTES: usize = 1 << 20;

fn memory() -> Arc<dyn Disk> {
    Arc::new(MemoryDisk::default())
}

fn identity() -> Identity {
    Identity::new(CLUSTER, "ram1@here", false).unwrap()
}

fn create(disk: &Arc<dyn Disk>, names: &[&str]) {
    for name in names {
        disk.create(name).unwrap().write_at(b"x", 0).unwrap();
    }
}

fn names(disk: &Arc<dyn Disk>) -> Vec<String> {
    let mut names = disk.list().unwrap();
    names.sort();
    names
}

fn open_log(disk: &Arc<dyn Disk>) -> Log {
    let options = LogOptions { flush: FlushMode::Inline, ..LogOptions::default() };
    Log::open(disk.clone(), options).unwrap()
}

fn refused(disk: &Arc<dyn Disk>) -> String {
    let before = names(disk);
    let Err(Error::Unreadable(why)) = contents(disk) else { panic!("{:?}", contents(disk)) };
    assert_eq!(names(disk), before, "what cannot be read is left as it is");
    why
}

fn config(folder: &Path) -> Config {
    let data_dir = folder.to_path_buf();
    Config { data_dir, storage: Storage::Disk, snapshot_every: 10, ..timed(50, 150, 300) }
}

fn start(config: Config, open: Open) -> Result<Node> {
    Node::start(config, Arc::new(Plain), open, Arc::new(|_| {}))
}

/// A member of a cluster that was not made.
fn unmade_on(folder: &Path) -> Node {
    start(config(folder), Open::New(CLUSTER)).unwrap()
}

/// The only member of its cluster.
fn alone_on(folder: &Path) -> Node {
    let node = unmade_on(folder);
    let status = node.status().unwrap();
    let member = Member::new(config(folder).name, status.address);
    let members = BTreeMap::from([(status.id, member)]);
    answered(|deadline, done| node.change(Change::Initialize(members), deadline, done));
    node
}

/// Asks, waits for the answer, and takes it to be `Ok`.
fn answered<T: Send + 'static>(ask: impl FnOnce(Instant, crate::Reply<T>) -> Result<()>) {
    let (sender, receiver) = std::sync::mpsc::channel();
    let reply = Box::new(move |answer: Result<T>| _ = sender.send(answer.map(drop)));
    ask(Instant::now() + LIMIT, reply).unwrap();
    receiver.recv_timeout(LIMIT).unwrap().unwrap();
}

/// Puts until there are a snapshot, entries that were purged, and more than one segment.
fn fill(node: &Node) {
    let value = vec![7; VALUE_BYTES];
    let begun = Instant::now();
    loop {
        let status = node.status().unwrap();
        if status.purged_index > 0 && status.log.segments > 1 {
            return;
        }
        assert!(begun.elapsed() < LIMIT, "{status:?}");
        let put = Command::put(b"k", &value);
        answered(|deadline, done| node.write(&put, deadline, done));
    }
}

/// What a stopped member with data has left, after a change of it.
fn changed(change: impl FnOnce(&Path)) -> (tempfile::TempDir, PathBuf) {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("data");
    let node = alone_on(&folder);
    fill(&node);
    node.stop();
    change(&folder);
    (parent, folder)
}

/// A start of a member whose port is taken.
fn start_that_fails(folder: &Path, open: Open) {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listen_port = taken.local_addr().unwrap().port();
    let failed = start(Config { listen_port, ..config(folder) }, open);
    assert!(matches!(failed, Err(Error::Config { .. })), "{:?}", failed.err());
}

fn files_in(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_folder_that_is_not_there_is_empty_or_has_foreign_files_holds_nothing() {
    let parent = tempfile::tempdir().unwrap();
    assert_eq!(look(&parent.path().join("a/b")), Ok(Contents::Nothing));
    assert!(!parent.path().join("a").exists());
    assert_eq!(look(parent.path()), Ok(Contents::Nothing));
    fs::write(parent.path().join("notes.tmp"), "x").unwrap();
    fs::create_dir(parent.path().join("lost+found")).unwrap();
    assert_eq!(look(parent.path()), Ok(Contents::Nothing));
}

#[test]
fn what_stands_where_the_folder_or_the_identity_should_and_cannot_be_read_is_not_nothing() {
    let parent = tempfile::tempdir().unwrap();
    let file = parent.path().join("file");
    fs::write(&file, "x").unwrap();
    assert!(matches!(look(&file), Err(Error::Unreadable(_))));
    fs::create_dir_all(parent.path().join("data/member")).unwrap();
    assert!(matches!(look(&parent.path().join("data")), Err(Error::Unreadable(_))));
}

#[test]
fn any_file_of_a_log_or_a_snapshot_without_an_identity_is_not_nothing() {
    for name in [
        "log-00000000000000000003.seg",
        "log-00000000000000000001.seg.tmp",
        "log-newest",
        "snapshot-00000000000000000009.snap",
        "snapshot-00000000000000000009.snap.tmp",
        "snapshot-00000000000000000009.snap.part",
        "member.tmp",
    ] {
        let disk = memory();
        create(&disk, &[name]);
        assert!(refused(&disk).contains("member"), "{name}");
    }
}

#[test]
fn an_identity_with_a_flipped_byte_or_without_a_log_is_not_nothing_and_no_new_log() {
    let disk = memory();
    complete_join(&disk);
    create(&disk, &[MEMBER]);
    refused(&disk);

    let disk = memory();
    complete_join(&disk);
    for name in names(&disk).iter().filter(|name| is_log_file(name)) {
        disk.remove(name).unwrap();
    }
    assert!(refused(&disk).contains("no log"));
}

fn complete_join(disk: &Arc<dyn Disk>) -> Identity {
    let identity = identity();
    begin(disk, &identity).unwrap();
    open_log(disk).close().unwrap();
    complete(disk, &identity).unwrap();
    identity
}

#[test]
fn a_join_that_was_interrupted_at_any_point_is_undone_and_a_complete_one_stays() {
    let disk = memory();
    begin(&disk, &identity()).unwrap();
    assert_eq!(contents(&disk), Ok(Contents::Nothing));
    assert_eq!(names(&disk), Vec::<String>::new());

    begin(&disk, &identity()).unwrap();
    open_log(&disk).close().unwrap();
    assert_eq!(contents(&disk), Ok(Contents::Nothing));
    assert_eq!(names(&disk), Vec::<String>::new());

    let identity = complete_join(&disk);
    assert_eq!(contents(&disk), Ok(Contents::Member(identity.clone())));
    // As after a crash before the mark was removed.
    identity.save(&disk, JOINING).unwrap();
    assert_eq!(contents(&disk), Ok(Contents::Member(identity)));
}

#[test]
fn the_mark_of_a_join_beside_a_log_with_entries_destroys_nothing() {
    let disk = memory();
    begin(&disk, &identity()).unwrap();
    let log = open_log(&disk);
    log.append(vec![(0, bytes::Bytes::from_static(&[0; 9]))], Box::new(|done| done.unwrap()));
    log.close().unwrap();
    refused(&disk);
}

#[test]
fn erasing_removes_rams_own_files_alone_and_is_finished_after_an_interruption() {
    for interrupted in [false, true] {
        let disk = memory();
        complete_join(&disk);
        create(&disk, &["notes", "log-1.seg", "x.tmp"]);
        if interrupted {
            disk.rename(MEMBER, ERASING).unwrap();
            assert_eq!(contents(&disk), Ok(Contents::Nothing));
        } else {
            erase(&disk).unwrap();
        }
        assert_eq!(names(&disk), ["log-1.seg", "notes", "x.tmp"]);
    }
}

/// As after a kill at any of these moments.
#[test]
fn a_folder_that_was_cleared_after_an_interruption_can_be_joined_in_the_same_moment() {
    for mark in [JOINING, ERASING] {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("data");
        unmade_on(&folder).stop();
        fs::rename(folder.join(MEMBER), folder.join(mark)).unwrap();
        unmade_on(&folder).stop();
        assert!(matches!(look(&folder), Ok(Contents::Member(_))), "{mark}");
    }
}

#[test]
fn a_segment_that_is_gone_is_noticed_also_the_newest_and_so_is_a_snapshot() {
    for gone in ["the oldest segment", "the newest segment", "the snapshot"] {
        let (_parent, folder) = changed(|folder| {
            let names = files_in(folder);
            let mut segments = names.iter().filter(|name| is_segment(name));
            let name = match gone {
                "the oldest segment" => segments.next(),
                "the newest segment" => segments.next_back(),
                _ => names.iter().find(|name| name.starts_with("snapshot-")),
            };
            fs::remove_file(folder.join(name.unwrap())).unwrap();
        });
        let before = files_in(&folder);
        let refused = start(config(&folder), Open::Existing).err().unwrap().to_string();
        assert!(refused.contains("missing"), "{gone}: {refused}");
        assert_eq!(files_in(&folder), before, "nothing of it is touched");
    }
}

#[test]
fn a_folder_is_erased_by_who_holds_it_and_only_of_the_cluster_that_is_named() {
    let (_parent, folder) = changed(|_| {});
    let held = RealDisk::open(&folder).unwrap();
    assert!(matches!(erase_at(&folder, None), Err(Error::InUse(_))));
    assert!(matches!(look(&folder), Err(Error::InUse(_))));
    drop(held);
    assert_eq!(erase_at(&folder, Some(ClusterId([8; 16]))), Err(Error::OtherCluster));
    assert!(matches!(look(&folder), Ok(Contents::Member(_))));
    assert_eq!(erase_at(&folder, Some(CLUSTER)), Ok(()));
    assert!(!folder.exists(), "it was made for the member");
    assert_eq!(erase_at(&folder, None), Ok(()));
}

#[test]
fn a_folder_of_the_operator_and_what_else_is_in_it_stay() {
    let parent = tempfile::tempdir().unwrap();
    let (real, link) = (parent.path().join("real"), parent.path().join("link"));
    fs::create_dir(&real).unwrap();
    std::os::unix::fs::symlink(&real, &link).unwrap();
    let node = alone_on(&link);
    fs::write(real.join("notes"), "x").unwrap();
    node.erase().unwrap();
    assert_eq!(files_in(&real), ["notes"]);
    assert!(link.is_symlink());
}

#[test]
fn a_member_that_has_an_entry_is_not_abandoned_and_one_without_leaves_nothing() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("data");
    let node = alone_on(&folder);
    assert_eq!(node.abandon(), Err(Error::Joined));
    assert!(matches!(look(&folder), Ok(Contents::Member(_))));

    let folder = parent.path().join("other");
    let node = unmade_on(&folder);
    assert_eq!(node.abandon(), Ok(()));
    assert!(!folder.exists());
}

#[test]
fn a_start_that_fails_undoes_what_it_made_and_nothing_else() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("data");
    start_that_fails(&folder, Open::New(CLUSTER));
    assert!(!folder.exists());
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("notes"), "x").unwrap();
    start_that_fails(&folder, Open::New(CLUSTER));
    assert_eq!(files_in(&folder), ["notes"]);

    let (_parent, folder) = changed(|_| {});
    let before = files_in(&folder);
    start_that_fails(&folder, Open::Existing);
    assert_eq!(start(config(&folder), Open::New(CLUSTER)).err(), Some(Error::OtherCluster));
    assert_eq!(files_in(&folder), before, "it was there before");
    start(config(&folder), Open::Existing).unwrap().stop();
}

/// A mount over the folder is, for whoever goes by its path, another folder in its place.
#[test]
fn what_comes_over_the_folder_of_a_running_member_is_not_touched_by_it() {
    let parent = tempfile::tempdir().unwrap();
    let (folder, moved) = (parent.path().join("data"), parent.path().join("moved"));
    let node = alone_on(&folder);
    fs::rename(&folder, &moved).unwrap();
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("notes"), "x").unwrap();
    fill(&node);
    node.erase().unwrap();
    assert_eq!(files_in(&folder), ["notes"]);
    assert_eq!(files_in(&moved), Vec::<String>::new());
}
