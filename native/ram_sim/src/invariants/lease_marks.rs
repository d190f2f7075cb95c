//! I1 of `ram_lease`: nothing is committed that a holder of a read lease has not marked,
//! unless it was told an index that is not below it. Entries are marked before they are in the log.
//!
//! A lease is shown once in each step, so it is held against what was committed before the step.

use super::{Checked, HeldLease};

#[derive(Default)]
pub struct LeaseMarks {
    committed_index: u64,
}

impl LeaseMarks {
    pub const NAME: &str = "what_is_committed_is_marked_by_every_holder";

    pub fn check(&mut self, leases: &[HeldLease], committed_index: u64) -> Checked {
        let before = std::mem::replace(&mut self.committed_index, committed_index);
        let ignorant = |lease: &&HeldLease| lease.last_index.max(lease.from_index) < before;
        match leases.iter().find(ignorant) {
            Some(lease) => Err(format!("{lease:?}, and {before} is committed")),
            None => Ok(()),
        }
    }
}
