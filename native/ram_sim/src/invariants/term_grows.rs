//! The term of a member, whatever crashes it has been through, never goes back: it is on disk
//! before anybody hears of it.

use std::collections::BTreeMap;

use super::{Checked, Sight};

#[derive(Default)]
pub struct TermGrows {
    /// By Raft id: a member that lost its disk is another one.
    terms: BTreeMap<u64, u64>,
}

impl TermGrows {
    pub fn check(&mut self, sight: &Sight<'_>) -> Checked {
        let now = &sight.now;
        let before = self.terms.insert(now.id, now.term).unwrap_or(0);
        if before <= now.term {
            return Ok(());
        }
        Err(format!("member {} was in term {before} and is in term {}", now.id, now.term))
    }
}
