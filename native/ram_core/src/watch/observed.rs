//! The hub as the state machine knows it.

use super::{Change, Observer, Watches};
use ram_table::item::Item;

pub struct Observed(pub Watches);

impl Observer for Observed {
    fn changed(&mut self, change: &Change<'_>) {
        self.0.with(|hub| hub.changed(change));
    }

    fn removed(&mut self, table: &str, items: &[Item]) {
        self.0.with(|hub| hub.removed(table, items));
    }

    fn written(&mut self, revision: u64) {
        self.0.written(revision);
    }

    fn wants(&self, table: &str) -> bool {
        self.0.with(|hub| hub.wants(table))
    }

    fn replaced(&mut self, revision: u64) {
        self.0.with(|hub| hub.replaced(revision));
    }
}
