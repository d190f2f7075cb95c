//! Snapshots are whole or refused, also after a journey.

use super::*;
use ram_limits::BLOCK_BYTES_MAX;

const BLOCKS: [&[u8]; 4] = [b"first", b"", b"a third and longer block", b"x"];

fn write(disk: &MemoryDisk, index: u64) -> u64 {
    let mut writer = SnapshotWriter::create(Arc::new(disk.clone()), index).unwrap();
    for block in BLOCKS {
        writer.write_block(block).unwrap();
    }
    writer.finish().unwrap()
}

fn read(disk: &MemoryDisk, index: u64) -> Result<Vec<Vec<u8>>, DiskError> {
    SnapshotReader::open(disk, index)?.collect()
}

/// Sends the snapshot 7 in pieces of three bytes.
fn send(from: &MemoryDisk, to: &MemoryDisk) -> Result<(), DiskError> {
    let file = SnapshotSource::open(from, 7)?;
    let mut receiver = SnapshotReceiver::create(Arc::new(to.clone()), 7, file.length_bytes())?;
    loop {
        let mut piece = [0; 3];
        let offset = receiver.received_bytes();
        match file.read_at(offset, &mut piece)? {
            0 => return receiver.check(|| Ok(()))?.accept(),
            count => receiver.write_at(offset, &piece[..count])?,
        }
    }
}

#[test]
fn the_blocks_that_were_written_are_read() {
    let disk = MemoryDisk::new();
    let length = write(&disk, 7);
    assert_eq!(SnapshotSource::open(&disk, 7).unwrap().length_bytes(), length);
    assert_eq!(read(&disk, 7).unwrap(), BLOCKS);
    let empty = SnapshotWriter::create(Arc::new(disk.clone()), 8).unwrap();
    empty.finish().unwrap();
    assert_eq!(read(&disk, 8).unwrap(), Vec::<Vec<u8>>::new());
}

#[test]
fn an_unfinished_snapshot_leaves_nothing_and_a_finished_one_is_the_latest() {
    let disk = MemoryDisk::new();
    assert_eq!(latest_snapshot(&disk).unwrap(), None);
    for index in [3, 20, 100] {
        write(&disk, index);
    }
    let mut unfinished = SnapshotWriter::create(Arc::new(disk.clone()), 500).unwrap();
    unfinished.write_block(b"half of it").unwrap();
    assert_eq!(disk.list().unwrap().len(), 4);
    drop(unfinished);
    assert_eq!(disk.list().unwrap().len(), 3);
    assert_eq!(latest_snapshot(&disk).unwrap(), Some(100));
}

#[test]
fn older_snapshots_are_removed_when_told_and_who_reads_one_can_finish() {
    let disk = MemoryDisk::new();
    for index in [3, 20, 100] {
        write(&disk, index);
    }
    let reader = SnapshotReader::open(&disk, 3).unwrap();
    disk.create("identity").unwrap();
    remove_older(&disk, 20).unwrap();
    assert_eq!(disk.list().unwrap(), ["identity", &snapshot_name(20), &snapshot_name(100)]);
    assert_eq!(reader.map(Result::unwrap).collect::<Vec<_>>(), BLOCKS);
}

#[test]
fn a_snapshot_cut_or_changed_anywhere_is_refused_here_and_after_a_journey() {
    let disk = MemoryDisk::new();
    write(&disk, 7);
    let name = snapshot_name(7);
    let length = bytes_of(&disk, &name).len();
    let mut damaged: Vec<_> = (0..length)
        .flat_map(|at| {
            let cut = changed(&disk, &name, |bytes| bytes.truncate(at));
            let flipped = changed(&disk, &name, |bytes| bytes[at] ^= 0x10);
            let overwritten = changed(&disk, &name, |bytes| bytes[at..].fill(0xEE));
            [cut, flipped, overwritten]
        })
        .collect();
    damaged.push(changed(&disk, &name, |bytes| bytes.push(0)));
    for (case, disk) in damaged.iter().enumerate() {
        let error = read(disk, 7).unwrap_err();
        assert!(error.to_string().contains(&name), "case {case}: {error}");
        let target = MemoryDisk::new();
        send(disk, &target).unwrap_err();
        assert_eq!(target.list().unwrap(), Vec::<String>::new(), "case {case}");
    }
}

#[test]
fn a_damaged_block_is_never_given_out() {
    let disk = MemoryDisk::new();
    write(&disk, 7);
    let flipped = changed(&disk, &snapshot_name(7), |bytes| bytes[33] ^= 1);
    let mut reader = SnapshotReader::open(&flipped, 7).unwrap();
    assert!(matches!(reader.next(), Some(Err(DiskError::Corrupt { offset: 24, .. }))));
    assert!(reader.next().is_none());
}

#[test]
fn blocks_that_are_right_and_not_those_that_were_written_are_refused() {
    let disk = MemoryDisk::new();
    let mut writer = SnapshotWriter::create(Arc::new(disk.clone()), 7).unwrap();
    writer.write_block(b"one").unwrap();
    writer.write_block(b"two").unwrap();
    writer.finish().unwrap();
    let swapped = changed(&disk, &snapshot_name(7), |bytes| bytes[24..46].rotate_left(11));
    let read: Vec<_> = SnapshotReader::open(&swapped, 7).unwrap().collect();
    assert_eq!(read.len(), 3);
    assert!(read[2].is_err(), "known at the end only");
    let shorter = changed(&disk, &snapshot_name(7), |bytes| drop(bytes.drain(24..35)));
    SnapshotReader::open(&shorter, 7).unwrap_err();
}

#[test]
fn a_block_with_a_hostile_length_is_refused_before_memory_is_taken_for_it() {
    let disk = MemoryDisk::new();
    write(&disk, 7);
    let name = snapshot_name(7);
    for length in [u32::MAX, BLOCK_BYTES_MAX as u32, 100] {
        let hostile =
            changed(&disk, &name, |bytes| bytes[24..28].copy_from_slice(&length.to_le_bytes()));
        match read(&hostile, 7).unwrap_err() {
            DiskError::Corrupt { offset: 24, what, .. } => {
                assert!(what.contains("longer"), "{what}")
            }
            other => panic!("{other}"),
        }
    }
    let mut writer = SnapshotWriter::create(Arc::new(disk.clone()), 9).unwrap();
    writer.write_block(&vec![0; BLOCK_BYTES_MAX + 1]).unwrap_err();
}

#[test]
fn a_snapshot_of_another_index_or_version_is_refused() {
    let disk = MemoryDisk::new();
    write(&disk, 7);
    let newer = changed(&disk, &snapshot_name(7), |bytes| bytes[8] = 9);
    assert!(matches!(read(&newer, 7).unwrap_err(), DiskError::Version { found: 9, .. }));
    disk.rename(&snapshot_name(7), &snapshot_name(8)).unwrap();
    assert!(matches!(read(&disk, 8).unwrap_err(), DiskError::Corrupt { offset: 0, .. }));
}

#[test]
fn a_snapshot_arrives_as_it_was_sent_and_replaces_one_of_the_same_index() {
    let (from, to) = (MemoryDisk::new(), MemoryDisk::new());
    write(&from, 7);
    for _ in 0..2 {
        send(&from, &to).unwrap();
        assert_eq!(read(&to, 7).unwrap(), BLOCKS);
        assert_eq!(to.list().unwrap(), [snapshot_name(7)]);
    }
}

#[test]
fn pieces_out_of_order_or_beyond_the_announced_length_are_refused() {
    let disk = MemoryDisk::new();
    let mut receiver = SnapshotReceiver::create(Arc::new(disk.clone()), 7, 10).unwrap();
    receiver.write_at(0, b"12345").unwrap();
    for (offset, piece) in
        [(0, &b"12345"[..]), (4, b"5"), (6, b"7"), (5, b"678901"), (u64::MAX, b"x")]
    {
        let error = receiver.write_at(offset, piece).unwrap_err();
        assert!(
            matches!(&error, DiskError::Io { source, .. }
            if source.kind() == io::ErrorKind::InvalidInput),
            "{error}"
        );
    }
    assert_eq!(receiver.received_bytes(), 5);
    receiver.write_at(5, b"67").unwrap();
    receiver.check(|| Ok(())).unwrap_err();
    assert_eq!(disk.list().unwrap(), Vec::<String>::new());

    let length = write(&disk, 7);
    let bytes = bytes_of(&disk, &snapshot_name(7));
    let other = Arc::new(MemoryDisk::new());
    let mut receiver = SnapshotReceiver::create(other, 7, length + 1).unwrap();
    receiver.write_at(0, &bytes).unwrap();
    receiver.check(|| Ok(())).unwrap_err();
}
