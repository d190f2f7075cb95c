//! What the table costs: cargo test --release -p ram_table --test figures -- --ignored --nocapture

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use ram_table::table::{Item, Meta, Revoked, Table, TableSnapshot, TableType};
use ram_table::tables::Tables;
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
    (0..ENTRIES).for_each(|n| _ = table.insert(item(n, 1)));
    let get = |n: u64| {
        black_box(table.with_item(&key(n * 7919 % ENTRIES), |item| item.map(Item::revision)));
    };
    println!("get {:.0} ns", least_ns(40, 100_000, get));
    let near = |n: u64| {
        black_box(table.with_item(&key(n % 1000), |item| item.map(Item::revision)));
    };
    println!("get of 1000 keys {:.1} ns", least_ns(20_000, 1000, near));
    let near = |n: u64| _ = table.insert(item(n % 1000, 2));
    println!("insert of 1000 keys {:.0} ns", least_ns(5_000, 1000, near));
    let mut revision = 2;
    for snapshots in [0, 1, 100] {
        let snapshots: Vec<_> = (0..snapshots).map(|_| table.snapshot(revision, None)).collect();
        let insert = |n: u64| _ = table.insert(item(n * 7919 % ENTRIES, revision + 1 + n));
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

#[test]
#[ignore = "takes seconds, and prints figures"]
fn bytes_of_a_table_with_an_entry_and_nanoseconds_of_a_read_by_name() {
    const TABLES: u64 = 500;
    let tables = Tables::default();
    tables.create("one", TableType::Set);
    tables.get("one").unwrap().insert(item(0, 1));
    for table_type in [TableType::Set, TableType::OrderedSet] {
        let before = resident_bytes();
        for n in 0..TABLES {
            let name = format!("{table_type:?}{n}");
            assert!(tables.create(&name, table_type));
            tables.get(&name).unwrap().insert(item(n, 1));
        }
        let bytes = (resident_bytes() - before) / TABLES;
        println!("{table_type:?}: {} KiB a table of one entry", bytes / 1024);
        assert!(bytes < 100 * 1024);
    }
    for name in ["", "one"] {
        let read = |item: Option<&Item>| item.map(Item::revision);
        let get = |_| {
            black_box(tables.with_table(name, |table| table.with_item(&key(0), read)));
        };
        println!("get of table {name:?}: {:.0} ns", least_ns(40, 100_000, get));
        let both = || [0, 1].map(|n| tables.with_table(name, |table| table.get(&key(n))));
        let consistent = |_| assert!(black_box(tables.consistent(both)).is_some());
        println!("two of one moment: {:.0} ns", least_ns(40, 100_000, consistent));
    }
}

fn resident_bytes() -> u64 {
    const PAGE: u64 = 4096;
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * PAGE
}
