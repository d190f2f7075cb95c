//! What can be done to a log, as data: asked for in [`View`](super::view::View), written by
//! [`Writer`](super::writer::Writer).

use bytes::Bytes;

use super::record::{OVERHEAD_BYTES, Record};

/// One operation.
#[derive(Debug)]
pub(super) enum Change {
    Append(Vec<(u64, Bytes)>),
    Truncate(Option<u64>),
    Purge(u64),
    State(u8, Bytes),
}

impl Change {
    /// The records that say it.
    pub(super) fn records(&self) -> impl Iterator<Item = Record<'_>> {
        let (entries, single) = match self {
            Change::Append(entries) => (entries.as_slice(), None),
            Change::Truncate(after) => (&[][..], Some(Record::Truncate { after: *after })),
            Change::Purge(upto) => (&[][..], Some(Record::Purge { upto: *upto })),
            Change::State(slot, body) => (&[][..], Some(Record::State { slot: *slot, body })),
        };
        entries.iter().map(|(index, body)| Record::Entry { index: *index, body }).chain(single)
    }

    /// The length of all bodies in it.
    pub(super) fn bodies(&self) -> impl Iterator<Item = usize> {
        self.records().map(|record| match record {
            Record::Entry { body, .. } | Record::State { body, .. } => body.len(),
            Record::Truncate { .. } | Record::Purge { .. } => 0,
        })
    }

    /// How many bytes it takes in a segment.
    pub(super) fn bytes(&self) -> usize {
        self.bodies().fold(0, |sum, body| sum.saturating_add(body).saturating_add(OVERHEAD_BYTES))
    }
}
