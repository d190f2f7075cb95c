//! Deterministic simulation of ram_core: a cluster, its clients and its faults in one thread.
//!
//! A seed decides everything: the cluster (`plan`), the faults (`faults`), what the clients do
//! (`client`), how the network and the disks behave. The members are those of the product; under
//! them are turmoil's network and time, a disk with a volatile cache, and clocks that run at rates
//! of their own. After every step of a virtual millisecond the `invariants` look inside all
//! members, and at the end `ram_check` judges what the clients saw.
//!
//! One seed gives one run: a run prints a hash over all its events, and the same seed prints the
//! same hash. All randomness of the process comes from the seed (`entropy`), that of hash maps and
//! of tokio too. So a run takes a process of its own; `fleet` starts them.
//!
//! What may never enter: a real clock, a thread, a file.

#![forbid(unsafe_code)]
// Not shipped: what cannot go on here has to stop the run.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod client;
mod cuts;
pub mod entropy;
mod faults;
pub mod fleet;
mod host;
mod impostor;
mod invariants;
mod joining;
mod network;
mod owning;
mod plan;
pub mod report;
pub mod run;
mod strikes;
mod watch;
mod world;
