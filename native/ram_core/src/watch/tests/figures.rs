//! What watches cost, without their receivers:
//! cargo test --release -p ram_core figures -- --ignored --nocapture

use super::super::index::Index;
use super::*;
use ram_store::group::{self, Stamp};
use ram_store::write::{Command, Encoded, Write};
use ram_store::{EntryId, Store};
use ram_table::value::Plain;
use std::hint::black_box;
use std::time::Instant;

const KEYS: u32 = 1_000_000;

fn encoded(key: u32) -> Bytes {
    key.to_be_bytes().to_vec()
}

/// Nanoseconds of each of `times` calls; the least of some rounds, since what else runs on the
/// machine only adds.
fn least_ns(times: u32, mut call: impl FnMut(u32)) -> f64 {
    let mut round = || {
        let begin = Instant::now();
        (0..times).for_each(&mut call);
        begin.elapsed().as_nanos() as f64 / f64::from(times)
    };
    (0..7).map(|_| round()).fold(f64::INFINITY, f64::min)
}

/// A store with an ordered table, and the group that comes next.
struct Applied(Store, u64);

impl Applied {
    fn new(watches: Option<&Watches>) -> Applied {
        let mut store = Store::empty(Arc::new(Plain));
        watches.into_iter().for_each(|watches| store.observe(watches.observer()));
        store.apply(EntryId { term: 1, index: 1 }, &group::open_session()).unwrap();
        let mut applied = Applied(store, 1);
        applied.apply(&Encoded::of(&Write::CreateTable { table: ORDERED, ordered: true }));
        applied
    }

    fn apply(&mut self, write: &Encoded) {
        let Applied(store, sequence) = self;
        let stamp = Stamp { session: 1, sequence: *sequence, acked_below: *sequence };
        *sequence += 1;
        let group = group::group(stamp, [write.bytes()].into_iter());
        store.apply(EntryId { term: 1, index: *sequence }, &group).unwrap();
    }

    fn fill(&mut self) {
        let mut write = Encoded::of(&Write::Batch { table: ORDERED, commands: KEYS });
        (0..KEYS).for_each(|key| write.command(&Command::put(&encoded(key), &[7; 16])));
        self.apply(&write);
    }

    fn delete_all(&mut self) -> f64 {
        let range = (Bound::Unbounded, Bound::Unbounded);
        let write = Encoded::of(&Write::DeleteRange { table: ORDERED, range });
        let begin = Instant::now();
        self.apply(&write);
        begin.elapsed().as_nanos() as f64 / f64::from(KEYS)
    }
}

#[test]
#[ignore = "takes seconds, and prints figures"]
fn nanoseconds_of_a_key_of_a_range_that_is_deleted() {
    let watches = Watches::new(16 << 20, 0);
    let (mut alone, mut observed) = (Applied::new(None), Applied::new(Some(&watches)));
    let mut ratios = Vec::new();
    for _ in 0..9 {
        [&mut alone, &mut observed].into_iter().for_each(Applied::fill);
        let (alone, observed) = (alone.delete_all(), observed.delete_all());
        println!("{alone:.0} ns, {observed:.0} ns with an observer");
        ratios.push(observed / alone);
    }
    ratios.sort_by(f64::total_cmp);
    println!("with an observer by {:.2}, the median", ratios[ratios.len() / 2]);
}

#[test]
#[ignore = "takes seconds, and prints figures"]
fn nanoseconds_of_looking_for_the_watches_of_a_key() {
    for watches in [10, 1000, 100_000] {
        let (mut index, mut ranges) = (Index::default(), Vec::new());
        for id in 0..watches {
            let from = Bound::Included(encoded(id));
            let keys = Keys::Range(from, Bound::Excluded(encoded(id + 1)));
            index.add(u64::from(id), ORDERED, &keys);
            index.add(u64::from(watches + id), SET, &Keys::One(encoded(id)));
            ranges.push(keys);
        }
        let key = |n: u32| encoded(n.wrapping_mul(7919) % watches);
        let look = |table, n| index.each(table, &key(n), |id| _ = black_box(id));
        let (ranged, one) =
            (least_ns(100_000, |n| look(ORDERED, n)), least_ns(100_000, |n| look(SET, n)));
        let linear = least_ns(100, |n| {
            let key = key(n);
            black_box(ranges.iter().filter(|keys| keys.has(&key)).count());
        });
        println!("{watches} ranges: {ranged:.0} ns, one by one {linear:.0}; keys: {one:.0} ns");
    }
}
