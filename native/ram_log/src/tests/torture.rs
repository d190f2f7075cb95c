//! Everything at once: random operations on a disk that fails at any call, full or broken, and then
//! loses power, keeping any part of what it had not synced; at the end a bit is flipped.
//!
//! What was answered is there, what was not is there as a whole or not at all, and nothing else is.

use proptest::prelude::*;

use super::model::Model;
use super::*;

#[derive(Clone, Debug)]
enum Step {
    Append { count: u64, length: usize },
    Truncate { per_mille: u64 },
    Purge { per_mille: u64 },
    Value { name: u8, value: u8 },
}

/// From one opening to the next.
#[derive(Clone, Debug)]
struct Life {
    /// Disk calls that succeed.
    calls: i64,
    steps: Vec<Step>,
    /// The power is lost at its end; of each write that was not synced a part is kept.
    power_loss: Option<u64>,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (1..6_u64, 0..200_usize).prop_map(|(count, length)| Step::Append { count, length }),
        2 => (0..1000_u64).prop_map(|per_mille| Step::Truncate { per_mille }),
        2 => (0..1000_u64).prop_map(|per_mille| Step::Purge { per_mille }),
        1 => (0..3_u8, any::<u8>()).prop_map(|(name, value)| Step::Value { name, value }),
    ]
}

fn life() -> impl Strategy<Value = Life> {
    let calls = prop_oneof![3 => 0..120_i64, 1 => Just(i64::MAX)];
    let steps = prop::collection::vec(step(), 1..20);
    (calls, steps, any::<Option<u64>>()).prop_map(|(calls, steps, power_loss)| Life {
        calls,
        steps,
        power_loss,
    })
}

/// Does a step to the model and to the log; the log's answer.
fn take(step: &Step, model: &mut Model, log: &Log) -> io::Result<()> {
    match *step {
        Step::Append { count, length } => {
            let batch = model.batch(count, length);
            model.next += count;
            model.entries.extend(batch.clone());
            result_of(|done| log.append(batch, done))
        }
        Step::Truncate { per_mille } => {
            let after = model.at(per_mille).checked_sub(1);
            model.truncate(after.map_or(0, |after| after + 1));
            result_of(|done| log.truncate_after(after, done))
        }
        Step::Purge { per_mille } => {
            let upto = model.at(per_mille);
            model.purge(upto);
            result_of(|done| log.purge(upto, done))
        }
        Step::Value { name, value } => {
            let value = Bytes::from(vec![value]);
            model.values.insert(name, value.clone());
            result_of(|done| log.set_value(name, value, done))
        }
    }
}

/// Lives until the disk fails or the steps are done. The models that may be on the disk then.
fn live(life: &Life, disk: &CachedDisk, model: Model) -> Vec<Model> {
    let failing = FailingDisk::after(life.calls, disk.clone());
    let Ok(log) = Log::open(Arc::new(failing), inline()) else { return vec![model] };
    let mut known = model;
    for step in &life.steps {
        let before = known.clone();
        if take(step, &mut known, &log).is_err() {
            return vec![before, known];
        }
    }
    vec![known]
}

/// Numbers that look random, from a seed (Steele et al., "Fast Splittable PRNGs", 2014).
fn numbers(seed: u64) -> impl FnMut(usize) -> usize {
    let mut state = seed;
    move |bound| {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (mixed ^ mixed >> 27) as usize % (bound + 1)
    }
}

fn survive(lives: &[Life]) -> (CachedDisk, Model) {
    let mut disk = CachedDisk::default();
    let mut model = Model::default();
    for life in lives {
        let possible = live(life, &disk, model);
        if let Some(seed) = life.power_loss {
            disk = disk.after_power_loss(numbers(seed));
        }
        let log = open(&disk, &inline());
        let found = possible.iter().find(|model| model.is_in(&log));
        model =
            found.unwrap_or_else(|| panic!("{:?} is none of {possible:?}", content(&log))).clone();
        drop(log);
        assert!(model.is_in(&open(&disk, &inline())), "what was found stays");
    }
    (disk, model)
}

/// The log refuses to open, or holds what it held.
fn flip(disk: &CachedDisk, model: &Model, (file, bit): (usize, usize)) {
    let mut names = disk.list().unwrap();
    names.retain(|name| name.ends_with(".seg"));
    let name = &names[file % names.len()];
    let mut bytes = bytes_of(disk, name);
    let bit = bit % (bytes.len() * 8);
    bytes[bit / 8] ^= 1 << (bit % 8);
    let damaged = disk.after_power_loss(|bytes| bytes);
    damaged.create(name).unwrap().write_at(&bytes, 0).unwrap();
    if let Ok(log) = Log::open(Arc::new(damaged), inline()) {
        assert!(model.is_in(&log), "bit {bit} of {name}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn whatever_the_disk_does_what_was_answered_is_there_and_nothing_is_invented(
        lives in prop::collection::vec(life(), 1..6),
        flips in prop::collection::vec(any::<(usize, usize)>(), 8),
    ) {
        let (disk, model) = survive(&lives);
        for at in flips {
            flip(&disk, &model, at);
        }
    }
}
