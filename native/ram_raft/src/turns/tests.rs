use super::*;
use futures_util::FutureExt;
use ram_store::answer::{Answer, Found};
use ram_store::group::{self, Stamp};
use ram_store::write::{Command, Encoded, Write};
use tokio::task::JoinHandle;
use tokio::time::sleep;

type Waiting = JoinHandle<Option<Hint>>;

fn key(name: &str) -> Bytes {
    proposed::name_of("", name.as_bytes()).into()
}

/// A group with a put of each of these keys, which puts `value`.
fn puts(keys: &[&str], value: &[u8]) -> Bytes {
    let one = |key: &&str| Encoded::one("", &Command::put(key.as_bytes(), value)).into_bytes();
    let stamp = Stamp { session: 1, sequence: 1, acked_below: 1 };
    group::group(stamp, keys.iter().map(one).collect::<Vec<_>>().iter())
}

fn put(value: &[u8]) -> Bytes {
    puts(&["k"], value)
}

fn value(value: &[u8]) -> Hint {
    Hint::Value(Bytes::copy_from_slice(value))
}

/// A write whose condition did not hold.
fn found(value: &'static [u8]) -> Outcome {
    let value = Bytes::from_static(value);
    let found = Found {
        value,
        revision: 1,
        created_revision: 1,
        version: 1,
        ttl_ms: 0,
        owner: Bytes::new(),
    };
    let results = Some(vec![Some(found)]);
    Outcome::Answers(vec![Answer::Ran { succeeded: false, revision: 1, results }])
}

fn done() -> Outcome {
    Outcome::Answers(vec![Answer::Ran { succeeded: true, revision: 1, results: Some(vec![]) }])
}

/// Returns when the member is in the line.
async fn waits(turns: &Turns, member: u64) -> Waiting {
    let asks = turns.clone();
    let waiting = tokio::spawn(async move { asks.wait(member, key("k")).await });
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    waiting
}

/// What a member is told that has the turn now.
async fn told(waiting: Waiting) -> Option<Hint> {
    let before = Instant::now();
    let told = waiting.await.unwrap();
    assert_eq!(Instant::now(), before);
    told
}

#[tokio::test(start_paused = true)]
async fn turns_go_on_in_order_with_the_newest_value_as_soon_as_a_write_of_the_holder_is_proposed() {
    let turns = Turns::default();
    assert_eq!(turns.wait(1, key("k")).await, Some(Hint::Unknown));
    let (second, third) = (waits(&turns, 2).await, waits(&turns, 3).await);
    assert_eq!(turns.take(1, &put(b"1")).len(), 1);
    assert_eq!(told(second).await, Some(value(b"1")));
    assert!(!third.is_finished());
    let first = waits(&turns, 1).await;
    turns.take(2, &put(b"2"));
    assert_eq!(told(third).await, Some(value(b"2")));
    let delete = Encoded::one("", &Command::delete(b"k")).into_bytes();
    let stamp = Stamp { session: 1, sequence: 2, acked_below: 1 };
    turns.take(3, &group::group(stamp, std::iter::once(&delete)));
    assert_eq!(told(first).await, Some(Hint::Absent));
}

#[tokio::test(start_paused = true)]
async fn a_holder_that_does_not_write_stops_the_others_for_a_bounded_time() {
    let turns = Turns::default();
    turns.wait(1, key("k")).await.unwrap();
    turns.take(1, &put(b"1"));
    turns.wait(1, key("k")).await.unwrap();
    let (second, third) = (waits(&turns, 2).await, waits(&turns, 3).await);
    let begun = Instant::now();
    assert_eq!(second.await.unwrap(), Some(value(b"1")));
    assert_eq!(begun.elapsed(), TURN);
    assert_eq!(third.await.unwrap(), Some(value(b"1")));
    assert_eq!(begun.elapsed(), 2 * TURN);
    // Its write comes late: that is no turn of its, and nothing that the others should build on.
    assert!(turns.take(1, &put(b"late")).is_empty());
    turns.take(3, &put(b"3"));
    assert_eq!(turns.wait(2, key("k")).await, Some(value(b"3")));
}

#[tokio::test(start_paused = true)]
async fn whoever_gives_back_or_asks_again_lets_the_next_one_in() {
    let turns = Turns::default();
    turns.wait(1, key("k")).await.unwrap();
    let second = waits(&turns, 2).await;
    turns.give_back(2, &key("k"));
    turns.give_back(1, &key("other"));
    tokio::task::yield_now().await;
    assert!(!second.is_finished());
    turns.give_back(1, &key("k"));
    assert_eq!(told(second).await, Some(Hint::Unknown));
    let first = waits(&turns, 1).await;
    let again = waits(&turns, 2).await;
    assert_eq!(told(first).await, Some(Hint::Unknown));
    turns.give_back(1, &key("k"));
    assert_eq!(told(again).await, Some(Hint::Unknown));
}

#[tokio::test(start_paused = true)]
async fn only_writes_of_the_holder_and_of_its_key_end_its_turn() {
    let turns = Turns::default();
    turns.wait(1, key("k")).await.unwrap();
    let second = waits(&turns, 2).await;
    assert!(turns.take(3, &put(b"3")).is_empty());
    // Nor one that has the turn at another key.
    turns.wait(3, key("other")).await.unwrap();
    assert!(turns.take(3, &put(b"3")).is_empty());
    assert!(turns.take(1, &puts(&["a", "b"], b"1")).is_empty());
    assert!(turns.take(1, &group::open_session()).is_empty());
    tokio::task::yield_now().await;
    assert!(!second.is_finished());
    let taken = turns.take(1, &puts(&["a", "k"], b"1"));
    assert_eq!(taken, [Taken { name: key("k"), write: 1, chain: 0 }]);
    assert_eq!(told(second).await, Some(value(b"1")));
}

#[tokio::test(start_paused = true)]
async fn of_a_key_that_is_changed_twice_the_last_value_is_told() {
    let turns = Turns::default();
    turns.wait(1, key("k")).await.unwrap();
    let (second, third) = (waits(&turns, 2).await, waits(&turns, 3).await);
    assert_eq!(turns.take(1, &puts(&["k", "a", "k"], b"1")).len(), 2);
    assert_eq!(told(second).await, Some(value(b"1")));
    tokio::task::yield_now().await;
    assert!(!third.is_finished());
    let head = Write::Transaction { table: "", conditions: 0, then: 2, otherwise: 0 };
    let mut renewed = Encoded::of(&head);
    renewed.command(&Command::delete(b"k"));
    renewed.command(&Command::put(b"k", b"2"));
    let stamp = Stamp { session: 1, sequence: 2, acked_below: 1 };
    turns.take(2, &group::group(stamp, std::iter::once(renewed.bytes())));
    assert_eq!(told(third).await, Some(value(b"2")));
}

/// Else those that build on a value that never was would go on for ever.
#[tokio::test(start_paused = true)]
async fn after_a_write_that_did_not_hold_the_next_builds_on_what_was_found() {
    let turns = Turns::default();
    turns.wait(1, key("k")).await.unwrap();
    let first = turns.take(1, &put(b"1"));
    turns.wait(2, key("k")).await.unwrap();
    let second = turns.take(2, &put(b"2"));
    assert_eq!(turns.wait(3, key("k")).await, Some(value(b"2")));
    turns.settle(first, Some(&found(b"other")));
    // Of the former chain, as the second's, which will not hold either.
    let third = turns.take(3, &put(b"3"));
    assert_eq!(turns.wait(1, key("k")).await, Some(value(b"other")));
    let fourth = turns.take(1, &put(b"4"));
    turns.settle(second, Some(&found(b"other")));
    turns.settle(third, Some(&found(b"other")));
    assert_eq!(turns.wait(2, key("k")).await, Some(value(b"4")));
    turns.settle(fourth, Some(&done()));
    turns.give_back(2, &key("k"));
    assert_eq!(turns.wait(3, key("k")).await, Some(value(b"4")));
    let fifth = turns.take(3, &put(b"5"));
    turns.settle(fifth, None);
    assert_eq!(turns.wait(1, key("k")).await, Some(Hint::Unknown));
}

#[tokio::test(start_paused = true)]
async fn a_value_is_not_taken_for_the_newest_for_long() {
    let turns = Turns::default();
    turns.wait(1, key("k")).await.unwrap();
    turns.take(1, &put(b"1"));
    sleep(FRESH).await;
    assert_eq!(turns.wait(2, key("k")).await, Some(Hint::Unknown));
}

#[tokio::test(start_paused = true)]
async fn a_member_waits_for_a_bounded_time() {
    let turns = Turns::default();
    turns.wait(0, key("k")).await.unwrap();
    let mut before = Vec::new();
    for member in 1..=10 {
        before.push(waits(&turns, member).await);
    }
    let last = waits(&turns, 100).await;
    let begun = Instant::now();
    assert_eq!(last.await.unwrap(), None);
    assert_eq!(begun.elapsed(), WAIT);
    // Its turn is not waited for.
    for waiting in before {
        waiting.await.unwrap();
    }
    let begun = Instant::now();
    assert_eq!(turns.wait(101, key("k")).await, Some(Hint::Unknown));
    assert!(begun.elapsed() <= TURN);
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_leads_no_more_sends_all_away() {
    let turns = Turns::default();
    turns.wait(1, key("k")).await.unwrap();
    let taken = turns.take(1, &put(b"1"));
    turns.wait(1, key("k")).await.unwrap();
    let second = waits(&turns, 2).await;
    turns.clear();
    assert_eq!(told(second).await, None);
    turns.settle(taken, Some(&found(b"other")));
    assert!(turns.lines.lock().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_line_makes_room_when_it_was_not_used_for_long_and_nobody_has_its_turn() {
    let turns = Turns::default();
    for n in 0..LINES_MAX {
        assert!(turns.wait(1, key(&n.to_string())).await.is_some());
    }
    sleep(TURN).await;
    assert_eq!(turns.wait(1, key("too early")).await, None);
    sleep(FRESH - TURN).await;
    turns.wait(1, key("0")).await.unwrap();
    turns.wait(1, key("k")).await.unwrap();
    assert_eq!(turns.lines.lock().len(), 2);
    for n in 2..LINES_MAX {
        assert!(turns.wait(1, key(&n.to_string())).await.is_some());
    }
    assert_eq!(turns.wait(1, key("too many")).await, None);
    // That of the first line is over.
    sleep(TURN).await;
    assert!(turns.wait(1, key("one more")).await.is_some());
    assert!(!turns.lines.lock().contains_key(&key("0")));
}

#[tokio::test(start_paused = true)]
async fn lines_and_what_is_in_them_are_bounded() {
    let turns = Turns::default();
    assert_eq!(turns.wait(1, vec![b'k'; NAME_BYTES_MAX + 1].into()).await, None);
    assert!(turns.wait(1, vec![b'k'; NAME_BYTES_MAX].into()).await.is_some());
    turns.clear();
    for n in 0..LINES_MAX {
        assert!(turns.wait(1, key(&n.to_string())).await.is_some());
    }
    assert_eq!(turns.wait(1, key("one more")).await, None);
    assert!(turns.wait(2, key("0")).await.is_some());
    assert_eq!(turns.lines.lock().len(), LINES_MAX);
    sleep(FRESH).await;
    assert!(turns.wait(1, key("k")).await.is_some());
    assert_eq!(turns.lines.lock().len(), 1);

    for member in 0..WAITING_MAX as u64 {
        _ = waits(&turns, 2 + member).await;
    }
    let beyond = turns.wait(1000, key("k")).now_or_never();
    assert_eq!(beyond, Some(None));
    turns.clear();

    turns.wait(1, key("k")).await.unwrap();
    let taken = turns.take(1, &put(&[0; TURN_VALUE_BYTES_MAX + 1]));
    assert_eq!(turns.wait(2, key("k")).await, Some(Hint::Unknown));
    turns.settle(taken, Some(&found(&[0; TURN_VALUE_BYTES_MAX + 1])));
    turns.give_back(2, &key("k"));
    assert_eq!(turns.wait(2, key("k")).await, Some(Hint::Unknown));
}
