//! What can be done to a log, as data: asked for in [`View`](super::view::View), written by
//! [`Writer`](super::writer::Writer).

use std::collections::VecDeque;

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

    /// The same, in operations of so many bytes at most, or one record; never none.
    pub(super) fn into_pieces(self, bytes_max: usize) -> VecDeque<Change> {
        let entries = match self {
            Change::Append(entries) if self.bytes() > bytes_max => entries,
            small => return VecDeque::from([small]),
        };
        let (mut pieces, mut piece, mut bytes) = (VecDeque::new(), Vec::new(), 0);
        for (index, body) in entries {
            let more = body.len().saturating_add(OVERHEAD_BYTES);
            if !piece.is_empty() && more.saturating_add(bytes) > bytes_max {
                pieces.push_back(Change::Append(std::mem::take(&mut piece)));
                bytes = 0;
            }
            piece.push((index, body));
            bytes = bytes.saturating_add(more);
        }
        pieces.push_back(Change::Append(piece));
        pieces
    }

    /// The entries that it appends.
    pub(super) fn entries(&self) -> &[(u64, Bytes)] {
        match self {
            Change::Append(entries) => entries,
            _ => &[],
        }
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
