//! The hub on real tables, with receivers that note what they are sent.

mod credit;
mod figures;
mod history;
mod index;
mod model;
mod scars;

use super::*;
use parking_lot::Mutex;
use ram_table::table::{Item, Meta};
use ram_table::tables::{TableType, Tables};
use ram_table::value::StoredValue;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const HISTORY: u64 = 1 << 20;
const SET: &str = "";
const ORDERED: &str = "ordered";

type Bytes = Vec<u8>;

/// A change: the key, the old value, the new one.
type Told = (Bytes, Option<Bytes>, Result<Bytes, Gone>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Got {
    Changes(u64, Vec<Told>),
    Done(u64),
    Lost(u64),
}

/// A receiver.
#[derive(Clone)]
struct Receiver {
    got: Arc<Mutex<Vec<Got>>>,
    is_alive: Arc<AtomicBool>,
}

impl Receiver {
    fn new() -> Receiver {
        Receiver { got: Arc::default(), is_alive: Arc::new(AtomicBool::new(true)) }
    }

    fn got(&self) -> Vec<Got> {
        self.got.lock().clone()
    }

    fn revisions(&self) -> Vec<u64> {
        let of = |got: &Got| match got {
            Got::Changes(revision, _) => Some(*revision),
            _ => None,
        };
        self.got.lock().iter().filter_map(of).collect()
    }
}

fn told(event: &Event, with_old: bool) -> Told {
    let value = |item: &Item| item.value().into_owned();
    let old = event.old.as_ref().filter(|_| with_old && event.new.is_some()).map(value);
    (event.key().to_vec(), old, event.new.as_ref().map(value).ok_or(event.gone))
}

impl Deliver for Receiver {
    fn deliver(&self, message: Message<'_>) -> bool {
        let is_alive = self.is_alive.load(Ordering::Relaxed);
        if is_alive {
            self.got.lock().push(match message {
                Message::Changes { revision, events, with_old } => {
                    Got::Changes(revision, events.iter().map(|e| told(e, with_old)).collect())
                }
                Message::InitialDone { revision } => Got::Done(revision),
                Message::Lost { revision } => Got::Lost(revision),
            });
        }
        is_alive
    }
}

/// Tables, and what watches them.
struct World {
    tables: Tables,
    watches: Watches,
    observer: Box<dyn Observer>,
    /// Each write is told at once.
    is_prompt: bool,
}

/// What a write does.
#[derive(Debug, Clone)]
enum Do {
    Put(&'static str, u8, u8),
    Delete(&'static str, u8),
}

impl World {
    fn new() -> World {
        World::with_history(HISTORY)
    }

    fn with_history(bytes_max: u64) -> World {
        let tables = Tables::default();
        tables.create(ORDERED, TableType::OrderedSet);
        let watches = Watches::new(bytes_max, 0);
        let observer = watches.observer();
        World { tables, watches, observer, is_prompt: true }
    }

    fn revision(&self) -> u64 {
        self.tables.revision()
    }

    /// Returns the revision then.
    fn write(&mut self, changes: &[Do]) -> u64 {
        let (revision, mut has_changed) = (self.revision() + 1, false);
        self.tables.begin_write();
        for change in changes {
            has_changed |= match *change {
                Do::Put(table, key, value) => self.put(table, &[key], &[value], revision),
                Do::Delete(table, key) => self.delete(table, &[key], Gone::Deleted),
            };
        }
        self.end(has_changed)
    }

    fn end(&mut self, has_changed: bool) -> u64 {
        let revision = self.revision() + u64::from(has_changed);
        self.tables.end_write(revision);
        if has_changed {
            self.observer.written(revision);
        }
        if self.is_prompt {
            self.watches.with(Hub::tell);
        }
        revision
    }

    fn put(&mut self, name: &str, key: &[u8], value: &[u8], revision: u64) -> bool {
        let table = self.tables.get(name).unwrap();
        let new = Item::new(key, StoredValue::plain(value), &Meta::created(revision));
        let old = table.get(key);
        table.insert(new.clone());
        let (old, new) = (old.as_ref(), Some(&new));
        self.observer.changed(&Change { table: name, old, new, gone: Gone::Deleted });
        true
    }

    fn delete(&mut self, name: &str, key: &[u8], gone: Gone) -> bool {
        let table = self.tables.get(name).unwrap();
        let Some(old) = table.get(key) else { return false };
        table.remove(key);
        self.observer.changed(&Change { table: name, old: Some(&old), new: None, gone });
        true
    }

    /// All of the ordered table goes, and the table stays.
    fn empty(&mut self) -> u64 {
        let has_changed = self.content(ORDERED).keys().cloned().collect::<Vec<_>>();
        self.tables.begin_write();
        if !has_changed.is_empty() && self.observer.wants(ORDERED) {
            has_changed.iter().for_each(|key| _ = self.delete(ORDERED, key, Gone::Dropped));
        } else {
            let table = self.tables.get(ORDERED).unwrap();
            has_changed.iter().for_each(|key| _ = table.remove(key));
        }
        self.end(!has_changed.is_empty())
    }

    /// A range of the ordered table is deleted, some keys at a time.
    fn delete_range(&mut self, from: u8, to: u8) -> u64 {
        let table = self.tables.get(ORDERED).unwrap();
        self.tables.begin_write();
        let (from, to) = ([from], [to]);
        let range = (Bound::Included(&from[..]), Bound::Included(&to[..]));
        let mut has_changed = false;
        loop {
            let removed = table.remove_some(range);
            if removed.is_empty() {
                return self.end(has_changed);
            }
            has_changed = true;
            self.observer.removed(ORDERED, &removed);
        }
    }

    /// The state jumps, as by a snapshot of another member.
    fn install(&mut self, revision: u64) {
        self.tables.begin_write();
        self.tables.end_write(revision);
        self.observer.replaced(revision);
    }

    fn content(&self, name: &str) -> BTreeMap<Bytes, Bytes> {
        let mut content = BTreeMap::new();
        let snapshot = self.tables.get(name).unwrap().snapshot(self.revision(), None);
        let walked: Result<(), ram_table::table::Revoked> = snapshot.walk(|items| {
            content.extend(items.iter().map(|i| (i.key().to_vec(), i.value().into_owned())));
            Ok(())
        });
        walked.unwrap();
        content
    }

    fn watch(&self, spec: Spec) -> (Control, Receiver, Result<u64, Compacted>) {
        let (control, receiver) = (self.watches.control(), Receiver::new());
        let table = self.tables.get(&spec.table).unwrap();
        let initial =
            spec.initial.then(|| Initial::of(&spec.table, &table, self.revision(), &spec.keys));
        let begun = control.begin(spec, initial, Box::new(receiver.clone()));
        (control, receiver, begun)
    }

    /// All that there is credit for is sent.
    fn settle(&self) {
        self.watches.take_asked();
        self.watches.with(Hub::tell);
        while self.watches.step() {
            self.watches.take_asked();
        }
    }
}

fn spec(table: &str, keys: Keys) -> Spec {
    Spec {
        table: table.into(),
        keys,
        from: None,
        may_wait: true,
        initial: false,
        old: false,
        events_max: 1024,
        bytes_max: 1 << 20,
    }
}

fn key(key: u8) -> Keys {
    Keys::One(vec![key])
}

fn put(key: u8, value: u8) -> Told {
    (vec![key], None, Ok(vec![value]))
}

fn deleted(key: u8) -> Told {
    (vec![key], None, Err(Gone::Deleted))
}

#[test]
fn each_watch_is_told_of_its_keys_alone_with_all_changes_of_a_write_in_one_message() {
    let mut world = World::new();
    let (_a, one, begun) = world.watch(spec(SET, key(1)));
    let (_b, all, _) = world.watch(spec(SET, Keys::All));
    let range = Keys::Range(Bound::Included(vec![2]), Bound::Excluded(vec![4]));
    let (_c, ranged, _) = world.watch(spec(ORDERED, range));
    assert_eq!(begun, Ok(0));
    let both = [Do::Put(SET, 1, 7), Do::Put(ORDERED, 2, 1), Do::Put(SET, 2, 8)];
    assert_eq!(world.write(&both), 1);
    world.write(&[Do::Put(ORDERED, 3, 1), Do::Put(ORDERED, 4, 1), Do::Delete(SET, 9)]);
    world.write(&[Do::Delete(SET, 1)]);
    assert_eq!(one.got(), [Got::Changes(1, vec![put(1, 7)]), Got::Changes(3, vec![deleted(1)])]);
    let first = Got::Changes(1, vec![put(1, 7), put(2, 8)]);
    assert_eq!(all.got(), [first, Got::Changes(3, vec![deleted(1)])]);
    let ranges = [Got::Changes(1, vec![put(2, 1)]), Got::Changes(2, vec![put(3, 1)])];
    assert_eq!(ranged.got(), ranges);
}

#[test]
fn a_key_that_one_write_changes_twice_is_told_once_with_the_first_old_and_the_last_new_value() {
    let mut world = World::new();
    world.write(&[Do::Put(SET, 1, 1), Do::Put(SET, 2, 1)]);
    let (_control, all, _) = world.watch(Spec { old: true, ..spec(SET, Keys::All) });
    world.write(&[Do::Put(SET, 1, 2), Do::Put(SET, 1, 3)]);
    world.write(&[Do::Delete(SET, 1), Do::Put(SET, 1, 4)]);
    world.write(&[Do::Put(SET, 2, 5), Do::Put(SET, 3, 5), Do::Delete(SET, 2)]);
    world.write(&[Do::Put(SET, 9, 1), Do::Delete(SET, 9)]);
    let with = |old: Option<u8>, (key, _, new): Told| (key, old.map(|old| vec![old]), new);
    let expected = [
        Got::Changes(2, vec![with(Some(1), put(1, 3))]),
        Got::Changes(3, vec![with(Some(3), put(1, 4))]),
        Got::Changes(4, vec![put(3, 5), deleted(2)]),
    ];
    assert_eq!(all.got(), expected);
}

#[test]
fn what_was_there_comes_first_then_that_it_was_all_then_what_changed_since() {
    let mut world = World::new();
    for key in 0..200 {
        world.write(&[Do::Put(SET, key, 1), Do::Put(ORDERED, key, 1)]);
    }
    for table in [SET, ORDERED] {
        let initial = Spec { initial: true, events_max: 7, ..spec(table, Keys::All) };
        let (control, receiver, begun) = world.watch(initial);
        let (begun, there) = (begun.unwrap(), world.content(table));
        assert_eq!(begun, world.revision());
        let change = [Do::Put(SET, 0, 2), Do::Delete(SET, 1), Do::Put(ORDERED, 0, 2)];
        let changed = world.write(&change);
        let mut present = BTreeMap::new();
        while !receiver.got().contains(&Got::Done(begun)) {
            world.settle();
            let got = receiver.got();
            let before_done = got.iter().take_while(|got| **got != Got::Done(begun));
            let told = before_done.flat_map(|got| match got {
                Got::Changes(revision, told) if *revision == begun => told.clone(),
                other => panic!("{other:?}"),
            });
            let before = present.len();
            present.extend(told.map(|(key, _, new)| (key, new.unwrap())));
            assert!(present.len() - before <= 7);
            control.ack(begun);
        }
        assert_eq!(present, there);
        control.ack(begun + 1);
        world.settle();
        assert_eq!(receiver.revisions().last(), Some(&changed));
    }
}

#[test]
fn what_is_dropped_is_one_message_and_a_receiver_that_died_leaves_nothing() {
    let mut world = World::new();
    world.write(&[Do::Put(ORDERED, 1, 1), Do::Put(ORDERED, 2, 1)]);
    let (_control, all, _) = world.watch(spec(ORDERED, Keys::All));
    let (_control, dead, _) = world.watch(spec(ORDERED, key(1)));
    dead.is_alive.store(false, Ordering::Relaxed);
    assert_eq!(world.watches.sizes().watches, 2);
    world.empty();
    let dropped = |key: u8| (vec![key], None, Err(Gone::Dropped));
    assert_eq!(all.got(), [Got::Changes(2, vec![dropped(1), dropped(2)])]);
    assert_eq!((world.watches.sizes().watches, dead.got()), (1, vec![]));
}

#[test]
fn a_snapshot_from_elsewhere_and_the_end_of_the_member_end_every_watch_with_lost() {
    let mut world = World::new();
    world.write(&[Do::Put(SET, 1, 1)]);
    let (_control, quiet, _) = world.watch(spec(SET, key(7)));
    let (_control, future, _) = world.watch(Spec { from: Some(5), ..spec(SET, key(7)) });
    world.write(&[Do::Put(SET, 1, 2)]);
    world.install(100);
    assert_eq!((quiet.got(), future.got()), (vec![Got::Lost(2)], vec![Got::Lost(4)]));
    let (_control, later, begun) = world.watch(spec(SET, key(1)));
    assert_eq!(begun, Ok(100));
    let old = world.watch(Spec { from: Some(3), ..spec(SET, key(1)) }).2;
    assert_eq!(old, Err(Compacted { oldest: 101 }));
    world.watches.close();
    world.write(&[Do::Put(SET, 1, 3)]);
    assert_eq!(later.got(), [Got::Lost(100)]);
    let (control, never, _) = world.watch(spec(SET, key(1)));
    control.ack(1);
    world.settle();
    world.write(&[Do::Put(SET, 1, 4)]);
    assert_eq!((never.got(), world.watches.sizes()), (vec![], Sizes::default()));
}
