//! How much the peers may have asked of a leader, and wait for, at once.
//!
//! A leader that cannot commit must not collect what they send again and again. Used by `service`,
//! for all peers together.

use std::future::Future;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// What a request costs besides its bytes.
const REQUEST_BYTES: usize = 1024;

pub struct Asked {
    bytes_max: u32,
    left: Arc<Semaphore>,
}

impl Asked {
    pub fn new(bytes_max: u32) -> Asked {
        Asked { bytes_max, left: Arc::new(Semaphore::new(bytes_max as usize)) }
    }

    /// The work on a request of so many bytes, which counts until it has ended; `None`: there is
    /// too much already. One of any size is let in when there is nothing else.
    pub fn admit<W: Future>(
        &self,
        bytes: usize,
        work: W,
    ) -> Option<impl Future<Output = W::Output> + use<W>> {
        let bytes = u32::try_from(bytes.saturating_add(REQUEST_BYTES)).unwrap_or(u32::MAX);
        let taken = self.left.clone().try_acquire_many_owned(bytes.min(self.bytes_max)).ok()?;
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
        let asked = Asked::new(4 * 1024);
        let first = asked.admit(1024, ready(7)).unwrap();
        let second = asked.admit(1024, pending::<()>()).unwrap();
        assert!(asked.admit(0, ready(())).is_none());
        assert_eq!(futures_util::FutureExt::now_or_never(first), Some(7));
        assert!(asked.admit(1025, ready(())).is_none());
        let third = asked.admit(1024, pending::<()>()).unwrap();
        assert!(asked.admit(0, ready(())).is_none());
        drop((second, third));
        assert!(asked.admit(usize::MAX, ready(())).is_some());
    }
}
