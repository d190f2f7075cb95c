//! What commands do, and what is no proposal.

use super::*;

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
    let before = metadata_bytes(&client.store);
    client.send(&group_of_writes(stamp, &[&deletes, &deletes]));
    assert!(metadata_bytes(&client.store) <= before + 32, "{}", metadata_bytes(&client.store));
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
fn a_command_tells_the_key_that_it_may_change() {
    let expect = Expect::Absent;
    for command in [
        put(b"key", b"v"),
        Command::Delete { key: b"key" },
        Command::CompareAndSet { key: b"key", expect, value: None },
    ] {
        assert_eq!(command.key(), b"key");
        let mut encoded = b"before".to_vec();
        command.encode_into(&mut encoded);
        assert_eq!(encoded, [b"before".as_slice(), &command.encode()].concat());
    }
}

#[test]
fn what_a_group_will_have_done_is_known_before_if_it_has_no_condition() {
    let mut client = Client::new();
    let stamp = client.stamp();
    let done = |writes| Some(Outcome::Answers(vec![Answer::Done { revision: 0 }; writes]));
    let puts = [put(b"a", b"1"), put(b"b", b"2")];
    assert_eq!(command::unconditional(&group(stamp, &puts)), done(2));
    let condition = Command::CompareAndSet { key: b"c", expect: Expect::Absent, value: None };
    assert_eq!(command::unconditional(&group(stamp, &[puts[0], condition])), None);
    assert_eq!(command::unconditional(&command::open_session()), None);
}

/// Longer than the first look at a group, which checks some commands at a time.
#[test]
fn a_group_with_a_wrong_command_far_behind_changes_nothing() {
    let mut client = Client::new();
    let keys: Vec<[u8; 4]> = (0..20_000u32).map(u32::to_be_bytes).collect();
    let puts: Vec<Command> = keys.iter().map(|key| put(key, b"v")).collect();
    let stamp = client.stamp();
    let whole = group_of_writes(stamp, &[&puts]);
    let cut = Bytes::copy_from_slice(&whole[..whole.len() - 1]);
    assert!(client.store.apply(9, &cut).is_err());
    assert_eq!(client.store.table().entries(), 0);
    client.store.apply(9, &whole).unwrap();
    assert_eq!(client.store.table().entries(), 20_000);
}

/// The commands are looked at so many at a time, and that may be where one write ends, or where the
/// bytes do.
#[test]
fn a_write_that_ends_where_a_look_ends_is_not_the_whole_group() {
    let mut client = Client::new();
    let puts = vec![put(b"k", b"v"); command::COMMANDS_AT_ONCE];
    let stamp = client.stamp();
    let writes: [&[Command]; 2] = [&puts, &[put(b"last", b"v")]];
    let Outcome::Answers(answers) = client.send(&group_of_writes(stamp, &writes)) else {
        panic!("no answers")
    };
    assert_eq!(answers.len(), 2);
    assert!(client.value(b"last").is_some());

    let more = vec![put(b"new", b"v"); command::COMMANDS_AT_ONCE + 1];
    let stamp = client.stamp();
    let whole = group_of_writes(stamp, &[&more]);
    let cut = whole.slice(..whole.len() - put(b"new", b"v").encode().len());
    assert!(client.store.apply(9, &cut).is_err());
    assert!(client.value(b"new").is_none());
}
