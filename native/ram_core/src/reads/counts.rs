//! How reads were answered. The count of the fast path is spread over cache lines, since every
//! scheduler adds to it with every read.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

const SHARDS: usize = 16;

#[derive(Debug, Default)]
#[repr(align(64))]
struct Shard(AtomicU64);

/// Since the start of the member.
#[derive(Debug, Default)]
pub struct Counts {
    local: [Shard; SHARDS],
    waited: AtomicU64,
    quorum: AtomicU64,
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
        if let Some(shard) = self.local.get(shard()) {
            shard.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub fn count_waited(&self) {
        self.waited.fetch_add(1, Ordering::Relaxed);
    }

    pub fn count_quorum(&self) {
        self.quorum.fetch_add(1, Ordering::Relaxed);
    }
}

/// The same one for a thread every time.
fn shard() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static OWN: usize = NEXT.fetch_add(1, Ordering::Relaxed) % SHARDS;
    }
    OWN.with(|own| *own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_many_threads_count_is_the_sum() {
        let counts = Counts::default();
        std::thread::scope(|scope| {
            for _ in 0..20 {
                scope.spawn(|| (0..100).for_each(|_| counts.count_local()));
            }
        });
        assert_eq!(counts.local(), 2000);
    }
}
