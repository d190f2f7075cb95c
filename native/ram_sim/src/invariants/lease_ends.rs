//! No read lease outlives the promise it rests on: once another leads in a later term, no member
//! may answer by the lease of a former one.
//!
//! A lease is shown once in each step, so it is held against the leaders of the steps before.

use super::Checked;

#[derive(Default)]
pub struct LeaseEnds {
    led_term: u64,
}

impl LeaseEnds {
    pub const NAME: &str = "no_lease_outlives_its_promise";

    /// `leases` are the terms of those that are held by members now, `led` those that members lead.
    pub fn check(
        &mut self,
        leases: impl Iterator<Item = (usize, u64)>,
        led: impl Iterator<Item = u64>,
    ) -> Checked {
        for (host, term) in leases {
            if term < self.led_term {
                let later = self.led_term;
                return Err(format!("host {host} holds a lease of term {term}; {later} is led"));
            }
        }
        self.led_term = led.fold(self.led_term, u64::max);
        Ok(())
    }
}
