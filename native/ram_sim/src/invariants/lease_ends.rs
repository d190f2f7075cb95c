//! I3 of `ram_lease`, as it shows. No read lease outlives the vote hold it rests on: once
//! another leads in a later term, no member may answer by the lease of a former one.
//!
//! A lease is shown once in each step, so it is held against the leaders of the steps before.

use super::{Checked, HeldLease};

#[derive(Default)]
pub struct LeaseEnds {
    led_term: u64,
}

impl LeaseEnds {
    pub const NAME: &str = "no_lease_outlives_its_vote_hold";

    /// `led` are the terms that members lead now.
    pub fn check(&mut self, leases: &[HeldLease], led: impl Iterator<Item = u64>) -> Checked {
        if let Some(lease) = leases.iter().find(|lease| lease.term < self.led_term) {
            return Err(format!("{lease:?}, and term {} is led", self.led_term));
        }
        self.led_term = led.fold(self.led_term, u64::max);
        Ok(())
    }
}
