//! Do the conditions of a transaction hold? What they look at is bounded, alike on every member.

use crate::Store;
use crate::answer::Failure;
use crate::write::{Comparison, Condition, State};
use ram_limits::{COMPARED_STEP_BYTES, COMPARED_STEPS_MAX, RANGE_ENTRIES_MAX};
use ram_table::item::Item;
use ram_table::value::Values;

impl Store {
    /// Takes what it looks at from the budget.
    pub(crate) fn holds(
        &self,
        table: &str,
        condition: &Condition<'_>,
        budget: &mut Budget,
    ) -> Result<bool, Failure> {
        match *condition {
            Condition::Key { at, is } => {
                let current = self.at(table, &at)?.get(at.key);
                Ok(match (is, current) {
                    (State::Absent, current) => current.is_none(),
                    (State::Present, current) => current.is_some(),
                    (State::Value(value), Some(item)) => {
                        budget.compare(self.values.as_ref(), &item, value)?
                    }
                    (State::Revision(comparison, revision), Some(item)) => {
                        compare(item.revision(), comparison, revision)
                    }
                    (State::Value(_) | State::Revision(..), None) => false,
                })
            }
            Condition::Unchanged { table: named, range, revision, entries } => {
                let table = self.ordered(named.unwrap_or(table))?;
                budget.look_at(entries)?;
                let found = table.range(range, false, entries as usize + 1);
                let is_old = |item: &Item| item.revision() <= revision;
                Ok(found.len() as u64 == entries && found.iter().all(is_old))
            }
        }
    }
}

/// What the conditions of a transaction may look at, together.
pub(crate) struct Budget {
    /// Of ranges.
    entries: u64,
    /// Of comparing values.
    steps: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Budget { entries: RANGE_ENTRIES_MAX as u64, steps: COMPARED_STEPS_MAX }
    }
}

impl Budget {
    fn look_at(&mut self, entries: u64) -> Result<(), Failure> {
        let entries_max = RANGE_ENTRIES_MAX as u64;
        let left = self.entries.checked_sub(entries);
        self.entries = left.ok_or(Failure::RangesTooLarge { entries_max })?;
        Ok(())
    }

    /// Is the item's value this one? A single value may have any number of bytes.
    fn compare(&mut self, values: &dyn Values, item: &Item, value: &[u8]) -> Result<bool, Failure> {
        let too_large = || Failure::ComparedTooLarge { steps_max: COMPARED_STEPS_MAX as u64 };
        let copied = item.value_bytes() / COMPARED_STEP_BYTES;
        let is_first = self.steps == COMPARED_STEPS_MAX;
        let copied = if is_first { copied.min(self.steps) } else { copied };
        self.steps = self.steps.checked_sub(copied).ok_or_else(too_large)?;
        // Its own budget, where the first has many bytes: most of them are not terms.
        let mut steps = if is_first { COMPARED_STEPS_MAX } else { self.steps };
        let before = steps;
        let same = values.same(&item.value(), value, &mut steps).ok_or_else(too_large)?;
        self.steps = self.steps.saturating_sub(before - steps);
        Ok(same)
    }
}

fn compare(revision: u64, comparison: Comparison, than: u64) -> bool {
    match comparison {
        Comparison::Less => revision < than,
        Comparison::Equal => revision == than,
        Comparison::Greater => revision > than,
    }
}
