//! Log matching: two entries of one index and term are the same, and so are the entries before
//! them.
//!
//! It is enough to compare, for each index and term, the entry and the term of the one before it:
//! the rest follows by induction.

use std::collections::HashMap;

use super::{Checked, Sight};

#[derive(Default)]
pub struct LogMatching {
    /// By index and term: the checksum, and the term of the entry before where that was seen.
    known: HashMap<(u64, u64), (u32, Option<u64>)>,
}

impl LogMatching {
    pub fn check(&mut self, sight: &Sight<'_>) -> Checked {
        let mut before = None;
        for entry in sight.entries {
            let known =
                self.known.entry((entry.index, entry.term)).or_insert((entry.checksum, before));
            let differs = known.0 != entry.checksum
                || known.1.zip(before).is_some_and(|(known, before)| known != before);
            if differs {
                let (index, term, id) = (entry.index, entry.term, sight.now.id);
                return Err(format!("entry {index} of term {term} differs on member {id}"));
            }
            known.1 = known.1.or(before);
            before = Some(entry.term);
        }
        Ok(())
    }
}
