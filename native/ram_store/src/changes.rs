//! What the commands of a transaction change, before anybody sees it.
//!
//! Later commands see what earlier ones made of a key. A key is changed once, by the last.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;

use crate::Store;
use crate::answer::{Failure, Found, result_bytes};
use crate::write::{Command, Place};
use ram_limits::{NUMBER_BYTES_MAX, RESULTS_BYTES_MAX};
use ram_table::item::{Item, Meta};
use ram_table::table::Table;
use ram_table::value::Values;

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
            Command::Put { at, value } => {
                self.change(&at, Some(Cow::Borrowed(value)))?;
            }
            Command::Delete { at } => {
                self.change(&at, None)?;
            }
            Command::Get { at } => {
                let current = self.current(&at)?;
                let bytes = self.results_bytes_with(current.as_ref().map(Current::bytes))?;
                let found = current.map(|current| current.found());
                self.answer(found, bytes);
            }
            Command::Count { at, count } => {
                let value = self.count(&at, count)?;
                let meta = self.change(&at, Some(Cow::Owned(value.clone())))?;
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
    fn change(&mut self, at: &Place<'a>, value: Option<Cow<'a, [u8]>>) -> Result<Meta, Failure> {
        let table = self.store.at(self.table, at)?;
        let revision = self.store.next_revision();
        let current = match self.change_of(&table, at) {
            Some(change) => change.value.as_ref().map(|(_, meta)| *meta),
            None => table.get(at.key).map(|item| item.meta().changed(revision)),
        };
        self.has_changed |= value.is_some() || current.is_some();
        let meta = current.unwrap_or_else(|| Meta::created(revision));
        let value = value.map(|value| (value, meta));
        let place = place(&table, at);
        match self.places.get(&place).and_then(|known| self.made.get_mut(*known)) {
            Some(change) => change.value = value,
            None => {
                self.places.insert(place, self.made.len());
                self.made.push(Change { table, key: at.key, value });
            }
        }
        Ok(meta)
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

impl Change<'_> {
    /// Makes the change in the table.
    pub fn make(self, values: &dyn Values) {
        match self.value {
            Some((value, meta)) => {
                self.table.insert(Item::new(self.key, values.store(&value), &meta));
            }
            None => _ = self.table.remove(self.key),
        }
    }
}

fn place<'a>(table: &Arc<Table>, at: &Place<'a>) -> (usize, &'a [u8]) {
    (Arc::as_ptr(table) as usize, at.key)
}

fn found(value: Vec<u8>, meta: &Meta) -> Found {
    let Meta { revision, created_revision, version } = *meta;
    Found { value: Bytes::from(value), revision, created_revision, version }
}
