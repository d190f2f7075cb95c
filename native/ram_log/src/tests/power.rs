//! A loss of power: only what was synced is there afterwards.

use super::*;

/// What is there when the power is back.
fn lost(disk: &CachedDisk) -> CachedDisk {
    disk.after_power_loss(|_| 0)
}

#[test]
fn what_was_answered_is_there_after_a_loss_of_power_at_any_time() {
    let disk = CachedDisk::default();
    let log = Log::open(Arc::new(disk.clone()), inline()).unwrap();
    for index in 0..40 {
        append(&log, entries(index..index + 1, 100));
        if index % 7 == 6 {
            truncate(&log, Some(index - 1));
            append(&log, entries(index..index + 1, 100));
        }
        if index % 10 == 9 {
            purge(&log, index - 8);
            set_value(&log, 1, b"vote");
        }
        let after = open(&lost(&disk), &inline());
        assert_eq!(content(&after), content(&log));
        assert_eq!((after.value(1), after.purged_index()), (log.value(1), log.purged_index()));
    }
}

#[test]
fn what_is_reported_after_a_failed_sync_and_a_restart_is_durable() {
    let disk = CachedDisk::default();
    let log = Log::open(Arc::new(disk.clone()), inline()).unwrap();
    append(&log, entries(0..2, 40));
    disk.fail_next_sync();
    assert!(result_of(|done| log.append(entries(2..4, 40), done)).is_err());
    drop(log);
    // The pages look clean, and the disk has nothing of them.
    assert_eq!(content(&open(&lost(&disk), &inline())), entries(0..2, 40));

    let log = Log::open(Arc::new(disk.clone()), inline()).unwrap();
    assert_eq!(content(&log), entries(0..4, 40));
    assert_eq!(content(&open(&lost(&disk), &inline())), entries(0..4, 40));
}

#[test]
fn a_cut_tail_stays_cut_after_a_loss_of_power() {
    let disk = CachedDisk::default();
    let log = Log::open(Arc::new(disk.clone()), inline()).unwrap();
    append(&log, entries(0..2, 40));
    drop(log);
    let name = "log-00000000000000000001.seg";
    let end = 48 + 2 * 73;
    let file = disk.open(name).unwrap();
    file.write_at(&[0xA7, 1, 0, 0, 9], end).unwrap();
    file.sync_data().unwrap();
    drop(Log::open(Arc::new(disk.clone()), inline()).unwrap());
    let bytes = bytes_of(&lost(&disk), name);
    assert!(bytes[end as usize..].iter().all(|byte| *byte == 0));
}

#[test]
fn snapshots_and_checked_files_last_when_they_are_reported_written() {
    let disk = CachedDisk::default();
    write_checked(&disk, "identity", b"node 7").unwrap();
    let after = lost(&disk);
    assert_eq!(read_checked(&after, "identity").unwrap().unwrap(), b"node 7");

    let mut writer = SnapshotWriter::create(Arc::new(disk.clone()), 7).unwrap();
    writer.write_block(b"block").unwrap();
    let length = writer.finish().unwrap() as usize;
    let bytes = bytes_of(&lost(&disk), &snapshot_name(7));
    assert_eq!(bytes.len(), length);

    let other = CachedDisk::default();
    let mut receiver = SnapshotReceiver::create(Arc::new(other.clone()), 7, length as u64).unwrap();
    receiver.write_at(0, &bytes).unwrap();
    receiver.check(|| Ok(())).unwrap().accept().unwrap();
    assert_eq!(bytes_of(&lost(&other), &snapshot_name(7)), bytes);
}
