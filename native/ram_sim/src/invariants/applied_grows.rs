//! A running member never takes back what it has applied. After a restart it may begin lower.

use std::collections::BTreeMap;

use super::{Checked, Sight};

#[derive(Default)]
pub struct AppliedGrows {
    applied: BTreeMap<u64, u64>,
}

impl AppliedGrows {
    pub fn check(&mut self, sight: &Sight<'_>) -> Checked {
        let now = &sight.now;
        let before = self.applied.insert(sight.start, now.applied_index).unwrap_or(0);
        if before <= now.applied_index {
            return Ok(());
        }
        Err(format!("member {} went back from {before} to {}", now.id, now.applied_index))
    }
}
