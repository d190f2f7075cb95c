//! The format of a record, and the encoding of a batch of records.
//!
//! ```text
//! offset  bytes
//!      0      1  mark, 0xA7
//!      1      1  kind: 1 entry, 2 truncate after an index, 3 truncate all, 4 purge, 5 named value
//!      2      1  flags: bit 0 = last record of its batch
//!      3      1  name of the value, else 0
//!      4      4  length of the body
//!      8      8  batch number
//!     16      8  index: of the entry, the last one kept, or the last one purged
//!     24      4  CRC-32 of the body
//!     28      4  CRC-32 of bytes 0 to 27
//!     32      n  body
//!   32+n      1  end mark, 0x5A
//! ```
//!
//! All numbers are little endian. The header has a checksum of its own, so that the length of the
//! body is never believed before it is proven; neither mark is zero, so that a record whose
//! beginning or end was never written cannot be mistaken for a whole one. A header is never all
//! zero: zeros mean that nothing was written here.
//!
//! Decoding borrows from the bytes it is given: it allocates nothing, whatever they say.

use std::io;

/// Bytes of a record before its body.
pub(super) const HEADER_BYTES: usize = 32;

/// Bytes of a record besides its body.
pub(super) const OVERHEAD_BYTES: usize = HEADER_BYTES + 1;

/// The first byte of every record.
pub(super) const MARK: u8 = 0xA7;

const END_MARK: u8 = 0x5A;
const LAST_OF_BATCH: u8 = 1;

const ENTRY: u8 = 1;
const TRUNCATE_AFTER: u8 = 2;
const TRUNCATE_ALL: u8 = 3;
const PURGE: u8 = 4;
const VALUE: u8 = 5;

/// What a record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Record<'a> {
    /// An entry of the log.
    Entry { index: u64, body: &'a [u8] },
    /// Entries above `after` are gone; all of them without it.
    Truncate { after: Option<u64> },
    /// Entries up to `upto` are no longer needed.
    Purge { upto: u64 },
    /// The named value is now this.
    Value { name: u8, body: &'a [u8] },
}

impl<'a> Record<'a> {
    fn body(&self) -> &'a [u8] {
        match self {
            Record::Entry { body, .. } | Record::Value { body, .. } => body,
            Record::Truncate { .. } | Record::Purge { .. } => &[],
        }
    }

    /// Kind, name and index, as the header has them.
    fn tags(&self) -> (u8, u8, u64) {
        match *self {
            Record::Entry { index, .. } => (ENTRY, 0, index),
            Record::Truncate { after: Some(index) } => (TRUNCATE_AFTER, 0, index),
            Record::Truncate { after: None } => (TRUNCATE_ALL, 0, 0),
            Record::Purge { upto } => (PURGE, 0, upto),
            Record::Value { name, .. } => (VALUE, name, 0),
        }
    }
}

/// The result of decoding a record.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Decoded<'a> {
    /// A whole record, correct in all its checksums.
    Record(Framed<'a>),
    /// Nothing: a header's length of zeros, or the end of the bytes.
    Blank,
    /// No valid record.
    Bad(BadRecord),
}

/// A record with what the frame around it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Framed<'a> {
    pub(super) record: Record<'a>,
    pub(super) batch: u64,
    pub(super) last_of_batch: bool,
    /// The length of the whole record.
    pub(super) bytes: usize,
}

/// Which part of a record is bad; the other part is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BadRecord {
    /// The header: nothing is known, not even where the record ends.
    Header,
    /// The body or the end mark: the header is right, and says that the record has so many bytes.
    Body { bytes: usize },
}

/// Decodes what `bytes` begin with.
pub(super) fn decode(bytes: &[u8]) -> Decoded<'_> {
    let Some((raw, rest)) = bytes.split_first_chunk::<HEADER_BYTES>() else {
        let blank = bytes.iter().all(|byte| *byte == 0);
        return if blank { Decoded::Blank } else { Decoded::Bad(BadRecord::Header) };
    };
    if raw.iter().all(|byte| *byte == 0) {
        return Decoded::Blank;
    }
    let Some(header) = Header::decode(raw) else { return Decoded::Bad(BadRecord::Header) };
    let bad = Decoded::Bad(BadRecord::Body { bytes: header.length.saturating_add(OVERHEAD_BYTES) });
    let Some((body, end)) = rest.split_at_checked(header.length) else { return bad };
    if end.first() != Some(&END_MARK) || crc32fast::hash(body) != header.body_crc {
        return bad;
    }
    match header.record(body) {
        Some(record) => Decoded::Record(Framed {
            record,
            batch: header.batch,
            last_of_batch: header.flags & LAST_OF_BATCH != 0,
            bytes: header.length.saturating_add(OVERHEAD_BYTES),
        }),
        None => Decoded::Bad(BadRecord::Header),
    }
}

/// The batch number in the header that `bytes` begin with, if it is a right one.
pub(super) fn decode_batch(bytes: &[u8]) -> Option<u64> {
    Header::decode(bytes.first_chunk()?).map(|header| header.batch)
}

struct Header {
    kind: u8,
    flags: u8,
    name: u8,
    length: usize,
    batch: u64,
    index: u64,
    body_crc: u32,
}

impl Header {
    fn decode(raw: &[u8; HEADER_BYTES]) -> Option<Self> {
        let crc = u32_at(raw, 28);
        if raw[0] != MARK || crc32fast::hash(&raw[..28]) != crc {
            return None;
        }
        Some(Self {
            kind: raw[1],
            flags: raw[2],
            name: raw[3],
            length: usize::try_from(u32_at(raw, 4)).ok()?,
            batch: u64_at(raw, 8),
            index: u64_at(raw, 16),
            body_crc: u32_at(raw, 24),
        })
    }

    fn record<'a>(&self, body: &'a [u8]) -> Option<Record<'a>> {
        match self.kind {
            ENTRY => Some(Record::Entry { index: self.index, body }),
            TRUNCATE_AFTER => Some(Record::Truncate { after: Some(self.index) }),
            TRUNCATE_ALL => Some(Record::Truncate { after: None }),
            PURGE => Some(Record::Purge { upto: self.index }),
            VALUE => Some(Record::Value { name: self.name, body }),
            _ => None,
        }
    }
}

/// The little-endian number at `at`; 0 where `bytes` end before.
pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let raw = bytes.get(at..).and_then(<[u8]>::first_chunk);
    u32::from_le_bytes(raw.copied().unwrap_or_default())
}

/// The little-endian number at `at`; 0 where `bytes` end before.
pub(super) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let raw = bytes.get(at..).and_then(<[u8]>::first_chunk);
    u64::from_le_bytes(raw.copied().unwrap_or_default())
}

/// The records of one batch, encoded one behind the other.
#[derive(Debug, Default)]
pub(super) struct BatchBuffer {
    bytes: Vec<u8>,
    batch: u64,
    records: u64,
    /// Where the newest record begins.
    newest: usize,
}

impl BatchBuffer {
    /// Empties the buffer and begins batch number `batch`.
    pub(super) fn begin(&mut self, batch: u64) {
        self.bytes.clear();
        self.batch = batch;
        self.records = 0;
        self.newest = 0;
    }

    /// Adds a record and returns where in the batch it begins.
    ///
    /// # Errors
    ///
    /// The body is longer than a record can say; nothing was added.
    pub(super) fn push(&mut self, record: Record<'_>) -> io::Result<usize> {
        let body = record.body();
        let length = u32::try_from(body.len()).map_err(io::Error::other)?;
        let (kind, name, index) = record.tags();
        let start = self.bytes.len();
        self.bytes.reserve(body.len().saturating_add(OVERHEAD_BYTES));
        self.bytes.extend_from_slice(&[MARK, kind, 0, name]);
        self.bytes.extend_from_slice(&length.to_le_bytes());
        self.bytes.extend_from_slice(&self.batch.to_le_bytes());
        self.bytes.extend_from_slice(&index.to_le_bytes());
        self.bytes.extend_from_slice(&crc32fast::hash(body).to_le_bytes());
        let crc = crc32fast::hash(self.bytes.get(start..).unwrap_or_default());
        self.bytes.extend_from_slice(&crc.to_le_bytes());
        self.bytes.extend_from_slice(body);
        self.bytes.push(END_MARK);
        self.records += 1;
        self.newest = start;
        Ok(start)
    }

    /// Marks the newest record as the last of the batch, and returns the whole.
    pub(super) fn finish(&mut self) -> &[u8] {
        let newest = self.bytes.get_mut(self.newest..);
        if let Some(raw) = newest.and_then(<[u8]>::first_chunk_mut::<HEADER_BYTES>) {
            raw[2] |= LAST_OF_BATCH;
            let crc = crc32fast::hash(&raw[..28]);
            raw[28..].copy_from_slice(&crc.to_le_bytes());
        }
        &self.bytes
    }

    pub(super) fn records(&self) -> u64 {
        self.records
    }

    /// Gives memory above `bytes_max` back.
    pub(super) fn shrink(&mut self, bytes_max: usize) {
        self.bytes.clear();
        self.bytes.shrink_to(bytes_max);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SAMPLES: [Record<'static>; 6] = [
        Record::Entry { index: 7, body: b"seven" },
        Record::Entry { index: u64::MAX, body: b"" },
        Record::Truncate { after: Some(3) },
        Record::Truncate { after: None },
        Record::Purge { upto: 2 },
        Record::Value { name: 255, body: b"vote" },
    ];

    fn encode(records: &[Record<'_>]) -> Vec<u8> {
        let mut buffer = BatchBuffer::default();
        buffer.begin(42);
        for record in records {
            buffer.push(*record).unwrap();
        }
        buffer.finish().to_vec()
    }

    #[test]
    fn what_is_encoded_is_decoded_and_only_the_last_record_ends_its_batch() {
        let bytes = encode(&SAMPLES);
        let mut at = 0;
        for (position, sample) in SAMPLES.iter().enumerate() {
            let Decoded::Record(framed) = decode(&bytes[at..]) else { panic!("{sample:?}") };
            assert_eq!(framed.record, *sample);
            assert_eq!(framed.batch, 42);
            assert_eq!(framed.last_of_batch, position + 1 == SAMPLES.len());
            at += framed.bytes;
        }
        assert_eq!(decode(&bytes[at..]), Decoded::Blank);
    }

    #[test]
    fn every_flipped_bit_and_every_missing_byte_is_noticed() {
        let bytes = encode(&SAMPLES[..1]);
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(matches!(decode(&flipped), Decoded::Bad(_)), "bit {bit}");
        }
        for length in 1..bytes.len() {
            assert!(matches!(decode(&bytes[..length]), Decoded::Bad(_)), "length {length}");
        }
    }

    #[test]
    fn zeros_are_blank_whatever_their_number() {
        for length in [0, 1, HEADER_BYTES, 1000] {
            assert_eq!(decode(&vec![0; length]), Decoded::Blank);
        }
    }

    #[test]
    fn a_hostile_length_with_a_right_checksum_makes_a_bad_body() {
        let mut bytes = encode(&SAMPLES[..1]);
        bytes[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
        let crc = crc32fast::hash(&bytes[..28]);
        bytes[28..32].copy_from_slice(&crc.to_le_bytes());
        let length = u32::MAX as usize + OVERHEAD_BYTES;
        assert_eq!(decode(&bytes), Decoded::Bad(BadRecord::Body { bytes: length }));
    }

    #[test]
    fn a_buffer_counts_the_records_of_its_batch_and_gives_memory_above_the_bound_back() {
        let mut buffer = BatchBuffer::default();
        for batch in 1..3 {
            buffer.begin(batch);
            assert_eq!(buffer.records(), 0);
            buffer.push(Record::Entry { index: 1, body: &[7; 10_000] }).unwrap();
            buffer.push(SAMPLES[0]).unwrap();
            assert_eq!(buffer.records(), 2);
        }
        buffer.shrink(1000);
        assert!(buffer.bytes.is_empty() && buffer.bytes.capacity() <= 1000);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_are_decoded_without_a_panic(bytes: Vec<u8>) {
            decode(&bytes);
            decode_batch(&bytes);
        }
    }
}
