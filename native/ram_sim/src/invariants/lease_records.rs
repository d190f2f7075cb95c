//! I2 of `ram_lease`: a lease that its holder takes to be alive is alive on the record of who
//! granted it, as long as that one leads.
//!
//! The two look at their clocks at different moments of a step. A lease is recorded before it is
//! held and after: so it is on the record of this step, or of the one before.

use std::collections::{BTreeMap, BTreeSet};

use super::{Checked, HeldLease};

/// For each term the holders that its leader knows.
type Records = BTreeMap<u64, BTreeSet<u64>>;

#[derive(Default)]
pub struct LeaseRecords {
    before: Records,
}

impl LeaseRecords {
    pub const NAME: &str = "a_lease_held_is_on_its_leaders_record";

    pub fn check(&mut self, leases: &[HeldLease], records: Records) -> Checked {
        let before = std::mem::replace(&mut self.before, records);
        for lease in leases {
            // One that has just begun to lead, or to lead no more, has no record to compare.
            let (Some(then), Some(now)) = (before.get(&lease.term), self.before.get(&lease.term))
            else {
                continue;
            };
            if !then.contains(&lease.id) && !now.contains(&lease.id) {
                return Err(format!("{lease:?}, of which its leader knows nothing"));
            }
        }
        Ok(())
    }
}
