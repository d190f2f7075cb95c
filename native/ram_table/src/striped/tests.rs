use super::*;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

#[test]
fn a_change_waits_for_readers_whatever_their_thread() {
    let striped = &Striped::new(0);
    // Threads are numbered as they come, so these have all of the locks.
    for reader in 0..2 * LOCKS_MAX {
        let (is_changed, (reading, is_read)) = (&AtomicBool::new(false), channel());
        thread::scope(|scope| {
            scope.spawn(move || {
                striped.read(|value| {
                    reading.send(()).unwrap();
                    thread::sleep(Duration::from_millis(5));
                    assert!(!is_changed.load(Ordering::SeqCst), "reader {reader}");
                    assert_eq!(*value, reader);
                });
            });
            is_read.recv().unwrap();
            striped.write(|value| *value += 1);
            is_changed.store(true, Ordering::SeqCst);
        });
    }
}

#[test]
fn readers_of_different_stripes_read_at_the_same_time_and_see_a_value_whole() {
    let (striped, is_over) = (&Striped::new([0u64; 100]), &AtomicBool::new(false));
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    striped.read(|value| assert!(value.iter().all(|each| *each == value[0])));
                }
            });
        }
        for _ in 0..10_000 {
            striped.write(|value| value.iter_mut().for_each(|each| *each += 1));
        }
        is_over.store(true, Ordering::Relaxed);
    });
    assert_eq!(striped.read(|value| value[99]), 10_000);
}
