//! Tokio's time at another rate, one rate for each tokio runtime.

use openraft::AsyncRuntime;
use openraft::OptionalSend;
use openraft::impls::TokioRuntime;
use std::cell::RefCell;
use std::collections::HashMap;
use std::future::Future;
use std::ops::{Add, AddAssign, Sub, SubAssign};
use std::time::Duration;
use tokio::runtime::{Handle, Id};

use ram_lease::clock::{self, Time};

#[derive(Clone, Copy)]
struct Clock {
    /// Tokio's time and this clock's, when it began to run at this rate.
    origin: tokio::time::Instant,
    shown: tokio::time::Instant,
    rate: f64,
}

thread_local! {
    /// The clocks of the runtimes of this thread that have one; the others keep tokio's time.
    static CLOCKS: RefCell<HashMap<Id, Clock>> = RefCell::default();
}

/// From now on the clock of this runtime makes `rate` seconds of one. It never goes back.
pub fn run_at(rate: f64) {
    let shown = <ClockInstant as openraft::Instant>::now().0;
    let clock = Clock { origin: tokio::time::Instant::now(), shown, rate };
    CLOCKS.with_borrow_mut(|clocks| clocks.insert(Handle::current().id(), clock));
}

fn clock() -> Option<Clock> {
    let id = Handle::try_current().ok()?.id();
    CLOCKS.with_borrow(|clocks| clocks.get(&id).copied())
}

/// How long tokio has to wait for this clock to make `duration`.
fn waiting(duration: Duration) -> Duration {
    clock().map_or(duration, |clock| duration.div_f64(clock.rate))
}

/// A reading of a member's own clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ClockInstant(tokio::time::Instant);

impl openraft::Instant for ClockInstant {
    fn now() -> Self {
        let now = tokio::time::Instant::now();
        let Some(clock) = clock() else { return ClockInstant(now) };
        let since = now.saturating_duration_since(clock.origin);
        ClockInstant(clock.shown + since.mul_f64(clock.rate))
    }
}

/// What read leases of a member are measured on: the clock of its runtime, since the member was
/// opened. To be made, and read, within that runtime.
#[derive(Debug)]
pub struct MemberClock {
    opened: ClockInstant,
}

impl Default for MemberClock {
    fn default() -> Self {
        MemberClock { opened: <ClockInstant as openraft::Instant>::now() }
    }
}

impl clock::Clock for MemberClock {
    fn now(&self) -> Time {
        let since = <ClockInstant as openraft::Instant>::now() - self.opened;
        // Zero is before all leases.
        Time::from_ns(1 + since.as_nanos() as u64)
    }
}

impl ClockInstant {
    fn waiting(self) -> Duration {
        let now = <Self as openraft::Instant>::now();
        waiting(self.0.saturating_duration_since(now.0))
    }
}

impl Add<Duration> for ClockInstant {
    type Output = Self;
    fn add(self, duration: Duration) -> Self {
        ClockInstant(self.0 + duration)
    }
}

impl AddAssign<Duration> for ClockInstant {
    fn add_assign(&mut self, duration: Duration) {
        self.0 += duration;
    }
}

impl Sub<Duration> for ClockInstant {
    type Output = Self;
    fn sub(self, duration: Duration) -> Self {
        ClockInstant(self.0 - duration)
    }
}

impl Sub for ClockInstant {
    type Output = Duration;
    fn sub(self, other: Self) -> Duration {
        self.0.saturating_duration_since(other.0)
    }
}

impl SubAssign<Duration> for ClockInstant {
    fn sub_assign(&mut self, duration: Duration) {
        self.0 -= duration;
    }
}

/// Tokio, with the clock of the runtime it is called in.
#[derive(Debug)]
pub struct ClockedRuntime(TokioRuntime);

impl AsyncRuntime for ClockedRuntime {
    type JoinError = <TokioRuntime as AsyncRuntime>::JoinError;
    type JoinHandle<T: OptionalSend + 'static> = tokio::task::JoinHandle<T>;
    type Sleep = tokio::time::Sleep;
    type Instant = ClockInstant;
    type TimeoutError = tokio::time::error::Elapsed;
    type Timeout<R, T: Future<Output = R> + OptionalSend> = tokio::time::Timeout<T>;
    type ThreadLocalRng = <TokioRuntime as AsyncRuntime>::ThreadLocalRng;
    type Mpsc = <TokioRuntime as AsyncRuntime>::Mpsc;
    type Watch = <TokioRuntime as AsyncRuntime>::Watch;
    type Oneshot = <TokioRuntime as AsyncRuntime>::Oneshot;
    type Mutex<T: OptionalSend + 'static> = <TokioRuntime as AsyncRuntime>::Mutex<T>;

    fn spawn<T>(future: T) -> Self::JoinHandle<T::Output>
    where
        T: Future + OptionalSend + 'static,
        T::Output: OptionalSend + 'static,
    {
        TokioRuntime::spawn(future)
    }

    fn sleep(duration: Duration) -> Self::Sleep {
        TokioRuntime::sleep(waiting(duration))
    }

    fn sleep_until(deadline: ClockInstant) -> Self::Sleep {
        TokioRuntime::sleep(deadline.waiting())
    }

    fn timeout<R, F: Future<Output = R> + OptionalSend>(
        duration: Duration,
        future: F,
    ) -> Self::Timeout<R, F> {
        TokioRuntime::timeout(waiting(duration), future)
    }

    fn timeout_at<R, F: Future<Output = R> + OptionalSend>(
        deadline: ClockInstant,
        future: F,
    ) -> Self::Timeout<R, F> {
        TokioRuntime::timeout(deadline.waiting(), future)
    }

    fn is_panic(error: &Self::JoinError) -> bool {
        TokioRuntime::is_panic(error)
    }

    fn thread_rng() -> Self::ThreadLocalRng {
        TokioRuntime::thread_rng()
    }

    fn new(threads: usize) -> Self {
        ClockedRuntime(TokioRuntime::new(threads))
    }

    fn block_on<F, T>(&mut self, future: F) -> T
    where
        F: Future<Output = T>,
    {
        self.0.block_on(future)
    }
}
