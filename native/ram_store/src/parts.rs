//! The writes of a proposal, decoded part by part: their bytes may say anything.

mod usual;

use serde::Deserialize;

use crate::codec::{self, DecodeError};
use crate::write::{Command, Condition, Due, Owner, Setting, Write};
use ram_limits::{TABLE_NAME_BYTES_MAX, TRANSACTION_PARTS_MAX, TTL_MS_MAX};

/// The writes of a proposal, decoded part by part; ends after the first error.
#[derive(Debug, Clone)]
pub struct Parts<'a> {
    rest: &'a [u8],
    /// Writes behind the one that is walked through.
    writes: u32,
    /// Of that one.
    left: Left,
    is_batch: bool,
    /// Are they a leader's, and not those of callers?
    by_leader: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part<'a> {
    Write(Write<'a>),
    Condition(Condition<'a>),
    Then(Command<'a>),
    Otherwise(Command<'a>),
    Due(Due<'a>),
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Left {
    conditions: u32,
    then: u32,
    otherwise: u32,
    due: u32,
}

impl<'a> Parts<'a> {
    pub(crate) fn of(rest: &'a [u8], writes: u32, by_leader: bool) -> Parts<'a> {
        Parts { rest, writes, left: Left::default(), is_batch: false, by_leader }
    }

    pub(crate) fn none() -> Parts<'a> {
        Parts::of(&[], 0, false)
    }

    /// Were all of them walked through?
    pub fn is_over(&self) -> bool {
        self.rest.is_empty() && self.writes == 0 && self.is_write_over()
    }

    /// Were all parts of this write walked through?
    pub fn is_write_over(&self) -> bool {
        self.left == Left::default()
    }

    fn decode(&mut self) -> Result<Option<Part<'a>>, DecodeError> {
        let Left { conditions, then, otherwise, due } = &mut self.left;
        if *conditions > 0 {
            *conditions -= 1;
            let condition: Condition<'a> = self.decode_one("condition")?;
            check_name(condition.table())?;
            return Ok(Some(Part::Condition(condition)));
        }
        if *then > 0 {
            *then -= 1;
            let command = self.decode_command()?;
            if self.is_batch && !command.is_plain() {
                return Err(wrong("a batch with a command that is no plain put or delete"));
            }
            return Ok(Some(Part::Then(command)));
        }
        if *otherwise > 0 {
            *otherwise -= 1;
            return Ok(Some(Part::Otherwise(self.decode_command()?)));
        }
        if *due > 0 {
            *due -= 1;
            let due: Due<'a> = self.decode_one("due key")?;
            check_name(Some(due.table))?;
            return Ok(Some(Part::Due(due)));
        }
        let Some(writes) = self.writes.checked_sub(1) else {
            let is_over = self.rest.is_empty();
            return if is_over { Ok(None) } else { Err(wrong("trailing bytes")) };
        };
        self.writes = writes;
        let write = self.decode_write()?;
        write.check()?;
        if matches!(write, Write::End { .. }) != self.by_leader {
            return Err(wrong("a write of a leader among those of callers, or the other way"));
        }
        self.left = write.parts();
        self.is_batch = matches!(write, Write::Batch { .. });
        Ok(Some(Part::Write(write)))
    }

    fn decode_write(&mut self) -> Result<Write<'a>, DecodeError> {
        if let Some((write, rest)) = usual::batch(self.rest) {
            self.rest = rest;
            return Ok(write);
        }
        self.decode_one("write")
    }

    fn decode_command(&mut self) -> Result<Command<'a>, DecodeError> {
        if let Some((command, rest)) = usual::put(self.rest) {
            self.rest = rest;
            return Ok(command);
        }
        let command: Command<'a> = self.decode_one("command")?;
        check_name(command.place().table)?;
        match command {
            Command::Put { owner: Setting::To(owner), .. } if Owner::decode(owner.0).is_none() => {
                Err(wrong("an owner that none may have"))
            }
            Command::Put { ttl_ms: Setting::To(ttl_ms), .. }
            | Command::Touch { ttl_ms: Some(ttl_ms), .. }
                if !(1..=TTL_MS_MAX).contains(&ttl_ms) =>
            {
                Err(wrong("a time to live that none may have"))
            }
            _ => Ok(command),
        }
    }

    fn decode_one<T: Deserialize<'a>>(&mut self, what: &'static str) -> Result<T, DecodeError> {
        let (value, used) = codec::decode_prefix(what, self.rest)?;
        self.rest = self.rest.get(used..).unwrap_or_default();
        Ok(value)
    }
}

impl<'a> Iterator for Parts<'a> {
    type Item = Result<Part<'a>, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.decode();
        if next.is_err() {
            *self = Parts::none();
        }
        next.transpose()
    }
}

impl<'a> Write<'a> {
    /// What is wrong with it, whatever the state.
    fn check(&self) -> Result<(), DecodeError> {
        let table = match *self {
            Write::Batch { commands: 0, .. } => return Err(wrong("a batch without a command")),
            Write::End { .. } => return Ok(()),
            Write::Transaction { conditions, then, otherwise, .. }
                if conditions as usize > TRANSACTION_PARTS_MAX
                    || then as usize > TRANSACTION_PARTS_MAX
                    || otherwise as usize > TRANSACTION_PARTS_MAX =>
            {
                return Err(wrong("a transaction of too many parts"));
            }
            Write::Batch { table, .. }
            | Write::Transaction { table, .. }
            | Write::DeleteRange { table, .. }
            | Write::CreateTable { table, .. }
            | Write::DropTable { table } => table,
        };
        check_name(Some(table))
    }

    fn parts(&self) -> Left {
        match *self {
            Write::Batch { commands, .. } => Left { then: commands, ..Left::default() },
            Write::Transaction { conditions, then, otherwise, .. } => {
                Left { conditions, then, otherwise, due: 0 }
            }
            Write::End { keys } => Left { due: keys, ..Left::default() },
            _ => Left::default(),
        }
    }
}

fn check_name(table: Option<&str>) -> Result<(), DecodeError> {
    match table {
        Some(name) if name.len() > TABLE_NAME_BYTES_MAX => Err(wrong("a long name of a table")),
        _ => Ok(()),
    }
}

fn wrong(reason: &str) -> DecodeError {
    DecodeError::new("group", reason)
}
