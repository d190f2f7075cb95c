//! The byte form of a key: everything about it that needs no Erlang.
//!
//! The walk over a live term (`key/encode.rs`) writes a key with the `push_*` functions found here;
//! `to_etf` turns a key back into external term format. Nothing in this folder knows rustler, so
//! it is tested as plain Rust (`tests/key_form.rs`).
//!
//! It never panics, whatever bytes it is given. What it allocates is bounded by the bytes it reads:
//! see `ETF_PER_KEY_BYTE_MAX`.

mod cursor;
mod decode;
pub mod fast;
mod identity;
mod leaf;
mod number;
pub mod record;
mod text;

pub use cursor::Cursor;
pub use decode::to_etf;
pub use identity::{push as push_identity, push_name};
pub use leaf::push_leaf;
pub use number::{push_float, push_int};
pub use text::{push_atom_latin1, push_binary};

/// Why a term has no key, or bytes are no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyError {
    /// A fun made by `fun () -> ... end`: what it means depends on the code that a node has loaded.
    LocalFun,
    /// The key is longer than the caller allows.
    TooLarge,
    /// Maps are nested inside map keys deeper than `MAP_KEY_DEPTH_MAX`, or native records inside
    /// native records deeper than `RECORD_DEPTH_MAX`.
    TooDeep,
    /// Encoding it takes longer than the caller may take.
    Long,
    /// The virtual machine has a kind of term that this version does not know.
    Unsupported,
    /// These bytes are not the key of any term.
    Malformed,
    /// A key of a term that the virtual machine of this node cannot make: it is of a newer OTP.
    Unreadable,
}

/// External term format is at most so many times as long as the key. (The worst case is an integer
/// of 1,024 bits that are nearly all zeros at the end: 4 bytes, and 132 in external term format.)
pub const ETF_PER_KEY_BYTE_MAX: usize = 40;

/// Maps inside keys of maps inside keys of maps ...: each level moves its keys once, so that this
/// bounds the cost of a key to so many copies of itself. Nesting of any other kind is free.
pub const MAP_KEY_DEPTH_MAX: usize = 128;

/// A native record is copied to be taken apart, and the records in it once more, so that this
/// bounds the cost of a key likewise.
pub const RECORD_DEPTH_MAX: usize = 128;

/// First bytes of terms, in Erlang's order of types. Numbers take 0x3C to 0xC3 (`number.rs`). Bytes
/// below 0x3C and above 0xF0 begin no term: they are free for whoever builds ranges of keys.
pub mod tag {
    /// Precedes a float inside a map key, where all integers sort before all floats.
    pub const EXACT_FLOAT: u8 = 0xC8;
    pub const ATOM: u8 = 0xCC;
    pub const REFERENCE: u8 = 0xD0;
    pub const FUN: u8 = 0xD4;
    pub const PORT: u8 = 0xD8;
    pub const PID: u8 = 0xDC;
    pub const TUPLE: u8 = 0xE0;
    pub const RECORD: u8 = 0xE2;
    pub const MAP: u8 = 0xE4;
    pub const NIL: u8 = 0xE8;
    pub const CONS: u8 = 0xEC;
    pub const BITS: u8 = 0xF0;
}

/// Tags of the external term format, as far as we read or write it.
/// <https://www.erlang.org/doc/apps/erts/erl_ext_dist.html>
pub mod etf {
    pub const VERSION: u8 = 131;
    pub const RECORD: u8 = 67;
    pub const NEW_FLOAT: u8 = 70;
    pub const BIT_BINARY: u8 = 77;
    pub const NEW_PID: u8 = 88;
    pub const NEW_PORT: u8 = 89;
    pub const NEWER_REFERENCE: u8 = 90;
    pub const SMALL_INTEGER: u8 = 97;
    pub const INTEGER: u8 = 98;
    pub const ATOM: u8 = 100;
    pub const PORT: u8 = 102;
    pub const PID: u8 = 103;
    pub const SMALL_TUPLE: u8 = 104;
    pub const LARGE_TUPLE: u8 = 105;
    pub const NIL: u8 = 106;
    pub const STRING: u8 = 107;
    pub const LIST: u8 = 108;
    pub const BINARY: u8 = 109;
    pub const SMALL_BIG: u8 = 110;
    pub const LARGE_BIG: u8 = 111;
    pub const NEW_FUN: u8 = 112;
    pub const EXPORT: u8 = 113;
    pub const NEW_REFERENCE: u8 = 114;
    pub const SMALL_ATOM: u8 = 115;
    pub const MAP: u8 = 116;
    pub const ATOM_UTF8: u8 = 118;
    pub const SMALL_ATOM_UTF8: u8 = 119;
    pub const V4_PORT: u8 = 120;
}

/// A size, ordered: below 240 one byte, else 0xEF + the number of big endian bytes that follow.
pub fn push_count(out: &mut Vec<u8>, count: usize) {
    push_count_masked(out, count, 0);
}

fn push_count_masked(out: &mut Vec<u8>, count: usize, mask: u8) {
    if count < COUNT_SHORT {
        out.push(count as u8 ^ mask);
        return;
    }
    let bytes = (count as u64).to_be_bytes();
    let unused = (count as u64).leading_zeros() as usize / 8;
    out.push((0xEF + (8 - unused) as u8) ^ mask);
    out.extend(bytes.iter().skip(unused).map(|byte| byte ^ mask));
}

const COUNT_SHORT: usize = 240;

fn take_count_masked(key: &mut cursor::Cursor, mask: u8) -> Result<usize, KeyError> {
    let first = key.u8()? ^ mask;
    if usize::from(first) < COUNT_SHORT {
        return Ok(usize::from(first));
    }
    let mut count: u64 = 0;
    let mut bytes = usize::from(first) - 0xEF;
    if bytes > 8 || key.peek()? ^ mask == 0 {
        return Err(KeyError::Malformed);
    }
    while bytes > 0 {
        count = count << 8 | u64::from(key.u8()? ^ mask);
        bytes -= 1;
    }
    let count = usize::try_from(count).map_err(|_| KeyError::Malformed)?;
    if count < COUNT_SHORT { Err(KeyError::Malformed) } else { Ok(count) }
}
