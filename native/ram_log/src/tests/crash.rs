//! Torn writes are cut, damage is refused, and nothing is invented.

use super::super::record::{BatchBuffer, Record};
use super::*;

/// A log whose last batch holds entries 5 to 9, and the bounds of that batch in its last segment.
struct Written {
    disk: MemoryDisk,
    name: String,
    batch: Range<usize>,
}

fn written(body_bytes: usize) -> Written {
    let options = LogOptions { segment_bytes: 12_000, ..inline() };
    let disk = MemoryDisk::new();
    let log = open(&disk, &options);
    set_value(&log, 3, b"vote");
    for index in 0..5 {
        append(&log, entries(index..index + 1, body_bytes));
    }
    let start = 48 + log.stats().bytes_written as usize;
    append(&log, entries(5..10, body_bytes));
    let end = 48 + log.stats().bytes_written as usize;
    Written { name: segment_names(&disk).pop().unwrap(), batch: start..end, disk }
}

impl Written {
    fn changed(&self, change: impl FnOnce(&mut Vec<u8>)) -> MemoryDisk {
        changed(&self.disk, &self.name, change)
    }
}

/// The disk opens without its last batch, takes a new one in its place, and keeps that.
fn assert_cut(disk: &MemoryDisk, body_bytes: usize, case: &str) {
    let log = open(disk, &inline());
    assert_eq!(content(&log), entries(0..5, body_bytes), "{case}");
    assert_eq!(log.value(3).unwrap(), "vote", "{case}");
    append(&log, entries(5..6, 9));
    drop(log);
    let expected = [entries(0..5, body_bytes), entries(5..6, 9)].concat();
    assert_eq!(content(&open(disk, &inline())), expected, "{case}");
}

fn assert_refused(disk: &MemoryDisk, name: &str, offsets: Range<usize>, case: &str) {
    let before = bytes_of(disk, name);
    match open_error(disk) {
        DiskError::Corrupt { file, offset, .. } => {
            assert_eq!(file, name, "{case}");
            assert!(offsets.contains(&(offset as usize)), "{case}: {offset} not in {offsets:?}");
        }
        other => panic!("{case}: {other}"),
    }
    assert_eq!(bytes_of(disk, name), before, "{case}: a refused file is left as it is");
}

#[test]
fn a_tail_torn_at_any_byte_is_cut_and_everything_before_it_stays() {
    let written = written(40);
    for tear in written.batch.clone() {
        let disk = written.changed(|bytes| bytes[tear..].fill(0));
        assert_cut(&disk, 40, &format!("zeros from byte {tear}"));
        let disk = written.changed(|bytes| bytes.truncate(tear));
        assert_cut(&disk, 40, &format!("cut at byte {tear}"));
    }
}

#[test]
fn sectors_that_did_not_reach_the_disk_are_recognized_whichever_they_are() {
    let written = written(700);
    let sectors = written.batch.start / 512..written.batch.end.div_ceil(512);
    let count = sectors.len();
    assert!(count > 7);
    for lost in 1_u32..1 << count {
        let disk = written.changed(|bytes| {
            for sector in sectors.clone().filter(|at| lost >> (at - sectors.start) & 1 == 1) {
                let start = (sector * 512).max(written.batch.start);
                bytes[start..(sector + 1) * 512].fill(0);
            }
        });
        let log = open(&disk, &inline());
        assert_eq!(content(&log), entries(0..5, 700), "sectors {lost:b}");
    }
}

#[test]
fn a_flipped_bit_in_any_synced_byte_is_refused_with_its_file_and_offset() {
    let written = written(40);
    for at in 48..written.batch.end {
        for mask in [1, 0x80] {
            let disk = written.changed(|bytes| bytes[at] ^= mask);
            assert_refused(&disk, &written.name, at.saturating_sub(73)..at + 1, &format!("{at}"));
        }
    }
}

#[test]
fn a_lost_sector_before_the_last_batch_is_refused() {
    let written = written(700);
    for sector in 1..written.batch.start / 512 {
        let disk = written.changed(|bytes| bytes[sector * 512..][..512].fill(0));
        let offsets = (sector * 512).saturating_sub(733)..(sector + 1) * 512;
        assert_refused(&disk, &written.name, offsets, &format!("sector {sector}"));
    }
}

#[test]
fn a_batch_without_its_end_is_dropped_whole() {
    let written = written(40);
    // Four of five records are perfect.
    let disk = written.changed(|bytes| bytes[written.batch.end - 73..].fill(0));
    assert_cut(&disk, 40, "the last record is missing");
}

#[test]
fn garbage_behind_the_end_is_cut_only_if_it_may_be_a_torn_write() {
    let written = written(40);
    let far = written.changed(|bytes| bytes[written.batch.end + 2000] = 7);
    assert_eq!(content(&open(&far, &inline())), entries(0..10, 40));
    let near = written.changed(|bytes| bytes[written.batch.end..][..400].fill(7));
    assert_refused(&near, &written.name, written.batch.end..written.batch.end + 1, "near");
}

#[test]
fn a_valid_record_of_another_batch_is_refused() {
    let written = written(40);
    for batch in [0, 1, 7, 9, u64::MAX] {
        let mut buffer = BatchBuffer::default();
        buffer.begin(batch);
        buffer.push(Record::Entry { index: 10, body: b"stale" }).unwrap();
        let disk = written.changed(|bytes| {
            bytes[written.batch.end..][..38].copy_from_slice(buffer.finish());
        });
        let end = written.batch.end;
        assert_refused(&disk, &written.name, end..end + 1, &format!("batch {batch}"));
    }
}

#[test]
fn a_record_inside_a_value_is_not_taken_for_one() {
    let disk = MemoryDisk::new();
    let options = LogOptions { segment_bytes: 12_000, ..inline() };
    let log = open(&disk, &options);
    append(&log, entries(0..1, 10));
    let mut later = BatchBuffer::default();
    later.begin(1000);
    later.push(Record::Entry { index: 900, body: b"x" }).unwrap();
    let hostile = [later.finish(), &body(1, 3000)].concat();
    let start = 48 + log.stats().bytes_written as usize;
    append(&log, vec![(1, hostile.into())]);
    let torn = changed(&disk, &segment_names(&disk)[0], |bytes| bytes[start + 1500..].fill(0));
    assert_eq!(content(&open(&torn, &inline())), entries(0..1, 10));
}

/// A log over many segments, the first of them purged.
fn segmented() -> (MemoryDisk, Vec<String>) {
    let disk = MemoryDisk::new();
    let log = open(&disk, &inline());
    for index in 0..40 {
        append(&log, entries(index..index + 1, 100));
        if index == 20 {
            purge(&log, 10);
        }
    }
    let names = segment_names(&disk);
    assert!(names.len() > 4 && !names[0].contains("0001."));
    (disk, names)
}

#[test]
fn a_missing_segment_is_noticed_wherever_it_was() {
    let (disk, names) = segmented();
    // The newest cannot be missed: nothing stands behind it.
    for name in &names[..names.len() - 1] {
        let copy = disk.copy();
        copy.remove(name).unwrap();
        let error = open_error(&copy);
        assert!(matches!(&error, DiskError::Missing { file, .. } if file == name), "{error}");
    }
    let copy = disk.copy();
    names[..names.len() - 1].iter().for_each(|name| copy.remove(name).unwrap());
    assert!(matches!(open_error(&copy), DiskError::Missing { .. }), "all but the newest");
}

#[test]
fn an_emptied_log_does_not_lose_its_front_in_silence() {
    let disk = MemoryDisk::new();
    let log = open(&disk, &inline());
    purge(&log, 9);
    append(&log, entries(10..16, 100));
    set_value(&log, 1, b"in the second segment");
    drop(log);
    let names = segment_names(&disk);
    assert_eq!(names.len(), 2);
    disk.remove(&names[0]).unwrap();
    assert!(matches!(open_error(&disk), DiskError::Missing { .. }));
}

#[test]
fn any_change_to_a_segment_that_is_not_the_last_is_refused() {
    let (disk, names) = segmented();
    let name = &names[1];
    let end = bytes_of(&disk, name).iter().rposition(|byte| *byte != 0).unwrap() + 1;
    for at in 0..end + 20 {
        let damaged = changed(&disk, name, |bytes| bytes[at.min(699)] ^= 4);
        let error = open_error(&damaged);
        assert!(error.to_string().contains(name), "byte {at}: {error}");
    }
    for tear in (0..end).rev() {
        let error = open_error(&changed(&disk, name, |bytes| bytes[tear..].fill(0)));
        assert!(error.to_string().contains("log-"), "torn at {tear}: {error}");
    }
}

/// Not by the next segment, which would be named in place of the corrupt one.
#[test]
fn a_batch_without_its_end_is_refused_in_a_segment_that_is_not_the_last() {
    let disk = MemoryDisk::new();
    let log = open(&disk, &inline());
    append(&log, entries(0..5, 100));
    append(&log, entries(5..10, 100));
    let names = segment_names(&disk);
    assert_eq!(names.len(), 2);
    let torn = changed(&disk, &names[0], |bytes| bytes[48 + 4 * 133..].fill(0));
    let end = 48 + 4 * 133;
    assert_refused(&torn, &names[0], end..end + 1, "the last record is missing");
}

#[test]
fn a_foreign_file_another_version_and_swapped_segments_are_refused() {
    let (disk, names) = segmented();
    let foreign = changed(&disk, &names[0], |bytes| *bytes = b"#!/bin/sh".to_vec());
    assert_refused(&foreign, &names[0], 0..1, "foreign");
    let newer = changed(&disk, &names[0], |bytes| bytes[8] = 9);
    assert!(matches!(open_error(&newer), DiskError::Version { found: 9, known: 4, .. }));
    let swapped = disk.copy();
    swapped.rename(&names[1], "x").unwrap();
    swapped.rename(&names[2], &names[1]).unwrap();
    swapped.rename("x", &names[2]).unwrap();
    assert_refused(&swapped, &names[1], 0..1, "swapped");
    let stale = disk.copy();
    let bytes = bytes_of(&disk, &names[1]);
    open(&stale, &inline()).close().unwrap();
    stale.create(&names[2]).unwrap().write_at(&bytes, 0).unwrap();
    assert_refused(&stale, &names[2], 0..1, "a segment of another place");
}

/// The disk after a crash between the creation of the second segment and its first batch.
fn with_an_empty_second_segment(prepare: impl FnOnce(&Log)) -> (MemoryDisk, Vec<String>) {
    let disk = MemoryDisk::new();
    let log = open(&disk, &inline());
    set_value(&log, 1, b"vote");
    append(&log, entries(0..4, 100));
    prepare(&log);
    let crashed = disk.copy();
    let next = log.last_index().or(log.purged_index()).unwrap() + 1;
    append(&log, entries(next..next + 2, 100));
    let name = segment_names(&disk).pop().unwrap();
    let header = bytes_of(&disk, &name)[..48].to_vec();
    crashed.create(&name).unwrap().write_at(&header, 0).unwrap();
    let names = segment_names(&crashed);
    assert_eq!(names.len(), 2);
    (crashed, names)
}

#[test]
fn a_segment_that_was_created_and_never_written_is_used() {
    let (disk, names) = with_an_empty_second_segment(|_| ());
    let log = open(&disk, &inline());
    assert_eq!(content(&log), entries(0..4, 100));
    append(&log, entries(4..8, 100));
    purge(&log, 5);
    assert_eq!(segment_names(&disk), names[1..]);
    drop(log);
    let log = open(&disk, &inline());
    assert_eq!(log.value(1).unwrap(), "vote", "the first batch restates, also after a crash");
    assert_eq!(content(&log), entries(6..8, 100));
}

#[test]
fn a_segment_that_a_crash_left_unnoted_is_noted_at_opening() {
    let (disk, names) = with_an_empty_second_segment(|_| ());
    append(&open(&disk, &inline()), entries(4..5, 10));
    disk.remove(&names[1]).unwrap();
    assert!(matches!(open_error(&disk), DiskError::Missing { file, .. } if file == names[1]));
}

#[test]
fn a_dead_segment_stays_until_the_next_one_has_its_carry_over_records() {
    let (disk, names) = with_an_empty_second_segment(|log| purge(log, 9));
    for _ in 0..2 {
        let log = open(&disk, &inline());
        assert_eq!(segment_names(&disk), names);
        assert_eq!((log.value(1).unwrap(), log.purged_index()), ("vote".into(), Some(9)));
    }
    append(&open(&disk, &inline()), entries(10..11, 10));
    assert_eq!(segment_names(&disk), names[1..]);
    let log = open(&disk, &inline());
    assert_eq!((log.value(1).unwrap(), log.purged_index()), ("vote".into(), Some(9)));
}

#[test]
fn a_file_too_long_for_a_segment_is_refused_before_it_is_read() {
    let (disk, names) = segmented();
    disk.open(&names[0]).unwrap().grow(1 << 50).unwrap();
    assert!(matches!(open_error(&disk), DiskError::Io { .. }));
}
