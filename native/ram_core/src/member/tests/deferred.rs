//! Writes whose answers have no room in one group.

use super::leases::serve;
use super::*;
use ram_limits::ANSWER_VALUES_BYTES_MAX;
use ram_store::answer::Answer;
use ram_store::write::{Command, Condition, Place, State, Write};

/// A put that expects the key to be absent, and is told what it holds instead.
fn put_new(handle: &Handle, key: &[u8], told: &Arc<Mutex<Vec<Answer>>>) {
    let (at, told) = (Place::of(key), told.clone());
    let head = Write::Transaction { table: "", conditions: 1, then: 1, otherwise: 1 };
    let mut writing = handle.writing(&head).unwrap();
    writing.condition(&Condition::Key { at, is: State::Absent }).unwrap();
    writing.command(&Command::put(key, b"new")).unwrap();
    writing.command(&Command::Get { at }).unwrap();
    let reply = Box::new(move |answer: Result<Answer>| told.lock().push(answer.unwrap()));
    writing.submit(std::time::Instant::now() + LIMIT, reply).unwrap();
}

#[tokio::test]
async fn a_deferred_write_is_sent_again_and_answered() {
    let member = open_member(&memory(), timed(50, 150, 300), Open::New(CLUSTER)).await;
    found(&member).await;
    let (handle, applied) = (member.handle(), member.parts.replica.applied.clone());
    let served = serve(member);
    let large = vec![7; ANSWER_VALUES_BYTES_MAX];
    let told = Arc::new(Mutex::new(Vec::new()));
    let reply = {
        let told = told.clone();
        Box::new(move |answer: Result<Answer>| told.lock().push(answer.unwrap()))
    };
    let deadline = std::time::Instant::now() + LIMIT;
    handle.write(&Command::put(b"large", &large), deadline, reply).unwrap();
    wait_until("it is there", || told.lock().len() == 1).await;
    told.lock().clear();

    let groups = applied.groups();
    // All are queued before the member has its turn, so they are one group.
    let callers = 5;
    (0..callers).for_each(|_| put_new(&handle, b"large", &told));
    put_new(&handle, b"small", &told);
    wait_until("all are answered", || told.lock().len() == callers + 1).await;
    assert_eq!(applied.groups(), groups + callers as u64, "a group for each large answer");
    let answers = told.lock();
    let is_large = |answer: &&Answer| match answer {
        Answer::Ran { succeeded: false, results: Some(results), .. } => {
            results[0].as_ref().is_some_and(|found| found.value == large)
        }
        _ => false,
    };
    assert_eq!(answers.iter().filter(is_large).count(), callers);
    let small = |answer: &Answer| matches!(answer, Answer::Ran { succeeded: true, .. });
    assert_eq!(answers.iter().position(small), Some(1), "it does not wait for the large ones");
    served.abort();
}
