//! What commands do, and what is no proposal.

use super::*;

#[test]
fn put_and_delete_change_the_table_and_count_entries_and_bytes() {
    let mut client = Client::new();
    client.run(&[put(b"a", b"1"), put(b"b", b"22"), put(b"a", b"333")]);
    assert_eq!(client.value(b"a").unwrap(), b"333");
    assert_eq!((client.store.table().entries(), client.store.table().bytes()), (2, 7));
    client.run(&[delete(b"a")]);
    assert_eq!(client.value(b"a"), None);
    assert_eq!((client.store.table().entries(), client.store.table().bytes()), (1, 3));
}

#[test]
fn every_write_has_a_revision_of_its_own_even_within_one_group() {
    let mut client = Client::new();
    let answers = client.run(&[put(b"a", b"1"), put(b"a", b"2"), delete(b"x")]);
    assert_eq!(answers, vec![done(1), done(2), done(2)]);
}

#[test]
fn compare_and_set_takes_only_the_revision_it_expects_and_tells_what_it_found() {
    let mut client = Client::new();
    client.run(&[put(b"a", b"1")]);
    let is = |revision| State::Revision(Comparison::Equal, revision);
    let conflict = ran(false, 1, &[found(b"1", 1)]);
    assert_eq!(client.answer(expecting(State::Absent, put(b"a", b"x"))), conflict);
    assert_eq!(client.answer(expecting(is(9), delete(b"a"))), conflict);
    assert_eq!(client.answer(expecting(is(1), put(b"a", b"2"))), ran(true, 2, &[]));
    assert_eq!(client.value(b"a").unwrap(), b"2");
    assert_eq!(client.answer(expecting(is(2), delete(b"a"))), ran(true, 3, &[]));
    assert_eq!(client.value(b"a"), None);
    assert_eq!(client.answer(expecting(is(3), delete(b"a"))), ran(false, 3, &[None]));
}

#[test]
fn a_write_of_many_commands_has_one_answer() {
    let mut client = Client::new();
    let writes = [
        batch("", &[put(b"a", b"1"), put(b"b", b"2")]),
        expecting(State::Absent, put(b"a", b"3")),
        batch("", &[delete(b"c"), delete(b"b"), delete(b"a")]),
    ];
    let stamp = client.stamp();
    let bytes = group(stamp, &writes);
    let answers = vec![done(1), ran(false, 1, &[found(b"1", 1)]), done(2)];
    assert_eq!(client.send(&bytes), Outcome::Answers(answers.clone()));
    assert_eq!(client.send(&bytes), Outcome::Answers(answers), "from memory");
}

/// Each command had an answer of 48 bytes: few such calls, and no snapshot could be read.
#[test]
fn what_a_session_remembers_grows_with_the_writes_and_not_with_their_commands() {
    let mut client = Client::new();
    let keys: Vec<[u8; 4]> = (0..100_000u32).map(u32::to_be_bytes).collect();
    let deletes: Vec<Command<'_>> = keys.iter().map(|key| delete(key)).collect();
    let stamp = client.stamp();
    let before = metadata_bytes(&client.store);
    client.send(&group(stamp, &[batch("", &deletes), batch("", &deletes)]));
    assert!(metadata_bytes(&client.store) <= before + 32, "{}", metadata_bytes(&client.store));
}

#[test]
fn a_group_of_too_many_writes_or_of_a_write_without_a_command_is_refused_whole() {
    let mut client = Client::new();
    let stamp = client.stamp();
    let put = Encoded::one("", &put(b"a", b"1"));
    let most = group(stamp, &vec![put.clone(); GROUP_WRITES_MAX]);
    let more = group(stamp, &vec![put.clone(); GROUP_WRITES_MAX + 1]);
    let none = group(stamp, &[put, batch("", &[])]);
    for wrong in [more, none] {
        assert!(client.store.apply(entry(99), &wrong).is_err());
    }
    assert_eq!(client.store.table().entries(), 0);
    let Outcome::Answers(answers) = client.send(&most) else { panic!() };
    assert_eq!(answers.len(), GROUP_WRITES_MAX);
}

#[test]
fn garbage_and_cut_proposals_are_errors_and_change_nothing() {
    let mut client = Client::new();
    let stamp = client.stamp();
    let key = Condition::Key { at: Place::of(b"a"), is: State::Absent };
    let bytes = group(
        stamp,
        &[
            batch("", &[put(b"a", b"1"), put(b"b", b"2")]),
            transaction("", &[key], &[put(b"a", b"1")], &[get(b"a")]),
            Encoded::of(&Write::CreateTable { table: "t", ordered: true }),
        ],
    );
    for end in 0..bytes.len() {
        assert!(client.store.apply(entry(99), &bytes[..end]).is_err(), "cut at {end}");
    }
    let mut long = bytes.to_vec();
    long.push(0);
    assert!(client.store.apply(entry(99), &long).is_err());
    assert_eq!((client.store.table().entries(), client.store.tables().count()), (0, 1));
}

#[test]
fn a_command_tells_the_key_that_it_may_change() {
    let at = Place { table: Some("elsewhere"), key: b"key" };
    for command in
        [Command::put_at(at, b"v"), Command::Delete { at }, Command::Count { at, count: b"1" }]
    {
        assert_eq!((command.place(), command.changes()), (at, Some(&b"key"[..])));
        let mut write = b"before".to_vec();
        command.encode_into(&mut write);
        assert_eq!(write, [b"before".to_vec(), codec::encode(&command)].concat());
    }
    assert_eq!((Command::Get { at }.place(), Command::Get { at }.changes()), (at, None));
}

#[test]
fn what_a_group_will_have_done_is_known_before_if_it_has_no_condition_and_no_name_of_a_table() {
    let mut client = Client::new();
    let stamp = client.stamp();
    let will = |writes: &[Encoded]| group::unconditional(&group(stamp, writes));
    let plain = batch("", &[put(b"a", b"1"), delete(b"b")]);
    let done = Outcome::Answers(vec![done(0); 2]);
    assert_eq!(will(&[plain.clone(), plain.clone()]), Some(done));
    for other in [
        expecting(State::Absent, put(b"c", b"1")),
        batch("named", &[put(b"c", b"1")]),
        Encoded::of(&Write::DropTable { table: "" }),
    ] {
        assert_eq!(will(&[plain.clone(), other]), None);
    }
    assert_eq!(group::unconditional(&group::open_session()), None);
}

/// Longer than the first look at a group, which checks some commands at a time.
#[test]
fn a_group_with_a_wrong_command_far_behind_changes_nothing() {
    let mut client = Client::new();
    let keys: Vec<[u8; 4]> = (0..20_000u32).map(u32::to_be_bytes).collect();
    let puts: Vec<Command> = keys.iter().map(|key| put(key, b"v")).collect();
    let stamp = client.stamp();
    let whole = group(stamp, &[batch("", &puts)]);
    let cut = Bytes::copy_from_slice(&whole[..whole.len() - 1]);
    assert!(client.store.apply(entry(9), &cut).is_err());
    assert_eq!(client.store.table().entries(), 0);
    client.store.apply(entry(9), &whole).unwrap();
    assert_eq!((client.store.table().entries(), client.revision()), (20_000, 1));
}

#[test]
fn a_group_with_bytes_behind_its_last_command_changes_nothing_wherever_a_look_ends() {
    for commands in [1, group::PARTS_AT_ONCE - 1, group::PARTS_AT_ONCE] {
        let mut client = Client::new();
        let stamp = client.stamp();
        let whole = group(stamp, &[batch("", &vec![put(b"k", b"v"); commands])]);
        let longer = Bytes::from([&whole[..], &[0]].concat());
        assert!(client.store.apply(entry(9), &longer).is_err());
        assert_eq!((client.value(b"k"), client.revision()), (None, 0));
    }
}

/// The parts are looked at so many at a time, and that may be where one write ends, or where the
/// bytes do. The head of a write is a part, too.
#[test]
fn a_write_that_ends_where_a_look_ends_is_not_the_whole_group() {
    for commands in [group::PARTS_AT_ONCE - 1, group::PARTS_AT_ONCE] {
        let mut client = Client::new();
        let puts = vec![put(b"k", b"v"); commands];
        let writes = [batch("", &puts), batch("", &[put(b"last", b"v")])];
        assert_eq!(client.answers(&writes), vec![done(1), done(2)]);
        assert!(client.value(b"last").is_some());

        let more = vec![put(b"new", b"v"); commands + 1];
        let stamp = client.stamp();
        let whole = group(stamp, &[batch("", &more)]);
        let cut = whole.slice(..whole.len() - codec::encode(&put(b"new", b"v")).len());
        assert!(client.store.apply(entry(9), &cut).is_err());
        assert!(client.value(b"new").is_none());
    }
}
