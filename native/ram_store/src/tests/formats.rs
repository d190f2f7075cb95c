//! What is written to disk and wire keeps its bytes as long as the versions stay.

use super::*;
use crate::codec;

/// FNV-1a (Fowler, Noll, Vo).
fn sum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xCBF2_9CE4_8422_2325, |sum, byte| {
        (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3)
    })
}

/// A write of each kind, with parts of each kind.
fn writes() -> Vec<Encoded> {
    let (key, other) = (b"k", in_table("o", b"k"));
    let states = [State::Absent, State::Present, State::Value(b"v")];
    let comparisons = [Comparison::Less, Comparison::Equal, Comparison::Greater];
    let revisions = comparisons.map(|comparison| State::Revision(comparison, 300));
    let range: Range = (Bound::Included(b"a"), Bound::Excluded(b"z"));
    let open: Range = (Bound::Unbounded, Bound::Unbounded);
    let mut conditions: Vec<Condition> =
        states.into_iter().chain(revisions).map(|is| key_is(key, is)).collect();
    conditions.push(Condition::Unchanged { table: Some("o"), range, revision: 9, entries: 1 });
    let at = Place::of(key);
    let lives = [Setting::Keep, Setting::To(300)];
    let puts = lives.map(|ttl_ms| Command::Put { at, value: b"v", ttl_ms });
    let touches = [None, Some(300)].map(|ttl_ms| Command::Touch { at, ttl_ms });
    let mut commands = vec![put(key, b"v"), delete(key), get(key), count(key, b"n")];
    commands.extend(puts.into_iter().chain(touches));
    vec![
        batch("", &commands[..2]),
        transaction("t", &conditions, &commands, &[Command::Get { at: other }]),
        delete_range("o", open),
        create("o", true),
        drop_table("t"),
    ]
}

fn outcomes() -> Vec<Outcome> {
    let name = || "t".to_owned();
    let failures = [
        Failure::NoTable(name()),
        Failure::TableExists,
        Failure::TooManyTables { tables_max: 1 },
        Failure::NotOrdered(name()),
        Failure::NotANumber { command: 1 },
        Failure::ResultsTooLarge { bytes_max: 1 },
        Failure::RangesTooLarge { entries_max: 1 },
        Failure::ComparedTooLarge { steps_max: 1 },
    ];
    let mut answers: Vec<Answer> = failures.into_iter().map(Answer::Failed).collect();
    let forgotten = Answer::Ran { succeeded: false, revision: 1, results: None };
    let deleted = Answer::Deleted { revision: 1, entries: 2 };
    let ran = ran(true, 1, &[None, found(b"v", 1)]);
    answers.extend([done(1), ran, forgotten, deleted, Answer::Deferred]);
    let opened = Outcome::SessionOpened { session: 1 };
    vec![Outcome::Answers(answers), opened, Outcome::SessionUnknown, Outcome::Nothing]
}

/// Two tables, an item of a version above 1, a session with answers.
fn dumped() -> Vec<u8> {
    let mut client = Client::new();
    client.answer(create("o", true));
    let lives = Command::Put { at: Place::of(b"l"), value: b"v", ttl_ms: Setting::To(300) };
    client.answer(batch("o", &[put(b"k", b"v"), lives]));
    client.run(&[put(b"k", b"1"), put(b"k", b"2")]);
    dump::blocks_of(&client.store).concat()
}

/// Who means to change the bytes raises the version of the wire (`ram_net::handshake`) and those of
/// segments and snapshots (`ram_log`), for the last one that of backups (`ram_core::backup_file`).
#[test]
fn proposals_outcomes_and_dumps_have_the_bytes_that_the_versions_of_wire_and_files_stand_for() {
    let stamp = Stamp { session: 300, sequence: 2, acked_below: 1 };
    let mut expire = Encoded::of(&Write::Expire { keys: 1 });
    expire.due(&Due { table: "t", key: b"k", revision: 9 });
    let lead = group::lead(300, &expire);
    let proposals = [group::open_session(), group(stamp, &writes()), lead].concat();
    let formats = [proposals, codec::encode(&outcomes()), dumped()];
    let sums = [
        (165, 4_078_545_019_712_942_296),
        (55, 17_171_710_961_654_476_685),
        (57, 9_008_373_630_068_912_587),
    ];
    assert_eq!(formats.map(|bytes| (bytes.len(), sum(&bytes))), sums);
}
