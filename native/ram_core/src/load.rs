//! The bound on requests that were taken by this node and not yet answered.
//!
//! Every read and write takes a [`Permit`] before it enters a queue and holds it until its reply:
//! in the queue, in a group on its way to the leader, while an index is to be applied. So nothing
//! behind the queues needs a bound of its own. Beyond the bound a request is refused at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::config::Limits;

/// The share of one member.
#[derive(Debug)]
pub struct Load {
    requests: AtomicUsize,
    bytes: AtomicUsize,
    requests_max: usize,
    bytes_max: usize,
}

/// One request's share; given back when it is dropped.
#[derive(Debug)]
pub struct Permit {
    load: Arc<Load>,
    bytes: usize,
}

impl Load {
    pub fn new(limits: &Limits) -> Arc<Load> {
        Arc::new(Load {
            requests: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            requests_max: limits.queue_requests_max,
            bytes_max: limits.queue_bytes_max,
        })
    }

    /// `None` when the bound would be passed.
    pub fn take(self: &Arc<Self>, bytes: usize) -> Option<Permit> {
        let requests = self.requests.fetch_add(1, Ordering::Relaxed);
        let taken = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        let permit = Permit { load: self.clone(), bytes };
        let fits = requests < self.requests_max && taken.saturating_add(bytes) <= self.bytes_max;
        fits.then_some(permit)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.load.requests.fetch_sub(1, Ordering::Relaxed);
        self.load.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_and_their_bytes_are_bounded_until_they_are_answered() {
        let limits = Limits { queue_requests_max: 3, queue_bytes_max: 10, ..Limits::default() };
        let load = Load::new(&limits);
        let large = load.take(10).unwrap();
        assert!(load.take(1).is_none(), "too many bytes");
        let small = [load.take(0).unwrap(), load.take(0).unwrap()];
        assert!(load.take(0).is_none(), "too many requests");
        drop(large);
        assert!(load.take(10).is_some());
        drop(small);
        assert_eq!(load.requests.load(Ordering::Relaxed), 0);
        assert_eq!(load.bytes.load(Ordering::Relaxed), 0);
    }
}
