//! The admission limit: how many bytes of requests a member works on for its peers at once.
//!
//! Used by `service`, one limit for all peers. It bounds the memory of a leader that cannot commit,
//! to which peers send the same requests again, and of a follower whose disk does not keep up.

use std::future::Future;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// What a request costs besides its bytes.
const REQUEST_BYTES: usize = 1024;

pub struct AdmissionLimit {
    bytes_max: u32,
    left: Arc<Semaphore>,
    /// For a request that would need most of the rest: among many small ones it would never have
    /// its turn, so one at a time is let in whatever else there is.
    large: Arc<Semaphore>,
}

impl AdmissionLimit {
    pub fn new(bytes_max: u32) -> AdmissionLimit {
        let left = Arc::new(Semaphore::new(bytes_max as usize));
        AdmissionLimit { bytes_max, left, large: Arc::new(Semaphore::new(1)) }
    }

    /// The work on a request of so many bytes, which counts until it has ended; `None`: there is
    /// too much already.
    pub fn admit<W: Future>(
        &self,
        bytes: usize,
        work: W,
    ) -> Option<impl Future<Output = W::Output> + use<W>> {
        let bytes = u32::try_from(bytes.saturating_add(REQUEST_BYTES)).unwrap_or(u32::MAX);
        let taken = if bytes > self.bytes_max / 2 {
            self.large.clone().try_acquire_owned().ok()?
        } else {
            self.left.clone().try_acquire_many_owned(bytes).ok()?
        };
        Some(async move {
            let answer = work.await;
            drop(taken);
            answer
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::{pending, ready};

    #[test]
    fn beyond_the_bound_nothing_is_let_in_until_a_request_has_its_answer() {
        let asked = AdmissionLimit::new(4 * 1024);
        let first = asked.admit(1024, ready(7)).unwrap();
        let second = asked.admit(1024, pending::<()>()).unwrap();
        assert!(asked.admit(0, ready(())).is_none());
        assert_eq!(futures_util::FutureExt::now_or_never(first), Some(7));
        let third = asked.admit(1024, pending::<()>()).unwrap();
        assert!(asked.admit(0, ready(())).is_none());
        drop((second, third));
        assert!(asked.admit(0, ready(())).is_some());
    }

    #[test]
    fn a_large_request_has_its_turn_among_many_small_ones_and_a_second_one_waits_for_it() {
        let asked = AdmissionLimit::new(4 * 1024);
        let small = [0; 4].map(|bytes| asked.admit(bytes, pending::<()>()).unwrap());
        assert!(asked.admit(0, ready(())).is_none());
        let large = asked.admit(usize::MAX, pending::<()>()).unwrap();
        assert!(asked.admit(usize::MAX, ready(())).is_none());
        drop(large);
        assert!(asked.admit(1025, ready(())).is_some());
        drop(small);
    }
}
