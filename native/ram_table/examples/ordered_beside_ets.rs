//! An ordered table of a million entries beside an ordered_set of ets, in one run:
//!
//!     cargo run --release -p ram_table --example ordered_beside_ets [ENTRIES]
//!
//! Figures are for 64-bit integers as keys and values of 16 bytes, entered in random order. It
//! needs Erlang. What a NIF adds (the key's bytes, the terms of an answer) is not in here, what a
//! call of ets adds is; `make bench` compares both from Erlang.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use ram_table::ordered::OrderedTable;
use ram_table::table::{Item, Meta};
use ram_table::value::StoredValue;
use std::collections::HashMap;
use std::hint::black_box;
use std::ops::Bound::{Excluded, Included, Unbounded};
use std::path::Path;
use std::process::Command;
use std::time::Instant;

const READS: u64 = 300_000;
const RANGES: u64 = 3000;
const RANGE: usize = 100;
const BLOCK: usize = 1000;
const ROUNDS: usize = 5;
const WRITES: u64 = 100_000;

fn main() {
    let count = std::env::args().nth(1).map_or(1_000_000, |count| count.parse().unwrap());
    let ets = of_ets(count);
    let before = resident_bytes();
    let table = OrderedTable::default();
    shuffled(count).for_each(|key| _ = table.insert(item(key, 1)));
    let bytes = (resident_bytes() - before) / count as f64;
    println!("{count} entries                      ram       ets    ratio");
    let row = |name: &str, ours: f64, theirs: f64, ratio: f64| {
        println!("{name:28} {ours:9.1} {theirs:9.1} {ratio:8.2}");
    };
    row("bytes an entry", bytes, ets["bytes"][0], bytes / ets["bytes"][0]);
    for (threads, theirs) in [1, 2].into_iter().zip(&ets["get"]) {
        let ours = best(|| gets(&table, count, threads));
        row(&format!("get, {threads} threads, ns"), ours, *theirs, theirs / ours);
    }
    let (ours, theirs) = (best(|| ranges(&table, count)), ets["range"][0]);
    row("range of 100, ns", ours, theirs, theirs / ours);
    let (ours, theirs) = (best(|| scan(&table, count)), ets["scan"][0]);
    row("scan of all, ns an entry", ours, theirs, theirs / ours);
    let alone = best(|| writes(&table, count));
    let snapshot = table.snapshot(u64::MAX, None);
    println!(
        "overwrite, ns {alone:.0}, the first ones after a snapshot {:.0}",
        writes(&table, count)
    );
    let start = Instant::now();
    drop(snapshot);
    println!("the end of that snapshot, us {}", start.elapsed().as_micros());
    let start = Instant::now();
    table.close();
    println!("close, us {}", start.elapsed().as_micros());
}

/// What Erlang prints, by name.
fn of_ets(count: u64) -> HashMap<String, Vec<f64>> {
    let module = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/ordered_beside_ets.erl");
    let folder = tempfile::tempdir().unwrap();
    let compiled = Command::new("erlc").arg("-o").arg(folder.path()).arg(module).status();
    assert!(compiled.expect("erlc").success());
    let mut erl = Command::new("erl");
    erl.args(["-noshell", "-pa"]).arg(folder.path());
    let said = erl.args(["-s", "ordered_beside_ets", "main", &count.to_string()]).output().unwrap();
    let mut figures: HashMap<String, Vec<f64>> = HashMap::new();
    for line in String::from_utf8(said.stdout).unwrap().lines() {
        let (name, figure) = line.split_once(' ').unwrap();
        figures.entry(name.to_owned()).or_default().push(figure.parse().unwrap());
    }
    figures
}

fn best(mut round: impl FnMut() -> f64) -> f64 {
    (0..ROUNDS).map(|_| round()).fold(f64::INFINITY, f64::min)
}

fn key(number: u64) -> [u8; 8] {
    number.to_be_bytes()
}

fn item(number: u64, revision: u64) -> Item {
    Item::new(
        &key(number),
        StoredValue::plain(&u128::from(number).to_be_bytes()),
        &Meta::created(revision),
    )
}

/// Numbers from 0 in an order that is not theirs: multiples of a number without common divisors.
fn shuffled(count: u64) -> impl Iterator<Item = u64> {
    (0..count).map(move |at| at * 618_033_989 % count)
}

fn gets(table: &OrderedTable, count: u64, threads: u64) -> f64 {
    let get = |first: u64| {
        let start = Instant::now();
        for at in 0..READS {
            let key = key((first + at * 7919) % count);
            black_box(table.with_item(&key, |item| item.map(|item| item.stored_bytes().len())));
        }
        start.elapsed().as_nanos() as f64 / READS as f64
    };
    let get = &get;
    std::thread::scope(|scope| {
        let running: Vec<_> =
            (0..threads).map(|thread| scope.spawn(move || get(thread * 1000))).collect();
        running.into_iter().map(|thread| thread.join().unwrap()).sum::<f64>() / threads as f64
    })
}

fn ranges(table: &OrderedTable, count: u64) -> f64 {
    let start = Instant::now();
    for at in 0..RANGES {
        let from = key(at * 7919 % (count - RANGE as u64));
        black_box(table.range(Included(&from), Unbounded, false, RANGE));
    }
    start.elapsed().as_nanos() as f64 / RANGES as f64
}

/// In blocks of a snapshot, as a fold reads them.
fn scan(table: &OrderedTable, count: u64) -> f64 {
    let start = Instant::now();
    let snapshot = table.snapshot(1, None);
    let (mut seen, mut last) = (0, None::<Item>);
    loop {
        let from = last.as_ref().map_or(Unbounded, |last| Excluded(last.key()));
        let block = snapshot.range(from, Unbounded, false, BLOCK).unwrap();
        seen += block.len() as u64;
        let Some(item) = block.last() else { break };
        last = Some(item.clone());
    }
    assert_eq!(seen, count);
    start.elapsed().as_nanos() as f64 / count as f64
}

fn writes(table: &OrderedTable, count: u64) -> f64 {
    let start = Instant::now();
    (0..WRITES).for_each(|at| _ = table.insert(item(at * 104_729 % count, 2)));
    start.elapsed().as_nanos() as f64 / WRITES as f64
}

/// Of this process, on Linux.
fn resident_bytes() -> f64 {
    const PAGE_BYTES: f64 = 4096.0;
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<f64>().unwrap() * PAGE_BYTES
}
