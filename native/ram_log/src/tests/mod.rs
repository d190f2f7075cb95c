//! The log as a whole, on disks that can be copied, damaged and made to fail.

mod crash;
mod failure;
mod model;
mod operations;
mod power;
mod snapshots;
mod thread;
mod torture;

use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use bytes::Bytes;

use super::*;
use ram_disk::read_to_end;

/// Nothing here takes longer, unless it hangs.
const LIMIT: Duration = Duration::from_secs(30);

/// Small segments, so that a few entries make many.
fn inline() -> LogOptions {
    LogOptions {
        segment_bytes: 700,
        cache_bytes: 0,
        record_bytes_max: 10_000,
        batch_bytes_max: 4 << 20,
        flush: FlushMode::Inline,
    }
}

fn open<D: Disk + Clone + 'static>(disk: &D, options: &LogOptions) -> Log {
    Log::open(Arc::new(disk.clone()), options.clone()).unwrap()
}

fn open_error(disk: &MemoryDisk) -> DiskError {
    Log::open(Arc::new(disk.clone()), inline()).unwrap_err()
}

/// Bytes without a zero among them, different for every entry.
fn body(index: u64, length: usize) -> Bytes {
    (0..length as u64).map(|at| ((index * 31 + at * 7) % 255 + 1) as u8).collect()
}

fn entries(range: Range<u64>, length: usize) -> Vec<(u64, Bytes)> {
    range.map(|index| (index, body(index, length))).collect()
}

/// A callback, and where its answer arrives.
fn answer() -> (Done, Receiver<io::Result<()>>) {
    let (sender, receiver) = channel();
    (Box::new(move |result| _ = sender.send(result)), receiver)
}

/// Does something and waits for its answer.
fn result_of(ask: impl FnOnce(Done)) -> io::Result<()> {
    let (done, answered) = answer();
    ask(done);
    answered.recv_timeout(LIMIT).expect("an answer")
}

fn append(log: &Log, entries: Vec<(u64, Bytes)>) {
    result_of(|done| log.append(entries, done)).unwrap();
}

/// Appends the entry 0 and holds the writer in its callback until the result is dropped.
fn hold_writer(log: &Log) -> Sender<()> {
    let (release, held) = channel::<()>();
    let (running, runs) = channel();
    let done = move |_| {
        running.send(()).unwrap();
        let _ = held.recv();
    };
    log.append(entries(0..1, 10), Box::new(done));
    runs.recv_timeout(LIMIT).unwrap();
    release
}

fn truncate(log: &Log, after: Option<u64>) {
    result_of(|done| log.truncate_after(after, done)).unwrap();
}

fn purge(log: &Log, upto: u64) {
    result_of(|done| log.purge(upto, done)).unwrap();
}

fn set_value(log: &Log, name: u8, value: &'static [u8]) {
    result_of(|done| log.set_value(name, value.into(), done)).unwrap();
}

fn content(log: &Log) -> Vec<(u64, Bytes)> {
    log.read(0..u64::MAX, u64::MAX).unwrap()
}

/// The bytes of a file.
fn bytes_of(disk: &dyn Disk, name: &str) -> Vec<u8> {
    read_to_end(disk.open(name).unwrap().as_ref(), 0, 1 << 30).unwrap()
}

/// A copy of `disk`, with `change` made to the bytes of one file.
fn changed(disk: &MemoryDisk, name: &str, change: impl FnOnce(&mut Vec<u8>)) -> MemoryDisk {
    let copy = disk.copy();
    let mut bytes = bytes_of(disk, name);
    change(&mut bytes);
    copy.create(name).unwrap().write_at(&bytes, 0).unwrap();
    copy
}

fn segment_names(disk: &MemoryDisk) -> Vec<String> {
    disk.list().unwrap().into_iter().filter(|name| name.ends_with(".seg")).collect()
}
