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
use crate::write::{Command, EncodedOwner, Place, Setting};
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
    content: Option<Content<'a>>,
}

/// What a key holds.
#[derive(Clone)]
struct Content<'a> {
    value: Cow<'a, [u8]>,
    meta: Meta,
    owner: Cow<'a, [u8]>,
}

/// What a put says of a key.
struct Put<'a> {
    value: Cow<'a, [u8]>,
    ttl_ms: Setting<u64>,
    owner: Setting<EncodedOwner<'a>>,
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
    Changed(&'a Content<'a>),
}

impl Current<'_> {
    fn bytes(&self) -> usize {
        match self {
            Current::Stored(item) => item.value_bytes(),
            Current::Changed(content) => content.value.len(),
        }
    }

    fn value(&self) -> Cow<'_, [u8]> {
        match self {
            Current::Stored(item) => item.value(),
            Current::Changed(content) => Cow::Borrowed(&content.value),
        }
    }

    fn owner(&self) -> &[u8] {
        match self {
            Current::Stored(item) => item.owner(),
            Current::Changed(content) => &content.owner,
        }
    }

    fn meta(&self) -> Meta {
        match self {
            Current::Stored(item) => item.meta(),
            Current::Changed(content) => content.meta,
        }
    }

    /// What its result takes.
    fn result_bytes(&self) -> usize {
        self.bytes() + self.owner().len()
    }

    fn found(&self) -> Found {
        found(self.value().into_owned(), &self.meta(), self.owner())
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
            Command::Put { at, value, ttl_ms, owner } => {
                self.change(&at, Some(Put { value: Cow::Borrowed(value), ttl_ms, owner }))?;
            }
            Command::Delete { at } => {
                self.change(&at, None)?;
            }
            Command::Touch { at, ttl_ms } => self.touch(&at, ttl_ms)?,
            Command::Get { at } => {
                let current = self.current(&at)?;
                let bytes = self.results_bytes_with(current.as_ref().map(Current::result_bytes))?;
                let found = current.map(|current| current.found());
                self.answer(found, bytes);
            }
            Command::Count { at, count } => {
                let value = self.count(&at, count)?;
                let (ttl_ms, owner) = (Setting::Keep, Setting::Keep);
                let put = Put { value: Cow::Owned(value.clone()), ttl_ms, owner };
                let meta = self.change(&at, Some(put))?;
                let bytes = self.results_bytes_with(Some(value.len()))?;
                self.answer(Some(found(value, &meta, &[])), bytes);
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
            Some(Change { content, .. }) => content.as_ref().map(Current::Changed),
            None => table.get(at.key).map(Current::Stored),
        })
    }

    fn change_of(&self, table: &Arc<Table>, at: &Place<'a>) -> Option<&Change<'a>> {
        self.made.get(*self.places.get(&place(table, at))?)
    }

    /// Returns what the key's metadata are then, as if it was not deleted.
    fn change(&mut self, at: &Place<'a>, put: Option<Put<'a>>) -> Result<Meta, Failure> {
        let table = self.store.at(self.table, at)?;
        let revision = self.store.next_revision();
        let (current, known) = match self.change_of(&table, at) {
            Some(change) => (
                change.content.as_ref().map(|content| content.meta),
                change.content.as_ref().map(|content| content.owner.clone()),
            ),
            None => {
                let item = table.get(at.key);
                let owner = item.as_ref().map(|item| Cow::Owned(item.owner().to_vec()));
                (item.map(|item| item.meta().changed(revision)), owner)
            }
        };
        self.has_changed |= put.is_some() || current.is_some();
        let ttl_ms = put.as_ref().map_or(Setting::Clear, |put| put.ttl_ms);
        let meta = current.unwrap_or_else(|| Meta::created(revision));
        let meta = self.store.settled(meta, ttl_ms);
        let content = put.map(|Put { value, owner, .. }| {
            let owner = match owner {
                Setting::Clear => Cow::Borrowed(&[][..]),
                Setting::Keep => known.unwrap_or_default(),
                Setting::To(owner) => Cow::Borrowed(owner.0),
            };
            Content { value, meta, owner }
        });
        self.note(table, at, content);
        Ok(meta)
    }

    /// Nothing, where there is nothing.
    fn touch(&mut self, at: &Place<'a>, ttl_ms: Option<u64>) -> Result<(), Failure> {
        let table = self.store.at(self.table, at)?;
        let current = match self.change_of(&table, at) {
            Some(change) => change.content.clone(),
            None => table.get(at.key).map(|item| Content::of(&item)),
        };
        let Some(content) = current else { return Ok(()) };
        let life = ttl_ms.and_then(|ttl_ms| self.store.life(ttl_ms));
        let meta = Meta { revision: self.store.next_revision(), life, ..content.meta };
        self.has_changed = true;
        self.note(table, at, Some(Content { meta, ..content }));
        Ok(())
    }

    fn note(&mut self, table: Arc<Table>, at: &Place<'a>, content: Option<Content<'a>>) {
        let (place, name) = (place(&table, at), at.table.unwrap_or(self.table));
        match self.places.get(&place).and_then(|known| self.made.get_mut(*known)) {
            Some(change) => change.content = content,
            None => {
                self.places.insert(place, self.made.len());
                self.made.push(Change { table, name, key: at.key, content });
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
        let Change { table, name, key, content } = change;
        match content {
            Some(Content { value, meta, owner }) => {
                let item = Item::owned(key, self.values.store(&value), &meta, &owner);
                self.insert(name, &table, item);
            }
            None => _ = self.remove(name, &table, key, Gone::Deleted),
        }
    }
}

fn place<'a>(table: &Arc<Table>, at: &Place<'a>) -> (usize, &'a [u8]) {
    (Arc::as_ptr(table) as usize, at.key)
}

fn found(value: Vec<u8>, meta: &Meta, owner: &[u8]) -> Found {
    let Meta { revision, created_revision, version, life } = *meta;
    let ttl_ms = life.map_or(0, |life| life.ttl_ms);
    let (value, owner) = (Bytes::from(value), Bytes::copy_from_slice(owner));
    Found { value, revision, created_revision, version, ttl_ms, owner }
}

impl Content<'_> {
    fn of(item: &Item) -> Self {
        let (value, owner) = (item.value().into_owned(), item.owner().to_vec());
        Content { value: Cow::Owned(value), meta: item.meta(), owner: Cow::Owned(owner) }
    }
}
