//! Tables by name, and ranges of them.

use super::*;

fn failed(failure: Failure) -> Answer {
    Answer::Failed(failure)
}

fn holds(client: &Client, table: &str, key: &[u8]) -> Option<Vec<u8>> {
    client.store.tables().get(table)?.get(key).map(|item| item.value().into_owned())
}

#[test]
fn a_table_is_created_once_dropped_once_and_each_is_one_write() {
    let mut client = Client::new();
    assert_eq!(client.answer(create("t", false)), done(1));
    for ordered in [false, true] {
        assert_eq!(client.answer(create("t", ordered)), failed(Failure::TableExists));
        assert_eq!(client.answer(create("", ordered)), failed(Failure::TableExists));
    }
    client.answer(batch("t", &[put(b"k", b"t")]));
    assert_eq!(client.answer(drop_table("t")), done(3));
    assert_eq!(client.answer(drop_table("t")), failed(Failure::NoTable("t".into())));
    assert_eq!(client.answer(create("t", true)), done(4));
    assert_eq!(holds(&client, "t", b"k"), None, "it comes back empty");
    assert_eq!(client.store.tables().get("t").unwrap().table_type(), TableType::OrderedSet);
}

#[test]
fn the_default_table_is_never_dropped() {
    let mut client = Client::new();
    client.run(&[put(b"k", b"v")]);
    assert_eq!(client.answer(drop_table("")), failed(Failure::NoTable("".into())));
    assert_eq!((client.value(b"k"), client.revision()), (Some(b"v".into()), 1));
}

#[test]
fn there_are_so_many_tables_at_most_and_a_dropped_one_makes_room() {
    let mut client = Client::new();
    let names: Vec<String> = (1..TABLES_MAX).map(|number| format!("t{number}")).collect();
    for name in &names {
        assert!(matches!(client.answer(create(name, false)), Answer::Done { .. }));
    }
    let full = failed(Failure::TooManyTables { tables_max: TABLES_MAX as u64 });
    assert_eq!(client.answer(create("more", true)), full);
    assert_eq!(client.answer(create("t1", true)), failed(Failure::TableExists));
    let revision = client.revision();
    assert_eq!(client.answer(drop_table("t1")), done(revision + 1));
    assert_eq!(client.answer(create("more", true)), done(revision + 2));
    assert_eq!(client.store.tables().count(), TABLES_MAX);
}

fn nowhere(table: &str) -> Condition<'_> {
    Condition::Key { at: in_table(table, b"k"), is: State::Absent }
}

fn unchanged(table: &str) -> Condition<'_> {
    let range = (Bound::Unbounded, Bound::Unbounded);
    Condition::Unchanged { table: Some(table), range, revision: 0, entries: 0 }
}

#[test]
fn a_group_with_a_name_that_is_too_long_is_refused_whole() {
    let (longest, longer) =
        ("n".repeat(TABLE_NAME_BYTES_MAX), "n".repeat(TABLE_NAME_BYTES_MAX + 1));
    let all = |name: &str| {
        [
            create(name, false),
            drop_table(name),
            batch(name, &[put(b"k", b"")]),
            transaction(name, &[], &[], &[]),
            delete_range(name, (Bound::Unbounded, Bound::Unbounded)),
            transaction("", &[], &[Command::put_at(in_table(name, b"k"), b"")], &[]),
            transaction("", &[], &[], &[Command::Get { at: in_table(name, b"k") }]),
            transaction("", &[nowhere(name)], &[], &[]),
            transaction("", &[unchanged(name)], &[], &[]),
        ]
    };
    for (at, (right, wrong)) in all(&longest).into_iter().zip(all(&longer)).enumerate() {
        let mut client = Client::new();
        let stamp = client.stamp();
        let puts = batch("", &[put(b"a", b"")]);
        let bytes = group(stamp, &[puts.clone(), wrong]);
        assert!(client.store.apply(entry(9), &bytes).is_err(), "{at}");
        assert_eq!(client.revision(), 0, "{at}");
        client.answers(&[puts, right]);
    }
}

#[test]
fn a_batch_for_a_table_that_is_not_there_changes_nothing_and_the_next_write_is_run() {
    let mut client = Client::new();
    client.answer(create("t", false));
    let answers = client.answers(&[
        batch("t", &[put(b"k", b"1")]),
        batch("none", &[put(b"k", b"2"), delete(b"k")]),
        batch("t", &[put(b"l", b"3")]),
        drop_table("t"),
        batch("t", &[put(b"k", b"4")]),
        create("t", true),
        batch("t", &[put(b"k", b"5")]),
    ]);
    let no_table = |name: &str| failed(Failure::NoTable(name.into()));
    let expected = [done(2), no_table("none"), done(3), done(4), no_table("t"), done(5), done(6)];
    assert_eq!(answers, expected);
    assert_eq!((holds(&client, "t", b"k"), client.value(b"k")), (Some(b"5".into()), None));
}

#[test]
fn a_deleted_range_is_one_write_however_many_steps_it_takes() {
    let count = group::PARTS_AT_ONCE as u32;
    for (entries, left_over) in [(count, 0), (2 * count + 7, 0), (2 * count, 5)] {
        let mut client = Client::new();
        client.answer(create("o", true));
        let keys: Vec<[u8; 4]> = (0..entries + left_over).map(u32::to_be_bytes).collect();
        let puts: Vec<Command> = keys.iter().map(|key| put(key, b"v")).collect();
        client.answer(batch("o", &puts));
        let end = entries.to_be_bytes();
        let range: Range = (Bound::Unbounded, Bound::Excluded(&end));
        let stamp = client.stamp();
        let bytes = group(stamp, &[delete_range("o", range), batch("o", &[put(b"k", b"")])]);
        let mut applying = Applying::of(&bytes).unwrap();
        let mut steps = 1;
        let outcome = loop {
            match client.store.step(entry(99), &mut applying).unwrap() {
                Some(outcome) => break outcome,
                None => steps += 1,
            }
        };
        let deleted = Answer::Deleted { revision: 3, entries: entries.into() };
        assert_eq!(outcome, Outcome::Answers(vec![deleted, done(4)]));
        assert!(steps > entries / count, "{steps}");
        let table = client.store.tables().get("o").unwrap();
        assert_eq!(table.entries(), u64::from(left_over) + 1);
    }
}

#[test]
fn a_range_that_holds_nothing_or_has_no_order_is_deleted_without_a_change() {
    let mut client = Client::new();
    client.answers(&[create("o", true), batch("o", &[put(b"5", b"")])]);
    client.run(&[put(b"5", b"")]);
    let all: Range = (Bound::Unbounded, Bound::Unbounded);
    let deleted = |revision, entries| Answer::Deleted { revision, entries };
    for range in [
        (Bound::Included(&b"6"[..]), Bound::Unbounded),
        (Bound::Excluded(b"5"), Bound::Included(&b"6"[..])),
        (Bound::Included(b"6"), Bound::Included(b"4")),
        (Bound::Excluded(b"5"), Bound::Excluded(b"5")),
    ] {
        assert_eq!(client.answer(delete_range("o", range)), deleted(3, 0), "{range:?}");
    }
    assert_eq!(client.answer(delete_range("", all)), failed(Failure::NotOrdered("".into())));
    let no_table = failed(Failure::NoTable("none".into()));
    assert_eq!(client.answer(delete_range("none", all)), no_table);
    assert_eq!(client.answer(delete_range("o", all)), deleted(4, 1));
    assert_eq!(client.answer(delete_range("o", all)), deleted(4, 0));
    assert_eq!(client.value(b"5"), Some(b"".into()), "of the other table");
}

#[test]
fn a_group_tells_the_keys_that_it_may_change_and_when_it_does_not_know_them() {
    let stamp = Stamp { session: 1, sequence: 1, acked_below: 1 };
    let keys = |writes: &[Encoded]| {
        let bytes = group(stamp, writes);
        let proposal = Proposal::decode(&bytes).unwrap();
        let keys = proposal.keys().map(|key| key.map(<[u8]>::to_vec).map_err(|group::Unknown| ()));
        keys.collect::<Vec<_>>()
    };
    let known = |keys: &[&[u8]]| keys.iter().map(|key| Ok(key.to_vec())).collect::<Vec<_>>();
    let one = number(1);
    let conditions = [key_is(b"a", State::Present)];
    let then = [put(b"b", b""), get(b"c"), Command::Delete { at: in_table("t", b"d") }];
    let write = transaction("", &conditions, &then, &[count(b"e", &one), get(b"f")]);
    let expected = known(&[b"b", b"d", b"e", b"g"]);
    assert_eq!(keys(&[write, batch("t", &[delete(b"g")])]), expected);
    let all = (Bound::Unbounded, Bound::Unbounded);
    for unknown in [create("t", true), drop_table("t"), delete_range("t", all)] {
        let expected = [known(&[b"a"]), vec![Err(())], known(&[b"b"])].concat();
        let writes = [batch("", &[put(b"a", b"")]), unknown, batch("", &[put(b"b", b"")])];
        assert_eq!(keys(&writes), expected);
    }
    let bytes = group(stamp, &[batch("", &[put(b"a", b""), get(b"b")])]);
    let malformed = Proposal::decode(&bytes).unwrap();
    assert!(malformed.keys().last().unwrap().is_err());
}
