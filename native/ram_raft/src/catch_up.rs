//! Catching up before promotion: rounds of replication (Ongaro's thesis, section 4.2.1), measured
//! by what the learner says of itself.
//!
//! A round ends when the learner has applied all that was committed when the round began. The
//! rounds end with a short one: then the learner answers now, and gets what it lacks in about the
//! same time, so the majority that it joins commits as fast as before. openraft's own wait for a
//! learner looks at the acknowledged index, which tells neither.
//!
//! A learner that does not answer, or makes no progress, is given up: see the two limits.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

use super::rpc::{self, Refusal};
use super::types::Member;
use ram_net::{Net, PeerId};
use ram_store::codec;

/// A learner that has not answered for so long is given up: some attempts to connect, each of which
/// may take a second, and less than a caller of `add_node` is willing to wait for a wrong address.
const UNREACHABLE: Duration = Duration::from_secs(5);
/// A learner that answers and has got nothing new for so long is given up: longer than a disk or a
/// processor that is merely busy keeps one chunk of a snapshot waiting.
const STANDSTILL: Duration = Duration::from_secs(30);
const ASK_EVERY: Duration = Duration::from_millis(20);

/// How far a member has come. Whatever of it grows: the member gets on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    pub applied_index: u64,
    pub last_index: u64,
    /// Pieces of snapshots that have come, and blocks of them that were read, since its start.
    pub snapshot_steps: u64,
}

/// Why a learner is not ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unready {
    /// It does not answer.
    Silent(String),
    /// It answers, and does not get on.
    Stands(String),
}

impl Unready {
    pub fn refusal(self, member: Member) -> Refusal {
        match self {
            Unready::Silent(cause) => Refusal::NotReached { member, cause },
            Unready::Stands(why) => Refusal::NotCaughtUp { member, why },
        }
    }
}

/// Asks a member how far it has come. `Err`: it does not say, in words.
pub async fn ask(net: &Net, id: u64, limit: Duration) -> Result<Progress, String> {
    let reply = net.call(PeerId(id), rpc::PROGRESS, Bytes::new(), limit).await;
    let reply = reply.map_err(|error| error.to_string())?;
    let answer: Result<Progress, String> =
        codec::decode("progress of a member", &reply).map_err(|error| error.to_string())?;
    answer
}

/// A learner while it catches up, as its leader sees it.
pub struct Learner {
    net: Arc<Net>,
    id: u64,
    heard: Heard,
}

impl Learner {
    pub fn new(net: Arc<Net>, id: u64) -> Learner {
        Learner { net, id, heard: Heard::nothing(Instant::now()) }
    }

    /// Returns when the learner says that it has applied `index`, in an answer to a question that
    /// was asked after this call. `is_given_up` is asked again and again.
    pub async fn has_applied(
        &mut self,
        index: u64,
        is_given_up: impl Fn() -> bool,
    ) -> Result<(), Unready> {
        loop {
            if is_given_up() {
                return Err(Unready::Stands("it is to be removed".into()));
            }
            let limit = self.heard.silence_left(Instant::now()).max(ASK_EVERY);
            let answer = ask(&self.net, self.id, limit).await;
            if self.heard.now(answer, index, Instant::now())? {
                return Ok(());
            }
            sleep(ASK_EVERY).await;
        }
    }

    /// As [`Learner::has_applied`], within a time limit.
    pub async fn has_applied_within(&mut self, limit: Duration, index: u64) -> bool {
        matches!(timeout(limit, self.has_applied(index, || false)).await, Ok(Ok(())))
    }
}

/// What a learner has said.
struct Heard {
    last: Progress,
    answered_at: Instant,
    grew_at: Instant,
}

impl Heard {
    fn nothing(now: Instant) -> Heard {
        Heard { last: Progress::default(), answered_at: now, grew_at: now }
    }

    /// For how much longer it may be silent.
    fn silence_left(&self, now: Instant) -> Duration {
        (self.answered_at + UNREACHABLE).saturating_duration_since(now)
    }

    /// Has it applied `index`? Or is it given up?
    fn now(
        &mut self,
        answer: Result<Progress, String>,
        index: u64,
        now: Instant,
    ) -> Result<bool, Unready> {
        let progress = match answer {
            Ok(progress) => progress,
            Err(cause) if self.silence_left(now).is_zero() => return Err(Unready::Silent(cause)),
            Err(_) => return Ok(false),
        };
        self.answered_at = now;
        if progress != self.last || progress.applied_index >= index {
            (self.last, self.grew_at) = (progress, now);
        }
        if now.saturating_duration_since(self.grew_at) < STANDSTILL {
            return Ok(progress.applied_index >= index);
        }
        let (at, seconds) = (progress.applied_index, STANDSTILL.as_secs());
        Err(Unready::Stands(format!("it has stood at log index {at} for {seconds} s")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn at(applied_index: u64, snapshot_steps: u64) -> Result<Progress, String> {
        Ok(Progress { applied_index, snapshot_steps, ..Progress::default() })
    }

    fn silent() -> Result<Progress, String> {
        Err("no way there".into())
    }

    #[test]
    fn a_learner_is_given_up_after_five_seconds_without_an_answer_and_the_cause_is_the_last() {
        let begun = Instant::now();
        let mut heard = Heard::nothing(begun);
        assert_eq!(heard.now(silent(), 7, begun + 4 * SECOND), Ok(false));
        assert_eq!(heard.now(at(6, 0), 7, begun + 5 * SECOND), Ok(false));
        assert_eq!(heard.now(silent(), 7, begun + 9 * SECOND), Ok(false));
        let cause = Unready::Silent("no way there".into());
        assert_eq!(heard.now(silent(), 7, begun + 10 * SECOND), Err(cause));
    }

    #[test]
    fn what_a_learner_has_applied_counts_when_it_says_so_and_not_when_it_is_silent_after_it() {
        let begun = Instant::now();
        let mut heard = Heard::nothing(begun);
        assert_eq!(heard.now(at(7, 0), 7, begun), Ok(true));
        assert_eq!(heard.now(silent(), 7, begun + SECOND), Ok(false));
    }

    #[test]
    fn a_learner_whose_snapshot_arrives_gets_on_and_one_that_has_nothing_new_is_given_up() {
        let begun = Instant::now();
        let mut heard = Heard::nothing(begun);
        let mut tell = |second: u32, steps| heard.now(at(3, steps), 7, begun + second * SECOND);
        (0..100).for_each(|second| assert_eq!(tell(second, second.into()), Ok(false)));
        assert_eq!(tell(128, 99), Ok(false));
        assert!(matches!(tell(129, 99), Err(Unready::Stands(_))));
    }

    #[test]
    fn a_learner_of_a_cluster_that_writes_nothing_is_not_taken_to_stand_still() {
        let begun = Instant::now();
        let mut heard = Heard::nothing(begun);
        for second in [0, 40, 80] {
            assert_eq!(heard.now(at(7, 0), 7, begun + second * SECOND), Ok(true));
        }
    }
}
