//! The clock that leases and vote holds are measured on, and what its drift costs.
//!
//! One clock a member, never compared with another's: every span here begins and ends on the same
//! clock. It goes on while the machine sleeps. Of true time it makes between 1 - e and 1 + e, with
//! e = [`DRIFT_PERCENT`]; a clock that is worse, or a pause that is hidden from it (a machine
//! suspended by its hypervisor), is outside of what leases promise: `quorum` reads are for those.

use std::fmt::Debug;
use std::time::Duration;

/// e, the bound on what a clock drifts.
pub const DRIFT_PERCENT: u32 = 1;

/// Longer than any setting allows: what others tell is cut to this, so that no product overflows.
const SPAN_MAX: Duration = Duration::from_secs(1 << 50);

/// A reading of a member's clock, in nanoseconds since a moment of no meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Time(u64);

impl Time {
    pub const NEVER: Time = Time(u64::MAX);

    pub const fn from_ns(ns: u64) -> Time {
        Time(ns)
    }

    pub const fn ns(self) -> u64 {
        self.0
    }

    pub const fn ms(self) -> u64 {
        self.0 / 1_000_000
    }

    pub fn after(self, span: Duration) -> Time {
        Time(self.0.saturating_add(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)))
    }

    /// Zero when `earlier` is later.
    pub fn since(self, earlier: Time) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// Never goes back.
pub trait Clock: Debug + Send + Sync {
    fn now(&self) -> Time;
}

/// The system's clock since it was booted, sleep included where the system tells it.
#[derive(Debug, Clone, Copy, Default)]
pub struct BootClock;

impl Clock for BootClock {
    fn now(&self) -> Time {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        const CLOCK: rustix::time::ClockId = rustix::time::ClockId::Boottime;
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        const CLOCK: rustix::time::ClockId = rustix::time::ClockId::Monotonic;
        let now = rustix::time::clock_gettime(CLOCK);
        // Neither is negative on this clock.
        Time((now.tv_sec as u64).saturating_mul(1_000_000_000).saturating_add(now.tv_nsec as u64))
    }
}

/// How late a moment may be noticed beyond what the timer makes of it.
pub const TIMER_MIN: Duration = Duration::from_millis(1);

/// Returns when the clock has reached the moment, which may be put off meanwhile.
pub async fn reached(clock: &dyn Clock, moment: impl Fn() -> Time) {
    loop {
        let left = moment().since(clock.now());
        if left.is_zero() {
            return;
        }
        tokio::time::sleep(left.max(TIMER_MIN)).await;
    }
}

/// `span` (1 - e): what a holder counts, so that its slow clock holds no longer than `span`.
pub fn shortened(span: Duration) -> Duration {
    span.min(SPAN_MAX) * (100 - DRIFT_PERCENT) / 100
}

/// `span` (1 + e): what a grantor counts, so that its fast clock waits for all of `span`.
pub fn lengthened(span: Duration) -> Duration {
    span.min(SPAN_MAX) * (100 + DRIFT_PERCENT) / 100
}

/// `span` (1 - e) / (1 + e): what is left of another member's `span` for certain, when its clock
/// may be fast and one's own slow.
pub fn of_another(span: Duration) -> Duration {
    span.min(SPAN_MAX) * (100 - DRIFT_PERCENT) / (100 + DRIFT_PERCENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_of_the_system_goes_on() {
        let before = BootClock.now();
        while BootClock.now() == before {}
        assert!(BootClock.now() > before);
        assert!(before.ns() > 0);
    }

    #[test]
    fn a_span_of_another_clock_ends_before_its_own_end_however_both_drift() {
        let span = Duration::from_secs(1);
        let fast_ends = span.as_secs_f64() / 1.01;
        let slow_ends = of_another(span).as_secs_f64() / 0.99;
        assert!(slow_ends <= fast_ends);
        // What the holder counts on a slow clock is over before the grantor's fast one says so.
        assert!(shortened(span).as_secs_f64() / 0.99 <= lengthened(span).as_secs_f64() / 1.01);
    }
    /// A peer that told of one ended the member with a panic.
    #[test]
    fn the_longest_span_of_all_is_no_trouble() {
        for span in [shortened(Duration::MAX), lengthened(Duration::MAX), of_another(Duration::MAX)]
        {
            assert!(span > Duration::from_secs(1 << 40));
            assert_eq!(Time::from_ns(7).after(span), Time::NEVER);
        }
    }
}
