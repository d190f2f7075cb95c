mod figures;

use std::sync::Mutex;

use super::lists::{SHARED_VALUE_BYTES_MAX, TICK_MS, WORN_MAX};
use super::*;
use crate::answer::{Answer, Outcome};
use crate::group::{self, Stamp};
use crate::observe::Observer;
use crate::write::{Command, Place, Setting};
use crate::{EntryId, Store};
use ram_table::value::Plain;

/// Fills the lists as the store changes.
struct Applier {
    timers: Arc<Mutex<Timers>>,
    tables: Arc<Tables>,
}

impl Observer for Applier {
    fn changed(&mut self, change: &Change<'_>) {
        self.timers.lock().unwrap().changed(change, &self.tables);
    }

    fn written(&mut self, _revision: u64) {}

    fn wants(&self, _table: &str) -> bool {
        false
    }

    fn dropped(&mut self, table: &str) {
        self.timers.lock().unwrap().dropped(table);
    }

    fn replaced(&mut self, _revision: u64) {}
}

/// A leader, whose clock is exact.
struct Leader {
    store: Store,
    timers: Arc<Mutex<Timers>>,
    index: u64,
    session: u64,
    now_ms: u64,
}

const TERM: u64 = 3;
const ALL: Portion = Portion { keys: 1000, bytes: 1 << 20, looked_at: 4096 };

impl Leader {
    fn new() -> Leader {
        let mut store = Store::empty(Arc::new(Plain));
        let timers = Arc::<Mutex<Timers>>::default();
        let tables = store.tables().clone();
        store.observe(Box::new(Applier { timers: timers.clone(), tables }));
        let mut leader = Leader { store, timers, index: 0, session: 0, now_ms: 0 };
        let opened = leader.apply(&group::open_session());
        let Outcome::SessionOpened { session } = opened else { panic!("{opened:?}") };
        leader.session = session;
        leader
    }

    fn apply(&mut self, proposal: &[u8]) -> Outcome {
        self.index += 1;
        self.store.set_time(self.now_ms);
        self.store.apply(EntryId { term: TERM, index: self.index }, proposal).unwrap()
    }

    fn write(&mut self, write: &Encoded) {
        let sequence = self.index;
        let stamp = Stamp { session: self.session, sequence, acked_below: sequence };
        let outcome = self.apply(&group::group(stamp, std::iter::once(write.bytes())));
        assert!(matches!(outcome, Outcome::Answers(_)), "{outcome:?}");
    }

    fn command(&mut self, command: &Command<'_>) {
        let head = Write::Transaction { table: "", conditions: 0, then: 1, otherwise: 0 };
        let mut write = Encoded::of(&head);
        write.command(command);
        self.write(&write);
    }

    fn put(&mut self, key: &[u8], value: &[u8], ttl_ms: Setting<u64>) {
        self.command(&Command::put_lasting(Place::of(key), value, ttl_ms));
    }

    fn touch(&mut self, key: &[u8], ttl_ms: Option<u64>) {
        self.command(&Command::Touch { at: Place::of(key), ttl_ms });
    }

    fn timers<T>(&self, call: impl FnOnce(&mut Timers) -> T) -> T {
        call(&mut self.timers.lock().unwrap())
    }

    fn begin_round(&self) {
        self.timers(|timers| {
            timers.begin_round();
            while timers.place(self.now_ms, 3) > 0 {}
        });
    }

    fn take_due(&self) -> Vec<Taken> {
        let mut taken = Vec::new();
        let tables = self.store.tables().clone();
        while !self.timers(|timers| timers.take_due(self.now_ms, &tables, ALL, &mut taken)) {}
        taken
    }

    fn expire(&mut self, taken: &[Taken]) -> u64 {
        let outcome = self.apply(&group::lead(TERM, &super::expire(taken)));
        self.timers(Timers::are_gone);
        match outcome {
            Outcome::Answers(answers) => match answers[..] {
                [Answer::Deleted { entries, .. }] => entries,
                _ => panic!("{answers:?}"),
            },
            _ => panic!("{outcome:?}"),
        }
    }

    /// As time passes; returns how many have gone.
    fn pass(&mut self, ms: u64) -> u64 {
        self.begin_round();
        self.now_ms += ms;
        let taken = self.take_due();
        let gone = if taken.is_empty() { 0 } else { self.expire(&taken) };
        while self.timers(Timers::free_some) {}
        gone
    }

    fn has(&self, key: &[u8]) -> bool {
        self.store.table().get(key).is_some()
    }
}

/// SplitMix64 (Steele, Lea and Flood 2014).
fn random(state: &mut u64, below: u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mixed = (*state ^ *state >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    (mixed ^ mixed >> 31) % below
}

/// When a key was given its time, and that.
type Given = Option<(u64, u64)>;

fn change(leader: &mut Leader, key: u8, state: &mut u64, given: &mut HashMap<u8, Given>) {
    let ttl_ms = 1 + random(state, 30_000);
    let value = vec![b'v'; if random(state, 4) == 0 { 2000 } else { 10 }];
    let (name, now, had) = ([key], leader.now_ms, given.get(&key).copied());
    let next = match random(state, 7) {
        0 | 1 => {
            leader.put(&name, &value, Setting::To(ttl_ms));
            Some(Some((now, ttl_ms)))
        }
        2 => {
            leader.put(&name, &value, Setting::Clear);
            Some(None)
        }
        3 => {
            leader.put(&name, &value, Setting::Keep);
            Some(had.flatten())
        }
        4 => {
            leader.touch(&name, Some(ttl_ms));
            had.map(|_| Some((now, ttl_ms)))
        }
        5 => {
            leader.touch(&name, None);
            had.map(|_| None)
        }
        _ => {
            leader.command(&Command::delete(&name));
            None
        }
    };
    match next {
        Some(next) => given.insert(key, next),
        None => given.remove(&key),
    };
}

#[test]
fn keys_go_when_their_time_is_over_and_not_before_whatever_is_done_to_them() {
    const ROUND_MS: u64 = 250;
    for seed in 0..8 {
        let (mut state, mut leader, mut given) = (seed, Leader::new(), HashMap::new());
        let (mut anew_at, mut gone) = (0, 0);
        for _ in 0..1000 {
            for _ in 0..random(&mut state, 4) {
                let key = random(&mut state, 40) as u8;
                change(&mut leader, key, &mut state, &mut given);
            }
            if random(&mut state, 300) == 0 {
                leader.timers(Timers::begin_anew);
                anew_at = leader.now_ms;
            }
            gone += leader.pass(ROUND_MS);
            let now = leader.now_ms;
            given.retain(|key, given| {
                let is_there = leader.has(&[*key]);
                if let Some((since, ttl_ms)) = *given {
                    let over = since + ttl_ms;
                    assert!(is_there || over <= now, "seed {seed}: {key} went early");
                    let late = since.max(anew_at) + ttl_ms + ROUND_MS + TICK_MS;
                    assert!(!is_there || now <= late, "seed {seed}: {key} is late");
                } else {
                    assert!(is_there, "seed {seed}: {key} went without a time");
                }
                is_there
            });
            let live = given.values().flatten().count();
            assert_eq!(leader.timers(|timers| timers.live()), live as u64);
            assert!(leader.timers(|timers| timers.entries()) < 4000);
        }
        assert!(gone > 50, "seed {seed}");
    }
}

#[test]
fn a_key_that_is_renewed_while_it_expires_stays() {
    for renew in [
        |leader: &mut Leader| leader.touch(b"k", Some(1000)),
        |leader: &mut Leader| leader.put(b"k", b"w", Setting::To(1000)),
        |leader: &mut Leader| leader.put(b"k", b"w", Setting::Clear),
    ] {
        let mut leader = Leader::new();
        leader.put(b"k", b"v", Setting::To(500));
        leader.begin_round();
        leader.now_ms += 700;
        let taken = leader.take_due();
        assert_eq!(taken.len(), 1);
        renew(&mut leader);
        assert_eq!(leader.expire(&taken), 0);
        assert!(leader.has(b"k"));
        assert_eq!(leader.pass(900), 0);
        let has_time = leader.store.table().get(b"k").unwrap().has_life();
        assert_eq!(leader.pass(300), u64::from(has_time));
    }
}

#[test]
fn a_key_that_is_updated_while_it_expires_goes_all_the_same() {
    let mut leader = Leader::new();
    leader.put(b"k", b"v", Setting::To(500));
    leader.begin_round();
    leader.now_ms += 700;
    let taken = leader.take_due();
    leader.put(b"k", b"w", Setting::Keep);
    assert_eq!(leader.expire(&taken), 1);
    assert!(!leader.has(b"k"));
}

#[test]
fn what_was_not_proposed_is_due_again_after_its_full_time() {
    let mut leader = Leader::new();
    leader.put(b"k", b"v", Setting::To(500));
    leader.begin_round();
    leader.now_ms += 700;
    let taken = leader.take_due();
    leader.timers(|timers| timers.give_back(taken));
    assert_eq!((leader.pass(400), leader.pass(300)), (0, 1));
}

#[test]
fn all_the_time_that_was_counted_is_forgotten_with_the_lead() {
    let mut leader = Leader::new();
    leader.put(b"k", b"v", Setting::To(500));
    assert_eq!(leader.pass(490), 0);
    leader.timers(Timers::begin_anew);
    assert_eq!((leader.pass(490), leader.pass(300)), (0, 1));
}

#[test]
fn an_expiry_that_names_another_term_is_not_applied() {
    let mut leader = Leader::new();
    leader.put(b"k", b"v", Setting::To(500));
    leader.begin_round();
    leader.now_ms += 700;
    let taken = leader.take_due();
    for term in [TERM - 1, TERM + 1] {
        let outcome = leader.apply(&group::lead(term, &super::expire(&taken)));
        assert_eq!(outcome, Outcome::Nothing);
        assert!(leader.has(b"k"));
    }
    assert_eq!(leader.expire(&taken), 1);
}

#[test]
fn entries_of_what_was_written_again_are_dropped_and_hold_no_value_back() {
    let mut leader = Leader::new();
    for round in 0..200u64 {
        for key in 0..200u8 {
            let value = vec![b'v'; 100 + 2000 * usize::from(key % 2)];
            let ttl_ms = if round % 3 == 2 { Setting::Keep } else { Setting::To(1 << 30) };
            leader.put(&[key], &value, ttl_ms);
        }
        leader.begin_round();
        let entries = leader.timers(|timers| timers.entries());
        assert!((200..=200 * 5 / 4 + 2 * WORN_MAX as usize).contains(&entries), "{entries}");
    }
    let longest = |lists: &Lists| {
        let items = lists.timed.values().flatten();
        items.map(|item| item.value_bytes()).max().unwrap_or_default()
    };
    let longest = leader.timers(|timers| timers.tables.values().map(longest).max());
    assert!(longest.unwrap() <= SHARED_VALUE_BYTES_MAX);
}

#[test]
fn after_a_pass_an_entry_is_the_newest_item_of_its_key() {
    let mut leader = Leader::new();
    leader.put(b"k", b"old", Setting::To(1 << 30));
    leader.begin_round();
    for _ in 0..3 * WORN_MAX {
        leader.put(b"k", b"new", Setting::Keep);
    }
    let newest = leader.store.table().get(b"k").unwrap();
    let is_old = |lists: &Lists| {
        let mut items = lists.timed.values().flatten();
        items.any(|item| &*item.value() == b"old")
    };
    assert!(leader.timers(|timers| !timers.tables.values().any(is_old)));
    assert!(newest.has_life());
}

#[test]
fn a_table_that_is_dropped_takes_its_times_along_and_may_come_back() {
    let mut leader = Leader::new();
    let make = Write::CreateTable { table: "t", ordered: true };
    leader.write(&Encoded::of(&make));
    let at = Place { table: Some("t"), key: b"k" };
    let put = Command::put_lasting(at, b"v", Setting::To(500));
    leader.command(&put);
    assert_eq!(leader.pass(100), 0);
    leader.write(&Encoded::of(&Write::DropTable { table: "t" }));
    assert_eq!(leader.timers(|timers| (timers.live(), timers.entries())), (0, 0));
    leader.write(&Encoded::of(&make));
    leader.command(&put);
    assert_eq!((leader.pass(490), leader.pass(200)), (0, 1));
    assert!(leader.timers(|timers| timers.is_idle()));
}

#[test]
fn nothing_is_kept_when_no_key_has_a_time() {
    let mut leader = Leader::new();
    leader.put(b"k", b"v", Setting::Clear);
    assert!(leader.timers(|timers| timers.is_idle()));
    leader.put(b"k", b"v", Setting::To(1 << 30));
    assert!(!leader.timers(|timers| timers.is_idle()));
    leader.touch(b"k", None);
    leader.pass(1);
    assert!(leader.timers(|timers| timers.is_idle()));
}

#[test]
fn a_portion_is_bounded_in_keys_in_bytes_and_in_what_is_looked_at() {
    let mut leader = Leader::new();
    for key in 0..100u8 {
        leader.put(&[key; 100], b"v", Setting::To(100));
        leader.put(&[key; 99], b"v", Setting::To(100));
        leader.command(&Command::delete(&[key; 99]));
    }
    leader.begin_round();
    leader.now_ms += 500;
    let tables = leader.store.tables().clone();
    let take = |portion| {
        let mut taken = Vec::new();
        assert!(!leader.timers(|timers| timers.take_due(500, &tables, portion, &mut taken)));
        taken.len()
    };
    assert_eq!(take(Portion { keys: 7, ..ALL }), 7);
    assert_eq!(take(Portion { bytes: 1000, ..ALL }), 9);
    assert!(take(Portion { looked_at: 20, ..ALL }) <= 20);
}

/// Both have one revision, and the first is over long before the second.
#[test]
fn a_key_that_one_write_puts_twice_has_the_time_of_the_second_put() {
    let mut leader = Leader::new();
    let mut write = Encoded::of(&Write::Batch { table: "", commands: 2 });
    for ttl_ms in [300, 5000] {
        let at = Place::of(b"k");
        write.command(&Command::put_lasting(at, b"v", Setting::To(ttl_ms)));
    }
    leader.write(&write);
    assert_eq!((leader.pass(4900), leader.pass(400)), (0, 1));
}
