//! Random operations, restarts and crashes against a list.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Append {
        count: u64,
        length: usize,
    },
    TruncateTo {
        per_mille: u64,
    },
    TruncateAll,
    PurgeTo {
        per_mille: u64,
    },
    PurgeBeyond {
        by: u64,
    },
    Value {
        name: u8,
        value: u8,
    },
    Lazy {
        name: u8,
        value: u8,
    },
    Restart,
    /// The power fails during the write of one more batch, which is torn at a part of its length.
    Crash {
        per_mille: usize,
    },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..6_u64, 0..200_usize).prop_map(|(count, length)| Step::Append { count, length }),
        2 => (0..1000_u64).prop_map(|per_mille| Step::TruncateTo { per_mille }),
        1 => Just(Step::TruncateAll),
        2 => (0..1000_u64).prop_map(|per_mille| Step::PurgeTo { per_mille }),
        1 => (0..5_u64).prop_map(|by| Step::PurgeBeyond { by }),
        1 => (0..3_u8, any::<u8>()).prop_map(|(name, value)| Step::Value { name, value }),
        1 => (0..3_u8, any::<u8>()).prop_map(|(name, value)| Step::Lazy { name, value }),
        2 => Just(Step::Restart),
        2 => (0..1000_usize).prop_map(|per_mille| Step::Crash { per_mille }),
    ]
}

#[derive(Clone, Debug, Default)]
pub struct Model {
    pub entries: BTreeMap<u64, Bytes>,
    pub next: u64,
    purged: Option<u64>,
    pub values: BTreeMap<u8, Bytes>,
    /// Makes every body another one.
    serial: u64,
}

impl Model {
    pub fn at(&self, per_mille: u64) -> u64 {
        let first = self.entries.keys().next().copied().unwrap_or(self.next);
        first + (self.next - first) * per_mille / 1000
    }

    pub fn batch(&mut self, count: u64, length: usize) -> Vec<(u64, Bytes)> {
        let entry = |at| (self.next + at, body(self.serial * 1009 + at, length));
        let batch = (0..count).map(entry).collect();
        self.serial += 1;
        batch
    }

    pub fn purge(&mut self, upto: u64) {
        self.purged = self.purged.max(Some(upto));
        self.entries = self.entries.split_off(&(upto + 1));
        self.next = self.next.max(upto + 1);
    }

    pub fn truncate(&mut self, next: u64) {
        let floor = self.purged.map_or(0, |upto| upto + 1);
        self.next = self.next.min(next.max(floor));
        self.entries.split_off(&self.next);
    }

    /// Does the log hold exactly this?
    pub fn is_in(&self, log: &Log) -> bool {
        content(log).into_iter().eq(self.entries.clone())
            && log.purged_index() == self.purged
            && (0..3).all(|name| log.value(name).as_ref() == self.values.get(&name))
    }

    fn check(&self, log: &Log) {
        let expected: Vec<_> = self.entries.clone().into_iter().collect();
        assert_eq!(content(log), expected);
        assert_eq!(log.first_index(), self.entries.keys().next().copied());
        assert_eq!(log.last_index(), self.entries.keys().last().copied());
        assert_eq!(log.purged_index(), self.purged);
        for name in 0..3 {
            assert_eq!(log.value(name).as_ref(), self.values.get(&name), "value {name}");
        }
    }
}

/// What is on `disk` after `batch`, torn, was to be appended to what is there now. No segment is
/// removed before the batch is durable.
fn torn_append(disk: &MemoryDisk, batch: Vec<(u64, Bytes)>, per_mille: usize) -> MemoryDisk {
    let copy = disk.copy();
    let log = open(&copy, &inline());
    let names = segment_names(&copy);
    let opened = copy.copy();
    append(&log, batch);
    let name = segment_names(&copy).pop().unwrap();
    let before = if names.contains(&name) { bytes_of(&opened, &name) } else { vec![0; 48] };
    for name in names.iter().filter(|name| !segment_names(&copy).contains(name)) {
        copy.create(name).unwrap().write_at(&bytes_of(&opened, name), 0).unwrap();
    }
    let start = before.iter().rposition(|byte| *byte != 0).map_or(48, |last| (last + 1).max(48));
    let bytes = bytes_of(&copy, &name);
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    let tear = start + (end - start) * per_mille / 1000;
    changed(&copy, &name, |bytes| bytes[tear..].fill(0))
}

fn run(steps: Vec<Step>, cache_bytes: usize) {
    let options = LogOptions { cache_bytes, ..inline() };
    let mut disk = MemoryDisk::new();
    let mut log = open(&disk, &options);
    let mut model = Model::default();
    for step in steps {
        match step {
            Step::Append { count, length } => {
                let batch = model.batch(count, length);
                model.next += count;
                model.entries.extend(batch.clone());
                append(&log, batch);
            }
            Step::TruncateTo { per_mille } => {
                let Some(after) = model.at(per_mille).checked_sub(1) else { continue };
                model.truncate(after + 1);
                truncate(&log, Some(after));
            }
            Step::TruncateAll => {
                model.truncate(0);
                truncate(&log, None);
            }
            Step::PurgeTo { per_mille } => {
                let upto = model.at(per_mille);
                model.purge(upto);
                purge(&log, upto);
            }
            Step::PurgeBeyond { by } => {
                let upto = model.next + by;
                model.purge(upto);
                purge(&log, upto);
            }
            Step::Value { name, value } => {
                let value = Bytes::from(vec![value]);
                model.values.insert(name, value.clone());
                result_of(|done| log.set_value(name, value, done)).unwrap();
            }
            Step::Lazy { name, value } => {
                model.values.insert(name, Bytes::from(vec![value]));
                log.set_value_lazy(name, Bytes::from(vec![value]));
            }
            Step::Restart => {
                log.close().unwrap();
                log = open(&disk, &options);
            }
            Step::Crash { per_mille } => {
                // An operation without records of its own takes the lazy values along.
                result_of(|done| log.append(Vec::new(), done)).unwrap();
                let batch = model.batch(3, 150);
                disk = torn_append(&disk, batch, per_mille);
                log = open(&disk, &options);
            }
        }
        model.check(&log);
    }
    drop(log);
    model.check(&open(&disk, &options));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn any_sequence_of_operations_restarts_and_crashes_leaves_what_the_model_says(
        steps in prop::collection::vec(step(), 1..60),
        cache_bytes in prop_oneof![Just(0), Just(1000), Just(1 << 20)],
    ) {
        run(steps, cache_bytes);
    }
}
