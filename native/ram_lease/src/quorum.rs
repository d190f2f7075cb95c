//! Reads by quorum: ReadIndex (Ongaro's thesis, section 6.4), and reads that wait for an index.
//!
//! The asked node gets an index from the leader, which has first confirmed with a quorum that it
//! still leads; when the node has applied up to that index it answers from its own table. Nothing
//! is read before the index is known, so a read never shows less than what was acknowledged
//! anywhere before it was asked.
//!
//! Rounds are batched: one is in flight per node, all reads that were waiting when it began share
//! it, and the later ones take the next. A read may use a round only if the round began after the
//! read arrived. A read that knows its index already, from a lease, takes part in no round, unless
//! it waits long: the entry it was told of may be gone with a leader that was lost.

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use std::future::Future;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

/// Why a read was not served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unserved {
    /// No quorum answered, or its index was not applied here, by the read's deadline.
    Timeout,
    /// This member has ended.
    Stopped,
}

const ROUND_READS_MAX: usize = 16_384;
/// How long a read waits for an entry before it asks a quorum what to wait for.
const ENTRY_WAIT: Duration = Duration::from_millis(100);

/// A read that waits for its turn. `ready` is called once: with `Ok` when this node's table may be
/// looked at, else with the reason why not.
pub struct Read {
    pub deadline: Instant,
    /// What has to be applied, where that is known; else a round tells.
    pub from_index: Option<u64>,
    pub ready: Box<dyn FnOnce(Result<(), Unserved>) + Send>,
}

/// Serves reads until the queue is closed. `read_index` is one round: it answers with the index,
/// or `None` when it could not be had by `Instant`.
pub async fn serve<R>(
    mut queue: mpsc::Receiver<Read>,
    mut applied: watch::Receiver<u64>,
    read_index: impl Fn(Instant) -> R,
) where
    R: Future<Output = Option<u64>>,
{
    let mut lagging = FuturesUnordered::new();
    // For the next round; only those that waited for an entry are there before it begins.
    let mut reads = Vec::new();
    loop {
        if reads.is_empty() {
            tokio::select! {
                got = queue.recv_many(&mut reads, ROUND_READS_MAX) => if got == 0 { return },
                Some(late) = lagging.next(), if !lagging.is_empty() => reads = late,
            }
        }
        for read in reads.extract_if(.., |read| read.from_index.is_some()) {
            let index = read.from_index.unwrap_or(0);
            let until = read.deadline.min(Instant::now() + ENTRY_WAIT);
            lagging.push(when_applied(applied.clone(), index, until, vec![read]));
        }
        let asking = std::mem::take(&mut reads);
        let Some(deadline) = asking.iter().map(|read| read.deadline).max() else { continue };
        let round = read_index(deadline).fuse();
        tokio::pin!(round);
        let index = loop {
            tokio::select! {
                index = &mut round => break index,
                Some(late) = lagging.next(), if !lagging.is_empty() => reads.extend(late),
            }
        };
        match index {
            None => answer(asking, Err(Unserved::Timeout)),
            Some(index) if *applied.borrow_and_update() >= index => answer(asking, Ok(())),
            Some(index) => lagging.push(when_applied(applied.clone(), index, deadline, asking)),
        }
    }
}

/// Answers the reads when the index is applied. Returns those that have time left when it is not.
async fn when_applied(
    mut applied: watch::Receiver<u64>,
    index: u64,
    until: Instant,
    mut reads: Vec<Read>,
) -> Vec<Read> {
    let caught_up = applied.wait_for(|applied| *applied >= index);
    let result = match tokio::time::timeout_at(until, caught_up).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(_)) => Err(Unserved::Stopped),
        Err(_) => {
            let now = Instant::now();
            answer(reads.extract_if(.., |read| read.deadline <= now), Err(Unserved::Timeout));
            reads.iter_mut().for_each(|read| read.from_index = None);
            return reads;
        }
    };
    answer(reads, result);
    Vec::new()
}

fn answer(reads: impl IntoIterator<Item = Read>, result: Result<(), Unserved>) {
    for read in reads {
        (read.ready)(result);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::oneshot;

    const LIMIT: Duration = Duration::from_secs(20);

    fn read(from_index: Option<u64>) -> (Read, oneshot::Receiver<Result<(), Unserved>>) {
        let (told, answer) = oneshot::channel();
        let ready = Box::new(move |result| _ = told.send(result));
        (Read { deadline: Instant::now() + LIMIT, from_index, ready }, answer)
    }

    #[tokio::test]
    async fn a_read_that_knows_its_index_takes_no_round() {
        let (applied, shown) = watch::channel(4);
        let (queue, asked) = mpsc::channel(8);
        let served = tokio::spawn(serve(asked, shown, |_| async { panic!("a round") }));
        let (first, answer) = read(Some(5));
        queue.send(first).await.ok().unwrap();
        applied.send(5).unwrap();
        assert_eq!(answer.await.unwrap(), Ok(()));
        drop(queue);
        served.await.unwrap();
    }

    /// A lost leader's entry: marked here, cut off by the next leader, whose log may be shorter.
    #[tokio::test]
    async fn a_read_that_waits_for_an_entry_that_is_gone_asks_a_quorum() {
        let (_applied, shown) = watch::channel(4);
        let (queue, asked) = mpsc::channel(8);
        let served = tokio::spawn(serve(asked, shown, |_| async { Some(4) }));
        let (first, answer) = read(Some(9));
        queue.send(first).await.ok().unwrap();
        let answer = tokio::time::timeout(LIMIT / 2, answer).await;
        assert_eq!(answer.expect("in time").unwrap(), Ok(()));
        drop(queue);
        served.await.unwrap();
    }

    /// What is known to be committed is not shown before it is applied.
    #[tokio::test(start_paused = true)]
    async fn a_read_by_quorum_waits_until_the_index_of_its_round_is_applied() {
        let (applied, shown) = watch::channel(4);
        let (queue, asked) = mpsc::channel(8);
        let served = tokio::spawn(serve(asked, shown, |_| async { Some(9) }));
        let (first, mut answer) = read(None);
        queue.send(first).await.ok().unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(answer.try_recv().is_err());
        applied.send(8).unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(answer.try_recv().is_err());
        applied.send(9).unwrap();
        assert_eq!(answer.await.unwrap(), Ok(()));
        let (second, answer) = read(None);
        queue.send(second).await.ok().unwrap();
        assert_eq!(answer.await.unwrap(), Ok(()), "applied already");
        drop(queue);
        served.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_read_gives_its_entry_a_while_before_it_asks_a_quorum() {
        let (applied, shown) = watch::channel(4);
        let (queue, asked) = mpsc::channel(8);
        let served = tokio::spawn(serve(asked, shown, |_| async { panic!("a round") }));
        let (first, answer) = read(Some(5));
        queue.send(first).await.ok().unwrap();
        tokio::time::sleep(ENTRY_WAIT / 2).await;
        applied.send(5).unwrap();
        assert_eq!(answer.await.unwrap(), Ok(()));
        drop(queue);
        served.await.unwrap();
    }
}
