//! Writes of one group, whose answers travel together: deferred, remembered, answered again.

use super::*;
use crate::sessions::RESULTS_REMEMBERED_BYTES_MAX;

/// A store with a value of so many bytes under each of these keys.
fn holding(values: &[(&[u8], usize)]) -> Client {
    let mut client = Client::new();
    for (key, bytes) in values {
        client.run(&[put(key, &vec![7; *bytes])]);
    }
    client
}

/// Sets the first key to nothing where the second one is there, and gets it where not.
fn take<'a>(key: &'a [u8], seen: &'a [u8]) -> Encoded {
    transaction("", &[key_is(key, State::Present)], &[get(seen), delete(key)], &[get(seen)])
}

fn kind(answer: &Answer) -> &'static str {
    match answer {
        Answer::Ran { succeeded: true, results: Some(_), .. } => "ran",
        Answer::Ran { succeeded: false, results: Some(_), .. } => "ran otherwise",
        Answer::Ran { results: None, .. } => "ran, results forgotten",
        Answer::Done { .. } => "done",
        Answer::Deleted { .. } => "deleted",
        Answer::Failed(_) => "failed",
        Answer::Deferred => "deferred",
    }
}

fn kinds(answers: &[Answer]) -> Vec<&'static str> {
    answers.iter().map(kind).collect()
}

#[test]
fn of_two_large_answers_in_a_group_the_second_is_deferred_and_its_write_changes_nothing_yet() {
    let large = ANSWER_VALUES_BYTES_MAX + 1;
    let mut client = holding(&[(b"large", large), (b"a", 1), (b"b", 1)]);
    let revision = client.revision();
    let answers = client.answers(&[take(b"a", b"large"), take(b"b", b"large")]);
    assert_eq!(kinds(&answers), ["ran", "deferred"]);
    assert_eq!((client.value(b"a"), client.value(b"b")), (None, Some(vec![7])));
    assert_eq!(client.revision(), revision + 1);
    let answers = client.answers(&[take(b"b", b"large"), take(b"b", b"large")]);
    assert_eq!(kinds(&answers), ["ran", "deferred"]);
    assert_eq!((client.value(b"b"), client.revision()), (None, revision + 2));
    let answers = client.answers(&[take(b"b", b"large")]);
    assert_eq!(kinds(&answers), ["ran otherwise"]);
}

#[test]
fn beyond_the_bound_of_a_group_large_answers_are_deferred_and_what_is_small_is_answered() {
    let half = ANSWER_VALUES_BYTES_MAX / 2;
    let mut client = holding(&[(b"half", half), (b"small", 1), (b"a", 1)]);
    let see = |key| transaction("", &[], &[get(key)], &[]);
    let answers = client.answers(&[
        see(b"half"),
        see(b"half"),
        see(b"small"),
        see(b"half"),
        batch("", &[put(b"b", b"")]),
        transaction("", &[], &[delete(b"a")], &[]),
    ]);
    assert_eq!(kinds(&answers), ["ran", "deferred", "ran", "deferred", "done", "ran"]);
    assert_eq!(client.value(b"a"), None);
}

#[test]
fn answers_fill_their_room_to_the_last_byte() {
    let of_its_own = size_of::<Option<Found>>();
    let half = ANSWER_VALUES_BYTES_MAX / 2 - of_its_own;
    let mut client = holding(&[(b"half", half), (b"more", half + 1), (b"a", 1)]);
    let see = |key| transaction("", &[], &[get(key)], &[]);
    let answers = client.answers(&[see(b"half"), see(b"half"), see(b"a")]);
    assert_eq!(kinds(&answers), ["ran", "ran", "deferred"]);
    let answers = client.answers(&[see(b"half"), see(b"more"), see(b"half")]);
    assert_eq!(kinds(&answers), ["ran", "deferred", "ran"]);
    let quarter = vec![7; RESULTS_BYTES_MAX / 4 - of_its_own];
    client.set(b"quarter", &quarter);
    for (gets, expected) in [(4, "ran"), (5, "failed")] {
        let answers = client.answers(&[transaction("", &[], &vec![get(b"quarter"); gets], &[])]);
        assert_eq!(kinds(&answers), [expected]);
    }
}

#[test]
fn what_has_no_results_is_never_deferred_and_a_single_large_one_neither() {
    let mut client = holding(&[(b"large", 2 * ANSWER_VALUES_BYTES_MAX), (b"a", 1), (b"b", 1)]);
    let plain = || transaction("", &[key_is(b"b", State::Present)], &[put(b"c", b"")], &[]);
    let answers = client.answers(&[plain(), take(b"a", b"large"), plain()]);
    assert_eq!(kinds(&answers), ["ran", "ran", "ran"]);
}

/// Each takes memory where it is sent to, and where it is found.
#[test]
fn results_of_nothing_and_names_count_too() {
    let mut client = holding(&[(b"empty", 0)]);
    for key in [b"empty", b"none!"] {
        let many = transaction("", &[], &vec![get(key); TRANSACTION_PARTS_MAX], &[]);
        let answers = client.answers(&vec![many; 100]);
        let deferred = answers.iter().filter(|answer| **answer == Answer::Deferred).count();
        assert!((90..100).contains(&deferred), "{deferred}");
        let told = codec::encode(&Outcome::Answers(answers)).len();
        assert!(told < 2 * ANSWER_VALUES_BYTES_MAX, "{told}");
    }
    let name = "n".repeat(TABLE_NAME_BYTES_MAX);
    let answers = client.answers(&vec![batch(&name, &[put(b"a", b"")]); GROUP_WRITES_MAX]);
    let told = codec::encode(&Outcome::Answers(answers)).len();
    assert!((ANSWER_VALUES_BYTES_MAX / 2..2 * ANSWER_VALUES_BYTES_MAX).contains(&told), "{told}");
}

/// Else a value could be so large that nobody can be told of it.
#[test]
fn a_single_result_may_be_of_any_size() {
    let mut client = holding(&[(b"large", 1), (b"a", 1)]);
    let large = vec![7; RESULTS_BYTES_MAX + 1];
    client.set(b"large", &large);
    let answers = client.answers(&[expecting(State::Absent, put(b"large", b""))]);
    assert_eq!(kinds(&answers), ["ran otherwise"]);
    let answers = client.answers(&[transaction("", &[], &[get(b"large"), get(b"a")], &[])]);
    assert_eq!(kinds(&answers), ["failed"]);
}

#[test]
fn a_group_that_is_sent_again_is_answered_the_same_whatever_its_writes() {
    let mut client = holding(&[(b"a", 1), (b"b", 1), (b"large", ANSWER_VALUES_BYTES_MAX)]);
    let one = number(1);
    let all: Range = (Bound::Unbounded, Bound::Unbounded);
    let stamp = client.stamp();
    let bytes = group(
        stamp,
        &[
            create("o", true),
            batch("o", &[put(b"k", b"")]),
            delete_range("o", all),
            drop_table("none"),
            transaction("", &[], &[count(b"n", &one), get(b"none"), count(b"n", &one)], &[]),
            transaction("", &[], &[count(b"a", &one)], &[]),
            take(b"b", b"a"),
            take(b"b", b"a"),
            drop_table("o"),
            batch("", &[put(b"c", b"")]),
            take(b"c", b"large"),
        ],
    );
    let first = client.send(&bytes);
    let Outcome::Answers(answers) = &first else { panic!("{first:?}") };
    let expected = [
        "done",
        "done",
        "deleted",
        "failed",
        "ran",
        "failed",
        "ran",
        "ran otherwise",
        "done",
        "done",
        "deferred",
    ];
    assert_eq!(kinds(answers), expected);
    let later = Stamp { sequence: stamp.sequence + 1, ..stamp };
    client.send(&group_of(later, &[put(b"n", b"no number"), put(b"b", b"")]));
    let (contents_then, revision) = (contents(&client.store), client.revision());
    assert_eq!(client.send(&bytes), first, "whatever came between");
    assert_eq!(client.send(&bytes), first, "and again");
    assert_eq!((contents(&client.store), client.revision()), (contents_then, revision));
}

/// Sends a group twice and tells what it was answered then.
fn twice(client: &mut Client, writes: &[Encoded]) -> Vec<Answer> {
    let stamp = client.stamp();
    let bytes = group(stamp, writes);
    client.send(&bytes);
    match client.send(&bytes) {
        Outcome::Answers(answers) => answers,
        other => panic!("{other:?}"),
    }
}

#[test]
fn results_are_remembered_up_to_a_bound_and_then_that_there_were_some() {
    let half = RESULTS_REMEMBERED_BYTES_MAX / 2;
    let mut client = holding(&[(b"half", half), (b"a", 1), (b"b", 1), (b"c", 1)]);
    let answers = twice(
        &mut client,
        &[take(b"a", b"half"), take(b"b", b"half"), take(b"b", b"half"), take(b"c", b"a")],
    );
    assert_eq!(kinds(&answers), ["ran", "ran, results forgotten", "ran, results forgotten", "ran"]);
    let succeeded = |answer: &Answer| matches!(answer, Answer::Ran { succeeded: true, .. });
    let told: Vec<bool> = answers.iter().map(succeeded).collect();
    assert_eq!(told, [true, true, false, true], "also of what is forgotten");
    let revisions = answers.iter().map(|answer| match answer {
        Answer::Ran { revision, .. } => *revision,
        other => panic!("{other:?}"),
    });
    assert_eq!(revisions.collect::<Vec<_>>(), [5, 6, 6, 7]);
    assert_eq!(client.revision(), 7);
}

/// A name is as long as a thousand answers.
#[test]
fn failures_are_remembered_up_to_a_bound_and_then_are_to_be_tried_again() {
    let mut client = Client::new();
    let name = "n".repeat(TABLE_NAME_BYTES_MAX);
    let before = metadata_bytes(&client.store);
    let answers = twice(&mut client, &vec![batch(&name, &[put(b"a", b"")]); 500]);
    let failed = Answer::Failed(Failure::NoTable(name.clone()));
    let remembered = answers.iter().filter(|answer| **answer == failed).count();
    let deferred = answers.iter().filter(|answer| **answer == Answer::Deferred).count();
    assert_eq!(remembered + deferred, 500);
    assert!(remembered > 10 && deferred > 10, "{remembered} {deferred}");
    let grown = metadata_bytes(&client.store) - before;
    assert!(grown < RESULTS_REMEMBERED_BYTES_MAX + 20 * 500, "{grown}");
}

#[test]
fn sessions_restored_from_their_parts_remember_every_kind_of_answer() {
    let half = RESULTS_REMEMBERED_BYTES_MAX / 2;
    let mut client = holding(&[(b"half", half), (b"a", 1), (b"b", 1)]);
    let all: Range = (Bound::Unbounded, Bound::Unbounded);
    twice(
        &mut client,
        &[
            take(b"a", b"half"),
            take(b"b", b"half"),
            drop_table("none"),
            create("o", true),
            delete_range("o", all),
            transaction("", &[], &[count(b"c", &number(1))], &[]),
        ],
    );
    let mut restored = sessions::Sessions::default();
    let sessions = &client.store.metadata().sessions;
    for part in sessions.parts() {
        let bytes = codec::encode(&part);
        restored.restore(codec::decode("a part", &bytes).unwrap()).unwrap();
    }
    assert_eq!(&restored, sessions);
}

/// Others wait for a step.
#[test]
fn a_step_is_so_many_parts_and_fewer_where_values_are_long() {
    let mut client = Client::new();
    let mut steps = |write: Encoded, again: usize| {
        let stamp = client.stamp();
        let bytes = group(stamp, &vec![write; again]);
        let mut applying = Applying::of(&bytes).unwrap();
        let mut steps = 1;
        while client.store.step(entry(9), &mut applying).unwrap().is_none() {
            steps += 1;
        }
        steps
    };
    let (short, long) = (vec![put(b"k", b"v"); 4000], vec![0; 1024]);
    let long = vec![put(b"k", &long); 4000];
    let all = transaction("", &[], &long, &[]);
    let otherwise = transaction("", &[key_is(b"k", State::Absent)], &[], &long);
    assert_eq!(steps(batch("", &short), 1), 1);
    // With its head these are two looks, two steps to apply, and one to find the end.
    let two = vec![put(b"k", b"v"); 2 * group::PARTS_AT_ONCE - 1];
    assert_eq!(steps(batch("", &two), 1), 1 + 2 + 1);
    // To decode 4000 parts is a step, to apply them five.
    assert_eq!(steps(batch("", &long), 1), 5);
    // A transaction takes one, and the next begins only in another.
    assert_eq!(steps(all, 3), 2 + 4);
    assert_eq!(steps(otherwise, 3), 2 + 4);
    let conditions = vec![key_is(b"k", State::Present); 4000];
    assert_eq!(steps(transaction("", &conditions, &[], &[]), 3), 2 + 2);
}
