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
    sessions.parts().for_each(|part| restored.restore(part).unwrap());
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

fn session(id: u64) -> Part {
    Part::Session { id, last_used_index: id, acked_below: 5 }
}

fn restored_group(session: u64, sequence: u64, answers: usize) -> Part {
    Part::Group { session, sequence, answers: vec![Remembered::Deferred; answers] }
}

fn failed(name_bytes: usize) -> Remembered {
    Remembered::Whole(Box::new(Answer::Failed(Failure::NoTable("n".repeat(name_bytes)))))
}

/// Whatever a snapshot says: what is restored has the bounds of what can be.
#[test]
fn sessions_that_cannot_be_are_refused() {
    let sessions = |count| (0..count as u64).map(session).collect::<Vec<_>>();
    let groups = |count: usize| (0..count as u64).map(|n| restored_group(1, 5 + n, 1));
    let with = |parts: Vec<Part>| [vec![session(1)], parts].concat();
    let large = |bytes| Part::Group { session: 1, sequence: 5, answers: vec![failed(bytes)] };
    let most = RESULTS_REMEMBERED_BYTES_MAX - size_of::<Answer>();
    for (what, parts, is_right) in [
        ("all sessions", sessions(SESSIONS_MAX), true),
        ("one too many", sessions(SESSIONS_MAX + 1), false),
        ("one twice", vec![session(1), session(1)], false),
        ("all groups", with(groups(GROUPS_MAX).collect()), true),
        ("one group too many", with(groups(GROUPS_MAX + 1).collect()), false),
        ("a group twice", with(vec![restored_group(1, 5, 1), restored_group(1, 5, 1)]), false),
        ("a group of none", with(vec![restored_group(2, 5, 1)]), false),
        ("a group that was acknowledged", with(vec![restored_group(1, 4, 1)]), false),
        ("all answers", with(vec![restored_group(1, 5, GROUP_WRITES_MAX)]), true),
        ("one answer too many", with(vec![restored_group(1, 5, GROUP_WRITES_MAX + 1)]), false),
        ("the largest answer", with(vec![large(most)]), true),
        ("a larger one", with(vec![large(most + 1)]), false),
    ] {
        let mut restored = Sessions::default();
        let done = parts.into_iter().try_for_each(|part| restored.restore(part));
        assert_eq!(done.is_ok(), is_right, "{what}: {done:?}");
    }
}

#[test]
fn a_dump_whose_sessions_cannot_be_is_refused() {
    let load = |parts: &[Part]| {
        let head = [codec::encode(&9u64), codec::encode(&parts), codec::encode(&0u64)];
        let mut blocks = head.into_iter();
        Store::load(|| Ok::<_, DecodeError>(blocks.next()), Arc::new(Plain), 0)
    };
    assert!(load(&[session(1), restored_group(1, 5, 1)]).is_ok());
    let error = load(&[session(1), restored_group(2, 5, 1)]).map(|_| ()).unwrap_err();
    assert_eq!(error.to_string(), "malformed sessions: a group is of none");
}
