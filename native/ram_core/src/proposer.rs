//! Group commit: the commands of many callers become few log entries.
//!
//! One queue, one proposer. The proposer makes the waiting commands a group and sends it to the
//! leader; while some groups are in flight the next callers gather. A group keeps its stamp and its
//! bytes when it is sent again, so the state applies it at most once (`ram_store::sessions`):
//! losing the leader costs callers time, not errors, and never a double write.
//!
//! A write whose answer has no room beside the others of its group is deferred, unchanged: it takes
//! part in another group. The first of a group never is, and the oldest goes first, so each is
//! answered. After a group with deferred writes the next ones are as small as what was answered of
//! it: else thousands of them would be sent again for one that is answered.

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use std::collections::BTreeSet;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::load::Permit;
use crate::route::Route;
use crate::{Error, Result};
use ram_limits::GROUP_WRITES_MAX;
use ram_store::answer::{Answer, Outcome};
use ram_store::group::{self, Stamp};

/// Groups of this node on the way at once: one is applied while the next is replicated.
const GROUPS_IN_FLIGHT_MAX: usize = 4;

pub type Reply = Box<dyn FnOnce(Result<Answer>) + Send>;

/// A write of one caller that waits.
pub struct Write {
    encoded: Vec<u8>,
    /// When it was made.
    since: Instant,
    deadline: Instant,
    reply: Reply,
    /// Held until the reply.
    permit: Permit,
}

impl Write {
    pub fn new(encoded: Vec<u8>, deadline: Instant, reply: Reply, permit: Permit) -> Write {
        Write { encoded, since: Instant::now(), deadline, reply, permit }
    }

    fn answer(self, result: Result<Answer>) {
        // First: who hears the answer may ask again at once.
        drop(self.permit);
        (self.reply)(result);
    }
}

/// Proposes until the queue is closed; then what is on the way is abandoned as unknown.
pub async fn propose_all(mut queue: mpsc::Receiver<Write>, route: Route, batch_bytes_max: usize) {
    let mut waiting: Vec<Write> = Vec::new();
    let mut on_the_way = FuturesUnordered::new();
    let mut session: Option<Session> = None;
    let mut writes_max = GROUP_WRITES_MAX;
    loop {
        let room = on_the_way.len() < GROUPS_IN_FLIGHT_MAX;
        if room
            && !waiting.is_empty()
            && let Some(open) = &mut session
        {
            let group = take_group(&mut waiting, writes_max, batch_bytes_max);
            if !group.is_empty() {
                on_the_way.push(send(route.clone(), open.next_stamp(), group));
            }
            // What is waiting has changed, and all below depends on it.
            continue;
        }
        let opening = session.is_none() && !waiting.is_empty();
        let idle = room && waiting.is_empty();
        let latest = latest_deadline(&waiting);
        tokio::select! {
            Some(ended) = on_the_way.next(), if !on_the_way.is_empty() => {
                settle(&mut session, &ended);
                writes_max = next_writes_max(writes_max, &ended);
                wait_again(&mut waiting, ended.deferred);
            }
            opened = open_session(&route, latest), if opening => match opened {
                Ok(opened) => session = Some(opened),
                Err(error) => answer_all(std::mem::take(&mut waiting), error),
            },
            got = queue.recv_many(&mut waiting, GROUP_WRITES_MAX), if idle => {
                if got == 0 { return }
            }
        }
    }
}

/// The groups of one session that are on the way.
struct Session {
    id: u64,
    next_sequence: u64,
    open: BTreeSet<u64>,
}

impl Session {
    fn next_stamp(&mut self) -> Stamp {
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        self.open.insert(sequence);
        let acked_below = self.open.first().copied().unwrap_or(sequence);
        Stamp { session: self.id, sequence, acked_below }
    }
}

struct Ended {
    stamp: Stamp,
    /// The state does not know the session (any more).
    session_lost: bool,
    /// How many had their answer.
    answered: usize,
    /// Those that take part in another group.
    deferred: Vec<Write>,
}

/// How many writes a group may have after this one.
fn next_writes_max(writes_max: usize, ended: &Ended) -> usize {
    let next = if ended.deferred.is_empty() { 2 * writes_max } else { ended.answered };
    next.clamp(1, GROUP_WRITES_MAX)
}

/// The oldest first, whichever group they come from.
fn wait_again(waiting: &mut Vec<Write>, deferred: Vec<Write>) {
    if !deferred.is_empty() {
        waiting.extend(deferred);
        waiting.sort_by_key(|write| write.since);
    }
}

fn settle(session: &mut Option<Session>, ended: &Ended) {
    if let Some(current) = session.as_mut().filter(|s| s.id == ended.stamp.session) {
        current.open.remove(&ended.stamp.sequence);
        if ended.session_lost {
            *session = None;
        }
    }
}

/// May be abandoned and begun again: a session nobody uses is forgotten in time.
async fn open_session(route: &Route, deadline: Instant) -> Result<Session> {
    match route.propose(group::open_session(), deadline).await? {
        Outcome::SessionOpened { session: id } => {
            Ok(Session { id, next_sequence: 1, open: BTreeSet::new() })
        }
        _ => Err(Error::Timeout),
    }
}

/// As many of the first as fit one group; the first always does. Those whose time is over are
/// answered at once: nothing has happened to them.
fn take_group(waiting: &mut Vec<Write>, writes_max: usize, batch_bytes_max: usize) -> Vec<Write> {
    let now = Instant::now();
    let late = waiting.extract_if(.., |write| write.deadline <= now).collect();
    answer_all(late, Error::Timeout);
    let mut bytes = 0;
    let fits = |write: &Write| {
        bytes += write.encoded.len();
        bytes <= batch_bytes_max
    };
    let first = waiting.iter().take(writes_max);
    let count = first.map(fits).take_while(|fits| *fits).count().max(1);
    let rest = waiting.split_off(count.min(waiting.len()));
    std::mem::replace(waiting, rest)
}

async fn send(route: Route, stamp: Stamp, group: Vec<Write>) -> Ended {
    let proposal = group::group(stamp, group.iter().map(|write| &write.encoded));
    let latest = latest_deadline(&group);
    let (mut session_lost, mut answered, mut deferred) = (false, 0, Vec::new());
    match route.propose(proposal, latest).await {
        Ok(Outcome::Answers(answers)) if answers.len() == group.len() => {
            for (write, answer) in group.into_iter().zip(answers) {
                match answer {
                    Answer::Deferred => deferred.push(write),
                    answer => {
                        answered += 1;
                        write.answer(Ok(answer));
                    }
                }
            }
        }
        Ok(_) => {
            // Whether an earlier copy was applied before the session was forgotten is not known.
            session_lost = true;
            answer_all(group, Error::Timeout);
        }
        Err(error) => answer_all(group, error),
    }
    Ended { stamp, session_lost, answered, deferred }
}

fn latest_deadline(writes: &[Write]) -> Instant {
    writes.iter().map(|write| write.deadline).max().unwrap_or_else(Instant::now)
}

fn answer_all(group: Vec<Write>, error: Error) {
    for write in group {
        write.answer(Err(error.clone()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::timed;
    use crate::load::Load;
    use std::time::Duration;

    fn write(age: u64, encoded: &[u8]) -> Write {
        let permit = Load::new(&timed(50, 150, 300).limits).take(0).unwrap();
        let now = Instant::now() + Duration::from_secs(100);
        let write = Write::new(encoded.to_vec(), now, Box::new(|_| {}), permit);
        Write { since: now - Duration::from_secs(age), ..write }
    }

    fn ended(answered: usize, deferred: &[u64]) -> Ended {
        let stamp = Stamp { session: 1, sequence: 1, acked_below: 1 };
        let deferred = deferred.iter().map(|age| write(*age, b"")).collect();
        Ended { stamp, session_lost: false, answered, deferred }
    }

    #[test]
    fn deferred_writes_wait_among_the_others_by_their_age() {
        let mut waiting = vec![write(5, b"5"), write(1, b"1")];
        wait_again(&mut waiting, vec![write(9, b"9"), write(3, b"3")]);
        wait_again(&mut waiting, vec![write(7, b"7")]);
        wait_again(&mut waiting, Vec::new());
        let order: Vec<u8> = waiting.iter().map(|write| write.encoded[0]).collect();
        assert_eq!(order, b"97531");
        let group = take_group(&mut waiting, 2, 1000);
        assert_eq!((group.len(), waiting.len()), (2, 3));
        assert_eq!(group[0].encoded, b"9");
    }

    #[test]
    fn groups_are_as_small_as_what_is_answered_of_them_and_grow_when_all_is() {
        let most = GROUP_WRITES_MAX;
        assert_eq!(next_writes_max(most, &ended(7, &[1])), 7);
        assert_eq!(next_writes_max(most, &ended(0, &[1])), 1);
        assert_eq!(next_writes_max(7, &ended(7, &[])), 14);
        assert_eq!(next_writes_max(7, &ended(0, &[])), 14);
        assert_eq!(next_writes_max(most, &ended(most, &[])), most);
    }
}
