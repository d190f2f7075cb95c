//! Who is a voter has all that was committed when it came: it was a learner before, and has applied
//! since what was applied anywhere when it became one. The first members came with the cluster.

use std::collections::{BTreeMap, BTreeSet};

use super::{Checked, Sight};

#[derive(Default)]
pub struct ReadyVoters {
    /// Learners, and what was committed when they were seen first.
    came: BTreeMap<u64, u64>,
    voters: BTreeSet<u64>,
    applied: BTreeMap<u64, u64>,
    pub promotions: u64,
}

impl ReadyVoters {
    /// `committed_index`: the last that any member has applied.
    pub fn check(&mut self, sight: &Sight<'_>, committed_index: u64) -> Checked {
        let applied = self.applied.entry(sight.now.id).or_default();
        *applied = sight.now.applied_index.max(*applied);
        let Some(members) = sight.members else { return Ok(()) };
        if self.voters.is_empty() {
            self.voters.extend(members.keys());
        }
        for (id, is_voter) in members {
            if !is_voter {
                self.came.entry(*id).or_insert(committed_index);
            } else if self.voters.insert(*id) {
                self.promotions += 1;
                self.check_promotion(*id)?;
            }
        }
        Ok(())
    }

    fn check_promotion(&self, id: u64) -> Checked {
        let has = self.applied.get(&id).copied().unwrap_or(0);
        match self.came.get(&id) {
            Some(came) if has >= *came => Ok(()),
            Some(came) => Err(format!(
                "member {id} is a voter and has applied {has}; {came} was committed when it came"
            )),
            None => Err(format!("member {id} is a voter and was no learner before")),
        }
    }
}
