//! What each operation does, and that it is still so after a restart.

use super::*;
use ram_limits::NAMED_VALUE_BYTES_MAX;

#[test]
fn a_new_log_is_empty() {
    let log = open(&MemoryDisk::new(), &inline());
    assert_eq!((log.first_index(), log.last_index(), log.purged_index()), (None, None, None));
    assert_eq!(log.value(0), None);
    assert_eq!(content(&log), []);
}

#[test]
fn what_was_appended_is_there_after_a_restart_over_many_segments() {
    let disk = MemoryDisk::new();
    let log = open(&disk, &inline());
    for index in 0..50 {
        append(&log, entries(index..index + 1, 100));
    }
    assert!(log.stats().segments > 5);
    drop(log);
    let log = open(&disk, &inline());
    assert_eq!(content(&log), entries(0..50, 100));
    assert_eq!((log.first_index(), log.last_index()), (Some(0), Some(49)));
    append(&log, entries(50..51, 100));
    assert_eq!(content(&log), entries(0..51, 100));
}

#[test]
fn a_log_on_a_real_disk_is_the_same_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let options = LogOptions { segment_bytes: 3000, flush: FlushMode::Thread, ..inline() };
    for start in [0, 100] {
        let disk = Arc::new(RealDisk::open(folder.path()).unwrap());
        let log = Log::open(disk, options.clone()).unwrap();
        assert_eq!(content(&log), entries(0..start, 60));
        for index in start..start + 100 {
            append(&log, entries(index..index + 1, 60));
        }
        purge(&log, start);
        truncate(&log, Some(start + 1));
        append(&log, entries(start + 2..start + 100, 60));
        log.close().unwrap();
        assert_eq!(content(&log), entries(start + 1..start + 100, 60));
        if start == 0 {
            std::fs::remove_dir_all(folder.path()).unwrap();
            drop(log);
            let log = Log::open(
                Arc::new(RealDisk::open(folder.path()).unwrap()),
                LogOptions { segment_bytes: 1 << 20, ..options.clone() },
            )
            .unwrap();
            append(&log, entries(0..100, 60));
        }
    }
}

#[test]
fn an_entry_that_leaves_a_hole_is_refused_and_changes_nothing() {
    let disk = MemoryDisk::new();
    let log = open(&disk, &inline());
    append(&log, entries(3..6, 10));
    for start in [0, 5, 7] {
        let refused = result_of(|done| log.append(entries(start..start + 1, 10), done));
        assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }
    let with_hole = [entries(6..7, 10), entries(8..9, 10)].concat();
    assert!(result_of(|done| log.append(with_hole, done)).is_err());
    assert!(result_of(|done| log.append(vec![(u64::MAX, body(0, 1))], done)).is_err());
    assert!(result_of(|done| log.purge(u64::MAX, done)).is_err());
    assert_eq!(log.last_index(), Some(5));
    assert_eq!(log.failed(), None);
    append(&log, entries(6..7, 10));
    drop(log);
    assert_eq!(content(&open(&disk, &inline())), entries(3..7, 10));
}

#[test]
fn a_body_above_the_limit_is_refused_and_one_larger_than_a_segment_is_kept() {
    let disk = MemoryDisk::new();
    let log = open(&disk, &inline());
    append(&log, entries(0..1, 10));
    let refused = result_of(|done| log.append(entries(1..2, 10_001), done));
    assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::InvalidInput);
    append(&log, entries(1..2, 10_000));
    append(&log, entries(2..3, 10));
    drop(log);
    let all = [entries(0..1, 10), entries(1..2, 10_000), entries(2..3, 10)].concat();
    assert_eq!(content(&open(&disk, &inline())), all);
}

#[test]
fn a_batch_that_just_fits_fills_its_segment_and_one_byte_more_begins_the_next() {
    let length = 700 - 48 - 133 - 33;
    for (more, segments, syncs) in [(0, 1, 1), (1, 2, 3)] {
        let log = open(&MemoryDisk::new(), &inline());
        append(&log, entries(0..1, 100));
        let before = log.stats();
        append(&log, entries(1..2, length + more));
        let after = log.stats();
        assert_eq!((after.segments, after.syncs - before.syncs), (segments, syncs), "{more}");
    }
    let log = open(&MemoryDisk::new(), &inline());
    append(&log, entries(0..1, 5000));
    assert_eq!(log.stats().segments, 1, "an empty segment takes any first batch");
}

#[test]
fn what_was_truncated_stays_away_and_the_new_entries_stand_in_its_place() {
    let disk = MemoryDisk::new();
    let log = open(&disk, &inline());
    append(&log, entries(0..20, 100));
    truncate(&log, Some(4));
    assert_eq!(log.last_index(), Some(4));
    append(&log, entries(5..8, 33));
    let expected = [entries(0..5, 100), entries(5..8, 33)].concat();
    assert_eq!(content(&log), expected);
    drop(log);
    let log = open(&disk, &inline());
    assert_eq!(content(&log), expected);
    truncate(&log, None);
    assert_eq!((log.first_index(), log.last_index()), (None, None));
    drop(log);
    let log = open(&disk, &inline());
    assert_eq!(content(&log), []);
    append(&log, entries(70..71, 10));
}

#[test]
fn a_purge_removes_whole_segments_and_keeps_the_named_values_and_the_purge_point() {
    let disk = MemoryDisk::new();
    let log = open(&disk, &inline());
    set_value(&log, 1, b"vote");
    set_value(&log, 2, b"old");
    set_value(&log, 2, b"new");
    for index in 0..40 {
        append(&log, entries(index..index + 1, 100));
    }
    let before = log.stats();
    purge(&log, 30);
    let after = log.stats();
    assert!(after.segments < before.segments && after.disk_bytes < before.disk_bytes);
    assert_eq!(segment_names(&disk).len() as u64, after.segments);
    let bytes = log.bytes_since(31);
    assert!((9 * 133..11 * 133).contains(&bytes), "{bytes}");
    for index in 31..40 {
        assert_eq!(log.first_within(log.bytes_since(index)), Some(index));
        assert_eq!(log.first_within(log.bytes_since(index) - 1), (index < 39).then_some(index + 1));
    }
    for log in [log, open(&disk, &inline())] {
        assert_eq!(content(&log), entries(31..40, 100));
        assert_eq!(log.purged_index(), Some(30));
        assert_eq!(log.value(1).unwrap(), "vote");
        assert_eq!(log.value(2).unwrap(), "new");
        assert_eq!(log.read(0..31, u64::MAX).unwrap(), []);
    }
}

#[test]
fn a_purge_beyond_the_end_empties_the_log_which_goes_on_behind_it() {
    let disk = MemoryDisk::new();
    let log = open(&disk, &inline());
    for index in 0..20 {
        append(&log, entries(index..index + 1, 100));
    }
    purge(&log, 99);
    assert_eq!((log.first_index(), log.last_index()), (None, None));
    assert_eq!((log.stats().segments, log.bytes_since(20)), (1, 0));
    assert!(result_of(|done| log.append(entries(20..21, 10), done)).is_err());
    drop(log);
    let log = open(&disk, &inline());
    assert_eq!((log.last_index(), log.purged_index()), (None, Some(99)));
    append(&log, entries(100..110, 100));
    truncate(&log, None);
    append(&log, entries(100..101, 5));
    drop(log);
    assert_eq!(content(&open(&disk, &inline())), entries(100..101, 5));
}

#[test]
fn removals_that_a_crash_cut_short_are_done_at_opening() {
    let disk = MemoryDisk::new();
    let log = open(&disk, &inline());
    for index in 0..20 {
        append(&log, entries(index..index + 1, 100));
    }
    let before = disk.copy();
    purge(&log, 18);
    // The purge is durable, and no file is removed yet.
    for name in segment_names(&disk) {
        let bytes = bytes_of(&disk, &name);
        before.create(&name).unwrap().write_at(&bytes, 0).unwrap();
    }
    assert!(segment_names(&before).len() > segment_names(&disk).len());
    assert_eq!(content(&open(&before, &inline())), entries(19..20, 100));
    assert_eq!(segment_names(&before), segment_names(&disk));
}

#[test]
fn a_lazy_value_shows_at_once_and_is_written_with_the_next_batch_or_at_closing() {
    let disk = MemoryDisk::new();
    let log = open(&disk, &inline());
    let syncs = log.stats().syncs;
    log.set_value_lazy(7, "a".into());
    log.set_value_lazy(7, "b".into());
    assert_eq!(log.value(7).unwrap(), "b");
    assert_eq!(log.stats().syncs, syncs);
    assert_eq!(open(&disk.copy(), &inline()).value(7), None);
    append(&log, entries(0..1, 10));
    assert_eq!(open(&disk.copy(), &inline()).value(7).unwrap(), "b");
    log.set_value_lazy(7, "c".into());
    log.close().unwrap();
    assert_eq!(open(&disk, &inline()).value(7).unwrap(), "c");
}

#[test]
fn a_lazy_value_does_not_win_over_a_later_one() {
    let disk = MemoryDisk::new();
    let log = open(&disk, &inline());
    log.set_value_lazy(7, "lazy".into());
    set_value(&log, 7, b"later");
    log.close().unwrap();
    assert_eq!(open(&disk, &inline()).value(7).unwrap(), "later");
}

#[test]
fn a_read_gives_at_least_one_entry_and_then_as_many_as_fit() {
    let log = open(&MemoryDisk::new(), &inline());
    append(&log, entries(0..10, 100));
    for (bytes_max, expected) in [(0, 1), (100, 1), (199, 1), (200, 2), (u64::MAX, 7)] {
        assert_eq!(log.read(3..10, bytes_max).unwrap(), entries(3..3 + expected, 100));
    }
    assert_eq!(log.read(10..20, 1).unwrap(), []);
    #[allow(clippy::reversed_empty_ranges)]
    let reversed = 5..3;
    assert_eq!(log.read(reversed, 1).unwrap(), []);
}

/// A segment must not grow with what is asked for at once: places in it have 32 bits.
#[test]
fn an_append_of_more_than_a_batch_takes_is_several_batches_and_done_with_the_last() {
    let disk = MemoryDisk::new();
    let log = open(&disk, &LogOptions { batch_bytes_max: 400, ..inline() });
    // 133 bytes each: three to a batch; then one that is larger than a batch.
    let mut wanted = entries(0..7, 100);
    wanted.push((7, body(7, 5000)));
    append(&log, wanted.clone());
    assert_eq!(log.stats().batches, 4);
    append(&log, entries(8..9, 100));
    wanted.extend(entries(8..9, 100));
    for log in [log, open(&disk, &inline())] {
        assert_eq!(content(&log), wanted);
    }
    let lengths = segment_names(&disk).into_iter().map(|name| bytes_of(&disk, &name).len());
    assert!(lengths.max().unwrap() < 6000);
}

#[test]
fn an_append_of_several_batches_with_a_hole_at_its_end_adds_nothing() {
    let disk = MemoryDisk::new();
    let log = open(&disk, &LogOptions { batch_bytes_max: 400, ..inline() });
    let mut holed = entries(0..7, 100);
    holed.extend(entries(8..9, 100));
    let error = result_of(|done| log.append(holed, done)).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    append(&log, entries(0..3, 100));
    assert_eq!(content(&log), entries(0..3, 100));
}

/// Every segment begins with all named values.
#[test]
fn a_named_value_that_is_not_small_is_refused() {
    let log = open(&MemoryDisk::new(), &LogOptions { record_bytes_max: 1 << 20, ..inline() });
    let error =
        result_of(|done| log.set_value(1, body(1, NAMED_VALUE_BYTES_MAX + 1), done)).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    result_of(|done| log.set_value(1, body(1, NAMED_VALUE_BYTES_MAX), done)).unwrap();
}

#[test]
fn entries_are_read_from_memory_from_disk_and_across_both() {
    let disk = MemoryDisk::new();
    let log = open(&disk, &LogOptions { cache_bytes: 5 * (100 + 64), ..inline() });
    for index in 0..20 {
        append(&log, entries(index..index + 1, 100));
    }
    assert_eq!(content(&log), entries(0..20, 100));
    for name in segment_names(&disk) {
        let file = disk.open(&name).unwrap();
        file.write_at(&vec![1; file.len().unwrap() as usize], 0).unwrap();
    }
    assert_eq!(log.read(15..20, u64::MAX).unwrap(), entries(15..20, 100), "the newest are cached");
    let error = log.read(14..15, u64::MAX).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    assert!(error.to_string().contains("log-0000"), "{error}");
}

#[test]
fn an_entry_in_the_place_of_another_is_not_taken_for_it() {
    let disk = MemoryDisk::new();
    let log = open(&disk, &inline());
    append(&log, entries(0..2, 100));
    let file = disk.open(&segment_names(&disk)[0]).unwrap();
    let mut record = [0; 133];
    file.read_at(&mut record, 48).unwrap();
    file.write_at(&record, 48 + 133).unwrap();
    assert_eq!(log.read(0..1, u64::MAX).unwrap(), entries(0..1, 100));
    assert!(log.read(1..2, u64::MAX).is_err());
}

#[test]
fn a_truncation_to_below_the_purge_point_leaves_an_empty_log_that_goes_on() {
    let disk = MemoryDisk::new();
    let log = open(&disk, &LogOptions { segment_bytes: 100_000, ..inline() });
    append(&log, entries(0..20, 10));
    purge(&log, 11);
    truncate(&log, Some(5));
    assert_eq!(log.last_index(), None);
    append(&log, entries(12..15, 33));
    for log in [log, open(&disk, &inline())] {
        assert_eq!(content(&log), entries(12..15, 33));
    }
}

#[test]
fn temporary_files_are_removed_at_opening_and_others_are_left() {
    let disk = MemoryDisk::new();
    let snapshot = format!("{}.part", snapshot_name(1));
    for name in ["log-00000000000000000009.seg.tmp", &snapshot, "identity", "notes.tmp"] {
        disk.create(name).unwrap();
    }
    open(&disk, &inline());
    let left = ["identity", "log-00000000000000000001.seg", "log-newest", "notes.tmp"];
    assert_eq!(disk.list().unwrap(), left);
}
