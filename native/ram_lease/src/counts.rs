//! How reads were answered. Every thread counts those of the fast path in a cache line of its own,
//! since every scheduler adds to it with every read.

use std::sync::atomic::{AtomicU64, Ordering};

use ram_threads::stripe;

/// As many threads have one of their own; those that come later share the last.
const SHARDS: usize = 256;

#[derive(Debug, Default)]
#[repr(align(64))]
struct Shard(AtomicU64);

/// Since the start of the member.
#[derive(Debug)]
pub struct Counts {
    local: Box<[Shard]>,
    waited: AtomicU64,
    quorum: AtomicU64,
}

impl Default for Counts {
    fn default() -> Self {
        let local = (0..SHARDS).map(|_| Shard::default()).collect();
        Counts { local, waited: AtomicU64::new(0), quorum: AtomicU64::new(0) }
    }
}

impl Counts {
    /// Answered from the table of this member at once.
    pub fn local(&self) -> u64 {
        self.local.iter().map(|shard| shard.0.load(Ordering::Relaxed)).sum()
    }

    /// Answered by this member alone once an entry was applied.
    pub fn waited(&self) -> u64 {
        self.waited.load(Ordering::Relaxed)
    }

    /// Went to the leader for a read index.
    pub fn quorum(&self) -> u64 {
        self.quorum.load(Ordering::Relaxed)
    }

    pub fn count_local(&self) {
        let own = stripe::of_this_thread().min(SHARDS - 1);
        match self.local.get(own) {
            Some(Shard(count)) if own + 1 < SHARDS => {
                // Nobody else writes it, and what is atomic costs more than all else here.
                count.store(count.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
            }
            Some(Shard(shared)) => _ = shared.fetch_add(1, Ordering::Relaxed),
            None => {}
        }
    }

    pub fn count_waited(&self) {
        self.waited.fetch_add(1, Ordering::Relaxed);
    }

    pub fn count_quorum(&self) {
        self.quorum.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_that_share_a_counter_lose_nothing() {
        const EACH: u64 = 500_000;
        let counts = Counts::default();
        // A thread that is done before the next begins would show nothing.
        let begin = std::sync::Barrier::new(4);
        std::thread::scope(|scope| {
            // They take all counters that belong to one thread.
            (0..SHARDS).for_each(|_| _ = scope.spawn(|| counts.count_local()));
        });
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    begin.wait();
                    (0..EACH).for_each(|_| counts.count_local());
                });
            }
        });
        assert_eq!(counts.local(), SHARDS as u64 + 4 * EACH);
    }

    #[test]
    fn each_way_of_an_answer_is_counted_apart() {
        let counts = Counts::default();
        (0..2).for_each(|_| counts.count_waited());
        (0..3).for_each(|_| counts.count_quorum());
        assert_eq!((counts.local(), counts.waited(), counts.quorum()), (0, 2, 3));
    }

    #[test]
    fn what_many_threads_count_is_the_sum() {
        let counts = Counts::default();
        std::thread::scope(|scope| {
            for _ in 0..2 * SHARDS {
                scope.spawn(|| (0..100).for_each(|_| counts.count_local()));
            }
        });
        assert_eq!(counts.local(), 200 * SHARDS as u64);
    }
}
