//! What the commands of a transaction change, before anybody sees it.
//!
//! Later commands see what earlier ones made of a key. A key is changed once, by the last.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;

use crate::Store;
use crate::answer::{Failure, Found, result_bytes};
use crate::observe::Gone;
use crate::write::{Command, Place, Setting};
use ram_limits::{NUMBER_BYTES_MAX, RESULTS_BYTES_MAX};
use ram_table::item::{Item, Meta};
use ram_table::table::Table;

pub(crate) struct Changes<'s, 'a> {
    store: &'s Store,
    /// The name of the table that places mean where they name none.
    table: &'a str,
    made: Vec<Change<'a>>,
    /// Where in `made` the change of a key is, by the address of its table.
    places: HashMap<(usize, &'a [u8]), usize>,
    has_changed: bool,
    /// The commands of the transaction so far, those that are not run among them.
    commands: u32,
    results: Vec<Option<Found>>,
    results_bytes: usize,
    /// What is left of that for the results; `None`: they are the first of the group.
    results_bytes_left: Option<usize>,
}

pub(crate) struct Change<'a> {
    table: Arc<Table>,
    /// Of the table.
    name: &'a str,
    key: &'a [u8],
    /// `None`: it is deleted.
    value: Option<(Cow<'a, [u8]>, Meta)>,
}

/// What is done once none of the commands has failed.
pub(crate) struct Made<'a> {
    /// In the order of the commands.
    pub changes: Vec<Change<'a>>,
    /// A put does, and a delete of what is there then, even where nothing is left of it: its
    /// revision may have been answered.
    pub has_changed: bool,
    pub results: Vec<Option<Found>>,
    pub results_bytes: usize,
}

/// Why a transaction makes no changes.
#[derive(Debug)]
pub(crate) enum Stopped {
    Failed(Failure),
    /// The results have no room in the answers of the group.
    Deferred,
}

impl From<Failure> for Stopped {
    fn from(failure: Failure) -> Stopped {
        Stopped::Failed(failure)
    }
}

/// What a key holds after the commands so far.
enum Current<'a> {
    Stored(Item),
    Changed(&'a [u8], Meta),
}

impl Current<'_> {
    fn bytes(&self) -> usize {
        match self {
            Current::Stored(item) => item.value_bytes(),
            Current::Changed(value, _) => value.len(),
        }
    }

    fn value(&self) -> Cow<'_, [u8]> {
        match self {
            Current::Stored(item) => item.value(),
            Current::Changed(value, _) => Cow::Borrowed(value),
        }
    }

    fn found(&self) -> Found {
        let meta = match self {
            Current::Stored(item) => item.meta(),
            Current::Changed(_, meta) => *meta,
        };
        found(self.value().into_owned(), &meta)
    }
}

impl<'s, 'a> Changes<'s, 'a> {
    pub fn new(store: &'s Store, table: &'a str, results_bytes_left: Option<usize>) -> Self {
        Changes {
            store,
            table,
            made: Vec::new(),
            places: HashMap::new(),
            has_changed: false,
            commands: 0,
            results: Vec::new(),
            results_bytes: 0,
            results_bytes_left,
        }
    }

    /// After an error nothing of it is of use.
    pub fn run(&mut self, command: &Command<'a>) -> Result<(), Stopped> {
        match *command {
            Command::Put { at, value, ttl_ms } => {
                self.change(&at, Some((Cow::Borrowed(value), ttl_ms)))?;
            }
            Command::Delete { at } => {
                self.change(&at, None)?;
            }
            Command::Touch { at, ttl_ms } => self.touch(&at, ttl_ms)?,
            Command::Get { at } => {
                let current = self.current(&at)?;
                let bytes = self.results_bytes_with(current.as_ref().map(Current::bytes))?;
                let found = current.map(|current| current.found());
                self.answer(found, bytes);
            }
            Command::Count { at, count } => {
                let value = self.count(&at, count)?;
                let meta = self.change(&at, Some((Cow::Owned(value.clone()), Setting::Keep)))?;
                let bytes = self.results_bytes_with(Some(value.len()))?;
                self.answer(Some(found(value, &meta)), bytes);
            }
        }
        self.commands += 1;
        Ok(())
    }

    /// A command that is not run.
    pub fn pass_over(&mut self) {
        self.commands += 1;
    }

    pub fn into_made(self) -> Made<'a> {
        let Changes { made: changes, has_changed, results, results_bytes, .. } = self;
        Made { changes, has_changed, results, results_bytes }
    }

    fn count(&self, at: &Place<'a>, count: &[u8]) -> Result<Vec<u8>, Failure> {
        let not_a_number = Failure::NotANumber { command: self.commands };
        let current = self.current(at)?;
        if current.as_ref().is_some_and(|current| current.bytes() > NUMBER_BYTES_MAX) {
            return Err(not_a_number);
        }
        let value = current.as_ref().map(Current::value);
        let value = self.store.stale.instead(at.key, value);
        self.store.values.count(value.as_deref(), count).ok_or(not_a_number)
    }

    fn current(&self, at: &Place<'a>) -> Result<Option<Current<'_>>, Failure> {
        let table = self.store.at(self.table, at)?;
        Ok(match self.change_of(&table, at) {
            Some(Change { value, .. }) => {
                value.as_ref().map(|(value, meta)| Current::Changed(value, *meta))
            }
            None => table.get(at.key).map(Current::Stored),
        })
    }

    fn change_of(&self, table: &Arc<Table>, at: &Place<'a>) -> Option<&Change<'a>> {
        self.made.get(*self.places.get(&place(table, at))?)
    }

    /// Returns what the key's metadata are then, as if it was not deleted.
    fn change(
        &mut self,
        at: &Place<'a>,
        value: Option<(Cow<'a, [u8]>, Setting<u64>)>,
    ) -> Result<Meta, Failure> {
        let table = self.store.at(self.table, at)?;
        let revision = self.store.next_revision();
        let current = match self.change_of(&table, at) {
            Some(change) => change.value.as_ref().map(|(_, meta)| *meta),
            None => table.get(at.key).map(|item| item.meta().changed(revision)),
        };
        self.has_changed |= value.is_some() || current.is_some();
        let ttl_ms = value.as_ref().map_or(Setting::Clear, |(_, ttl_ms)| *ttl_ms);
        let meta = current.unwrap_or_else(|| Meta::created(revision));
        let meta = self.store.settled(meta, ttl_ms);
        self.note(table, at, value.map(|(value, _)| (value, meta)));
        Ok(meta)
    }

    /// Nothing, where there is nothing.
    fn touch(&mut self, at: &Place<'a>, ttl_ms: Option<u64>) -> Result<(), Failure> {
        let table = self.store.at(self.table, at)?;
        let current = match self.change_of(&table, at) {
            Some(change) => change.value.clone(),
            None => table.get(at.key).map(|item| (Cow::Owned(item.value().into()), item.meta())),
        };
        let Some((value, meta)) = current else { return Ok(()) };
        let life = ttl_ms.and_then(|ttl_ms| self.store.life(ttl_ms));
        let meta = Meta { revision: self.store.next_revision(), life, ..meta };
        self.has_changed = true;
        self.note(table, at, Some((value, meta)));
        Ok(())
    }

    fn note(&mut self, table: Arc<Table>, at: &Place<'a>, value: Option<(Cow<'a, [u8]>, Meta)>) {
        let (place, name) = (place(&table, at), at.table.unwrap_or(self.table));
        match self.places.get(&place).and_then(|known| self.made.get_mut(*known)) {
            Some(change) => change.value = value,
            None => {
                self.places.insert(place, self.made.len());
                self.made.push(Change { table, name, key: at.key, value });
            }
        }
    }

    /// How many bytes the results have with one more. Asked before its value is copied.
    fn results_bytes_with(&self, value_bytes: Option<usize>) -> Result<usize, Stopped> {
        let bytes = self.results_bytes + result_bytes(value_bytes);
        if bytes > RESULTS_BYTES_MAX && !self.results.is_empty() {
            return Err(Failure::ResultsTooLarge { bytes_max: RESULTS_BYTES_MAX as u64 }.into());
        }
        if self.results_bytes_left.is_some_and(|left| bytes > left) {
            return Err(Stopped::Deferred);
        }
        Ok(bytes)
    }

    fn answer(&mut self, found: Option<Found>, results_bytes: usize) {
        self.results.push(found);
        self.results_bytes = results_bytes;
    }
}

impl Store {
    pub(crate) fn make_change(&mut self, change: Change<'_>) {
        let Change { table, name, key, value } = change;
        match value {
            Some((value, meta)) => {
                let item = Item::new(key, self.values.store(&value), &meta);
                self.insert(name, &table, item);
            }
            None => _ = self.remove(name, &table, key, Gone::Deleted),
        }
    }
}

fn place<'a>(table: &Arc<Table>, at: &Place<'a>) -> (usize, &'a [u8]) {
    (Arc::as_ptr(table) as usize, at.key)
}

fn found(value: Vec<u8>, meta: &Meta) -> Found {
    let Meta { revision, created_revision, version, .. } = *meta;
    Found { value: Bytes::from(value), revision, created_revision, version }
}
