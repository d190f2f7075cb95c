//! One change of one key, as watches are told of it.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Change, Gone};
use ram_table::item::Item;
use ram_table::value::StoredValue;

/// What an event takes beside the content of its items, about.
const EVENT_BYTES: u64 = 128;
/// The item of a deleted key is kept for the key alone: with a longer value it is copied without.
const VALUE_KEPT_BYTES_MAX: usize = 64;

#[derive(Debug, Clone)]
pub struct Event {
    pub(super) table: Arc<str>,
    pub old: Option<Item>,
    /// `None`: the key is gone; then `old` has the key, and perhaps no value.
    pub new: Option<Item>,
    pub gone: Gone,
}

impl Event {
    /// `None`: nothing changed.
    pub(super) fn of(table: Arc<str>, change: &Change<'_>) -> Option<Event> {
        let old = match (change.old, change.new) {
            (None, None) => return None,
            (old, Some(_)) => old.cloned(),
            (Some(old), None) => Some(key_alone(old)),
        };
        Some(Event { table, old, new: change.new.cloned(), gone: change.gone })
    }

    /// A key that is there.
    pub(super) fn present(table: Arc<str>, item: Item) -> Event {
        Event { table, old: None, new: Some(item), gone: Gone::Deleted }
    }

    pub fn key(&self) -> &[u8] {
        self.new.as_ref().or(self.old.as_ref()).map_or(&[], Item::key)
    }

    /// As it waits in a queue: without what nobody asked for.
    pub(super) fn queued(&self, with_old: bool) -> Event {
        let old = if with_old || self.new.is_none() { self.old.clone() } else { None };
        Event { table: self.table.clone(), old, new: self.new.clone(), gone: self.gone }
    }

    /// How much memory it may keep, about.
    pub(super) fn bytes(&self) -> u64 {
        let bytes = |item: &Item| (item.key().len() + item.value_bytes()) as u64;
        EVENT_BYTES + [&self.old, &self.new].into_iter().flatten().map(bytes).sum::<u64>()
    }
}

fn key_alone(item: &Item) -> Item {
    if item.stored_bytes().len() <= VALUE_KEPT_BYTES_MAX && item.representation().is_none() {
        return item.clone();
    }
    Item::new(item.key(), StoredValue::plain(b""), &item.meta())
}

/// The changes of one write, each key once: of two changes of a key the first says what it held,
/// the last what it holds. `newest` is the revision before the write.
pub(super) fn merged(events: Vec<Event>, newest: u64) -> Vec<Event> {
    if !may_repeat(&events, newest) {
        return events;
    }
    let mut places: HashMap<(Arc<str>, Vec<u8>), usize> = HashMap::new();
    let mut merged: Vec<Option<Event>> = Vec::with_capacity(events.len());
    for mut event in events {
        let place = places.entry((event.table.clone(), event.key().to_vec()));
        let earlier = match place {
            std::collections::hash_map::Entry::Occupied(mut known) => {
                let earlier = known.insert(merged.len());
                merged.get_mut(earlier).and_then(Option::take)
            }
            std::collections::hash_map::Entry::Vacant(new) => {
                new.insert(merged.len());
                None
            }
        };
        if let Some(earlier) = earlier {
            event.old = earlier.old;
        }
        merged.push(Some(event));
    }
    // A key that came and went in one write never was there.
    let is_change = |event: &Event| event.new.is_some() || event.old.is_some();
    merged.into_iter().flatten().filter(is_change).collect()
}

/// Only what the write itself has put can be replaced by it; and what it has deleted, put anew.
fn may_repeat(events: &[Event], newest: u64) -> bool {
    let is_own = |event: &Event| event.old.as_ref().is_some_and(|old| old.revision() > newest);
    let has_deleted = events.iter().any(|event| event.new.is_none());
    let has_created = events.iter().any(|event| event.old.is_none());
    events.len() > 1 && (has_deleted && has_created || events.iter().any(is_own))
}
