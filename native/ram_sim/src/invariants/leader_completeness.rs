//! Leader completeness: what was committed once stands in the log of every later leader; and no
//! member has another entry at its place once it is applied there.
//!
//! An entry counts as committed when a member has applied it.

use std::collections::BTreeMap;

use super::{Checked, Sight};
use ram_core::observation::SeenEntry;

#[derive(Default)]
pub struct LeaderCompleteness {
    committed: BTreeMap<u64, SeenEntry>,
}

impl LeaderCompleteness {
    pub fn check(&mut self, sight: &Sight<'_>) -> Checked {
        if let Some(log) = sight.new_leader_log {
            self.check_leader(sight, log)?;
        }
        for entry in sight.entries.iter().filter(|e| e.index <= sight.now.applied_index) {
            let known = self.committed.entry(entry.index).or_insert(*entry);
            if known != entry {
                return Err(format!(
                    "member {} applied entry {} of term {}, where term {} was committed",
                    sight.now.id, entry.index, entry.term, known.term
                ));
            }
        }
        Ok(())
    }

    fn check_leader(&self, sight: &Sight<'_>, log: &[SeenEntry]) -> Checked {
        let (id, term) = (sight.now.id, sight.now.term);
        let first = log.first().map_or(sight.now.applied_index + 1, |entry| entry.index);
        let has: BTreeMap<u64, &SeenEntry> = log.iter().map(|entry| (entry.index, entry)).collect();
        for (index, entry) in self.committed.range(first..).filter(|(_, e)| e.term < term) {
            if has.get(index) != Some(&entry) {
                return Err(format!(
                    "member {id} leads term {term} without entry {index} of term {}",
                    entry.term
                ));
            }
        }
        Ok(())
    }

    pub fn committed_index(&self) -> u64 {
        self.committed.last_key_value().map_or(0, |(index, _)| *index)
    }
}
