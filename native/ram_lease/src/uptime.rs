//! The time of one member, since it started: by its own clock, which decides nothing.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::clock::{Clock, Time};
use ram_threads::sync::AtomicU64;

/// Clones share it.
#[derive(Debug, Clone)]
pub struct Uptime {
    clock: Arc<dyn Clock>,
    started: Time,
    /// When this member learned who leads now.
    led_since_ms: Arc<AtomicU64>,
}

impl Uptime {
    /// From now on.
    pub fn begin(clock: Arc<dyn Clock>) -> Uptime {
        let started = clock.now();
        Uptime { clock, started, led_since_ms: Arc::default() }
    }

    pub fn ms(&self) -> u64 {
        // Milliseconds of more years than there will be.
        self.clock.now().since(self.started).as_millis() as u64
    }

    /// Another member leads, or this one: it gives every key its full time again.
    pub fn led_anew(&self) {
        self.led_since_ms.store(self.ms(), Ordering::Relaxed);
    }

    /// What is left of a time to live that began when `ms` was this, as this member reckons.
    pub fn left_ms(&self, ttl_ms: u64, since_ms: u64) -> u64 {
        let since = since_ms.max(self.led_since_ms.load(Ordering::Relaxed));
        ttl_ms.saturating_sub(self.ms().saturating_sub(since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manual::ManualClock;
    use std::time::Duration;

    #[test]
    fn a_time_to_live_runs_from_its_beginning_and_anew_with_each_leader() {
        let clock = Arc::new(ManualClock::default());
        let uptime = Uptime::begin(clock.clone());
        let pass = |ms| clock.advance(Duration::from_millis(ms));
        pass(1000);
        assert_eq!(uptime.left_ms(500, 1000), 500);
        pass(200);
        assert_eq!(uptime.left_ms(500, 1000), 300);
        uptime.led_anew();
        assert_eq!(uptime.left_ms(500, 1000), 500);
        pass(600);
        assert_eq!((uptime.left_ms(500, 1000), uptime.left_ms(500, 1700)), (0, 400));
        assert_eq!((uptime.ms(), Uptime::begin(clock).ms()), (1800, 0));
    }
}
