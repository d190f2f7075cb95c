//! Applies the writes of a group, part by part.
//!
//! A write changes the tables between [`Tables::begin_write`] and [`Tables::end_write`], and all of
//! its changes have the revision that follows. A batch and a deleted range may take several steps,
//! between which others have their turn. A transaction takes one: its conditions are looked at and
//! its commands are run on [`Changes`], which nobody sees, and only when none of them has failed
//! are those made in the tables.

use std::sync::Arc;

use crate::Store;
use crate::answer::{Answer, Failure};
use crate::changes::Changes;
use crate::codec::DecodeError;
use crate::group::{Group, PARTS_AT_ONCE};
use crate::write::{Command, Comparison, Condition, Part, Parts, Place, Range, State, Write};
use ram_limits::{ANSWER_VALUES_BYTES_MAX, TABLES_MAX};
use ram_table::table::{Item, Table};
use ram_table::tables::TableType;

/// The writes of a group, and how far they are applied.
pub(crate) struct Run<'a> {
    parts: Parts<'a>,
    begun: Option<Begun<'a>>,
    pub answers: Vec<Answer>,
    /// Of all results in the answers.
    results_bytes: usize,
}

/// A write that goes on with the next step.
enum Begun<'a> {
    Batch { table: Option<Arc<Table>>, name: &'a str, has_changed: bool },
    DeleteRange { table: Arc<Table>, range: Range<'a>, entries: u64 },
}

impl<'a> Run<'a> {
    pub fn of(group: &Group<'a>) -> Self {
        let answers = Vec::with_capacity(group.writes as usize);
        Run { parts: group.parts(), begun: None, answers, results_bytes: 0 }
    }
}

impl Store {
    /// Applies some of the parts; true when all are applied.
    pub(crate) fn go_on(&mut self, run: &mut Run<'_>) -> Result<bool, DecodeError> {
        let mut room = PARTS_AT_ONCE;
        while room > 0 {
            let walked = match run.begun.take() {
                Some(begun) => self.resume(run, begun, room)?,
                None => match run.parts.next().transpose()? {
                    Some(Part::Write(write)) => self.begin(run, write)?,
                    Some(_) => return Err(misplaced()),
                    None => return Ok(true),
                },
            };
            room = room.saturating_sub(walked.max(1));
        }
        Ok(false)
    }

    /// Returns how many parts were walked through.
    fn begin<'a>(&mut self, run: &mut Run<'a>, write: Write<'a>) -> Result<usize, DecodeError> {
        match write {
            Write::Batch { table: name, .. } => {
                let table = self.tables.get(name);
                self.tables.begin_write();
                run.begun = Some(Begun::Batch { table, name, has_changed: false });
            }
            Write::Transaction { .. } => return self.transaction(run, &write),
            Write::DeleteRange { table, range } => match self.ordered(table) {
                Ok(table) => {
                    self.tables.begin_write();
                    run.begun = Some(Begun::DeleteRange { table, range, entries: 0 });
                }
                Err(failure) => run.answers.push(Answer::Failed(failure)),
            },
            Write::CreateTable { table, ordered } => {
                let answer = self.create_table(table, ordered);
                run.answers.push(answer);
            }
            Write::DropTable { table } => {
                let answer = self.drop_table(table);
                run.answers.push(answer);
            }
        }
        Ok(1)
    }

    fn resume<'a>(
        &mut self,
        run: &mut Run<'a>,
        begun: Begun<'a>,
        room: usize,
    ) -> Result<usize, DecodeError> {
        match begun {
            Begun::Batch { table, name, mut has_changed } => {
                let mut walked = 0;
                while walked < room && !run.parts.is_write_over() {
                    let Some(Part::Then(command)) = run.parts.next().transpose()? else {
                        return Err(misplaced());
                    };
                    walked += 1;
                    if let Some(table) = &table {
                        has_changed |= self.run_plain(table, &command);
                    }
                }
                if !run.parts.is_write_over() {
                    run.begun = Some(Begun::Batch { table, name, has_changed });
                    return Ok(walked);
                }
                let revision = self.end_write(has_changed);
                run.answers.push(match table {
                    Some(_) => Answer::Done { revision },
                    None => Answer::Failed(Failure::NoTable(name.into())),
                });
                Ok(walked)
            }
            Begun::DeleteRange { table, range, entries } => {
                let removed = table.remove_some(range);
                let entries = entries + removed as u64;
                if removed > 0 {
                    run.begun = Some(Begun::DeleteRange { table, range, entries });
                } else {
                    let revision = self.end_write(entries > 0);
                    run.answers.push(Answer::Deleted { revision, entries });
                }
                Ok(removed)
            }
        }
    }

    /// Did it change anything? Deleting what is not there does not.
    fn run_plain(&self, table: &Table, command: &Command<'_>) -> bool {
        match *command {
            Command::Put { at, value } => {
                table.put(at.key, self.values.store(value), self.next_revision());
                true
            }
            Command::Delete { at } => table.remove(at.key),
            Command::Get { .. } | Command::Count { .. } => false,
        }
    }

    pub(crate) fn next_revision(&self) -> u64 {
        self.metadata.revision + 1
    }

    /// Shows the write to readers. Returns the revision of the state after it.
    fn end_write(&mut self, has_changed: bool) -> u64 {
        self.metadata.revision += u64::from(has_changed);
        self.tables.end_write(self.metadata.revision);
        self.metadata.revision
    }

    fn transaction<'a>(
        &mut self,
        run: &mut Run<'a>,
        write: &Write<'a>,
    ) -> Result<usize, DecodeError> {
        let Write::Transaction { table, conditions, then, otherwise } = *write else {
            return Err(misplaced());
        };
        // All parts are walked through, also those that are of no account.
        let mut decided = self.named(table).map(|_| true);
        let mut changes = Changes::new(self, table);
        let mut index = 0;
        while !run.parts.is_write_over() {
            let part = run.parts.next().transpose()?.ok_or_else(misplaced)?;
            let ran = match (part, &decided) {
                (Part::Condition(condition), Ok(true)) => {
                    decided = self.holds(table, &condition);
                    continue;
                }
                (Part::Condition(_), _) => continue,
                (Part::Then(command), Ok(true)) | (Part::Otherwise(command), Ok(false)) => {
                    changes.run(&command, index)
                }
                _ => Ok(()),
            };
            if let Err(failure) = ran {
                decided = Err(failure);
            }
            index += 1;
        }
        let walked = 1 + conditions as usize + then as usize + otherwise as usize;
        let (made, results) = changes.into_parts();
        let bytes: usize = results.iter().flatten().map(|found| found.value.len()).sum();
        let answer = match decided {
            Err(failure) => Answer::Failed(failure),
            Ok(_)
                if run.results_bytes > 0 && run.results_bytes + bytes > ANSWER_VALUES_BYTES_MAX =>
            {
                Answer::Deferred
            }
            Ok(succeeded) => {
                run.results_bytes += bytes;
                let has_changed = !made.is_empty();
                self.tables.begin_write();
                for change in made {
                    change.make(self.values.as_ref());
                }
                let revision = self.end_write(has_changed);
                Answer::Ran { succeeded, revision, results: Some(results) }
            }
        };
        run.answers.push(answer);
        Ok(walked)
    }

    fn holds(&self, table: &str, condition: &Condition<'_>) -> Result<bool, Failure> {
        match *condition {
            Condition::Key { at, is } => {
                let current = self.at(table, &at)?.get(at.key);
                Ok(match (is, current) {
                    (State::Absent, current) => current.is_none(),
                    (State::Present, current) => current.is_some(),
                    (State::Value(value), Some(item)) => self.values.same(&item.value(), value),
                    (State::Revision(comparison, revision), Some(item)) => {
                        compare(item.revision(), comparison, revision)
                    }
                    (State::Value(_) | State::Revision(..), None) => false,
                })
            }
            Condition::Unchanged { table: named, range, revision, entries } => {
                let table = self.ordered(named.unwrap_or(table))?;
                let limit = usize::try_from(entries).unwrap_or(usize::MAX).saturating_add(1);
                let found = table.range(range, false, limit);
                let is_old = |item: &Item| item.revision() <= revision;
                Ok(found.len() as u64 == entries && found.iter().all(is_old))
            }
        }
    }

    fn named(&self, name: &str) -> Result<Arc<Table>, Failure> {
        self.tables.get(name).ok_or_else(|| Failure::NoTable(name.into()))
    }

    /// The table that the place is in, where that of the write has this name.
    pub(crate) fn at(&self, name: &str, place: &Place<'_>) -> Result<Arc<Table>, Failure> {
        self.named(place.table.unwrap_or(name))
    }

    fn ordered(&self, name: &str) -> Result<Arc<Table>, Failure> {
        let table = self.named(name)?;
        if table.table_type() == TableType::OrderedSet {
            return Ok(table);
        }
        Err(Failure::NotOrdered(name.into()))
    }

    fn create_table(&mut self, name: &str, ordered: bool) -> Answer {
        if self.tables.get(name).is_some() {
            return Answer::Failed(Failure::TableExists);
        }
        if self.tables.count() >= TABLES_MAX {
            return Answer::Failed(Failure::TooManyTables { tables_max: TABLES_MAX as u64 });
        }
        let table_type = if ordered { TableType::OrderedSet } else { TableType::Set };
        self.tables.begin_write();
        self.tables.create(name, table_type);
        Answer::Done { revision: self.end_write(true) }
    }

    fn drop_table(&mut self, name: &str) -> Answer {
        self.tables.begin_write();
        let dropped = self.tables.drop_table(name);
        let revision = self.end_write(dropped.is_some());
        match dropped {
            Some(_) => Answer::Done { revision },
            None => Answer::Failed(Failure::NoTable(name.into())),
        }
    }
}

fn compare(revision: u64, comparison: Comparison, than: u64) -> bool {
    match comparison {
        Comparison::Less => revision < than,
        Comparison::Equal => revision == than,
        Comparison::Greater => revision > than,
    }
}

/// No encoding leads here: what follows a write is decoded by its counts.
fn misplaced() -> DecodeError {
    DecodeError::new("group", "a part that is not where it belongs")
}
