//! Reads by quorum: ReadIndex (Ongaro's thesis, section 6.4), and reads that wait for an index.
//!
//! The asked node gets an index from the leader, which has first confirmed with a quorum that it
//! still leads; when the node has applied up to that index it answers from its own table. Nothing
//! is read before the index is known, so a read never shows less than what was acknowledged
//! anywhere before it was asked.
//!
//! Rounds are batched: one is in flight per node, all reads that were waiting when it began share
//! it, and the later ones take the next. A read may use a round only if the round began after the
//! read arrived. A read that knows its index already, from a lease, takes part in no round.

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use std::future::Future;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::Error;

const ROUND_READS_MAX: usize = 16_384;

/// A read that waits for its turn. `ready` is called once: with `Ok` when this node's table may be
/// looked at, else with the reason why not.
pub struct Read {
    pub deadline: Instant,
    /// What has to be applied, where that is known; else a round tells.
    pub from_index: Option<u64>,
    pub ready: Box<dyn FnOnce(Result<(), Error>) + Send>,
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
    let mut reads = Vec::new();
    loop {
        tokio::select! {
            got = queue.recv_many(&mut reads, ROUND_READS_MAX) => if got == 0 { return },
            Some(()) = lagging.next(), if !lagging.is_empty() => continue,
        }
        for read in reads.extract_if(.., |read| read.from_index.is_some()) {
            let (index, deadline) = (read.from_index.unwrap_or(0), read.deadline);
            lagging.push(when_applied(applied.clone(), index, deadline, vec![read]));
        }
        let reads = std::mem::take(&mut reads);
        let Some(deadline) = reads.iter().map(|read| read.deadline).max() else { continue };
        let round = read_index(deadline).fuse();
        tokio::pin!(round);
        let index = loop {
            tokio::select! {
                index = &mut round => break index,
                Some(()) = lagging.next(), if !lagging.is_empty() => {}
            }
        };
        match index {
            None => answer(reads, Err(Error::Timeout)),
            Some(index) if *applied.borrow_and_update() >= index => answer(reads, Ok(())),
            Some(index) => lagging.push(when_applied(applied.clone(), index, deadline, reads)),
        }
    }
}

async fn when_applied(
    mut applied: watch::Receiver<u64>,
    index: u64,
    deadline: Instant,
    reads: Vec<Read>,
) {
    let caught_up = applied.wait_for(|applied| *applied >= index);
    match tokio::time::timeout_at(deadline, caught_up).await {
        Ok(Ok(_)) => answer(reads, Ok(())),
        Ok(Err(_)) => answer(reads, Err(Error::Stopped)),
        Err(_) => answer(reads, Err(Error::Timeout)),
    }
}

fn answer(reads: Vec<Read>, result: Result<(), Error>) {
    for read in reads {
        (read.ready)(result.clone());
    }
}
