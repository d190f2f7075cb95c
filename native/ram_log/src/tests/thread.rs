//! The writer thread: grouping, order, and its end.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use super::*;

fn threaded() -> LogOptions {
    LogOptions { flush: FlushMode::Thread, ..LogOptions::default() }
}

fn real_log(folder: &tempfile::TempDir) -> Log {
    Log::open(Arc::new(RealDisk::open(folder.path()).unwrap()), threaded()).unwrap()
}

#[test]
fn many_queued_entries_share_few_syncs_and_are_answered_in_order() {
    const COUNT: u64 = 100_000;
    let folder = tempfile::tempdir().unwrap();
    let log = real_log(&folder);
    let next = Arc::new(AtomicU64::new(0));
    let started = Instant::now();
    for index in 0..COUNT {
        let next = Arc::clone(&next);
        let done = move |result: io::Result<()>| {
            result.unwrap();
            assert_eq!(next.fetch_add(1, Ordering::Relaxed), index);
        };
        log.append(vec![(index, Bytes::from_static(b"sixteen bytes ok"))], Box::new(done));
    }
    log.close().unwrap();
    let stats = log.stats();
    println!("{COUNT} entries in {:?}: {stats:?}", started.elapsed());
    assert_eq!(next.load(Ordering::Relaxed), COUNT);
    assert_eq!(stats.records, COUNT);
    assert!(stats.syncs < COUNT / 20, "{stats:?}");
}

#[test]
fn entries_are_readable_before_they_are_written() {
    let log = open(&MemoryDisk::new(), &LogOptions { cache_bytes: 0, ..threaded() });
    let held = hold_writer(&log);
    log.append(entries(1..50, 10), Box::new(drop));
    log.truncate_after(Some(29), Box::new(drop));
    log.append(entries(30..35, 99), Box::new(drop));
    log.purge(4, Box::new(drop));
    log.set_value(1, "vote".into(), Box::new(drop));
    let expected = [entries(5..30, 10), entries(30..35, 99)].concat();
    assert_eq!(content(&log), expected);
    assert_eq!(log.value(1).unwrap(), "vote");
    drop(held);
    log.close().unwrap();
    assert_eq!(content(&log), expected);
}

#[test]
fn a_batch_ends_at_its_limit_and_a_lazy_value_overtakes_nothing() {
    let disk = MemoryDisk::new();
    let log = open(&disk, &LogOptions { cache_bytes: 0, ..threaded() });
    let held = hold_writer(&log);
    let seen = Arc::new(parking_lot::Mutex::new(Vec::new()));
    for index in 1..=4 {
        let (seen, disk, log_then) = (Arc::clone(&seen), disk.clone(), log.clone());
        let done = move |_| {
            seen.lock().push(open(&disk.copy(), &threaded()).value(9).is_some());
            let waiting = log_then.read(index..5, u64::MAX).unwrap();
            assert_eq!(waiting.len() as u64, 5 - index, "what waits is kept in memory");
        };
        log.append(entries(index..index + 1, 3 << 20), Box::new(done));
    }
    log.set_value_lazy(9, "committed: 4".into());
    drop(held);
    log.close().unwrap();
    assert_eq!(log.stats().batches, 5);
    assert_eq!(*seen.lock(), [false, false, false, true]);
}

#[test]
fn a_callback_may_ask_for_more_and_close_the_log_and_hold_the_last_handle() {
    for flush in [FlushMode::Thread, FlushMode::Inline] {
        let disk = MemoryDisk::new();
        let log = open(&disk, &LogOptions { flush, ..threaded() });
        let (done, answered) = answer();
        let inner = log.clone();
        let more = move |_| {
            inner.append(entries(1..2, 10), done);
            inner.clone().close().unwrap();
            drop(inner);
        };
        log.append(entries(0..1, 10), Box::new(more));
        drop(log);
        answered.recv_timeout(LIMIT).unwrap().unwrap();
        assert_eq!(content(&open(&disk.copy(), &inline())), entries(0..2, 10));
    }
}

#[test]
fn a_closed_log_can_be_read_and_refuses_the_rest() {
    for flush in [FlushMode::Thread, FlushMode::Inline] {
        let log = open(&MemoryDisk::new(), &LogOptions { flush, ..threaded() });
        append(&log, entries(0..3, 10));
        log.close().unwrap();
        log.close().unwrap();
        assert_eq!(content(&log), entries(0..3, 10));
        assert!(result_of(|done| log.append(entries(3..4, 10), done)).is_err());
        assert_eq!((log.last_index(), log.failed()), (Some(2), None));
    }
}

#[test]
fn the_thread_ends_with_the_last_handle_and_what_was_asked_is_done() {
    let disk = MemoryDisk::new();
    let disk_handles = Arc::new(disk.clone());
    for round in 0..50 {
        let log = Log::open(disk_handles.clone(), threaded()).unwrap();
        log.clone().append(entries(round..round + 1, 10), Box::new(drop));
        drop(log);
        // The thread held the disk: joined, it does no more.
        assert_eq!(Arc::strong_count(&disk_handles), 1);
    }
    assert_eq!(content(&open(&disk, &inline())), entries(0..50, 10));
}
