//! Ranges that a transaction rests on.

use super::*;

/// An ordered table with the keys 2, 4, 6, 8, of revision 2, and the revision.
fn ordered() -> (Client, u64) {
    let mut client = Client::new();
    client.answer(create("o", true));
    client.answer(batch("o", &[b"2", b"4", b"6", b"8"].map(|key| put(key, b""))));
    (client, 2)
}

#[test]
fn a_range_is_unchanged_until_something_in_it_is_inserted_deleted_or_written() {
    let from_3_to_7: Range = (Bound::Included(b"3"), Bound::Excluded(b"7"));
    for (commands, is_unchanged) in [
        (vec![], true),
        (vec![put(b"2", b""), put(b"7", b""), delete(b"8"), delete(b"5")], true),
        (vec![put(b"5", b"")], false),
        (vec![put(b"3", b"")], false),
        (vec![delete(b"4")], false),
        (vec![delete(b"4"), put(b"5", b"")], false),
        (vec![delete(b"4"), put(b"4", b"")], false),
        (vec![put(b"6", b"")], false),
    ] {
        let (mut client, revision) = ordered();
        if !commands.is_empty() {
            client.answer(batch("o", &commands));
        }
        for (table, named) in [("o", None), ("", Some("o"))] {
            let condition =
                Condition::Unchanged { table: named, range: from_3_to_7, revision, entries: 2 };
            let write = transaction(table, &[condition], &[], &[]);
            let answer = client.answer(write);
            assert_eq!(answer, ran(is_unchanged, client.revision(), &[]), "{commands:?}");
        }
    }
}

#[test]
fn a_range_is_as_it_was_only_with_as_many_entries_and_none_that_is_newer() {
    let (mut client, newest) = ordered();
    let mut holds = |range, revision, entries| {
        let condition = Condition::Unchanged { table: None, range, revision, entries };
        match client.answer(transaction("o", &[condition], &[], &[])) {
            Answer::Ran { succeeded, .. } => succeeded,
            other => panic!("{other:?}"),
        }
    };
    let all: Range = (Bound::Unbounded, Bound::Unbounded);
    let upside_down: Range = (Bound::Included(b"6"), Bound::Included(b"4"));
    assert!(holds(all, newest, 4) && holds(all, newest + 1, 4));
    assert!(!holds(all, newest - 1, 4), "they are newer");
    assert!(!holds(all, newest, 3) && !holds(all, newest, 5) && !holds(all, newest, 0));
    assert!(holds(upside_down, 0, 0) && !holds(upside_down, newest, 1));
    assert!(holds((Bound::Excluded(b"4"), Bound::Excluded(b"6")), 0, 0));
}

/// Looking at a range takes the thread that applies as long as it is.
#[test]
fn a_transaction_rests_on_so_many_entries_of_ranges_at_most() {
    let (mut client, revision) = ordered();
    let all: Range = (Bound::Unbounded, Bound::Unbounded);
    let unchanged = |entries| Condition::Unchanged { table: None, range: all, revision, entries };
    let most = RANGE_ENTRIES_MAX as u64;
    let absent = key_is(b"1", State::Present);
    for (conditions, is_refused) in [
        (vec![unchanged(most)], false),
        (vec![unchanged(most + 1)], true),
        (vec![unchanged(u64::MAX)], true),
        (vec![unchanged(4), unchanged(most - 4)], false),
        (vec![unchanged(4), unchanged(most - 3)], true),
        (vec![unchanged(4), unchanged(u64::MAX)], true),
        (vec![absent, unchanged(most + 1)], false),
    ] {
        let answer = client.answer(transaction("o", &conditions, &[put(b"1", b"")], &[]));
        let refused = Answer::Failed(Failure::RangesTooLarge { entries_max: most });
        let expected = if is_refused { refused } else { ran(false, revision, &[]) };
        assert_eq!(answer, expected, "{conditions:?}");
    }
}
