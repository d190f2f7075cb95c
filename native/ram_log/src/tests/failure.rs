//! A disk that fails: nobody is told that something is durable which is not.

use super::*;

/// Appends and purges until the disk fails; returns how many entries were durable, if it failed.
fn work_until_failure(log: &Log) -> Option<u64> {
    for index in 0..30 {
        if result_of(|done| log.append(entries(index..index + 1, 100), done)).is_err() {
            return Some(index);
        }
        if index % 10 == 9 && result_of(|done| log.purge(index - 5, done)).is_err() {
            return Some(index + 1);
        }
    }
    None
}

#[test]
fn after_any_call_that_fails_everything_is_refused_and_what_was_durable_is_found_again() {
    let mut failures = 0;
    for calls in 0.. {
        let disk = FailingDisk::after(calls, MemoryDisk::new());
        let Ok(log) = Log::open(Arc::new(disk.clone()), inline()) else { continue };
        let durable = work_until_failure(&log);
        let failed = log.failed();
        let Some(durable) = durable.or(failed.as_ref().map(|_| 30)) else { break };
        failures += 1;
        assert!(failed.as_ref().unwrap().contains("on fire"), "{failed:?}");
        let names_a_file =
            ["log-0000", "log-newest"].map(|name| failed.as_ref().unwrap().contains(name));
        assert!(names_a_file.contains(&true), "{failed:?}");

        // The disk works again, and nothing is tried again.
        disk.fail_after(i64::MAX);
        for _ in 0..2 {
            let error = result_of(|done| log.set_value(1, "x".into(), done)).unwrap_err();
            assert_eq!(error.to_string(), failed.clone().unwrap());
        }
        assert!(log.close().is_err());
        drop(log);

        let log = open(&disk.disk, &inline());
        let last = log.last_index().map_or(0, |last| last + 1);
        assert!(last == durable || last == durable + 1, "{last} of {durable}, calls {calls}");
        let first = log.purged_index().map_or(0, |purged| purged + 1);
        assert_eq!(content(&log), entries(first..last, 100));
        assert_eq!(log.value(1), None);
    }
    assert!(failures > 100, "{failures}");
}

#[test]
fn all_that_waits_behind_a_failure_is_answered_with_its_cause() {
    let disk = FailingDisk::after(i64::MAX, MemoryDisk::new());
    // More than one batch takes.
    let options = LogOptions { flush: FlushMode::Thread, record_bytes_max: 1 << 20, ..inline() };
    let log = Log::open(Arc::new(disk.clone()), options).unwrap();
    let held = hold_writer(&log);
    let answers: Vec<_> = (1..50)
        .map(|index| {
            let (done, answered) = answer();
            log.append(entries(index..index + 1, 500_000), done);
            answered
        })
        .collect();
    disk.fail_after(0);
    drop(held);
    for answered in answers {
        let error = answered.recv_timeout(LIMIT).unwrap().unwrap_err();
        assert!(error.to_string().contains("on fire"));
    }
}

#[test]
fn a_callback_that_panics_fails_the_log_and_takes_nobody_with_it() {
    for flush in [FlushMode::Thread, FlushMode::Inline] {
        let log = open(&MemoryDisk::new(), &LogOptions { flush, ..inline() });
        log.append(entries(0..1, 10), Box::new(|_| panic!("a defect elsewhere")));
        let _ = result_of(|done| log.append(entries(1..2, 10), done));
        assert!(log.failed().unwrap().contains("panicked"));
        assert!(result_of(|done| log.append(entries(2..3, 10), done)).is_err());
    }
}
