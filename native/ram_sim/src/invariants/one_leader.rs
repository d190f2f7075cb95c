//! Election safety: a term has one leader at most.

use std::collections::BTreeMap;

use super::{Checked, Sight};

#[derive(Default)]
pub struct OneLeader {
    leaders: BTreeMap<u64, u64>,
}

impl OneLeader {
    pub fn check(&mut self, sight: &Sight<'_>) -> Checked {
        let now = &sight.now;
        if !now.leads {
            return Ok(());
        }
        let leader = *self.leaders.entry(now.term).or_insert(now.id);
        if leader == now.id {
            return Ok(());
        }
        Err(format!("in term {} both {leader} and {} lead", now.term, now.id))
    }

    pub fn elections(&self) -> usize {
        self.leaders.len()
    }
}
