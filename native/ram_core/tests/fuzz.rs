//! Mutated input for every decoder that reads a disk or a peer: it may refuse, it must not panic,
//! hang, take unbounded memory, or tell something that was never written.
//!
//! Each target runs for RAM_FUZZ_MS (500 by default) from the seed RAM_FUZZ_SEED, which is printed:
//! `RAM_FUZZ_MS=600000 cargo test --release --test fuzz -- --nocapture`. Frames and handshakes have
//! their own properties in `ram_net`.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use bytes::Bytes;
use proptest::prelude::Rng;
use proptest::test_runner::{RngAlgorithm, TestRng};
use std::ops::Bound;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use ram_log::{Disk, FlushMode, Log, LogOptions, MemoryDisk, SnapshotReader, SnapshotWriter};
use ram_raft::rpc;
use ram_store::group::{self, Proposal, Stamp};
use ram_store::write::{Command, Comparison, Condition, Encoded, Place, State, Write};
use ram_store::{EntryId, Store};
use ram_table::value::Plain;

struct Fuzz {
    rng: TestRng,
    until: Instant,
    rounds: u64,
}

impl Fuzz {
    fn start(target: &str) -> Fuzz {
        let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
        let clock = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        let seed: u64 = number("RAM_FUZZ_SEED").unwrap_or(clock.as_nanos() as u64);
        println!("{target}: RAM_FUZZ_SEED={seed}");
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
        let until = Instant::now() + Duration::from_millis(number("RAM_FUZZ_MS").unwrap_or(500));
        Fuzz { rng, until, rounds: 0 }
    }

    fn goes_on(&mut self) -> bool {
        self.rounds += 1;
        self.rounds <= 20 || Instant::now() < self.until
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.rng.next_u64() % bound.max(1) as u64) as usize
    }

    /// Flips bits, overwrites runs, cuts, or repeats a chunk.
    fn mutate(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..1 + self.below(3) {
            let at = self.below(bytes.len());
            let run = (1 + self.below(24)).min(bytes.len() - at);
            match self.below(6) {
                0 => bytes[at] ^= 1 << self.below(8),
                1 => bytes[at] = self.rng.next_u64() as u8,
                2 => bytes[at..at + run].fill(0),
                3 => bytes[at..at + run].fill(0xff),
                4 => bytes.truncate(at.max(1)),
                _ => {
                    let chunk = bytes[at..at + run].to_vec();
                    bytes.splice(at..at, chunk);
                }
            }
        }
    }
}

fn options() -> LogOptions {
    LogOptions {
        segment_bytes: 8192,
        cache_bytes: 1024,
        record_bytes_max: 65536,
        batch_bytes_max: 1 << 20,
        flush: FlushMode::Inline,
    }
}

fn body(index: u64) -> Bytes {
    Bytes::from(vec![index as u8 | 1; 20 + (index as usize * 37) % 300])
}

fn file(disk: &dyn Disk, name: &str) -> Vec<u8> {
    let file = disk.open(name).unwrap();
    let mut bytes = vec![0; file.len().unwrap() as usize];
    file.read_at(&mut bytes, 0).unwrap();
    bytes
}

#[test]
fn a_mutated_log_refuses_to_open_or_shows_only_what_was_written() {
    let origin = MemoryDisk::new();
    let log = Log::open(Arc::new(origin.clone()), options()).unwrap();
    for index in 1..=120 {
        log.append(vec![(index, body(index))], Box::new(|result| result.unwrap()));
    }
    log.close().unwrap();
    let names: Vec<String> = origin.list().unwrap();
    let names: Vec<String> = names.into_iter().filter(|name| name.ends_with(".seg")).collect();
    assert!(names.len() > 2);
    let mut fuzz = Fuzz::start("log");
    let (mut refused, mut opened) = (0, 0);
    while fuzz.goes_on() {
        let disk = origin.copy();
        let name = &names[fuzz.below(names.len())];
        let mut bytes = file(&disk, name);
        fuzz.mutate(&mut bytes);
        disk.create(name).unwrap().write_at(&bytes, 0).unwrap();
        let Ok(log) = Log::open(Arc::new(disk), options()) else {
            refused += 1;
            continue;
        };
        opened += 1;
        let (Some(first), Some(last)) = (log.first_index(), log.last_index()) else { continue };
        // Each append was a batch of its own: only the last may be taken for a torn write.
        assert!(first == 1 && last >= 119, "{first}..={last} after round {}", fuzz.rounds);
        let Ok(entries) = log.read(first..last + 1, u64::MAX) else { continue };
        assert_eq!(entries.len() as u64, last + 1 - first);
        assert!(entries.iter().all(|(index, bytes)| *bytes == body(*index)));
    }
    assert!(refused > 0 && opened > 0, "{refused} refused, {opened} opened");
}

#[test]
fn a_mutated_snapshot_is_refused_or_is_what_was_written() {
    let origin = MemoryDisk::new();
    let mut writer = SnapshotWriter::create(Arc::new(origin.clone()), 7).unwrap();
    let blocks: Vec<Bytes> = (1..40).map(body).collect();
    blocks.iter().for_each(|block| writer.write_block(block).unwrap());
    writer.finish().unwrap();
    let name = ram_log::snapshot_name(7);
    let mut fuzz = Fuzz::start("snapshot");
    let mut refused = 0;
    while fuzz.goes_on() {
        let disk = origin.copy();
        let mut bytes = file(&disk, &name);
        fuzz.mutate(&mut bytes);
        disk.create(&name).unwrap().write_at(&bytes, 0).unwrap();
        let read =
            SnapshotReader::open(&disk, 7).and_then(|reader| reader.collect::<Result<Vec<_>, _>>());
        match read {
            Ok(found) => assert!(found.iter().zip(&blocks).all(|(a, b)| a == b)),
            Err(_) => refused += 1,
        }
    }
    assert!(refused > 0);
}

#[test]
fn a_mutated_proposal_is_refused_or_applied_without_a_panic() {
    let at = Place::of(b"key");
    let mut batch = Encoded::of(&Write::Batch { table: "", commands: 2 });
    batch.command(&Command::put(b"key", b"value"));
    batch.command(&Command::delete(b"other"));
    let head = Write::Transaction { table: "other", conditions: 2, then: 2, otherwise: 1 };
    let mut transaction = Encoded::of(&head);
    let is = State::Revision(Comparison::Equal, 1);
    let range = (Bound::Included(&b"a"[..]), Bound::Unbounded);
    transaction.condition(&Condition::Key { at, is });
    transaction.condition(&Condition::Unchanged { table: None, range, revision: 1, entries: 2 });
    transaction.command(&Command::Get { at: Place { table: Some(""), ..at } });
    transaction.command(&Command::Count { at, count: &1i64.to_le_bytes() });
    transaction.command(&Command::Get { at });
    let tables = [
        Write::CreateTable { table: "other", ordered: true },
        Write::DeleteRange { table: "other", range },
        Write::DropTable { table: "other" },
    ];
    let tables = tables.map(|write| Encoded::of(&write).into_bytes()).concat();
    let writes = [batch.bytes(), transaction.bytes(), &tables].concat();
    let mut fuzz = Fuzz::start("proposal");
    let mut store = Store::empty(Arc::new(Plain));
    while fuzz.goes_on() {
        store.apply(EntryId { term: 1, index: fuzz.rounds }, &group::open_session()).unwrap();
        let stamp = Stamp { session: fuzz.rounds, sequence: 1, acked_below: 1 };
        // Five of them: what matters is how many are said to be.
        let empty: &[u8] = &[];
        let parts = [&writes[..], empty, empty, empty, empty];
        let mut bytes = group::group(stamp, parts.into_iter()).to_vec();
        assert!(Proposal::decode(&bytes).unwrap().parts().all(|part| part.is_ok()));
        fuzz.mutate(&mut bytes);
        // Either is right: the point is that it returns.
        let _ = store.apply(EntryId { term: 1, index: fuzz.rounds }, &bytes);
    }
}

#[test]
fn a_mutated_append_request_is_refused_or_decoded_without_a_panic() {
    let mut fuzz = Fuzz::start("append request");
    while fuzz.goes_on() {
        let mut bytes: Vec<u8> = (0..40 + fuzz.below(200)).map(|i| i as u8 % 7).collect();
        bytes[..4].copy_from_slice(&20u32.to_le_bytes());
        fuzz.mutate(&mut bytes);
        let _ = rpc::decode_append(Bytes::from(bytes));
    }
}
