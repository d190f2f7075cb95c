//! Recipes: a form of values that takes a few steps to make the term, without a look at anything
//! but the recipe.
//!
//! A recipe is the external term format of the value but for what is slow in there:
//!
//! ```text
//! recipe    how many bytes the external term format has (4), then a term
//! term      as in the external term format, or one of these
//! 1  ATOM   the tag it had (1), its word (8)
//! 2  BLOB   its object (8), length (4): a binary of more bytes than go on a heap
//! 3  OTHER  length (4), external term format: what is rare, and decoded by the virtual machine
//! 4  WHOLE  as BLOB: the external term format of the whole value, which the caller decodes
//! ```
//!
//! Words and addresses are of this process and in its byte order: a recipe is never written
//! anywhere. An atom is a word for as long as the virtual machine runs, and the same one in all
//! environments; one that the virtual machine does not have stays in external term format, and is
//! created when the value is read, since nobody may fill the table of atoms of other nodes. The
//! objects are owned by the form that comes with the recipe ([`Owner`]). Where nothing is replaced,
//! the external term format itself is held, and read as a recipe would be.
//!
//! Some values are held WHOLE:
//!
//! - one of more than `ETF_BYTES_MAX`: making it takes longer than a scheduler may be held, and
//!   `binary_to_term` in the caller can be interrupted;
//! - one with a map of more than 32 keys in it. To build such a map the virtual machine sorts, with
//!   a random number that it takes from the data of its scheduler (erts_qsort, from 129 keys on):
//!   on a thread of ours that is the end of it;
//! - one with a local fun in it, whose variables may be anything, such a map too;
//! - one that is nested deeper than `DEPTH_MAX`, compressed, of a kind that came with a later OTP,
//!   or no term at all: whoever reads that is told.

mod atoms;
mod ints;
mod make;
mod write;

pub use make::{Found, found};
pub use write::hold;

use super::blob::Blob;
use crate::key::etf;
use ram_core::store::value::Form;
use rustler::sys::ErlNifTerm;

const ATOM: u8 = 1;
const BLOB: u8 = 2;
const OTHER: u8 = 3;
const WHOLE: u8 = 4;

/// At the begin of a recipe, and in it.
const LENGTH_BYTES: usize = 4;
const WORD_BYTES: usize = size_of::<ErlNifTerm>();
const BLOB_BYTES: usize = 1 + WORD_BYTES + LENGTH_BYTES;

/// The virtual machine itself puts binaries up to this size on the heap of a process.
const HEAP_BINARY_BYTES_MAX: usize = 64;
/// Making such a term takes below a millisecond even when a byte is a list cell.
const ETF_BYTES_MAX: usize = 64 * 1024;
/// Each level is a call on the stack of whatever thread makes the term.
const DEPTH_MAX: usize = 128;
/// The virtual machine has maps of more keys as trees.
const FLAT_MAP_KEYS_MAX: usize = 32;

/// The form of a value that is held as a recipe, with the blobs that the recipe refers to, in the
/// order in which they come.
struct Owner<B>(B);

impl<B: AsRef<[Blob]> + Send + Sync> Form for Owner<B> {
    fn value(&self, held: &[u8]) -> Vec<u8> {
        write::etf_of(held, self.0.as_ref())
    }

    fn value_bytes(&self, held: &[u8]) -> usize {
        etf_bytes(held)
    }
}

fn etf_bytes(recipe: &[u8]) -> usize {
    let length = recipe.first_chunk::<LENGTH_BYTES>();
    length.map_or(0, |length| u32::from_ne_bytes(*length) as usize)
}

fn bytes_of(word: ErlNifTerm) -> [u8; WORD_BYTES] {
    // SAFETY: it is a number in a transparent wrapper.
    unsafe { std::mem::transmute(word) }
}

fn word_of(bytes: [u8; WORD_BYTES]) -> ErlNifTerm {
    // SAFETY: as above; it is looked at when it is used, and comes from `bytes_of`.
    unsafe { std::mem::transmute(bytes) }
}

/// How many bytes there are from the tag of a term to its end, or to its first element; `None` for
/// a tag that is not known, or when they are not all there.
fn token_bytes(etf: &[u8]) -> Option<usize> {
    let (tag, rest) = etf.split_first()?;
    let u8_at = |at: usize| rest.get(at).map(|byte| usize::from(*byte));
    let u16_at = |at: usize| Some(u8_at(at)? << 8 | u8_at(at + 1)?);
    let u32_at = |at: usize| Some(u16_at(at)? << 16 | u16_at(at + 2)?);
    let past_atom = |at: usize| Some(at + atom_bytes(rest.get(at..)?)?);
    let bytes = 1 + match *tag {
        etf::SMALL_INTEGER | etf::SMALL_TUPLE => 1,
        etf::INTEGER | etf::LARGE_TUPLE | etf::LIST | etf::MAP => 4,
        etf::NEW_FLOAT => 8,
        etf::NIL => 0,
        etf::STRING => 2 + u16_at(0)?,
        etf::BINARY => 4 + u32_at(0)?,
        etf::BIT_BINARY => 5 + u32_at(0)?,
        etf::SMALL_BIG => 2 + u8_at(0)?,
        etf::LARGE_BIG => 5 + u32_at(0)?,
        etf::NEW_PID | etf::V4_PORT => 12 + past_atom(0)?,
        etf::NEW_PORT => 8 + past_atom(0)?,
        etf::NEWER_REFERENCE => 4 + 4 * u16_at(0)? + past_atom(2)?,
        etf::EXPORT => 2 + past_atom(past_atom(0)?)?,
        _ => return atom_bytes(etf),
    };
    (bytes <= etf.len()).then_some(bytes)
}

/// As [`token_bytes`], of an atom.
fn atom_bytes(etf: &[u8]) -> Option<usize> {
    let bytes = match *etf {
        [etf::SMALL_ATOM | etf::SMALL_ATOM_UTF8, length, ..] => 2 + usize::from(length),
        [etf::ATOM | etf::ATOM_UTF8, high, low, ..] => {
            3 + usize::from(u16::from_be_bytes([high, low]))
        }
        _ => return None,
    };
    (bytes <= etf.len()).then_some(bytes)
}
