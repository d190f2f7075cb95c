use super::*;
use std::ops::Range;

/// SplitMix64 (Steele, Lea and Flood 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ mixed >> 31
    }

    fn of(&mut self, range: Range<u64>) -> u64 {
        range.start + self.next() % (range.end - range.start)
    }

    fn in_hundred(&mut self, times: u64) -> bool {
        self.of(0..100) < times
    }
}

/// What a clock makes of the time.
#[derive(Debug, Clone, Copy)]
enum Error {
    None,
    Fast,
    Slow,
    Still,
    Jumps,
}

/// A member in true time.
struct Member {
    run: u64,
    error: Error,
    clock: f64,
}

impl Member {
    fn pass(&mut self, ms: u64, random: &mut Random) {
        self.clock += match self.error {
            Error::None => ms as f64,
            Error::Fast => ms as f64 * 50.0,
            Error::Slow => ms as f64 / 50.0,
            Error::Still => 0.0,
            Error::Jumps if random.in_hundred(10) => random.of(0..1_800_000) as f64 - 9e5,
            Error::Jumps => ms as f64,
        };
        self.clock = self.clock.max(0.0);
    }
}

struct World {
    random: Random,
    now: u64,
    members: Vec<Member>,
    clock: MajorityClock,
}

/// What a key has to wait for.
struct Timed {
    applied: u64,
    ttl: u64,
    begins: Option<u64>,
}

impl World {
    fn new(seed: u64, members: usize, error: Error) -> World {
        let of = |n| {
            let error = if n == 0 { error } else { Error::None };
            Member { run: 1, error, clock: 100.0 * n as f64 }
        };
        let members = (0..members).map(of).collect();
        World { random: Random(seed), now: 0, members, clock: Default::default() }
    }

    fn pass(&mut self, ms: u64) {
        self.now += ms;
        self.members.iter_mut().for_each(|member| member.pass(ms, &mut self.random));
    }

    /// A round that those who are not silent answer, each at a moment of its own.
    fn round(&mut self, silent: impl Fn(u64) -> bool, step_max: u64) -> Moment {
        let mut answers = BTreeMap::new();
        for id in 0..self.members.len() {
            let step = self.random.of(0..step_max + 1);
            self.pass(step);
            let Member { run, clock, .. } = self.members[id];
            if !silent(id as u64) {
                answers.insert(id as u64, Reading { run, ms: clock as u64 });
            }
        }
        self.pass(step_max);
        self.clock.round(&(0..self.members.len() as u64).collect(), &answers)
    }
}

/// Follows a moment: which keys begin, and which are over.
fn follow(keys: &mut Vec<Timed>, began: u64, moment: &Moment, mut over: impl FnMut(&Timed)) {
    if moment.is_anew {
        keys.iter_mut().for_each(|key| key.begins = None);
    }
    keys.retain(|key| {
        let is_over = key.begins.is_some_and(|begins| moment.low >= begins + key.ttl);
        if is_over {
            over(key);
        }
        !is_over
    });
    for key in keys.iter_mut().filter(|key| key.begins.is_none() && key.applied <= began) {
        key.begins = moment.high;
    }
}

const ERRORS: [Error; 5] = [Error::None, Error::Fast, Error::Slow, Error::Still, Error::Jumps];

#[test]
fn nothing_is_over_early_whatever_one_clock_does_and_whoever_is_silent_or_restarts() {
    for seed in 0..600 {
        let members = 2 + seed as usize % 5;
        let error = ERRORS[seed as usize / 5 % ERRORS.len()];
        let mut world = World::new(seed, members, error);
        let (mut keys, mut expired) = (Vec::new(), 0);
        for _ in 0..300 {
            let (ttl, applied) = (world.random.of(1..20_000), world.now);
            keys.push(Timed { applied, ttl, begins: None });
            let pause = if world.random.in_hundred(2) { 30_000 } else { 250 };
            let pause = world.random.of(0..pause);
            world.pass(pause);
            if world.random.in_hundred(5) {
                let restarted = world.random.of(0..members as u64) as usize;
                world.members[restarted].run += 1;
                world.members[restarted].clock = 0.0;
            }
            let began = world.now;
            let silent: u64 = world.random.next() & world.random.next();
            let slow = if world.random.in_hundred(5) { 4000 } else { 20 };
            let moment = world.round(|id| silent >> id & 1 == 1, slow);
            follow(&mut keys, began, &moment, |key| {
                let passed = world.now - key.applied;
                assert!(passed >= key.ttl, "seed {seed}: {} ms of {}", passed, key.ttl);
                expired += 1;
            });
        }
        // A slow clock of two holds all up.
        assert!(expired > 20 || members == 2, "seed {seed}, {error:?}: {expired} of 300");
    }
}

#[test]
fn what_is_over_is_seen_a_round_later_at_most_if_all_answer_and_one_clock_is_wrong() {
    for seed in 0..300 {
        let members = [1, 3, 4, 5, 7][seed as usize % 5];
        let error = if members == 1 { Error::None } else { ERRORS[seed as usize / 5 % 5] };
        let mut world = World::new(seed, members, error);
        let mut keys = Vec::new();
        world.round(|_| false, 2);
        for _ in 0..300 {
            keys.push(Timed { applied: world.now, ttl: world.random.of(1..9000), begins: None });
            world.pass(250);
            let began = world.now;
            let moment = world.round(|_| false, 2);
            assert!(!moment.is_anew, "seed {seed}");
            follow(&mut keys, began, &moment, |_| {});
            // A round until it begins, one to the beginning of all, one until it is seen.
            let late = world.now.saturating_sub(3 * (250 + 20));
            let left = keys.iter().find(|key| key.applied + key.ttl < late);
            assert!(left.is_none(), "seed {seed}, {error:?}, {members} members");
        }
    }
}

fn readings(of: &[(u64, u64, u64)]) -> BTreeMap<u64, Reading> {
    of.iter().map(|(id, run, ms)| (*id, Reading { run: *run, ms: *ms })).collect()
}

#[test]
fn one_member_has_its_own_clock_from_the_second_round_on() {
    let (mut clock, voters) = (MajorityClock::default(), BTreeSet::from([1]));
    let settling = Moment { is_settling: true, ..Moment::default() };
    assert_eq!(clock.round(&voters, &readings(&[(1, 7, 100)])), settling);
    let begun = Moment { high: Some(1), ..Moment::default() };
    assert_eq!(clock.round(&voters, &readings(&[(1, 7, 101)])), begun);
    let later = Moment { low: 250, high: Some(251), ..Moment::default() };
    assert_eq!(clock.round(&voters, &readings(&[(1, 7, 351)])), later);
}

#[test]
fn a_minority_says_nothing_and_time_goes_on_when_the_majority_is_back() {
    let (mut clock, voters) = (MajorityClock::default(), BTreeSet::from([1, 2, 3]));
    let all = |ms| readings(&[(1, 7, ms), (2, 7, ms), (3, 7, ms)]);
    assert_eq!(clock.round(&voters, &readings(&[(1, 7, 0)])), Moment::default());
    clock.round(&voters, &all(0));
    clock.round(&voters, &all(0));
    let alone = clock.round(&voters, &readings(&[(1, 7, 500)]));
    assert_eq!(alone, Moment::default());
    let back = clock.round(&voters, &all(600));
    assert_eq!(back, Moment { low: 600, high: Some(600), ..Moment::default() });
}

#[test]
fn a_member_that_starts_again_or_is_added_is_counted_after_two_rounds() {
    let (mut clock, voters) = (MajorityClock::default(), BTreeSet::from([1, 2, 3]));
    let all = |ms| readings(&[(1, 7, ms), (2, 7, ms), (3, 7, ms)]);
    clock.round(&voters, &all(0));
    clock.round(&voters, &all(0));
    let restarted = clock.round(&voters, &readings(&[(1, 7, 500), (2, 7, 500), (3, 8, 0)]));
    assert!(restarted.is_settling && !restarted.is_anew);
    assert_eq!((restarted.low, restarted.high), (500, Some(500)));
    let settled = clock.round(&voters, &readings(&[(1, 7, 501), (2, 7, 501), (3, 8, 1)]));
    assert_eq!(settled, Moment { low: 501, high: Some(501), ..Moment::default() });
    // Now it stands for a member that has gone.
    let gone = clock.round(&voters, &readings(&[(1, 7, 601), (3, 8, 101)]));
    assert_eq!((gone.low, gone.is_anew), (601, false));
    assert!(gone.high.is_some_and(|high| (601..=603).contains(&high)));
    let four = BTreeSet::from([1, 2, 3, 4]);
    let added = readings(&[(1, 7, 701), (2, 7, 701), (3, 8, 201), (4, 1, 9)]);
    assert!(clock.round(&four, &added).is_settling);
}

/// As that of a virtual machine that is taken back to an earlier state.
#[test]
fn a_clock_that_goes_back_is_counted_after_two_rounds_as_one_that_begins_anew() {
    let (mut clock, voters) = (MajorityClock::default(), BTreeSet::from([1, 2, 3]));
    let all = |ms, back| readings(&[(1, 7, ms), (2, 7, ms), (3, 7, back)]);
    clock.round(&voters, &all(400, 400));
    clock.round(&voters, &all(400, 400));
    let back = clock.round(&voters, &all(900, 399));
    assert_eq!((back.is_settling, back.low, back.high), (true, 500, Some(500)));
    let settled = clock.round(&voters, &all(901, 400));
    assert_eq!((settled.is_settling, settled.high), (false, Some(501)));
    let gone = clock.round(&voters, &readings(&[(1, 7, 901), (3, 7, 400)]));
    assert!(gone.high.is_some_and(|high| (501..=503).contains(&high)), "{gone:?}");
}

/// More than are promised to be right; nothing is over by them all the same.
#[test]
fn who_was_silent_while_two_clocks_stood_still_has_all_its_time() {
    let (mut clock, voters) = (MajorityClock::default(), (1..=5).collect());
    let round =
        |of: &[u64], ms| of.iter().map(|id| (*id, 7, if *id > 3 { 0 } else { ms })).collect();
    let mut round = |of: &[u64], ms| {
        let answers: Vec<(u64, u64, u64)> = round(of, ms);
        clock.round(&voters, &readings(&answers))
    };
    round(&[1, 2, 3, 4, 5], 0);
    round(&[1, 2, 3, 4, 5], 0);
    assert_eq!(round(&[1, 2, 3, 4, 5], 9000).low, 9000);
    let others = round(&[1, 4, 5], 9010);
    assert!(others.high.is_some_and(|high| high >= others.low), "{others:?}");
}

#[test]
fn when_those_that_could_tell_are_gone_all_begins_anew() {
    let (mut clock, voters) = (MajorityClock::default(), BTreeSet::from([1, 2, 3]));
    let all = |ms| readings(&[(1, 7, ms), (2, 7, ms), (3, 7, ms)]);
    clock.round(&voters, &all(0));
    clock.round(&voters, &all(0));
    clock.round(&voters, &all(900));
    let two = |ms| readings(&[(1, 7, 900 + ms), (2, 8, ms), (3, 8, ms)]);
    let anew = clock.round(&voters, &two(0));
    assert_eq!(anew, Moment { is_anew: true, is_settling: true, ..Moment::default() });
    assert_eq!(clock.round(&voters, &two(1)).high, Some(1));
    assert_eq!(clock.round(&voters, &two(11)).low, 10);
}

/// Of two that answer the larger high counts, though it be that of a clock that has jumped.
#[test]
fn what_a_wrong_clock_has_put_off_begins_anew_when_the_others_are_back() {
    let (mut clock, voters) = (MajorityClock::default(), BTreeSet::from([1, 2, 3]));
    let all = |wrong, ms| readings(&[(1, 7, wrong), (2, 7, ms), (3, 7, ms)]);
    clock.round(&voters, &all(0, 0));
    clock.round(&voters, &all(0, 0));
    let put_off = clock.round(&voters, &readings(&[(1, 7, 1 << 40), (2, 7, 100)]));
    assert_eq!((put_off.low, put_off.high), (100, Some(1 << 40)));
    let back = clock.round(&voters, &all(1 << 40, 200));
    assert_eq!(back, Moment { low: 200, high: Some(200), is_anew: true, is_settling: false });
}
