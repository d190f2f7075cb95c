//! The operations on a log, as data. [`View`](super::view::View) shows an operation when it is
//! submitted, [`Writer`](super::writer::Writer) writes its records.

use std::collections::VecDeque;

use bytes::Bytes;

use super::record::{OVERHEAD_BYTES, Record};

/// One operation.
#[derive(Debug)]
pub(super) enum Operation {
    Append(Vec<(u64, Bytes)>),
    Truncate(Option<u64>),
    Purge(u64),
    SetValue(u8, Bytes),
}

impl Operation {
    /// The records that stand for it in a segment.
    pub(super) fn records(&self) -> impl Iterator<Item = Record<'_>> {
        let (entries, single) = match self {
            Operation::Append(entries) => (entries.as_slice(), None),
            Operation::Truncate(after) => (&[][..], Some(Record::Truncate { after: *after })),
            Operation::Purge(upto) => (&[][..], Some(Record::Purge { upto: *upto })),
            Operation::SetValue(name, body) => (&[][..], Some(Record::Value { name: *name, body })),
        };
        entries.iter().map(|(index, body)| Record::Entry { index: *index, body }).chain(single)
    }

    /// Splits an append into appends of at most `bytes_max` bytes, or of one entry. At least one.
    pub(super) fn split(self, bytes_max: usize) -> VecDeque<Operation> {
        let entries = match self {
            Operation::Append(entries) if self.bytes() > bytes_max => entries,
            small => return VecDeque::from([small]),
        };
        let (mut parts, mut part, mut bytes) = (VecDeque::new(), Vec::new(), 0);
        for (index, body) in entries {
            let more = body.len().saturating_add(OVERHEAD_BYTES);
            if !part.is_empty() && more.saturating_add(bytes) > bytes_max {
                parts.push_back(Operation::Append(std::mem::take(&mut part)));
                bytes = 0;
            }
            part.push((index, body));
            bytes = bytes.saturating_add(more);
        }
        parts.push_back(Operation::Append(part));
        parts
    }

    /// The entries that it appends.
    pub(super) fn entries(&self) -> &[(u64, Bytes)] {
        match self {
            Operation::Append(entries) => entries,
            _ => &[],
        }
    }

    /// The length of all bodies in it.
    pub(super) fn bodies(&self) -> impl Iterator<Item = usize> {
        self.records().map(|record| match record {
            Record::Entry { body, .. } | Record::Value { body, .. } => body.len(),
            Record::Truncate { .. } | Record::Purge { .. } => 0,
        })
    }

    /// How many bytes it takes in a segment.
    pub(super) fn bytes(&self) -> usize {
        self.bodies().fold(0, |sum, body| sum.saturating_add(body).saturating_add(OVERHEAD_BYTES))
    }
}
