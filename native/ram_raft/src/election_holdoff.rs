//! Election hold-off while a large append of the leader arrives.
//!
//! A connection delivers in order, so the leader's heartbeats wait behind a large entry: on a slow
//! link for longer than the leader lease. A follower that campaigned then would have the next
//! leader send the same entry again. So while bytes of the leader's request arrive this member does
//! not campaign by itself. A dead leader is still detected, since its connection ends
//! ([`failure_detector`]), and so is a frozen one, which sends no bytes: each at most [`QUIET`]
//! later.
//!
//! Only the timer of openraft is held off. Safety does not depend on this.
//!
//! [`failure_detector`]: super::failure_detector

use std::time::Duration;
use tokio::sync::watch;
use tokio::time::timeout;

use super::elections::Elections;

/// The hold-off ends when no bytes have come for so long.
const QUIET: Duration = Duration::from_millis(100);

/// The peer whose large request is arriving, published again with each chunk. Clones share it.
#[derive(Clone, Default)]
pub struct LargeAppends(watch::Sender<Option<u64>>);

impl LargeAppends {
    pub fn chunk_from(&self, peer: u64) {
        self.0.send_replace(Some(peer));
    }
}

/// To be awaited as long as the member runs.
pub async fn hold_off_elections(
    elections: Elections,
    leader: watch::Receiver<Option<u64>>,
    large_appends: LargeAppends,
) {
    watch_arrivals(leader, large_appends.0.subscribe(), || elections.hold_off()).await;
}

/// No election while what `hold_off` returns lives.
async fn watch_arrivals<H>(
    leader: watch::Receiver<Option<u64>>,
    mut large_appends: watch::Receiver<Option<u64>>,
    hold_off: impl Fn() -> H,
) {
    while large_appends.changed().await.is_ok() {
        let sender = *large_appends.borrow_and_update();
        if sender.is_none() || sender != *leader.borrow() {
            continue;
        }
        let _held_off = hold_off();
        while let Ok(Ok(())) = timeout(QUIET, large_appends.changed()).await {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use tokio::time::sleep;

    #[tokio::test(start_paused = true)]
    async fn nobody_campaigns_while_bytes_of_the_leader_arrive_and_soon_after_the_last() {
        let (_leader, led) = watch::channel(Some(1));
        let large_appends = LargeAppends::default();
        let held_off = Arc::new(());
        let held = held_off.clone();
        tokio::spawn(watch_arrivals(led, large_appends.0.subscribe(), move || held.clone()));
        let after = async |wait| {
            sleep(wait).await;
            // This one, the task's, and no other.
            Arc::strong_count(&held_off) == 2
        };
        assert!(after(QUIET).await);
        large_appends.chunk_from(2);
        assert!(after(QUIET / 2).await, "2 does not lead");
        for _ in 0..10 {
            large_appends.chunk_from(1);
            assert!(!after(QUIET / 2).await);
        }
        assert!(after(QUIET).await);
    }
}
