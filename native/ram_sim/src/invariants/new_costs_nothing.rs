//! A new member that cannot be reached costs the others nothing: they commit as before.
//!
//! Looked at while a firewall before it is the only fault. A member that became a voter at the same
//! moment is no new one: what it answered was on its way when the firewall closed.

use super::Checked;

/// Those who are left commit again within this time: an election or two.
const SERVES_WITHIN_NS: u64 = 8_000_000_000;
/// The longest that a message is on its way when nothing delays it, and some.
const ON_ITS_WAY_NS: u64 = 30_000_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wall {
    pub host: usize,
    pub since_ns: u64,
}

#[derive(Default)]
pub struct NewCostsNothing {
    wall: Option<Wall>,
    /// What was committed last, and when that was new.
    committed: (u64, u64),
    was_voter: bool,
}

impl NewCostsNothing {
    pub const NAME: &'static str = "a_new_member_costs_no_quorum";

    /// `is_voter`: whether the one behind the wall is one, as the others know.
    pub fn check(
        &mut self,
        now_ns: u64,
        wall: Option<Wall>,
        committed_index: u64,
        is_voter: bool,
    ) -> Checked {
        if self.wall != wall {
            *self =
                NewCostsNothing { wall, committed: (committed_index, now_ns), was_voter: false };
        }
        let Some(Wall { since_ns, .. }) = wall else { return Ok(()) };
        self.was_voter |= is_voter && now_ns < since_ns + ON_ITS_WAY_NS;
        let (index, at_ns) = self.committed;
        if index != committed_index {
            self.committed = (committed_index, now_ns);
        } else if now_ns > at_ns + SERVES_WITHIN_NS && !self.was_voter {
            return Err(format!("nothing is committed after {index}"));
        }
        Ok(())
    }
}
