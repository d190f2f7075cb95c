//! Watches of this member, begun by callers on any thread.
//!
//! A watch begins as a linearizable read does: where this member may answer one, on the thread that
//! applies, between two writes. So whatever was acknowledged before the call is in the revision at
//! which it begins.

use crate::handle::Handle;
use crate::reading::Freshness;
use crate::scans::find_table;
use crate::watch::{Compacted, Control, Deliver, Initial, Keys, Spec, Watches};
use crate::{Error, Reply, Result};
use ram_lease::mode::{ReadMode, Scope};
use ram_store::answer::Failure;
use ram_table::tables::{TableType, Tables};

impl Handle {
    /// Those of this member.
    pub fn watches(&self) -> &Watches {
        &self.watches
    }

    /// Calls `reply` with the revision after which all changes are sent; nothing is sent before
    /// that. A watch that was ended meanwhile does not begin.
    pub fn watch(
        &self,
        mode: ReadMode,
        (spec, control): (Spec, Control),
        deliver: Box<dyn Deliver>,
        deadline: std::time::Instant,
        reply: Reply<Result<u64>>,
    ) -> Result<()> {
        let bytes = match &spec.keys {
            Keys::One(key) => key.len(),
            Keys::Range(..) | Keys::All => 0,
        };
        let begin = move |tables: &Tables| begin(tables, spec, &control, deliver);
        let freshness = Freshness { mode, at_least: 0 };
        self.look_later(freshness, Scope::All, (bytes, deadline), begin, reply)
    }
}

fn begin(tables: &Tables, spec: Spec, control: &Control, deliver: Box<dyn Deliver>) -> Result<u64> {
    let table = find_table(tables, &spec.table)?;
    if matches!(spec.keys, Keys::Range(..)) && table.table_type() != TableType::OrderedSet {
        return Err(Failure::NotOrdered(spec.table).into());
    }
    let revision = tables.revision();
    let initial = spec.initial.then(|| Initial::of(&spec.table, &table, revision, &spec.keys));
    let begun = control.begin(spec, initial, deliver);
    begun.map_err(|Compacted { oldest }| Error::Compacted { oldest })
}
