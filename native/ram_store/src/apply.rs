//! Applies the writes of a group, part by part.
//!
//! A write changes the tables between [`Tables::begin_write`] and [`Tables::end_write`], and all of
//! its changes have the revision that follows. A batch and a deleted range may take several steps,
//! between which others have their turn. A transaction takes one: its conditions are looked at and
//! its commands are run on [`Changes`], which nobody sees, and only when none of them has failed
//! are those made in the tables.
//!
//! All parts were decoded before the first is applied, so no error comes between the two calls. If
//! one did, the member would end with its tables within a write, which no reader takes for a state.

use std::sync::Arc;

use crate::Store;
use crate::answer::{Answer, Failure, Found};
use crate::changes::{Changes, Made, Stopped};
use crate::codec::DecodeError;
use crate::conditions::Budget;
use crate::group::PARTS_AT_ONCE;
use crate::observe::Gone;
use crate::parts::{Part, Parts};
use crate::write::{Because, Command, Due, Place, Range, Setting, Write};
use ram_limits::{ANSWER_VALUES_BYTES_MAX, TABLES_MAX};
use ram_sabotage::{Fault, armed};
use ram_table::table::{Item, Meta, Table};
use ram_table::tables::TableType;

/// The writes of a group, and how far they are applied.
pub(crate) struct Run<'a> {
    parts: Parts<'a>,
    begun: Option<Begun<'a>>,
    pub answers: Vec<Answer>,
    /// Of what has no bound of its own in the answers.
    bytes: usize,
}

/// A write that goes on with the next step.
enum Begun<'a> {
    Batch { table: Option<Arc<Table>>, name: &'a str, has_changed: bool },
    DeleteRange { table: Arc<Table>, name: &'a str, range: Range<'a>, entries: u64 },
    End { entries: u64 },
}

impl<'a> Run<'a> {
    pub fn of(parts: Parts<'a>, writes: u32) -> Self {
        Run { parts, begun: None, answers: Vec::with_capacity(writes as usize), bytes: 0 }
    }

    /// How many more there may be; `None`: any number, since these are the first.
    fn bytes_left(&self) -> Option<usize> {
        (self.bytes > 0).then(|| ANSWER_VALUES_BYTES_MAX.saturating_sub(self.bytes))
    }

    /// Nothing was changed, so what has no room for its answer may as well come again.
    fn fail(&mut self, failure: Failure) {
        let bytes = failure.variable_bytes();
        if self.bytes_left().is_some_and(|left| bytes > left) {
            return self.answers.push(Answer::Deferred);
        }
        self.bytes += bytes;
        self.answers.push(Answer::Failed(failure));
    }

    fn done(&mut self, revision: Result<u64, Failure>) {
        match revision {
            Ok(revision) => self.answers.push(Answer::Done { revision }),
            Err(failure) => self.fail(failure),
        }
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

    /// Returns how much was done: see [`weight`].
    fn begin<'a>(&mut self, run: &mut Run<'a>, write: Write<'a>) -> Result<usize, DecodeError> {
        match write {
            Write::Batch { table: name, .. } => {
                let table = self.tables.get(name);
                self.tables.begin_write();
                run.begun = Some(Begun::Batch { table, name, has_changed: false });
            }
            Write::Transaction { table, .. } => return self.transaction(run, table),
            Write::DeleteRange { table: name, range } => match self.ordered(name) {
                Ok(table) => {
                    self.tables.begin_write();
                    run.begun = Some(Begun::DeleteRange { table, name, range, entries: 0 });
                }
                Err(failure) => run.fail(failure),
            },
            Write::End { .. } => {
                self.tables.begin_write();
                run.begun = Some(Begun::End { entries: 0 });
            }
            Write::CreateTable { table, ordered } => run.done(self.create_table(table, ordered)),
            Write::DropTable { table } => run.done(self.drop_table(table)),
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
                    walked += weight(&command);
                    if let Some(table) = &table {
                        has_changed |= self.run_plain(name, table, &command);
                    }
                }
                if !run.parts.is_write_over() {
                    run.begun = Some(Begun::Batch { table, name, has_changed });
                    return Ok(walked);
                }
                let revision = self.end_write(has_changed);
                run.done(table.map(|_| revision).ok_or_else(|| Failure::NoTable(name.into())));
                Ok(walked)
            }
            Begun::DeleteRange { table, name, range, entries } => {
                let removed = table.remove_some(range);
                self.tell_removed(name, &removed);
                let entries = entries + removed.len() as u64;
                if removed.is_empty() {
                    let revision = self.end_write(entries > 0);
                    run.answers.push(Answer::Deleted { revision, entries });
                } else {
                    run.begun = Some(Begun::DeleteRange { table, name, range, entries });
                }
                Ok(removed.len())
            }
            Begun::End { mut entries } => {
                let mut walked = 0;
                while walked < room && !run.parts.is_write_over() {
                    let Some(Part::Due(due)) = run.parts.next().transpose()? else {
                        return Err(misplaced());
                    };
                    walked += 1;
                    entries += u64::from(self.end(&due));
                }
                if run.parts.is_write_over() {
                    let revision = self.end_write(entries > 0);
                    run.answers.push(Answer::Deleted { revision, entries });
                } else {
                    run.begun = Some(Begun::End { entries });
                }
                Ok(walked)
            }
        }
    }

    /// Did it change anything? Deleting what is not there does not.
    fn run_plain(&mut self, name: &str, table: &Table, command: &Command<'_>) -> bool {
        match *command {
            Command::Put { at, value, ttl_ms, owner } => {
                let meta = self.meta_after(table, at.key);
                let meta = self.settled(meta, ttl_ms);
                let kept;
                let owner = match owner {
                    Setting::Clear => &[][..],
                    Setting::To(owner) => owner.0,
                    Setting::Keep => {
                        kept = table.get(at.key);
                        kept.as_ref().map_or(&[][..], Item::owner)
                    }
                };
                let item = Item::owned(at.key, self.values.store(value), &meta, owner);
                self.insert(name, table, item);
                true
            }
            Command::Delete { at } => self.remove(name, table, at.key, Gone::Deleted),
            Command::Touch { .. } | Command::Get { .. } | Command::Count { .. } => false,
        }
    }

    /// What a key's metadata are after a put. A write is one version, whatever it does to a key.
    fn meta_after(&self, table: &Table, key: &[u8]) -> Meta {
        let revision = self.next_revision();
        let meta = table.with_item(key, |item| match item {
            None => Meta::created(revision),
            Some(item) if item.revision() == revision => item.meta(),
            Some(item) => item.meta().changed(revision),
        });
        meta.unwrap_or_else(|| Meta::created(revision))
    }

    /// Is it gone? Not when it was given another time or owner since, or its table was dropped.
    fn end(&mut self, due: &Due<'_>) -> bool {
        let Some(table) = self.tables.get(due.table) else { return false };
        let is_meant = |item: &Item| match due.because {
            Because::Expired { revision } => {
                item.meta().life.is_some_and(|life| life.revision == revision)
            }
            Because::OwnerDown { owner } => item.owner() == owner.0,
        };
        let gone = match due.because {
            Because::Expired { .. } => Gone::Expired,
            Because::OwnerDown { .. } => Gone::OwnerDown,
        };
        let is_meant = table.with_item(due.key, |item| item.is_some_and(is_meant));
        is_meant == Some(true) && self.remove(due.table, &table, due.key, gone)
    }

    pub(crate) fn next_revision(&self) -> u64 {
        self.metadata.revision + 1
    }

    /// Shows the write to readers. Returns the revision of the state after it.
    fn end_write(&mut self, has_changed: bool) -> u64 {
        self.metadata.revision += u64::from(has_changed);
        self.tables.end_write(self.metadata.revision);
        if has_changed {
            let revision = self.metadata.revision;
            self.observers.iter_mut().for_each(|observer| observer.written(revision));
        }
        self.metadata.revision
    }

    fn transaction<'a>(&mut self, run: &mut Run<'a>, table: &'a str) -> Result<usize, DecodeError> {
        let mut decided = self.named(table).map(|_| true).map_err(Stopped::from);
        let mut budget = Budget::default();
        let mut changes = Changes::new(self, table, run.bytes_left());
        let mut walked = 1;
        // All parts are walked through, also those that are of no account.
        while !run.parts.is_write_over() {
            let part = run.parts.next().transpose()?.ok_or_else(misplaced)?;
            walked += match &part {
                Part::Then(command) | Part::Otherwise(command) => weight(command),
                _ => 1,
            };
            decided = match (part, decided) {
                (Part::Condition(condition), Ok(true)) => {
                    self.holds(table, &condition, &mut budget).map_err(Stopped::from)
                }
                (Part::Then(command), Ok(true)) => changes.run(&command).map(|()| true),
                (Part::Otherwise(command), Ok(false)) => changes.run(&command).map(|()| false),
                (Part::Then(command), Ok(false))
                    if armed(Fault::CheckAfterWriting) && command.is_plain() =>
                {
                    changes.run(&command).map(|()| false)
                }
                (part, decided) => {
                    if matches!(part, Part::Then(_) | Part::Otherwise(_)) {
                        changes.pass_over();
                    }
                    decided
                }
            };
        }
        let made = changes.into_made();
        match decided {
            Ok(succeeded) => {
                run.bytes += made.results_bytes;
                let (results, revision) = self.make(made);
                run.answers.push(Answer::Ran { succeeded, revision, results: Some(results) });
            }
            Err(Stopped::Failed(failure)) => run.fail(failure),
            Err(Stopped::Deferred) => run.answers.push(Answer::Deferred),
        }
        Ok(walked)
    }

    /// Returns the results, and the revision of the state then.
    fn make(&mut self, made: Made<'_>) -> (Vec<Option<Found>>, u64) {
        self.tables.begin_write();
        for change in made.changes {
            self.make_change(change);
        }
        (made.results, self.end_write(made.has_changed))
    }

    fn named(&self, name: &str) -> Result<Arc<Table>, Failure> {
        self.tables.get(name).ok_or_else(|| Failure::NoTable(name.into()))
    }

    /// The table that the place is in, where that of the write has this name.
    pub(crate) fn at(&self, name: &str, place: &Place<'_>) -> Result<Arc<Table>, Failure> {
        self.named(place.table.unwrap_or(name))
    }

    fn is_default(&self, table: &Arc<Table>) -> bool {
        Arc::ptr_eq(table, self.tables.default_table())
    }

    pub(crate) fn ordered(&self, name: &str) -> Result<Arc<Table>, Failure> {
        let table = self.named(name)?;
        if table.table_type() == TableType::OrderedSet {
            return Ok(table);
        }
        Err(Failure::NotOrdered(name.into()))
    }

    /// Returns the revision of the state then.
    fn create_table(&mut self, name: &str, ordered: bool) -> Result<u64, Failure> {
        if self.tables.get(name).is_some() {
            return Err(Failure::TableExists);
        }
        if self.tables.count() >= TABLES_MAX {
            return Err(Failure::TooManyTables { tables_max: TABLES_MAX as u64 });
        }
        let table_type = if ordered { TableType::OrderedSet } else { TableType::Set };
        self.tables.begin_write();
        self.tables.create(name, table_type);
        Ok(self.end_write(true))
    }

    fn drop_table(&mut self, name: &str) -> Result<u64, Failure> {
        self.tables.begin_write();
        if let Some(table) = self.tables.get(name).filter(|table| !self.is_default(table)) {
            self.tell_dropped(name, &table);
        }
        let dropped = self.tables.drop_table(name);
        if dropped.is_some() {
            self.observers.iter_mut().for_each(|observer| observer.dropped(name));
        }
        let revision = self.end_write(dropped.is_some());
        dropped.map(|_| revision).ok_or_else(|| Failure::NoTable(name.into()))
    }
}

/// What a command counts among the parts that are applied at once: one, and more where its value is
/// long, which is copied or built into terms.
fn weight(command: &Command<'_>) -> usize {
    const BYTES: usize = 256;
    match command {
        Command::Put { value, .. } => 1 + value.len() / BYTES,
        Command::Delete { .. }
        | Command::Touch { .. }
        | Command::Get { .. }
        | Command::Count { .. } => 1,
    }
}

/// No encoding leads here: what follows a write is decoded by its counts.
fn misplaced() -> DecodeError {
    DecodeError::new("group", "a part that is not where it belongs")
}
