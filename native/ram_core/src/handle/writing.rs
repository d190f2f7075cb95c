//! Writes of a handle.

use std::collections::BTreeSet;

use super::{Handle, enqueue};
use crate::proposer;
use crate::{Reply, Result};
use ram_raft::ownership::Claim;
use ram_store::answer::Answer;
use ram_store::owners::run_of;
use ram_store::write::{
    Command, Condition, Encoded, EncodedOwner, Setting, State, Write, without_default,
};

impl Handle {
    /// A write with this head: its parts follow, as many as the head says.
    pub fn writing<'a>(&'a self, head: &Write<'a>) -> Result<Writing<'a>> {
        if let Write::DeleteRange { range, .. } = head {
            self.config.limits.check_range(range)?;
        }
        let (table, then) = match *head {
            Write::Batch { table, commands } => (table, commands),
            Write::Transaction { table, then, .. } => (table, then),
            _ => ("", 0),
        };
        let (encoded, claims) = (Encoded::of(head), Claims::default());
        Ok(Writing { handle: self, encoded, table, then, claims })
    }
}

/// A write that is encoded by its caller, within the limits of the member.
pub struct Writing<'a> {
    handle: &'a Handle,
    encoded: Encoded,
    table: &'a str,
    /// How many of the commands that follow are those of a write that succeeds.
    then: u32,
    claims: Claims,
}

/// What owners of this node are given, by which commands of a write.
#[derive(Default)]
struct Claims {
    then: BTreeSet<Claim>,
    otherwise: BTreeSet<Claim>,
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
        limits.check_batch(self.encoded.bytes().len())?;
        if let Command::Put { owner: Setting::To(EncodedOwner(owner)), .. } = *command {
            self.claim(command, owner);
        }
        self.then = self.then.saturating_sub(1);
        Ok(())
    }

    fn claim(&mut self, put: &Command<'_>, owner: &[u8]) {
        if run_of(owner) == Some(self.handle.applied.owners().own()) {
            let at = put.place();
            let table = without_default(at.table.unwrap_or(self.table)).into();
            let claim = Claim { table, key: at.key.into(), owner: owner.into() };
            let Claims { then, otherwise } = &mut self.claims;
            let claims = if self.then > 0 { then } else { otherwise };
            claims.insert(claim);
        }
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
    pub fn submit(mut self, deadline: std::time::Instant, reply: Reply<Answer>) -> Result<()> {
        let reply = self.claiming(reply);
        let encoded = self.encoded.into_bytes();
        let permit = self.handle.permit(encoded.len())?;
        let write = proposer::Write::new(encoded, deadline.into(), reply, permit);
        enqueue(&self.handle.requests.writes, write)
    }

    /// Who was given a key must be known before it hears of it.
    fn claiming(&mut self, reply: Reply<Answer>) -> Reply<Answer> {
        let Claims { then, otherwise } = std::mem::take(&mut self.claims);
        if then.is_empty() && otherwise.is_empty() {
            return reply;
        }
        let owners = self.handle.applied.owners().clone();
        Box::new(move |answer| {
            match answer {
                Ok(Answer::Done { revision })
                | Ok(Answer::Ran { succeeded: true, revision, .. }) => {
                    owners.acknowledged(then, revision);
                }
                Ok(Answer::Ran { succeeded: false, revision, .. }) => {
                    owners.acknowledged(otherwise, revision);
                }
                _ => {}
            }
            reply(answer);
        })
    }
}
