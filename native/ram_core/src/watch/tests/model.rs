//! Random writes, watches, acknowledgements and ends: what each receiver has is what the tables
//! went through, with no gap, nothing twice and no more than its credit.

use super::*;
use proptest::collection::vec;
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Step {
    Write(Vec<Do>),
    Empty,
    Install,
    Watch(Spec),
    /// The receiver of a watch reads so many of its messages, and acknowledges them.
    Read(usize, usize),
    End(usize),
    Die(usize),
    /// The hub has its turn.
    Turn,
}

fn keys() -> impl Strategy<Value = Keys> {
    let bound = || {
        prop_oneof![
            Just(Bound::Unbounded),
            (0..8u8).prop_map(|key| Bound::Included(vec![key])),
            (0..8u8).prop_map(|key| Bound::Excluded(vec![key])),
        ]
    };
    prop_oneof![
        (0..8u8).prop_map(key),
        (bound(), bound()).prop_map(|(from, to)| Keys::Range(from, to)),
        Just(Keys::All),
    ]
}

fn tables() -> impl Strategy<Value = &'static str> {
    prop_oneof![Just(SET), Just(ORDERED)]
}

fn watch() -> impl Strategy<Value = Step> {
    let from = prop_oneof![2 => Just(None), 1 => (1..40u64).prop_map(Some)];
    (tables(), keys(), from, any::<bool>(), any::<bool>(), 1..6usize, 200..2000u64).prop_map(
        |(table, keys, from, initial, old, events_max, bytes_max)| {
            let is_range = matches!(keys, Keys::Range(..));
            let table = if is_range { ORDERED } else { table };
            let initial = initial && from.is_none();
            let (table, may_wait) = (table.to_owned(), true);
            Step::Watch(Spec { table, keys, from, may_wait, initial, old, events_max, bytes_max })
        },
    )
}

fn step() -> impl Strategy<Value = Step> {
    let change = || {
        prop_oneof![
            3 => (tables(), 0..8u8, any::<u8>()).prop_map(|(t, k, v)| Do::Put(t, k, v)),
            1 => (tables(), 0..8u8).prop_map(|(table, key)| Do::Delete(table, key)),
        ]
    };
    prop_oneof![
        8 => change().prop_map(|change| Step::Write(vec![change])),
        3 => vec(change(), 2..8).prop_map(Step::Write),
        1 => Just(Step::Empty),
        1 => Just(Step::Install),
        4 => watch(),
        8 => (0..8usize, 1..4usize).prop_map(|(watch, count)| Step::Read(watch, count)),
        1 => (0..8usize).prop_map(Step::End),
        1 => (0..8usize).prop_map(Step::Die),
        6 => Just(Step::Turn),
    ]
}

type Contents = BTreeMap<&'static str, BTreeMap<Bytes, Bytes>>;

fn contents(world: &World) -> Contents {
    [SET, ORDERED].into_iter().map(|name| (name, world.content(name))).collect()
}

/// What the tables were after each write. The installed ones among them have no changes.
type Log = BTreeMap<u64, Contents>;

struct Watched {
    spec: Spec,
    control: Control,
    receiver: Receiver,
    begun: u64,
    read: usize,
    is_over: bool,
}

impl Watched {
    /// What it has to be told of a write, by the state before and after.
    fn expected(
        &self,
        log: &Log,
        revision: u64,
    ) -> BTreeMap<Bytes, (Option<Bytes>, Option<Bytes>)> {
        let name = self.spec.table.as_str();
        let (before, after) = (&log[&(revision - 1)][name], &log[&revision][name]);
        let keys = before.keys().chain(after.keys()).filter(|key| self.spec.keys.has(key));
        let pair = |key: &Bytes| (before.get(key).cloned(), after.get(key).cloned());
        keys.map(|key| (key.clone(), pair(key))).filter(|(_, (old, new))| old != new).collect()
    }

    /// A put of the same value is a change as well, so the events are a superset of what differs.
    fn check_write(&self, log: &Log, revision: u64, told: &[Told]) {
        let (name, mut left) = (self.spec.table.as_str(), self.expected(log, revision));
        let (before, after) = (&log[&(revision - 1)][name], &log[&revision][name]);
        let mut seen = std::collections::BTreeSet::new();
        for (key, old, new) in told {
            assert!(seen.insert(key.clone()), "a key twice in {told:?}");
            assert!(self.spec.keys.has(key));
            assert_eq!(after.get(key), new.as_ref().ok());
            if self.spec.old && new.is_ok() {
                assert_eq!(before.get(key), old.as_ref());
            }
            left.remove(key);
        }
        assert!(left.is_empty(), "write {revision} is not whole: {left:?} is missing");
    }

    /// All that it was sent, and that nothing was left out up to `told_to`.
    fn check(&self, log: &Log, newest: u64) {
        let got = self.receiver.got();
        let (mut last, mut present, mut is_done) = (self.begun, BTreeMap::new(), false);
        let mut missing = self.spec.initial;
        for (at, message) in got.iter().enumerate() {
            match message {
                Got::Changes(revision, told) if self.spec.initial && !is_done => {
                    assert_eq!(*revision, self.begun);
                    let told = told.iter().map(|(key, _, new)| (key.clone(), new.clone().unwrap()));
                    told.for_each(|(key, value)| assert!(present.insert(key, value).is_none()));
                }
                Got::Changes(revision, told) => {
                    assert!(*revision > last, "{revision} after {last}");
                    self.check_gap(log, last + 1, *revision);
                    self.check_write(log, *revision, told);
                    last = *revision;
                }
                Got::Done(revision) => {
                    assert!(!is_done && self.spec.initial && *revision == self.begun);
                    let mut there = log[revision][self.spec.table.as_str()].clone();
                    there.retain(|key, _| self.spec.keys.has(key));
                    assert_eq!(present, there);
                    (is_done, missing) = (true, false);
                }
                Got::Lost(revision) => {
                    assert_eq!(at + 1, got.len(), "lost is the last message");
                    assert_eq!(missing, *revision == 0 && self.spec.initial && !is_done);
                    assert!(missing || *revision >= last);
                    self.check_gap(log, last + 1, revision + 1);
                    return;
                }
            }
        }
        if !self.is_over {
            assert!(!missing);
            self.check_gap(log, last + 1, newest + 1);
        }
    }

    /// None of these writes is one that it had to be told.
    fn check_gap(&self, log: &Log, from: u64, to: u64) {
        for revision in from.max(self.spec.from.unwrap_or(0))..to {
            let left_out = self.expected(log, revision);
            assert!(left_out.is_empty(), "no message of write {revision}: {left_out:?}");
        }
    }

    /// Acknowledges what was read. Before that it has no more than its credit, and one write.
    fn read(&mut self, count: usize) {
        let got = self.receiver.got();
        let sizes = got.iter().skip(self.read).filter_map(|got| match got {
            Got::Changes(_, told) => Some(told.len()),
            _ => None,
        });
        let sizes: Vec<usize> = sizes.collect();
        let before_last = sizes.iter().rev().skip(1).sum::<usize>();
        assert!(before_last < self.spec.events_max.max(1), "{sizes:?}");
        let read = got.iter().skip(self.read).take(count);
        for message in read {
            if let Got::Changes(revision, _) = message {
                self.control.ack(*revision);
            }
            self.read += 1;
        }
    }
}

struct Run {
    world: World,
    log: Log,
    watches: Vec<Watched>,
}

impl Run {
    fn new() -> Run {
        let world = World { is_prompt: false, ..World::with_history(6_000) };
        let log = Log::from([(0, contents(&world))]);
        Run { world, log, watches: Vec::new() }
    }

    fn run(&mut self, step: &Step) {
        match step {
            Step::Write(changes) => _ = self.world.write(changes),
            Step::Empty => _ = self.world.empty(),
            Step::Install => self.install(),
            Step::Watch(spec) => self.watch(spec),
            Step::Read(at, count) => {
                self.world.settle();
                self.watches.get_mut(*at).into_iter().for_each(|watched| watched.read(*count));
            }
            Step::End(at) => self.over(*at, |watched| watched.control.end()),
            Step::Die(at) => self.over(*at, |watched| {
                watched.receiver.is_alive.store(false, Ordering::Relaxed);
            }),
            Step::Turn => self.world.settle(),
        }
        self.log.insert(self.world.revision(), contents(&self.world));
    }

    fn install(&mut self) {
        let from = self.world.revision();
        self.world.install(from + 3);
        let now = contents(&self.world);
        self.log.extend((from + 1..=from + 3).map(|revision| (revision, now.clone())));
    }

    fn watch(&mut self, spec: &Spec) {
        let (control, receiver, begun) = self.world.watch(spec.clone());
        match begun {
            Ok(begun) => {
                let (spec, read, is_over) = (spec.clone(), 0, false);
                self.watches.push(Watched { spec, control, receiver, begun, read, is_over });
            }
            Err(Compacted { oldest }) => assert!(spec.from.unwrap() < oldest),
        }
    }

    fn over(&mut self, at: usize, over: impl FnOnce(&Watched)) {
        if let Some(watched) = self.watches.get_mut(at) {
            over(watched);
            watched.is_over = true;
        }
    }

    /// Every receiver reads all there is; then all is checked.
    fn finish(mut self) {
        for _ in 0..200 {
            self.world.settle();
            self.watches.iter_mut().for_each(|watched| watched.read(2));
        }
        let newest = self.world.revision();
        self.watches.iter().for_each(|watched| watched.check(&self.log, newest));
        assert_eq!(
            self.world.watches.sizes().queued_bytes,
            0,
            "all that waited was sent or let go of"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn every_receiver_has_what_happened_in_order_whole_and_once(steps in vec(step(), 1..120)) {
        let mut run = Run::new();
        steps.iter().for_each(|step| run.run(step));
        run.finish();
    }
}
