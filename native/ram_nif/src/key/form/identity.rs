//! References, external funs, ports and pids: terms that name a thing somewhere.
//!
//! OTP writes them in several ways (node names in Latin-1 or UTF-8, one or four bytes of creation,
//! ...), so they are taken apart and written in one way: names as in `text.rs`, numbers in fixed
//! width, big endian.
//!
//! ```text
//! reference   node, creation u32, count of words u8 (3 or 5), words u32 each
//! fun         module, function, arity u8
//! port        node, id u64, creation u32
//! pid         node, id u32, serial u32, creation u32
//! ```
//!
//! A reference comes with one to five words. To Erlang those that differ in zeros at the end only
//! are identical, so all get three words, or five when the last two of five are not both zero.
//!
//! Among themselves they sort by these bytes, which is not Erlang's order (that one differs between
//! releases). A pid, port or reference of a node without distribution names `nonode@nohost`: it
//! means nothing on another node, nor on this one after it was given a name.

use super::cursor::Cursor;
use super::{KeyError, etf, tag, text};

const WORD_BYTES: usize = 4;
const REFERENCE_WORDS_FEW: usize = 3;
const REFERENCE_WORDS_MAX: usize = 5;

/// Reads one of them in external term format, and writes its key.
pub fn push(out: &mut Vec<u8>, leaf: &mut Cursor) -> Result<(), KeyError> {
    let kind = leaf.u8()?;
    match kind {
        etf::PID | etf::NEW_PID => push_pid(out, leaf, kind),
        etf::PORT | etf::NEW_PORT | etf::V4_PORT => push_port(out, leaf, kind),
        etf::NEW_REFERENCE | etf::NEWER_REFERENCE => push_reference(out, leaf, kind),
        etf::EXPORT => push_fun(out, leaf),
        _ => Err(KeyError::Unsupported),
    }
}

fn push_pid(out: &mut Vec<u8>, leaf: &mut Cursor, kind: u8) -> Result<(), KeyError> {
    out.push(tag::PID);
    push_name(out, leaf)?;
    out.extend_from_slice(&leaf.u32()?.to_be_bytes());
    out.extend_from_slice(&leaf.u32()?.to_be_bytes());
    push_creation(out, leaf, kind == etf::PID)
}

fn push_port(out: &mut Vec<u8>, leaf: &mut Cursor, kind: u8) -> Result<(), KeyError> {
    out.push(tag::PORT);
    push_name(out, leaf)?;
    let id = if kind == etf::V4_PORT { leaf.u64()? } else { u64::from(leaf.u32()?) };
    out.extend_from_slice(&id.to_be_bytes());
    push_creation(out, leaf, kind == etf::PORT)
}

fn push_reference(out: &mut Vec<u8>, leaf: &mut Cursor, kind: u8) -> Result<(), KeyError> {
    out.push(tag::REFERENCE);
    let words = leaf.u16()?;
    push_name(out, leaf)?;
    push_creation(out, leaf, kind == etf::NEW_REFERENCE)?;
    let words = usize::from(words);
    if !(1..=REFERENCE_WORDS_MAX).contains(&words) {
        return Err(KeyError::Unsupported);
    }
    let words = leaf.take(words * WORD_BYTES)?;
    let count = reference_words(words);
    out.push(if count == REFERENCE_WORDS_FEW { 3 } else { 5 });
    let padded = words.iter().copied().chain(std::iter::repeat(0));
    out.extend(padded.take(count * WORD_BYTES));
    Ok(())
}

/// How many words the key of a reference with these has.
fn reference_words(words: &[u8]) -> usize {
    let beyond = words.get(REFERENCE_WORDS_FEW * WORD_BYTES..).unwrap_or_default();
    let is_few = beyond.iter().all(|byte| *byte == 0);
    if is_few { REFERENCE_WORDS_FEW } else { REFERENCE_WORDS_MAX }
}

fn push_fun(out: &mut Vec<u8>, leaf: &mut Cursor) -> Result<(), KeyError> {
    out.push(tag::FUN);
    push_name(out, leaf)?;
    push_name(out, leaf)?;
    if leaf.u8()? != etf::SMALL_INTEGER {
        return Err(KeyError::Unsupported);
    }
    out.push(leaf.u8()?);
    Ok(())
}

fn push_creation(out: &mut Vec<u8>, leaf: &mut Cursor, one_byte: bool) -> Result<(), KeyError> {
    let creation = if one_byte { u32::from(leaf.u8()?) } else { leaf.u32()? };
    out.extend_from_slice(&creation.to_be_bytes());
    Ok(())
}

/// Reads an atom in any of its four external forms, and writes its name.
pub fn push_name(out: &mut Vec<u8>, leaf: &mut Cursor) -> Result<(), KeyError> {
    let kind = leaf.u8()?;
    let length = match kind {
        etf::SMALL_ATOM | etf::SMALL_ATOM_UTF8 => usize::from(leaf.u8()?),
        etf::ATOM | etf::ATOM_UTF8 => usize::from(leaf.u16()?),
        _ => return Err(KeyError::Unsupported),
    };
    let name = leaf.take(length)?;
    match kind {
        etf::ATOM | etf::SMALL_ATOM => text::push_latin1(out, name),
        _ => {
            let name = std::str::from_utf8(name).map_err(|_| KeyError::Unsupported)?;
            text::push_utf8(out, name);
        }
    }
    Ok(())
}

/// Reads one of them behind its key tag, and writes it in external term format.
pub fn decode(kind: u8, key: &mut Cursor, etf: &mut Vec<u8>) -> Result<(), KeyError> {
    match kind {
        tag::PID => decode_fixed(etf::NEW_PID, 12, key, etf),
        tag::PORT => decode_fixed(etf::V4_PORT, 12, key, etf),
        tag::REFERENCE => decode_reference(key, etf),
        tag::FUN => {
            etf.push(etf::EXPORT);
            text::decode_name(key, etf)?;
            text::decode_name(key, etf)?;
            etf.extend_from_slice(&[etf::SMALL_INTEGER, key.u8()?]);
            Ok(())
        }
        _ => Err(KeyError::Malformed),
    }
}

fn decode_fixed(
    kind: u8,
    fields_bytes: usize,
    key: &mut Cursor,
    etf: &mut Vec<u8>,
) -> Result<(), KeyError> {
    etf.push(kind);
    text::decode_name(key, etf)?;
    etf.extend_from_slice(key.take(fields_bytes)?);
    Ok(())
}

fn decode_reference(key: &mut Cursor, etf: &mut Vec<u8>) -> Result<(), KeyError> {
    etf.extend_from_slice(&[etf::NEWER_REFERENCE, 0]);
    let words_at = etf.len();
    etf.push(0);
    text::decode_name(key, etf)?;
    etf.extend_from_slice(key.take(4)?);
    let count = key.u8()?;
    let words = key.take(usize::from(count) * WORD_BYTES)?;
    // Any other count would be a second key of the same reference.
    if usize::from(count) != reference_words(words) {
        return Err(KeyError::Malformed);
    }
    if let Some(place) = etf.get_mut(words_at) {
        *place = count;
    }
    etf.extend_from_slice(words);
    Ok(())
}
