use super::command::{self, Answer, Command, Expect, Outcome, Stamp};
use super::sessions::{GROUPS_MAX, SESSIONS_MAX};
use super::*;
use crate::codec;
use bytes::Bytes;
use ram_limits::GROUP_WRITES_MAX;
use ram_table::table::Frozen;
use ram_table::value::{AnyForm, Form, Held, Plain, Values};
use std::collections::HashMap;

/// A store with an open session that numbers its groups.
struct Client {
    store: Store,
    index: u64,
    session: u64,
    sequence: u64,
}

impl Client {
    fn new() -> Self {
        Client::with(Arc::new(Plain))
    }

    fn with(values: Arc<dyn Values>) -> Self {
        let store = Store::empty(values);
        let mut client = Client { store, index: 0, session: 0, sequence: 0 };
        client.open();
        client
    }

    fn open(&mut self) {
        self.index += 1;
        match self.store.apply(self.index, &command::open_session()).unwrap() {
            Outcome::SessionOpened { session } => self.session = session,
            other => panic!("{other:?}"),
        }
    }

    fn stamp(&mut self) -> Stamp {
        self.sequence += 1;
        Stamp { session: self.session, sequence: self.sequence, settled_below: self.sequence }
    }

    fn send(&mut self, group: &Bytes) -> Outcome {
        self.index += 1;
        self.store.apply(self.index, group).unwrap()
    }

    fn run(&mut self, commands: &[Command<'_>]) -> Vec<Answer> {
        let stamp = self.stamp();
        match self.send(&group(stamp, commands)) {
            Outcome::Answers(answers) => answers,
            other => panic!("{other:?}"),
        }
    }

    fn value(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.store.table().get(key).map(|item| item.value().into_owned())
    }
}

fn group(stamp: Stamp, commands: &[Command<'_>]) -> Bytes {
    let commands: Vec<Vec<u8>> = commands.iter().map(Command::encode).collect();
    command::group(stamp, commands.iter().map(|command| (1, command)))
}

/// A group with one write of each of these lists of commands.
fn group_of_writes(stamp: Stamp, writes: &[&[Command<'_>]]) -> Bytes {
    let encoded = |write: &&[Command<'_>]| {
        let commands: Vec<Vec<u8>> = write.iter().map(Command::encode).collect();
        (write.len() as u32, commands.concat())
    };
    let writes: Vec<(u32, Vec<u8>)> = writes.iter().map(encoded).collect();
    command::group(stamp, writes.into_iter())
}

fn ledger_bytes(store: &Store) -> usize {
    let parts: Vec<sessions::Part> = store.ledger().sessions.parts().collect();
    codec::encode(&parts).len()
}

fn put<'a>(key: &'a [u8], value: &'a [u8]) -> Command<'a> {
    Command::Put { key, value }
}

#[test]
fn put_and_delete_change_the_table_and_count_entries_and_bytes() {
    let mut client = Client::new();
    client.run(&[put(b"a", b"1"), put(b"b", b"22"), put(b"a", b"333")]);
    assert_eq!(client.value(b"a").unwrap(), b"333");
    assert_eq!((client.store.table().entries(), client.store.table().bytes()), (2, 7));
    client.run(&[Command::Delete { key: b"a" }]);
    assert_eq!(client.value(b"a"), None);
    assert_eq!((client.store.table().entries(), client.store.table().bytes()), (1, 3));
}

#[test]
fn every_change_has_a_revision_of_its_own_even_within_one_group() {
    let mut client = Client::new();
    let answers = client.run(&[put(b"a", b"1"), put(b"a", b"2"), Command::Delete { key: b"x" }]);
    let done = |revision| Answer::Done { revision };
    assert_eq!(answers, vec![done(1), done(2), done(2)]);
}

#[test]
fn compare_and_set_takes_only_the_revision_it_expects_and_tells_what_it_found() {
    let mut client = Client::new();
    client.run(&[put(b"a", b"1")]);
    let cas = |expect, value| Command::CompareAndSet { key: b"a", expect, value };
    let stale = client.run(&[cas(Expect::Absent, Some(b"x")), cas(Expect::Revision(9), None)]);
    let found = Found { value: Bytes::from_static(b"1"), revision: 1 };
    let conflict = Answer::Conflict { current: Some(found) };
    assert_eq!(stale, vec![conflict.clone(), conflict]);
    assert_eq!(
        client.run(&[cas(Expect::Revision(1), Some(b"2"))]),
        vec![Answer::Done { revision: 2 }]
    );
    assert_eq!(client.value(b"a").unwrap(), b"2");
    client.run(&[cas(Expect::Revision(2), None)]);
    assert_eq!(client.value(b"a"), None);
}

#[test]
fn a_write_of_many_commands_has_one_answer_that_to_the_last() {
    let mut client = Client::new();
    let absent = Command::CompareAndSet { key: b"a", expect: Expect::Absent, value: None };
    let writes: [&[Command<'_>]; 3] = [
        &[put(b"a", b"1"), absent, put(b"b", b"2")],
        &[put(b"c", b"3"), absent],
        &[Command::Delete { key: b"c" }],
    ];
    let stamp = client.stamp();
    let bytes = group_of_writes(stamp, &writes);
    let current = Some(Found { value: Bytes::from_static(b"1"), revision: 1 });
    let (done, conflict) = (|revision| Answer::Done { revision }, Answer::Conflict { current });
    assert_eq!(client.send(&bytes), Outcome::Answers(vec![done(2), conflict, done(4)]));
    let again = vec![done(2), Answer::Conflict { current: None }, done(4)];
    assert_eq!(client.send(&bytes), Outcome::Answers(again), "from memory");
}

/// Each command had an answer of 48 bytes: few such calls, and no snapshot could be read.
#[test]
fn what_a_session_remembers_grows_with_the_writes_and_not_with_their_commands() {
    let mut client = Client::new();
    let keys: Vec<[u8; 4]> = (0..100_000u32).map(u32::to_be_bytes).collect();
    let deletes: Vec<Command<'_>> = keys.iter().map(|key| Command::Delete { key }).collect();
    let stamp = client.stamp();
    let before = ledger_bytes(&client.store);
    client.send(&group_of_writes(stamp, &[&deletes, &deletes]));
    assert!(ledger_bytes(&client.store) <= before + 32, "{}", ledger_bytes(&client.store));
}

#[test]
fn beyond_their_bound_the_values_of_conflicts_are_not_answered_and_smaller_ones_still_are() {
    let mut client = Client::new();
    let large = vec![7; ANSWER_VALUES_BYTES_MAX / 2];
    let huge = vec![7; ANSWER_VALUES_BYTES_MAX + 1];
    client.run(&[put(b"large", &large), put(b"huge", &huge), put(b"small", b"1")]);
    let cas = |key| Command::CompareAndSet { key, expect: Expect::Absent, value: None };
    let keys: [&[u8]; 6] = [b"huge", b"large", b"small", b"large", b"small", b"huge"];
    let told = |answer: &Answer| matches!(answer, Answer::Conflict { current: Some(_) });
    let answers = client.run(&keys.map(cas));
    let told: Vec<bool> = answers.iter().map(told).collect();
    assert_eq!(told, [false, true, true, false, true, false]);
    assert!(answers.iter().all(|answer| matches!(answer, Answer::Conflict { .. })));
}

#[test]
fn a_group_of_too_many_writes_or_of_a_write_without_a_command_is_refused_whole() {
    let mut client = Client::new();
    let stamp = client.stamp();
    let put = put(b"a", b"1").encode();
    let most = command::group(stamp, std::iter::repeat_n((1, &put), GROUP_WRITES_MAX));
    let more = command::group(stamp, std::iter::repeat_n((1, &put), GROUP_WRITES_MAX + 1));
    let none = command::group(stamp, [(1, &put[..]), (0, &[][..])].into_iter());
    for wrong in [more, none] {
        assert!(client.store.apply(99, &wrong).is_err());
    }
    assert_eq!(client.store.table().entries(), 0);
    let Outcome::Answers(answers) = client.send(&most) else { panic!() };
    assert_eq!(answers.len(), GROUP_WRITES_MAX);
}

#[test]
fn sessions_that_are_restored_from_their_parts_are_the_same() {
    let mut client = Client::new();
    client.run(&[
        put(b"a", b"1"),
        Command::CompareAndSet { key: b"a", expect: Expect::Absent, value: None },
    ]);
    client.open();
    client.run(&[put(b"b", b"2")]);
    let mut restored = sessions::Sessions::default();
    let sessions = &client.store.ledger().sessions;
    sessions.parts().for_each(|part| restored.restore(part));
    assert_eq!(&restored, sessions);
}

#[test]
fn a_group_sent_twice_is_applied_once_and_answered_twice() {
    let mut client = Client::new();
    let stamp = client.stamp();
    let bytes = group(stamp, &[put(b"a", b"1")]);
    let first = client.send(&bytes);
    let between = Stamp { sequence: stamp.sequence + 1, ..stamp };
    client.send(&group(between, &[put(b"a", b"2")]));
    assert_eq!(client.send(&bytes), first);
    assert_eq!(client.value(b"a").unwrap(), b"2");
}

#[test]
fn a_late_copy_of_a_settled_group_changes_nothing() {
    let mut client = Client::new();
    let stamp = client.stamp();
    let bytes = group(stamp, &[put(b"a", b"1")]);
    client.send(&bytes);
    client.run(&[put(b"a", b"2")]);
    assert_eq!(client.send(&bytes), Outcome::SessionUnknown);
    assert_eq!(client.value(b"a").unwrap(), b"2");
}

#[test]
fn a_group_of_an_unknown_session_is_not_applied() {
    let mut client = Client::new();
    let stamp = Stamp { session: 77, sequence: 1, settled_below: 0 };
    assert_eq!(client.send(&group(stamp, &[put(b"a", b"1")])), Outcome::SessionUnknown);
    assert_eq!(client.value(b"a"), None);
}

#[test]
fn sessions_are_bounded_and_the_one_used_longest_ago_is_forgotten() {
    let mut client = Client::new();
    let first = client.session;
    for _ in 0..SESSIONS_MAX {
        client.open();
    }
    assert_eq!(client.store.ledger().sessions.len(), SESSIONS_MAX);
    let stamp = Stamp { session: first, sequence: 1, settled_below: 0 };
    assert_eq!(client.send(&group(stamp, &[put(b"a", b"1")])), Outcome::SessionUnknown);
}

#[test]
fn a_sender_that_never_settles_takes_bounded_memory_and_nothing_of_it_is_applied_twice() {
    let mut client = Client::new();
    let send = |client: &mut Client, sequence: u64| {
        let stamp = Stamp { session: client.session, sequence, settled_below: 1 };
        client.send(&group(stamp, &[put(b"a", &sequence.to_be_bytes())]))
    };
    let newest = 50 * GROUPS_MAX as u64;
    let mut full = 0;
    for sequence in 1..=newest {
        assert!(matches!(send(&mut client, sequence), Outcome::Answers(_)));
        if sequence == 2 * GROUPS_MAX as u64 {
            full = ledger_bytes(&client.store);
        }
    }
    // Numbers grow by some bytes; answers would by some hundreds.
    assert!(ledger_bytes(&client.store) < full + 10 * GROUPS_MAX, "{full}");
    for sequence in 1..=newest {
        let remembered = sequence > newest - GROUPS_MAX as u64;
        let told = send(&mut client, sequence);
        assert_eq!(matches!(told, Outcome::Answers(_)), remembered, "{sequence}");
    }
    assert_eq!(client.value(b"a").unwrap(), newest.to_be_bytes());
    assert_eq!(client.store.ledger().revision, newest);
}

#[test]
fn garbage_and_cut_proposals_are_errors_and_change_nothing() {
    let mut client = Client::new();
    let stamp = client.stamp();
    let bytes = group(stamp, &[put(b"a", b"1"), put(b"b", b"2")]);
    for end in 0..bytes.len() {
        assert!(client.store.apply(99, &bytes[..end]).is_err(), "cut at {end}");
    }
    let mut long = bytes.to_vec();
    long.push(0);
    assert!(client.store.apply(99, &long).is_err());
    assert_eq!(client.store.table().entries(), 0);
}

#[test]
fn a_frozen_table_shows_one_revision_while_writes_go_on() {
    let mut client = Client::new();
    for i in 0..1000u32 {
        client.run(&[put(&i.to_be_bytes(), b"old")]);
    }
    let table = client.store.table().clone();
    let frozen = table.freeze(client.store.ledger().revision).unwrap();
    assert!(table.freeze(1).is_none(), "only one snapshot at a time");
    let mut seen: HashMap<Vec<u8>, Vec<u8>> = HashMap::new();
    let mut step = 0u32;
    frozen
        .walk(|piece| {
            // Change keys in front of the walk and behind it, delete some, add others.
            client.run(&[put(&(step % 1000).to_be_bytes(), b"new")]);
            client.run(&[Command::Delete { key: &((step * 7 + 3) % 1000).to_be_bytes() }]);
            client.run(&[put(&(5000 + step).to_be_bytes(), b"fresh")]);
            step += 1;
            for item in piece {
                let value = item.value().into_owned();
                assert_eq!(value, b"old");
                assert_eq!(seen.entry(item.key().to_vec()).or_insert(value.clone()), &value);
            }
            Ok::<(), ()>(())
        })
        .unwrap();
    assert_eq!(seen.len(), 1000);
    drop(frozen);
    assert!(table.freeze(client.store.ledger().revision).is_some());
}

fn entries_of(frozen: &Frozen) -> HashMap<Vec<u8>, Vec<u8>> {
    let mut entries = HashMap::new();
    let mut visit = |piece: &[Item]| {
        let entry = |item: &Item| (item.key().to_vec(), item.value().into_owned());
        entries.extend(piece.iter().map(entry));
        Ok::<(), ()>(())
    };
    frozen.walk(&mut visit).unwrap();
    entries
}

#[test]
fn a_store_goes_on_with_the_state_of_another_and_a_frozen_table_with_its_own() {
    let entry = |key: &[u8], value: &[u8]| (key.to_vec(), value.to_vec());
    let (mut one, mut other) = (Client::new(), Client::new());
    one.run(&[put(b"a", b"1"), put(b"b", b"2")]);
    let table = one.store.table().clone();
    let before = table.freeze(one.store.ledger().revision).unwrap();
    one.run(&[put(b"a", b"3")]);
    other.run(&[put(b"b", b"4"), put(b"c", b"56"), put(b"d", b"7"), put(b"d", b"8")]);
    let ledger = other.store.ledger().clone();
    one.store.take_over(other.store);
    assert_eq!(one.store.ledger(), &ledger);
    assert_eq!((table.entries(), table.bytes()), (3, 7));
    assert_eq!((one.value(b"a"), one.value(b"c")), (None, Some(b"56".to_vec())));

    let after = table.freeze(ledger.revision).unwrap();
    table.insert(Item::new(b"b", Held::as_it_is(b"9"), 99));
    assert_eq!(entries_of(&before), HashMap::from([entry(b"a", b"1"), entry(b"b", b"2")]));
    drop(before);
    assert!(table.is_frozen());
    table.insert(Item::new(b"c", Held::as_it_is(b"9"), 100));
    let at_once = [entry(b"b", b"4"), entry(b"c", b"56"), entry(b"d", b"8")];
    assert_eq!(entries_of(&after), HashMap::from(at_once));
    drop(after);
    assert!(!table.is_frozen());
}

#[test]
fn keys_of_every_length_are_told_from_their_values() {
    let mut client = Client::new();
    for length in [0, 1, 127, 128, 254, 255, 256, 511, 65_536, 70_000] {
        let key = vec![255; length];
        client.run(&[put(&key, b"value")]);
        assert_eq!(client.value(&key), Some(b"value".to_vec()), "{length}");
        let item = client.store.table().get(&key).unwrap();
        assert_eq!((item.key().len(), item.value().len()), (length, 5));
    }
    assert_eq!(client.store.table().entries(), 10);
}

#[test]
fn two_stores_fed_the_same_log_are_the_same() {
    let (mut one, mut two) = (Client::new(), Client::new());
    for round in 0..200u32 {
        let key = (round % 17).to_be_bytes();
        let value = round.to_be_bytes();
        let expect = Expect::Revision(u64::from(round / 2));
        let commands = [
            put(&key, &value),
            Command::CompareAndSet { key: &key, expect, value: Some(b"cas") },
            Command::Delete { key: &[round as u8 % 5] },
        ];
        assert_eq!(one.run(&commands), two.run(&commands));
    }
    assert_eq!(one.store.ledger(), two.store.ledger());
    assert_eq!(one.store.table().entries(), two.store.table().entries());
}

#[test]
fn an_item_tells_what_it_was_made_of_whatever_the_lengths() {
    let value = [9; 30];
    for key_bytes in [0, 1, 254, 255, 256, 65_536] {
        let key = vec![7; key_bytes];
        for revision in [0, 1, 255, 256, 1 << 24, u64::from(u32::MAX), 1 << 56, u64::MAX] {
            let plain = Item::new(&key, Held::as_it_is(&value), revision);
            assert_eq!((plain.key(), plain.revision()), (key.as_slice(), revision));
            assert_eq!((plain.held_bytes(), plain.value().as_ref()), (&value[..], &value[..]));
            let turned = Item::new(&key, Turned.hold(&value), revision);
            assert_eq!((turned.key(), turned.revision()), (key.as_slice(), revision));
            assert_eq!(turned.value().as_ref(), &value[..]);
        }
    }
}

/// Holds values back to front and with a zero at the end.
struct Turned;

impl Values for Turned {
    fn hold<'a>(&self, value: &'a [u8]) -> Held<'a> {
        Held::as_form(value.iter().rev().copied().chain([0]).collect(), AnyForm::new(Turned))
    }
}

impl Form for Turned {
    fn value(&self, held: &[u8]) -> Vec<u8> {
        held.iter().rev().skip(1).copied().collect()
    }

    fn value_bytes(&self, held: &[u8]) -> usize {
        held.len() - 1
    }
}

#[test]
fn in_whatever_form_values_are_held_they_are_read_counted_and_compared_as_they_are() {
    let mut client = Client::with(Arc::new(Turned));
    client.run(&[put(b"key", b"value"), put(b"gone", b"soon"), Command::Delete { key: b"gone" }]);
    let table = client.store.table().clone();
    assert_eq!(client.value(b"key"), Some(b"value".to_vec()));
    assert_eq!(table.get(b"key").unwrap().held_bytes(), b"eulav\0");
    assert_eq!(table.bytes(), 8);
    let expect = Expect::Revision(9);
    let answers = client.run(&[Command::CompareAndSet { key: b"key", expect, value: None }]);
    let [Answer::Conflict { current: Some(found) }] = answers.as_slice() else {
        panic!("{answers:?}")
    };
    assert_eq!(found.value, b"value".as_slice());
}
