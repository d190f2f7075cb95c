//! What the table costs: cargo test --release -p ram_table --test figures -- --ignored --nocapture

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use ram_table::table::{Item, Meta, Revoked, Table, TableSnapshot};
use ram_table::value::StoredValue;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

const ENTRIES: u64 = 1_000_000;

fn item(n: u64, revision: u64) -> Item {
    Item::new(&key(n), StoredValue::plain(&[7; 16]), &Meta::created(revision))
}

/// As long as an encoded integer.
fn key(n: u64) -> [u8; 9] {
    let mut key = [97; 9];
    key[1..].copy_from_slice(&n.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes());
    key
}

/// The least of rounds: what else runs on the machine only adds.
fn least_ns(rounds: u64, times: u64, mut call: impl FnMut(u64)) -> f64 {
    let round = |round| {
        let begin = Instant::now();
        (0..times).for_each(|time| call(round * times + time));
        begin.elapsed().as_nanos() as f64 / times as f64
    };
    (0..rounds).map(round).fold(f64::INFINITY, f64::min)
}

#[test]
#[ignore = "takes seconds, and prints figures"]
fn nanoseconds_of_a_get_and_an_insert() {
    let table = Arc::new(Table::with_capacity(0));
    (0..ENTRIES).for_each(|n| table.insert(item(n, 1)));
    let get = |n: u64| {
        black_box(table.with_item(&key(n * 7919 % ENTRIES), |item| item.map(Item::revision)));
    };
    println!("get {:.0} ns", least_ns(40, 100_000, get));
    let mut revision = 1;
    for snapshots in [0, 1, 100] {
        let snapshots: Vec<_> = (0..snapshots).map(|_| table.snapshot(revision, None)).collect();
        let insert = |n: u64| table.insert(item(n * 7919 % ENTRIES, revision + 1 + n));
        println!("insert {:.0} ns, {} snapshots", least_ns(10, 100_000, insert), snapshots.len());
        revision += ENTRIES + 1;
        let begin = Instant::now();
        let count = snapshots.len().max(1) as f64;
        drop(snapshots);
        while table.reclaimer().free(1000) {}
        println!("end {:.3} ms each", begin.elapsed().as_secs_f64() * 1e3 / count);
    }
    for is_chunked in [false, true] {
        let snapshot = table.snapshot(revision, None);
        let scan = |_| {
            let mut items = 0;
            if is_chunked && let TableSnapshot::Hash(snapshot) = &snapshot {
                let shards = snapshot.shards();
                shards.for_each(|shard| items += snapshot.chunk(shard).unwrap().len());
            } else {
                let visit = |chunk: &[Item]| {
                    items += chunk.len();
                    Ok::<_, Revoked>(())
                };
                snapshot.walk(visit).unwrap();
            }
            assert_eq!(items as u64, ENTRIES);
        };
        let ns = least_ns(5, 1, scan) / ENTRIES as f64;
        println!("scan {ns:.0} ns an item, by chunks: {is_chunked}");
    }
}
