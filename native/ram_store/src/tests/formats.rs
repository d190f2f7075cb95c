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
    let puts = lives.map(|ttl_ms| Command::put_lasting(at, b"v", ttl_ms));
    let touches = [None, Some(300)].map(|ttl_ms| Command::Touch { at, ttl_ms });
    let mut commands = vec![put(key, b"v"), delete(key), get(key), count(key, b"n")];
    let owner = owner(300, b"p");
    commands.extend(puts.into_iter().chain(touches).chain([put_owned(key, b"v", &owner)]));
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
    let lives = Command::put_lasting(Place::of(b"l"), b"v", Setting::To(300));
    let owner = owner(300, b"p");
    client.answer(batch("o", &[put(b"k", b"v"), lives, put_owned(b"m", b"v", &owner)]));
    client.run(&[put(b"k", b"1"), put(b"k", b"2")]);
    dump::blocks_of(&client.store).concat()
}

/// Who means to change the bytes raises the version of the wire (`ram_net::handshake`) and those of
/// segments and snapshots (`ram_log`), for the last one that of backups (`ram_core::backup_file`).
#[test]
fn a_write_has_the_same_bytes_when_its_commands_were_encoded_before() {
    let commands = [put(b"k", b"v"), delete(b"l")];
    let mut encoded = Vec::new();
    commands.iter().for_each(|command| command.encode_into(&mut encoded));
    let mut write = Encoded::of(&Write::Batch { table: "t", commands: 2 });
    write.commands(&encoded);
    assert_eq!(write.into_bytes(), batch("t", &commands).bytes());
}

#[test]
fn proposals_outcomes_and_dumps_have_the_bytes_that_the_versions_of_wire_and_files_stand_for() {
    let stamp = Stamp { session: 300, sequence: 2, acked_below: 1 };
    let mut expire = Encoded::of(&Write::End { keys: 2 });
    expire.due(&due_at("t", b"k", 9));
    let owner = owner(300, b"p");
    let because = Because::OwnerDown { owner: EncodedOwner(&owner) };
    expire.due(&Due { table: "t", key: b"k", because });
    let lead = group::lead(300, &expire);
    let proposals = [group::open_session(), group(stamp, &writes()), lead].concat();
    let formats = [proposals, codec::encode(&outcomes()), dumped()];
    let sums = [
        (197, 11_628_962_895_889_077_050),
        (56, 571_100_196_121_479_843),
        (76, 1_373_430_889_712_041_449),
    ];
    assert_eq!(formats.map(|bytes| (bytes.len(), sum(&bytes))), sums);
}
