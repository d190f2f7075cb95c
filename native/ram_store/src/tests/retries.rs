//! Sessions: a group that is sent again.

use super::*;

#[test]
fn sessions_that_are_restored_from_their_parts_are_the_same() {
    let mut client = Client::new();
    client.run(&[put(b"a", b"1")]);
    client.answer(expecting(State::Absent, put(b"a", b"2")));
    client.open();
    client.run(&[put(b"b", b"2")]);
    let mut restored = sessions::Sessions::default();
    assert!(restored.is_empty());
    let sessions = &client.store.metadata().sessions;
    sessions.parts().for_each(|part| restored.restore(part));
    assert!(!restored.is_empty());
    assert_eq!(&restored, sessions);
}

#[test]
fn a_group_sent_twice_is_applied_once_and_answered_twice() {
    let mut client = Client::new();
    let stamp = client.stamp();
    let bytes = group_of(stamp, &[put(b"a", b"1")]);
    let first = client.send(&bytes);
    let between = Stamp { sequence: stamp.sequence + 1, ..stamp };
    client.send(&group_of(between, &[put(b"a", b"2")]));
    assert_eq!(client.send(&bytes), first);
    assert_eq!(client.value(b"a").unwrap(), b"2");
}

#[test]
fn a_late_copy_of_an_acknowledged_group_changes_nothing() {
    let mut client = Client::new();
    let stamp = client.stamp();
    let bytes = group_of(stamp, &[put(b"a", b"1")]);
    client.send(&bytes);
    client.run(&[put(b"a", b"2")]);
    assert_eq!(client.send(&bytes), Outcome::SessionUnknown);
    assert_eq!(client.value(b"a").unwrap(), b"2");
}

#[test]
fn a_group_of_an_unknown_session_is_not_applied() {
    let mut client = Client::new();
    let stamp = Stamp { session: 77, sequence: 1, acked_below: 0 };
    assert_eq!(client.send(&group_of(stamp, &[put(b"a", b"1")])), Outcome::SessionUnknown);
    assert_eq!(client.value(b"a"), None);
}

#[test]
fn sessions_are_bounded_and_the_one_used_longest_ago_is_forgotten() {
    let mut client = Client::new();
    let first = client.session;
    // It is used before the others are opened, which counts as their use.
    client.run(&[put(b"b", b"1")]);
    for _ in 0..SESSIONS_MAX {
        client.open();
    }
    assert_eq!(client.store.metadata().sessions.len(), SESSIONS_MAX);
    let stamp = Stamp { session: first, sequence: 2, acked_below: 0 };
    assert_eq!(client.send(&group_of(stamp, &[put(b"a", b"1")])), Outcome::SessionUnknown);
}

#[test]
fn a_sender_that_never_acknowledges_takes_bounded_memory_and_nothing_of_it_is_applied_twice() {
    let mut client = Client::new();
    let send = |client: &mut Client, sequence: u64| {
        let stamp = Stamp { session: client.session, sequence, acked_below: 1 };
        client.send(&group_of(stamp, &[put(b"a", &sequence.to_be_bytes())]))
    };
    let newest = 50 * GROUPS_MAX as u64;
    let mut full = 0;
    for sequence in 1..=newest {
        assert!(matches!(send(&mut client, sequence), Outcome::Answers(_)));
        if sequence == 2 * GROUPS_MAX as u64 {
            full = metadata_bytes(&client.store);
        }
    }
    // Numbers grow by some bytes; answers would by some hundreds.
    assert!(metadata_bytes(&client.store) < full + 10 * GROUPS_MAX, "{full}");
    for sequence in 1..=newest {
        let remembered = sequence > newest - GROUPS_MAX as u64;
        let told = send(&mut client, sequence);
        assert_eq!(matches!(told, Outcome::Answers(_)), remembered, "{sequence}");
    }
    assert_eq!(client.value(b"a").unwrap(), newest.to_be_bytes());
    assert_eq!(client.store.metadata().revision, newest);
}
