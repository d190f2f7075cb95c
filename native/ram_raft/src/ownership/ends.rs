//! The owners of this run of a member that have ended, as long as their keys are there.

use std::collections::BTreeSet;

/// Owners in one report.
pub(super) const REPORTED_AT_ONCE: usize = 1000;

#[derive(Debug, Default)]
pub(super) struct Ends {
    unsent: BTreeSet<Box<[u8]>>,
    /// To the leader, a moment ago.
    sent: BTreeSet<Box<[u8]>>,
}

impl Ends {
    pub fn add(&mut self, owner: &[u8]) {
        self.unsent.insert(owner.into());
    }

    pub fn has(&self, owner: &[u8]) -> bool {
        self.unsent.contains(owner) || self.sent.contains(owner)
    }

    /// Its keys are gone.
    pub fn forget(&mut self, owner: &[u8]) {
        self.unsent.remove(owner);
        self.sent.remove(owner);
    }

    /// Some that have a key and were not sent, which are now; and whether any are.
    pub fn take(&mut self, has_key: impl Fn(&[u8]) -> bool) -> (Vec<Box<[u8]>>, bool) {
        let mut taken = Vec::new();
        while taken.len() < REPORTED_AT_ONCE
            && let Some(owner) = self.unsent.pop_first()
        {
            if has_key(&owner) {
                self.sent.insert(owner.clone());
                taken.push(owner);
            }
        }
        (taken, !self.sent.is_empty())
    }

    pub fn send_again(&mut self) {
        self.unsent.append(&mut self.sent);
    }
}
