//! The format of compiled terms.
//!
//! A compiled term is the external term format of a value but for what is slow in there:
//!
//! ```text
//! compiled   how many bytes the external term format has (4), then a term
//! term       as in the external term format, or one of these
//! 1  ATOM    its index in atoms.rs (4)
//! 2  SHARED  a binary of more bytes than go on a heap, sealed: see references.rs
//! 3  ETF     length (4), external term format: what is rare, and decoded by the virtual machine
//! 4  OPAQUE  as SHARED: the external term format of the whole value, which the caller decodes
//! ```
//!
//! Indexes and seals are of this process and numbers in its byte order: a compiled term is never
//! written anywhere. An atom that the virtual machine does not have stays in external term
//! format, and is created when the value is read, since nobody may fill the table of atoms of
//! other nodes. Where nothing is replaced the external term format itself is held, without a
//! length, and is read in the same way.
//!
//! Some values are OPAQUE:
//!
//! - one of more than `ETF_BYTES_MAX`: making it takes longer than a scheduler may be held, and
//!   `binary_to_term` in the caller can be interrupted;
//! - one with a map of more than `FLAT_MAP_KEYS_MAX` keys in it: see there;
//! - one with a local fun in it, whose variables may be anything, such a map too;
//! - one that is nested deeper than `DEPTH_MAX`, compressed, of a kind that came with a later OTP,
//!   or no term at all: whoever reads that is told.

pub const ATOM: u8 = 1;
pub const SHARED: u8 = 2;
pub const ETF: u8 = 3;
pub const OPAQUE: u8 = 4;

/// Of a length, and of an index.
pub const U32_BYTES: usize = 4;

/// Making such a term takes below a millisecond even when a byte is a list cell.
pub const ETF_BYTES_MAX: usize = 64 * 1024;
/// Each level is a call on the stack of whatever thread makes the term.
pub const DEPTH_MAX: usize = 128;
/// Making a binary that is referred to takes as long as so many bytes that are not.
pub const SHARED_COST_BYTES: usize = 13;
/// The virtual machine itself puts binaries up to this size on the heap of a process.
pub const HEAP_BINARY_BYTES_MAX: usize = 64;

/// How many bytes the external term format has, that was compiled to this.
pub fn value_bytes(compiled: &[u8]) -> usize {
    let length = compiled.first_chunk::<U32_BYTES>();
    length.map_or(0, |length| u32::from_ne_bytes(*length) as usize)
}
