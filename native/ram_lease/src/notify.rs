//! tokio's `Notify`, or the same as a model checker sees it: each call is a step, before or after
//! those of other threads. What happens within a call is tokio's, which checks that by loom too.

#[cfg(not(feature = "loom"))]
pub use tokio::sync::Notify;

#[cfg(feature = "loom")]
#[derive(Debug, Default)]
pub struct Notify {
    inner: tokio::sync::Notify,
    steps: ram_threads::sync::AtomicU64,
}

#[cfg(feature = "loom")]
impl Notify {
    pub fn new() -> Self {
        Notify::default()
    }

    fn step(&self) -> &tokio::sync::Notify {
        self.steps.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        &self.inner
    }

    pub fn notified(&self) -> tokio::sync::futures::Notified<'_> {
        self.step().notified()
    }

    pub fn notify_one(&self) {
        self.step().notify_one();
    }

    pub fn notify_waiters(&self) {
        self.step().notify_waiters();
    }
}
