//! The vote hold over restarts and over changes of its length (I3 of `ram_lease`).
//!
//! A member that accepts an append votes for nobody for its vote hold, and says so in its answer.
//! A restart forgets what was said, and may come with another length. So the longest hold that may
//! be alive is stored in the log: it is made longer before the first answer under a longer hold,
//! and shorter when all holds of before the start are over. Wherever a member stops, also several
//! times within a hold, it finds a length that is not too short.
//!
//! The vote hold of a leader, for the leases that it granted, needs nothing more: no lease lasts
//! longer than the leader's own hold.

use std::io;
use std::time::Duration;

use super::log_store::LogStore;
use ram_lease::{Reads, clock};
use ram_log::Log;
use ram_sabotage::{Fault, armed};

/// To be done before raft runs. `ran_before`: this member may have answered appends.
pub async fn begin(log: &Log, reads: &Reads, ran_before: bool) -> io::Result<()> {
    let (store, own) = (LogStore::new(log.clone()), reads.timeouts.hold);
    let saved = store.longest_hold()?;
    if let Some(longest) = longest_alive(saved, own, ran_before) {
        reads.vote_hold.after_restart(reads.clock.now(), longest);
    }
    if saved < Some(own) {
        store.save_longest_hold(own).await?;
    }
    Ok(())
}

fn longest_alive(saved: Option<Duration>, own: Duration, ran_before: bool) -> Option<Duration> {
    if armed(Fault::ForgetLongestVoteHold) {
        return ran_before.then_some(own);
    }
    saved.or(ran_before.then_some(own))
}

/// To be awaited as long as the member runs, from the moment on that it serves.
pub fn settle(log: &Log, reads: &Reads) -> impl Future<Output = ()> + Send + use<> {
    let (store, own) = (LogStore::new(log.clone()), reads.timeouts.hold);
    let (clock, over) = (reads.clock.clone(), reads.vote_hold.until());
    async move {
        clock::reached(clock.as_ref(), || over).await;
        if store.longest_hold().is_ok_and(|saved| saved > Some(own)) {
            // A log that cannot be written has failed, and its member with it.
            let _ = store.save_longest_hold(own).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ram_lease::grants::LeaseTimeouts;
    use ram_lease::manual::ManualClock;
    use ram_log::{FlushMode, LogOptions, MemoryDisk};
    use std::sync::Arc;

    const SHORT: Duration = Duration::from_millis(200);
    const LONG: Duration = Duration::from_millis(2000);

    fn open(disk: &Arc<MemoryDisk>, flush: FlushMode) -> Log {
        Log::open(disk.clone(), LogOptions { flush, ..LogOptions::default() }).unwrap()
    }

    fn reads(clock: &Arc<ManualClock>, hold: Duration) -> Reads {
        Reads::new(1, false, LeaseTimeouts { lease: hold / 2, hold }, clock.clone())
    }

    fn saved(log: &Log) -> Option<Duration> {
        LogStore::new(log.clone()).longest_hold().unwrap()
    }

    /// A member with this hold, and for how long the hold of before goes on.
    struct Start {
        clock: Arc<ManualClock>,
        log: Log,
        reads: Reads,
        kept_ms: u128,
    }

    async fn start(disk: &Arc<MemoryDisk>, hold: Duration, ran_before: bool) -> Start {
        let clock = Arc::new(ManualClock::default());
        let (log, reads) = (open(disk, FlushMode::Inline), reads(&clock, hold));
        begin(&log, &reads, ran_before).await.unwrap();
        let kept_ms = reads.vote_hold.until().since(reads.clock.now()).as_millis();
        Start { clock, log, reads, kept_ms }
    }

    #[tokio::test]
    async fn a_member_keeps_the_longest_hold_that_may_be_alive_however_often_it_starts_again() {
        let disk = Arc::new(MemoryDisk::default());
        assert_eq!(start(&disk, LONG, false).await.kept_ms, 0, "it never ran");
        for hold in [LONG, SHORT, SHORT, LONG, SHORT] {
            assert_eq!(start(&disk, hold, true).await.kept_ms, 2020);
        }
    }

    #[tokio::test]
    async fn a_member_that_told_of_no_longer_hold_keeps_no_longer_one() {
        let disk = Arc::new(MemoryDisk::default());
        start(&disk, SHORT, false).await;
        assert_eq!(start(&disk, LONG, true).await.kept_ms, 202);
        assert_eq!(start(&disk, SHORT, true).await.kept_ms, 2020, "LONG may have been told");
    }

    #[tokio::test]
    async fn a_member_whose_hold_was_never_saved_keeps_its_own() {
        let disk = Arc::new(MemoryDisk::default());
        assert_eq!(start(&disk, SHORT, true).await.kept_ms, 202);
    }

    #[tokio::test]
    async fn a_longer_hold_is_on_disk_before_anybody_is_told_of_it() {
        let disk = Arc::new(MemoryDisk::default());
        start(&disk, SHORT, false).await;
        let (log, reads) = (open(&disk, FlushMode::Manual), reads(&Arc::default(), LONG));
        let mut begun = Box::pin(begin(&log, &reads, true));
        assert!(futures_util::poll!(begun.as_mut()).is_pending());
        log.flush();
        begun.await.unwrap();
        drop((log, reads));
        assert_eq!(saved(&open(&disk, FlushMode::Inline)), Some(LONG));
    }

    #[tokio::test(start_paused = true)]
    async fn a_shorter_hold_is_saved_when_all_that_was_said_before_is_over_and_no_sooner() {
        let disk = Arc::new(MemoryDisk::default());
        start(&disk, LONG, false).await;
        let member = start(&disk, SHORT, true).await;
        let settled = tokio::spawn(settle(&member.log, &member.reads));
        member.clock.advance(Duration::from_millis(2019));
        tokio::time::sleep(LONG * 2).await;
        assert_eq!(saved(&member.log), Some(LONG));
        member.clock.advance(Duration::from_millis(1));
        settled.await.unwrap();
        assert_eq!(saved(&member.log), Some(SHORT));
        assert_eq!(start(&disk, SHORT, true).await.kept_ms, 202);
    }
}
