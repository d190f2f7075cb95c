//! The frames of a connection: their format, the decoder, and the batching of writes.
//!
//! ```text
//! version u8 | kind u8 | id u64 | body bytes u32 | crc32(body) u32 | crc32(these 18) u32 | body
//! ```
//!
//! Numbers are big-endian. The header has a checksum of its own, because a flipped bit in a length
//! would otherwise be believed, and waited for. A kind means nothing here; the id pairs a reply
//! with its request, and id 0 is the connection's own: a ping and its echo.
//!
//! Memory follows bytes that arrived, never bytes that were announced. A frame that fits the read
//! buffer is copied out of it, so a small body never keeps a large buffer alive; a larger one grows
//! a buffer of its own, by doubling, which then becomes the body. A body over the limit is refused
//! by its header. On the way out small frames are gathered into one write and large parts are not
//! copied.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::buf::Limit;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use thiserror::Error;

pub(super) const HEADER_BYTES: usize = 22;
const FRAME_VERSION: u8 = 1;
const CRC_BYTES: usize = 4;

/// The id of pings and their echoes; requests begin at 1.
pub(super) const PING_ID: u64 = 0;

/// The read buffer of a connection; frames up to this size share it.
pub(super) const READ_BYTES: usize = 64 * 1024;

/// Below this much free space the read buffer is tidied before the next read.
const READ_ROOM_BYTES_MIN: usize = READ_BYTES / 4;

/// Parts up to this size are copied next to their neighbours; larger ones are written from where
/// they are. Copying this much costs less than another entry in the list of a vectored write.
const GATHER_BYTES_MAX: usize = 16 * 1024;

/// A batch takes no further frame once it holds this much.
pub(super) const BATCH_BYTES: usize = 256 * 1024;

/// What ends a connection: the other side, or the way to it, does not speak frames.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FrameError {
    #[error("a frame of version {0}")]
    Version(u8),
    #[error("a frame header does not match its checksum")]
    HeaderChecksum,
    #[error("a frame body does not match its checksum")]
    BodyChecksum,
    #[error("a frame body of {bytes} bytes, where {bytes_max} are allowed")]
    TooLarge { bytes: usize, bytes_max: usize },
}

/// A body to be sent: one piece or several, which arrive as one.
#[derive(Debug, Clone)]
pub struct Body(Pieces);

#[derive(Debug, Clone)]
enum Pieces {
    One(Bytes),
    Several(Vec<Bytes>),
}

impl Body {
    pub(super) fn pieces(&self) -> &[Bytes] {
        match &self.0 {
            Pieces::One(piece) => std::slice::from_ref(piece),
            Pieces::Several(pieces) => pieces,
        }
    }

    pub(super) fn byte_count(&self) -> usize {
        self.pieces().iter().map(Bytes::len).sum()
    }

    fn checksum(&self) -> u32 {
        let mut crc = crc32fast::Hasher::new();
        for piece in self.pieces() {
            crc.update(piece);
        }
        crc.finalize()
    }
}

impl From<Bytes> for Body {
    fn from(piece: Bytes) -> Body {
        Body(Pieces::One(piece))
    }
}

impl From<Vec<Bytes>> for Body {
    fn from(pieces: Vec<Bytes>) -> Body {
        Body(Pieces::Several(pieces))
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Body {
        Body::from(Bytes::from(bytes))
    }
}

impl From<&'static [u8]> for Body {
    fn from(bytes: &'static [u8]) -> Body {
        Body::from(Bytes::from_static(bytes))
    }
}

/// A frame on its way out. The caller that queued it has checked its body against the limit.
#[derive(Debug, Clone)]
pub(super) struct Outgoing {
    pub kind: u8,
    pub id: u64,
    pub body: Body,
}

/// A frame that arrived whole and undamaged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Frame {
    pub kind: u8,
    pub id: u64,
    pub body: Bytes,
}

#[derive(Debug, Clone, Copy)]
struct Header {
    kind: u8,
    id: u64,
    body_bytes: usize,
    body_crc: u32,
}

impl Header {
    fn of(frame: &Outgoing) -> Header {
        Header {
            kind: frame.kind,
            id: frame.id,
            body_bytes: frame.body.byte_count(),
            body_crc: frame.body.checksum(),
        }
    }

    fn encode(&self, out: &mut BytesMut) {
        let mut fields = [0; HEADER_BYTES - CRC_BYTES];
        let mut cursor = fields.as_mut_slice();
        cursor.put_u8(FRAME_VERSION);
        cursor.put_u8(self.kind);
        cursor.put_u64(self.id);
        // Every way into an outbox refuses a body over the limit, and the limit fits in a u32.
        cursor.put_u32(u32::try_from(self.body_bytes).unwrap_or(u32::MAX));
        cursor.put_u32(self.body_crc);
        out.put_slice(&fields);
        out.put_u32(crc32fast::hash(&fields));
    }

    fn decode(bytes: &[u8; HEADER_BYTES], body_bytes_max: usize) -> Result<Header, FrameError> {
        let (fields, mut crc) = bytes.split_at(HEADER_BYTES - CRC_BYTES);
        if crc32fast::hash(fields) != crc.get_u32() {
            return Err(FrameError::HeaderChecksum);
        }
        let mut cursor = fields;
        let version = cursor.get_u8();
        if version != FRAME_VERSION {
            return Err(FrameError::Version(version));
        }
        let kind = cursor.get_u8();
        let id = cursor.get_u64();
        let body_bytes = usize::try_from(cursor.get_u32()).unwrap_or(usize::MAX);
        if body_bytes > body_bytes_max {
            return Err(FrameError::TooLarge { bytes: body_bytes, bytes_max: body_bytes_max });
        }
        Ok(Header { kind, id, body_bytes, body_crc: cursor.get_u32() })
    }

    fn frame(self, body: Bytes) -> Result<Frame, FrameError> {
        if crc32fast::hash(&body) != self.body_crc {
            return Err(FrameError::BodyChecksum);
        }
        Ok(Frame { kind: self.kind, id: self.id, body })
    }
}

/// Cuts arriving bytes into frames: put bytes into [`Decoder::room`], then take frames until none
/// is whole.
#[derive(Debug)]
pub(super) struct Decoder {
    buffer: BytesMut,
    large: Option<LargeFrame>,
    body_bytes_max: usize,
}

/// A frame that does not fit the read buffer, while it arrives.
#[derive(Debug)]
struct LargeFrame {
    header: Header,
    body: BytesMut,
}

impl Decoder {
    pub fn new(body_bytes_max: usize) -> Decoder {
        Decoder { buffer: BytesMut::new(), large: None, body_bytes_max }
    }

    /// Where the next bytes go; never empty.
    pub fn room(&mut self) -> Limit<&mut BytesMut> {
        match &mut self.large {
            Some(large) => large.room(),
            None => buffer_room(&mut self.buffer),
        }
    }

    /// The next whole frame, or none yet. After an error the stream has no meaning any more.
    pub fn take_frame(&mut self) -> Result<Option<Frame>, FrameError> {
        if self.large.is_some() {
            return self.take_large();
        }
        let Some(bytes) = self.buffer.first_chunk::<HEADER_BYTES>() else { return Ok(None) };
        let header = Header::decode(bytes, self.body_bytes_max)?;
        if HEADER_BYTES.saturating_add(header.body_bytes) > READ_BYTES {
            self.begin_large(header);
            return self.take_large();
        }
        let frame_bytes = HEADER_BYTES + header.body_bytes;
        let Some(body) = self.buffer.get(HEADER_BYTES..frame_bytes) else { return Ok(None) };
        let body = Bytes::copy_from_slice(body);
        self.buffer.advance(frame_bytes);
        header.frame(body).map(Some)
    }

    /// The length of the body of a large frame that is not whole yet.
    pub fn large_bytes(&self) -> Option<usize> {
        self.large.as_ref().map(|large| large.header.body_bytes)
    }

    /// The memory held for what arrived so far.
    #[cfg(test)]
    pub fn capacity_bytes(&self) -> usize {
        self.buffer.capacity() + self.large.as_ref().map_or(0, |large| large.body.capacity())
    }

    fn begin_large(&mut self, header: Header) {
        self.buffer.advance(HEADER_BYTES);
        let arrived = self.buffer.len().min(header.body_bytes);
        let mut body = BytesMut::with_capacity(header.body_bytes.min(2 * READ_BYTES));
        body.extend_from_slice(&self.buffer.split_to(arrived));
        self.large = Some(LargeFrame { header, body });
    }

    fn take_large(&mut self) -> Result<Option<Frame>, FrameError> {
        match self.large.take_if(|large| large.missing_bytes() == 0) {
            Some(LargeFrame { header, body }) => header.frame(body.freeze()).map(Some),
            None => Ok(None),
        }
    }
}

impl LargeFrame {
    fn missing_bytes(&self) -> usize {
        self.header.body_bytes.saturating_sub(self.body.len())
    }

    /// Doubles by hand: `BytesMut::reserve` would overshoot, and the excess would live with the
    /// body.
    fn room(&mut self) -> Limit<&mut BytesMut> {
        if self.body.len() == self.body.capacity() {
            let capacity = (2 * self.body.len()).min(self.header.body_bytes);
            self.body = moved(&self.body, capacity);
        }
        let spare = self.body.capacity() - self.body.len();
        let missing = self.missing_bytes();
        (&mut self.body).limit(spare.min(missing))
    }
}

fn buffer_room(buffer: &mut BytesMut) -> Limit<&mut BytesMut> {
    if buffer.capacity() - buffer.len() < READ_ROOM_BYTES_MIN {
        let wanted = READ_BYTES.saturating_sub(buffer.len()).max(READ_ROOM_BYTES_MIN);
        if !buffer.try_reclaim(wanted) {
            *buffer = moved(buffer, buffer.len() + wanted);
        }
    }
    let spare = buffer.capacity() - buffer.len();
    buffer.limit(spare)
}

fn moved(bytes: &[u8], capacity: usize) -> BytesMut {
    let mut larger = BytesMut::with_capacity(capacity);
    larger.extend_from_slice(bytes);
    larger
}

/// Encoded frames waiting for the socket: small pieces gathered, large ones shared.
#[derive(Debug, Default)]
pub(super) struct Batch {
    chunks: VecDeque<Bytes>,
    gathered: BytesMut,
    byte_count: usize,
}

impl Batch {
    pub fn push(&mut self, frame: &Outgoing) {
        Header::of(frame).encode(&mut self.gathered);
        self.byte_count += HEADER_BYTES + frame.body.byte_count();
        for piece in frame.body.pieces() {
            if piece.len() <= GATHER_BYTES_MAX {
                self.gathered.extend_from_slice(piece);
            } else {
                self.seal();
                self.chunks.push_back(piece.clone());
            }
        }
    }

    /// Moves the gathered bytes to those that [`Buf`] shows.
    pub fn seal(&mut self) {
        if !self.gathered.is_empty() {
            self.chunks.push_back(self.gathered.split().freeze());
        }
    }

    pub fn is_full(&self) -> bool {
        self.byte_count >= BATCH_BYTES
    }
}

/// What is sealed; a batch is read only after [`Batch::seal`].
impl Buf for Batch {
    fn remaining(&self) -> usize {
        self.byte_count
    }

    fn chunk(&self) -> &[u8] {
        self.chunks.front().map_or(&[], |chunk| chunk)
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let filled = slices.iter_mut().zip(&self.chunks);
        filled.map(|(slice, chunk)| *slice = IoSlice::new(chunk)).count()
    }

    fn advance(&mut self, mut written: usize) {
        self.byte_count = self.byte_count.saturating_sub(written);
        while let Some(front) = self.chunks.front_mut() {
            if written < front.len() {
                front.advance(written);
                return;
            }
            written -= front.len();
            self.chunks.pop_front();
        }
    }
}

#[cfg(test)]
mod tests;
