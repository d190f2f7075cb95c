//! What the commands of a transaction change, before anybody sees it.
//!
//! Later commands see what earlier ones made of a key. A key is changed once, by the last.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;

use crate::Store;
use crate::answer::{Failure, Found};
use crate::write::{Command, Place};
use ram_limits::RESULTS_BYTES_MAX;
use ram_table::item::{Item, Meta};
use ram_table::table::Table;
use ram_table::value::Values;

pub(crate) struct Changes<'a> {
    store: &'a Store,
    /// The name of the table that places mean where they name none.
    table: &'a str,
    made: Vec<Change<'a>>,
    /// Where in `made` the change of a key is, by the address of its table.
    places: HashMap<(usize, &'a [u8]), usize>,
    results: Vec<Option<Found>>,
    results_bytes: usize,
}

pub(crate) struct Change<'a> {
    table: Arc<Table>,
    key: &'a [u8],
    /// `None`: it is deleted.
    value: Option<(Cow<'a, [u8]>, Meta)>,
}

impl<'a> Changes<'a> {
    pub fn new(store: &'a Store, table: &'a str) -> Changes<'a> {
        let (made, places, results) = (Vec::new(), HashMap::new(), Vec::new());
        Changes { store, table, made, places, results, results_bytes: 0 }
    }

    /// `index` names the command in a failure. After one nothing of it is of use.
    pub fn run(&mut self, command: &Command<'a>, index: u32) -> Result<(), Failure> {
        match *command {
            Command::Put { at, value } => self.change(&at, Some(Cow::Borrowed(value))).map(drop),
            Command::Delete { at } => self.change(&at, None).map(drop),
            Command::Get { at } => {
                let found = self.current(&at)?.map(|(value, meta)| found(value, &meta));
                self.answer(found)
            }
            Command::Count { at, count } => {
                let current = self.current(&at)?;
                let current = current.as_ref().map(|(value, _)| value.as_ref());
                let counted = self.store.values.count(current, count);
                let value = counted.ok_or(Failure::NotANumber { command: index })?;
                let meta = self.change(&at, Some(Cow::Owned(value.clone())))?;
                self.answer(Some(found(Cow::Owned(value), &meta)))
            }
        }
    }

    /// What is to be done, in the order of the commands, and the results.
    pub fn into_parts(self) -> (Vec<Change<'a>>, Vec<Option<Found>>) {
        let mut made = self.made;
        made.retain(|change| change.value.is_some() || change.table.get(change.key).is_some());
        (made, self.results)
    }

    /// What the key holds after the commands so far.
    fn current(&self, at: &Place<'a>) -> Result<Option<(Cow<'_, [u8]>, Meta)>, Failure> {
        let table = self.store.at(self.table, at)?;
        if let Some(change) = self.places.get(&place(&table, at)).and_then(|at| self.made.get(*at))
        {
            let shared = |(value, meta): &'_ (Cow<'a, [u8]>, Meta)| (value.clone(), *meta);
            return Ok(change.value.as_ref().map(shared));
        }
        let item = table.get(at.key);
        Ok(item.map(|item| (Cow::Owned(item.value().into_owned()), item.meta())))
    }

    /// Returns what the key's metadata are then, as if it was not deleted.
    fn change(&mut self, at: &Place<'a>, value: Option<Cow<'a, [u8]>>) -> Result<Meta, Failure> {
        let table = self.store.at(self.table, at)?;
        let revision = self.store.next_revision();
        let place = place(&table, at);
        let known = self.places.get(&place).copied();
        let meta = match known.and_then(|known| self.made.get(known)) {
            Some(Change { value: Some((_, meta)), .. }) => *meta,
            Some(Change { value: None, .. }) => Meta::created(revision),
            None => match table.get(at.key) {
                Some(item) => item.meta().changed(revision),
                None => Meta::created(revision),
            },
        };
        let value = value.map(|value| (value, meta));
        match known.and_then(|known| self.made.get_mut(known)) {
            Some(change) => change.value = value,
            None => {
                self.places.insert(place, self.made.len());
                self.made.push(Change { table, key: at.key, value });
            }
        }
        Ok(meta)
    }

    fn answer(&mut self, found: Option<Found>) -> Result<(), Failure> {
        self.results_bytes += found.as_ref().map_or(0, |found| found.value.len());
        self.results.push(found);
        if self.results_bytes > RESULTS_BYTES_MAX {
            return Err(Failure::ResultsTooLarge { bytes_max: RESULTS_BYTES_MAX as u64 });
        }
        Ok(())
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

fn found(value: Cow<'_, [u8]>, meta: &Meta) -> Found {
    let Meta { revision, created_revision, version } = *meta;
    Found { value: Bytes::from(value.into_owned()), revision, created_revision, version }
}
