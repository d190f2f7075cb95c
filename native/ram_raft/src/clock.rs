//! The runtime that openraft gets: tokio.
//!
//! In a simulation every member has a clock of its own, which runs at its own rate: openraft then
//! sees tokio's time through `simulated`.

#[cfg(not(feature = "simulation"))]
pub use openraft::impls::TokioRuntime as Runtime;

#[cfg(feature = "simulation")]
pub use simulated::{ClockedRuntime as Runtime, MemberClock, run_at};

#[cfg(feature = "simulation")]
mod simulated;
