//! Patience with a leader whose large entry is on its way.
//!
//! What a leader sends on a connection comes in order, so behind an entry of 16 MiB its heartbeats
//! wait: longer than the leader lease where the way is slow, and whoever campaigned then would make
//! the same entry travel again, from the next leader. While bytes of the leader arrive a follower
//! does not campaign by itself. A leader that dies ends its connection (see [`succession`]), and
//! one that freezes sends no bytes, so both are missed a moment later at most.
//!
//! Nothing else depends on this: it only keeps openraft's own timer from campaigning.
//!
//! [`succession`]: super::succession

use std::time::Duration;
use tokio::sync::watch;
use tokio::time::timeout;

use super::elections::Elections;

/// Without bytes for so long a follower is as impatient as ever.
const QUIET: Duration = Duration::from_millis(100);

/// Whose large request is arriving; told anew with each part. Cheap to clone.
#[derive(Clone, Default)]
pub struct Arrivals(watch::Sender<Option<u64>>);

impl Arrivals {
    pub fn part_of(&self, peer: u64) {
        self.0.send_replace(Some(peer));
    }
}

/// To be awaited as long as the member runs.
pub async fn be_patient(
    elections: Elections,
    leader: watch::Receiver<Option<u64>>,
    arrivals: Arrivals,
) {
    watch_arrivals(leader, arrivals.0.subscribe(), || elections.hold_off()).await;
}

/// No election while what `hold_off` returns lives.
async fn watch_arrivals<H>(
    leader: watch::Receiver<Option<u64>>,
    mut arrivals: watch::Receiver<Option<u64>>,
    hold_off: impl Fn() -> H,
) {
    while arrivals.changed().await.is_ok() {
        let sender = *arrivals.borrow_and_update();
        if sender.is_none() || sender != *leader.borrow() {
            continue;
        }
        let _held_off = hold_off();
        while let Ok(Ok(())) = timeout(QUIET, arrivals.changed()).await {}
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
        let arrivals = Arrivals::default();
        let held_off = Arc::new(());
        let held = held_off.clone();
        tokio::spawn(watch_arrivals(led, arrivals.0.subscribe(), move || held.clone()));
        let after = async |wait| {
            sleep(wait).await;
            // This one, the task's, and no other.
            Arc::strong_count(&held_off) == 2
        };
        assert!(after(QUIET).await);
        arrivals.part_of(2);
        assert!(after(QUIET / 2).await, "2 does not lead");
        for _ in 0..10 {
            arrivals.part_of(1);
            assert!(!after(QUIET / 2).await);
        }
        assert!(after(QUIET).await);
    }
}
