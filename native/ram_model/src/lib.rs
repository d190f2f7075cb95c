//! The protocol of `ram_core::reads` as a state machine, for every interleaving to be looked at.
//!
//! Three nodes and one key, which every entry of the log writes. Raft is reduced to what leases
//! rest on: terms, votes, a log that the leader's push replaces, acknowledgements, commit, voters
//! that join and leave one at a time. Grants and acknowledgements are messages that may arrive late
//! or never, nodes crash and come back, the lead changes by election or is handed over. Each node
//! has a clock of its own rate, and spans are counted down on it, so a state does not know how late
//! it is. Each has a vote hold of its own, and may have another after a crash.
//!
//! Each guard of the protocol is a [`Guard`] that can be left out. With all of them no state is
//! reached in which a node may answer and does not show all that is committed, and I1 to I3 hold;
//! without any one of them but the last the checker finds a way there (`tests/guards.rs`).
//!
//! A node goes by the newest configuration in its log, as in Raft; a leader that grants may see it
//! late. The product changes voters by joint consensus; what leases need is the same there: the
//! majorities of two successive configurations meet, and one is committed before the next follows.
//! So in every majority of the next but one there is a node whose vote hold began after the grant,
//! and leases may live through changes: to let them run out first, as the product does, is a
//! precaution ([`Guard::ChangePauses`]). What may not be is a grant that rests on voters of two
//! changes ago.
//!
//! Left out: snapshots, and the order of loads and stores within a node.
//! Coarse: e is 20 %, L is three ticks of the fastest clock, or one where the voters change or
//! where it is a shorter one.
//!
//! What may never enter: code of ram_core, whose mistakes this is to find.

#![forbid(unsafe_code)]
// Not shipped: what cannot go on here has to stop the check.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod cluster;
mod invariants;
mod node;
mod steps;
mod voters;

pub use cluster::{Cluster, Guard, NODES, Step};
pub use invariants::{ALL, OUTSIDER, STALE, SUCCESSOR};
pub use node::State;
pub use voters::Voters;
