//! What a transaction is decided by, what it does, and how it fails.

use super::*;

fn meta(revision: u64, created_revision: u64, version: u64) -> Option<Meta> {
    Some(Meta { revision, created_revision, version, life: None })
}

/// A store with `a`, written twice, and `n`, a number.
fn filled() -> Client {
    let mut client = Client::new();
    client.run(&[put(b"a", b"0"), put(b"a", b"1"), put(b"n", &number(5))]);
    client
}

#[test]
fn all_changes_of_a_write_have_one_revision_and_a_version_is_a_write() {
    let mut client = Client::new();
    let commands = [put(b"a", b"1"), put(b"b", b"1"), put(b"a", b"2")];
    client.answer(batch("", &commands));
    assert_eq!([client.meta(b"a"), client.meta(b"b")], [meta(1, 1, 1); 2]);
    client.answer(transaction("", &[], &commands, &[]));
    assert_eq!([client.meta(b"a"), client.meta(b"b")], [meta(2, 1, 2); 2]);
    let one = number(1);
    let counts = [count(b"n", &one), put(b"a", b"3"), count(b"n", &one)];
    client.answer(transaction("", &[], &counts, &[]));
    assert_eq!([client.meta(b"a"), client.meta(b"n")], [meta(3, 1, 3), meta(3, 3, 1)]);
    client.answer(batch("", &[put(b"b", b"2"), put(b"b", b"3")]));
    assert_eq!(client.meta(b"b"), meta(4, 1, 3));
}

#[test]
fn a_deleted_key_that_comes_back_begins_anew_also_within_a_write() {
    let anew = [delete(b"a"), put(b"a", b"2")];
    let mut client = filled();
    client.run(&anew);
    assert_eq!(client.meta(b"a"), meta(5, 5, 1));
    let one = number(1);
    for (commands, keeps) in [
        (vec![delete(b"a"), put(b"a", b"2")], false),
        (vec![put(b"a", b"2"), delete(b"a"), put(b"a", b"3")], false),
        (vec![put(b"a", b"2"), put(b"a", b"3")], true),
        (vec![delete(b"x"), put(b"a", b"2")], true),
    ] {
        for write in [batch("", &commands), transaction("", &[], &commands, &[])] {
            let mut client = filled();
            client.answer(write);
            let expected = if keeps { meta(4, 1, 3) } else { meta(4, 4, 1) };
            assert_eq!(client.meta(b"a"), expected, "{commands:?}");
        }
    }
    let mut client = filled();
    let again = transaction("", &[], &[delete(b"n"), count(b"n", &one), get(b"n")], &[]);
    assert_eq!(client.answer(again), ran(true, 4, &[found(&one, 4), found(&one, 4)]));
}

#[test]
fn a_condition_holds_for_what_it_says_and_on_an_absent_key_only_absence_does() {
    let revision = State::Revision;
    let (less, equal, greater) = (Comparison::Less, Comparison::Equal, Comparison::Greater);
    // Of `a`, which holds 1 since revision 2; and of a key that is absent.
    for (is, holds, holds_absent) in [
        (State::Absent, false, true),
        (State::Present, true, false),
        (State::Value(b"1"), true, false),
        (State::Value(b"0"), false, false),
        (State::Value(b""), false, false),
        (revision(less, 1), false, false),
        (revision(less, 2), false, false),
        (revision(less, 3), true, false),
        (revision(equal, 1), false, false),
        (revision(equal, 2), true, false),
        (revision(equal, 3), false, false),
        (revision(equal, 0), false, false),
        (revision(greater, 1), true, false),
        (revision(greater, 2), false, false),
        (revision(greater, 3), false, false),
    ] {
        for (key, holds) in [(&b"a"[..], holds), (b"x", holds_absent)] {
            let mut client = filled();
            let write = transaction("", &[key_is(key, is)], &[put(b"y", b"")], &[get(b"a")]);
            let was = found_with(b"1", meta(2, 1, 2).unwrap());
            let expected = if holds { ran(true, 4, &[]) } else { ran(false, 3, &[was]) };
            assert_eq!(client.answer(write), expected, "{key:?} {is:?}");
            assert_eq!(client.value(b"y").is_some(), holds);
        }
    }
}

#[test]
fn all_conditions_have_to_hold_else_the_other_commands_are_run() {
    let conditions = [(b"a", State::Present), (b"x", State::Absent), (b"n", State::Present)];
    for broken in 0..=conditions.len() {
        let mut client = filled();
        let mut conditions = conditions.map(|(key, is)| key_is(key, is));
        if let Some(broken) = conditions.get_mut(broken) {
            *broken = key_is(b"a", State::Absent);
        }
        let (then, otherwise) = ([put(b"k", b"then")], [put(b"k", b"else"), delete(b"a")]);
        let succeeded = broken == conditions.len();
        let write = transaction("", &conditions, &then, &otherwise);
        assert_eq!(client.answer(write), ran(succeeded, 4, &[]));
        let expected = if succeeded { "then" } else { "else" };
        assert_eq!(client.value(b"k").unwrap(), expected.as_bytes());
        assert_eq!(client.value(b"a").is_some(), succeeded);
    }
}

#[test]
fn parts_may_be_empty_and_nothing_is_written_then() {
    let mut client = filled();
    let absent = [key_is(b"a", State::Absent)];
    assert_eq!(client.answer(transaction("", &[], &[], &[put(b"a", b"")])), ran(true, 3, &[]));
    let other = transaction("", &absent, &[put(b"a", b"")], &[]);
    assert_eq!(client.answer(other), ran(false, 3, &[]));
    assert_eq!(client.answer(transaction("", &[], &[], &[])), ran(true, 3, &[]));
    assert_eq!(client.meta(b"a"), meta(2, 1, 2));
}

#[test]
fn a_write_that_changes_nothing_takes_no_revision() {
    let mut client = filled();
    for commands in [vec![delete(b"x")], vec![delete(b"x"), delete(b"y")]] {
        assert_eq!(client.answer(batch("", &commands)), done(3));
        assert_eq!(client.answer(transaction("", &[], &commands, &[])), ran(true, 3, &[]));
    }
    assert_eq!(client.answer(transaction("", &[], &[get(b"x")], &[])), ran(true, 3, &[None]));
    assert_eq!(client.run(&[put(b"x", b"")]), [done(4)]);
}

/// Someone may have been told of it: two writes must not be told the same revision.
#[test]
fn a_revision_that_a_get_has_told_of_is_not_that_of_another_write() {
    let fleeting = [put(b"x", b"1"), get(b"x"), delete(b"x")];
    let mut client = filled();
    let answer = client.answer(transaction("", &[], &fleeting, &[]));
    assert_eq!(answer, ran(true, 4, &[found(b"1", 4)]));
    assert_eq!(client.run(&[put(b"y", b"")]), [done(5)]);
    assert_eq!(client.answer(batch("", &[put(b"x", b"1"), delete(b"x")])), done(6), "so a batch");
    assert_eq!(client.value(b"x"), None);
}

#[test]
fn later_commands_see_earlier_ones() {
    let mut client = filled();
    let (two, seven, nine) = (number(2), number(7), number(9));
    let commands = [
        count(b"n", &two),
        count(b"n", &two),
        get(b"n"),
        put(b"a", b"9"),
        get(b"a"),
        delete(b"a"),
        get(b"a"),
        delete(b"n"),
        count(b"n", &seven),
        put(b"a", b"8"),
        get(b"a"),
    ];
    let (at, a) = (meta(4, 3, 2).unwrap(), meta(4, 1, 3).unwrap());
    let results = [
        found_with(&seven, at),
        found_with(&nine, at),
        found_with(&nine, at),
        found_with(b"9", a),
        None,
        found(&seven, 4),
        found(b"8", 4),
    ];
    assert_eq!(client.answer(transaction("", &[], &commands, &[])), ran(true, 4, &results));
    assert_eq!([client.value(b"a"), client.value(b"n")], [Some(b"8".into()), Some(seven.into())]);
    assert_eq!([client.meta(b"a"), client.meta(b"n")], [meta(4, 4, 1); 2]);
}

#[test]
fn conditions_see_what_was_there_before_the_write_and_after_the_one_before_it() {
    let mut client = filled();
    let once = || expecting(State::Absent, put(b"x", b"1"));
    let answers = client.answers(&[once(), once()]);
    assert_eq!(answers, [ran(true, 4, &[]), ran(false, 4, &[found(b"1", 4)])]);
}

impl Client {
    /// Of all keys that the commands of the next test change.
    fn metas(&self) -> Vec<Option<Meta>> {
        [&b"a"[..], b"n", b"new", b"large"].map(|key| self.meta(key)).to_vec()
    }
}

/// The same of a transaction with two more commands before those that are run.
fn behind_two_others(failure: Failure) -> Failure {
    match failure {
        Failure::NotANumber { command } => Failure::NotANumber { command: command + 2 },
        other => other,
    }
}

#[test]
fn a_transaction_that_fails_has_changed_nothing_whatever_came_before_in_it() {
    let large = vec![0; RESULTS_BYTES_MAX / 4];
    let (no_table, one) = (Failure::NoTable("none".into()), number(1));
    let before = [put(b"a", b"2"), delete(b"n"), count(b"new", &one)];
    let nowhere = in_table("none", b"a");
    let too_large = Failure::ResultsTooLarge { bytes_max: RESULTS_BYTES_MAX as u64 };
    for (last, failure) in [
        (vec![Command::put_at(nowhere, b"")], no_table.clone()),
        (vec![Command::Delete { at: nowhere }], no_table.clone()),
        (vec![Command::Get { at: nowhere }], no_table.clone()),
        (vec![Command::Count { at: nowhere, count: &one }], no_table.clone()),
        (vec![count(b"a", &one)], Failure::NotANumber { command: 3 }),
        (vec![get(b"n"), count(b"a", &one)], Failure::NotANumber { command: 4 }),
        (vec![count(b"new", b"none")], Failure::NotANumber { command: 3 }),
        (vec![get(b"large"); 4], too_large),
    ] {
        let mut client = filled();
        client.set(b"large", &large);
        let (metas, revision) = (client.metas(), client.revision());
        let commands = [&before[..], &last].concat();
        let absent = [key_is(b"a", State::Absent)];
        let write = transaction("", &[], &commands, &[put(b"a", b"3")]);
        assert_eq!(client.answer(write), Answer::Failed(failure.clone()), "{last:?}");
        let write = transaction("", &absent, &[put(b"a", b"3"), get(b"a")], &commands);
        let failure = behind_two_others(failure);
        assert_eq!(client.answer(write), Answer::Failed(failure), "{last:?}");
        assert_eq!((client.metas(), client.revision()), (metas, revision));
        assert_eq!(client.run(&[put(b"a", b"")]), [done(revision + 1)], "it goes on");
    }
}

#[test]
fn a_condition_of_no_table_or_of_a_range_without_order_fails_and_changes_nothing() {
    let all = (Bound::Unbounded, Bound::Unbounded);
    let unchanged =
        |table| Condition::Unchanged { table, range: all, revision: 9, entries: u64::MAX };
    let nowhere = Condition::Key { at: in_table("none", b"a"), is: State::Absent };
    let no_table = Failure::NoTable("none".into());
    for (condition, failure) in [
        (nowhere, no_table.clone()),
        (unchanged(Some("none")), no_table.clone()),
        (unchanged(None), Failure::NotOrdered("".into())),
    ] {
        let mut client = filled();
        let commands = [put(b"a", b"2")];
        let write = transaction("", &[key_is(b"a", State::Present), condition], &commands, &[]);
        assert_eq!(client.answer(write), Answer::Failed(failure));
        // It was decided before.
        let write = transaction("", &[key_is(b"a", State::Absent), condition], &[], &commands);
        assert_eq!(client.answer(write), ran(false, 4, &[]));
    }
    let mut client = filled();
    let answer = client.answer(transaction("none", &[], &[put(b"a", b"2")], &[]));
    assert_eq!((answer, client.revision()), (Answer::Failed(no_table), 3));
}

#[test]
fn a_place_may_name_another_table_than_that_of_the_write() {
    let mut client = Client::new();
    client.answers(&[create("t", false), create("u", true)]);
    let (one, two) = (number(1), number(2));
    let commands = [
        put(b"k", b"t"),
        Command::put_at(in_table("", b"k"), b"default"),
        Command::put_at(in_table("u", b"k"), b"u"),
        Command::Get { at: in_table("t", b"k") },
        Command::Get { at: in_table("", b"k") },
        Command::Count { at: in_table("u", b"n"), count: &one },
        count(b"n", &two),
        Command::Delete { at: in_table("u", b"k") },
        Command::Get { at: in_table("u", b"k") },
        Command::Count { at: in_table("u", b"n"), count: &one },
    ];
    let results = [
        found(b"t", 3),
        found(b"default", 3),
        found(&one, 3),
        found(&two, 3),
        None,
        found(&two, 3),
    ];
    assert_eq!(client.answer(transaction("t", &[], &commands, &[])), ran(true, 3, &results));
    let holds = |client: &Client, table: &str, key: &[u8]| {
        client.store.tables().get(table).unwrap().get(key).map(|item| item.value().into_owned())
    };
    assert_eq!(holds(&client, "t", b"k"), Some(b"t".into()));
    assert_eq!(holds(&client, "", b"k"), Some(b"default".into()));
    assert_eq!(holds(&client, "u", b"k"), None);
    assert_eq!(holds(&client, "t", b"n"), Some(two.into()));
    assert_eq!(holds(&client, "u", b"n"), Some(two.into()));
    let conditions = [
        key_is(b"k", State::Value(b"t")),
        Condition::Key { at: in_table("u", b"k"), is: State::Absent },
        Condition::Key { at: in_table("", b"k"), is: State::Value(b"default") },
    ];
    assert_eq!(client.answer(transaction("t", &conditions, &[], &[])), ran(true, 3, &[]));
    let answer = client.answer(transaction("u", &conditions, &[], &[]));
    assert_eq!(answer, ran(false, 3, &[]));
}

#[test]
fn a_transaction_of_too_many_parts_of_one_kind_is_refused_whole() {
    let most = TRANSACTION_PARTS_MAX;
    for (conditions, then, otherwise, is_right) in [
        (most, most, most, true),
        (most + 1, 0, 0, false),
        (0, most + 1, 0, false),
        (0, 0, most + 1, false),
    ] {
        let mut client = Client::new();
        let stamp = client.stamp();
        let write = transaction(
            "",
            &vec![key_is(b"a", State::Absent); conditions],
            &vec![put(b"a", b""); then],
            &vec![put(b"a", b""); otherwise],
        );
        let applied =
            client.store.apply(entry(9), &group(stamp, &[batch("", &[put(b"b", b"")]), write]));
        assert_eq!(applied.is_ok(), is_right);
        assert_eq!(client.revision(), if is_right { 2 } else { 0 });
    }
}

#[test]
fn a_batch_with_a_command_that_may_fail_or_answers_something_is_refused_whole() {
    let one = number(1);
    let elsewhere = in_table("", b"a");
    for wrong in [
        get(b"a"),
        count(b"a", &one),
        Command::put_at(elsewhere, b""),
        Command::Delete { at: elsewhere },
    ] {
        let mut client = Client::new();
        let stamp = client.stamp();
        let bytes =
            group(stamp, &[batch("", &[put(b"b", b"")]), batch("", &[put(b"a", b""), wrong])]);
        assert!(client.store.apply(entry(9), &bytes).is_err(), "{wrong:?}");
        assert_eq!(client.revision(), 0);
        client.answer(transaction("", &[], &[put(b"b", b""), wrong], &[]));
    }
}

/// No number is so long; whatever is there must not be copied each time.
#[test]
fn what_is_longer_than_a_number_can_be_is_none_and_is_not_looked_at() {
    struct Anything;
    impl Values for Anything {
        fn store<'a>(&self, value: &'a [u8]) -> StoredValue<'a> {
            StoredValue::plain(value)
        }
        fn same(&self, one: &[u8], other: &[u8], _: &mut usize) -> Option<bool> {
            Some(one == other)
        }
        fn count(&self, current: Option<&[u8]>, _: &[u8]) -> Option<Vec<u8>> {
            current.map(<[u8]>::to_vec)
        }
    }
    let mut client = Client::with(Arc::new(Anything));
    for (bytes, is_number) in [(NUMBER_BYTES_MAX, true), (NUMBER_BYTES_MAX + 1, false)] {
        client.run(&[put(b"n", &vec![1; bytes])]);
        let answer = client.answer(transaction("", &[], &[count(b"n", b"")], &[]));
        assert_eq!(matches!(answer, Answer::Ran { .. }), is_number, "{bytes}");
    }
}
