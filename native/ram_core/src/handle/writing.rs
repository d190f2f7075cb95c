//! Writes of a handle.

use super::{Handle, enqueue};
use crate::proposer;
use crate::{Reply, Result};
use ram_store::answer::Answer;
use ram_store::write::{Command, Condition, Encoded, State, Write};

impl Handle {
    /// A write with this head: its parts follow, as many as the head says.
    pub fn writing(&self, head: &Write<'_>) -> Result<Writing<'_>> {
        if let Write::DeleteRange { range, .. } = head {
            self.config.limits.check_range(range)?;
        }
        Ok(Writing { handle: self, encoded: Encoded::of(head) })
    }
}

/// A write that is encoded by its caller, within the limits of the member.
pub struct Writing<'a> {
    handle: &'a Handle,
    encoded: Encoded,
}

impl Writing<'_> {
    pub fn command(&mut self, command: &Command<'_>) -> Result<()> {
        let limits = &self.handle.config.limits;
        let value = match *command {
            Command::Put { value, .. } => Some(value),
            Command::Count { count, .. } => Some(count),
            Command::Delete { .. } | Command::Touch { .. } | Command::Get { .. } => None,
        };
        limits.check(command.place().key, value)?;
        self.encoded.command(command);
        limits.check_batch(self.encoded.bytes().len())
    }

    pub fn condition(&mut self, condition: &Condition<'_>) -> Result<()> {
        let limits = &self.handle.config.limits;
        match condition {
            Condition::Key { at, is: State::Value(value) } => limits.check(at.key, Some(value))?,
            Condition::Key { at, .. } => limits.check(at.key, None)?,
            Condition::Unchanged { range, .. } => limits.check_range(range)?,
        }
        self.encoded.condition(condition);
        limits.check_batch(self.encoded.bytes().len())
    }

    /// Replicates it. An error here means that the reply was not, and will not be, called.
    pub fn submit(self, deadline: std::time::Instant, reply: Reply<Answer>) -> Result<()> {
        let encoded = self.encoded.into_bytes();
        let permit = self.handle.permit(encoded.len())?;
        let write = proposer::Write::new(encoded, deadline.into(), reply, permit);
        enqueue(&self.handle.requests.writes, write)
    }
}
