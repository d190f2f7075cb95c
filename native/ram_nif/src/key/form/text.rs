//! Atoms, and bitstrings: text that may hold any byte, ended so that no key begins another.
//!
//! An atom is its UTF-8 text, ended by 00; as text may hold the characters 0 and 1 these are
//! written 01 01 and 01 02. Erlang compares atoms by code points, which is the order of UTF-8.
//!
//! A bitstring is its bytes, with 00 written as 00 FF, ended by 00 and the number of bits used in
//! the last byte: 8 for a binary, 0 for the empty one, else with zeros in the unused bits. So
//! `<<1:1>>` (80 00 01) sorts before `<<128>>` (80 00 08), of which it is a prefix.

use super::cursor::Cursor;
use super::{KeyError, etf, tag};

/// Erlang's limit, in characters.
const ATOM_CHARS_MAX: usize = 255;

pub fn push_atom_latin1(out: &mut Vec<u8>, latin1: &[u8]) {
    out.push(tag::ATOM);
    push_latin1(out, latin1);
}

/// A name without the tag: of an atom, a node, a module or a function.
pub fn push_latin1(out: &mut Vec<u8>, latin1: &[u8]) {
    if latin1.iter().all(|byte| (2..0x80).contains(byte)) {
        out.extend_from_slice(latin1);
        out.push(0);
        return;
    }
    let text: String = latin1.iter().map(|byte| char::from(*byte)).collect();
    push_utf8(out, &text);
}

pub fn push_utf8(out: &mut Vec<u8>, text: &str) {
    for byte in text.bytes() {
        match byte {
            0 | 1 => out.extend_from_slice(&[1, byte + 1]),
            _ => out.push(byte),
        }
    }
    out.push(0);
}

/// Reads a name, and writes it as an atom in external term format.
pub fn decode_name(key: &mut Cursor, etf: &mut Vec<u8>) -> Result<(), KeyError> {
    let length = key.rest().iter().position(|byte| *byte == 0).ok_or(KeyError::Malformed)?;
    let mut escaped = Cursor::new(key.take(length)?);
    key.u8()?;
    let mut text = Vec::with_capacity(length);
    while !escaped.is_empty() {
        match escaped.u8()? {
            1 => match escaped.u8()? {
                byte @ (1 | 2) => text.push(byte - 1),
                _ => return Err(KeyError::Malformed),
            },
            byte => text.push(byte),
        }
    }
    put_atom(etf, &text)
}

fn put_atom(etf: &mut Vec<u8>, text: &[u8]) -> Result<(), KeyError> {
    let chars = std::str::from_utf8(text).map_err(|_| KeyError::Malformed)?.chars().count();
    if chars > ATOM_CHARS_MAX {
        return Err(KeyError::Malformed);
    }
    if let Ok(length) = u8::try_from(text.len()) {
        etf.extend_from_slice(&[etf::SMALL_ATOM_UTF8, length]);
    } else {
        etf.push(etf::ATOM_UTF8);
        etf.extend_from_slice(&(text.len() as u16).to_be_bytes());
    }
    etf.extend_from_slice(text);
    Ok(())
}

pub fn push_binary(out: &mut Vec<u8>, bytes: &[u8]) {
    push_bits(out, bytes, if bytes.is_empty() { 0 } else { 8 });
}

/// `last_bits` of the last byte count; the others are zero.
pub fn push_bits(out: &mut Vec<u8>, bytes: &[u8], last_bits: u8) {
    out.reserve(bytes.len() + 3);
    out.push(tag::BITS);
    for (index, chunk) in bytes.split(|byte| *byte == 0).enumerate() {
        if index > 0 {
            out.extend_from_slice(&[0, 0xFF]);
        }
        out.extend_from_slice(chunk);
    }
    out.extend_from_slice(&[0, last_bits]);
}

/// Reads a bitstring behind its tag, and writes it in external term format.
pub fn decode_bits(key: &mut Cursor, etf: &mut Vec<u8>) -> Result<(), KeyError> {
    let (bytes, last_bits) = take_bits(key)?;
    let count = u32::try_from(bytes.len()).map_err(|_| KeyError::Malformed)?.to_be_bytes();
    let unused =
        bytes.last().map_or(0, |last| *last & 0xFFu8.checked_shr(last_bits.into()).unwrap_or(0));
    if unused != 0 || bytes.is_empty() != (last_bits == 0) {
        return Err(KeyError::Malformed);
    }
    if matches!(last_bits, 0 | 8) {
        etf.push(etf::BINARY);
        etf.extend_from_slice(&count);
    } else {
        etf.push(etf::BIT_BINARY);
        etf.extend_from_slice(&count);
        etf.push(last_bits);
    }
    etf.extend_from_slice(&bytes);
    Ok(())
}

fn take_bits(key: &mut Cursor) -> Result<(Vec<u8>, u8), KeyError> {
    let mut bytes = Vec::new();
    loop {
        let length = key.rest().iter().position(|byte| *byte == 0).ok_or(KeyError::Malformed)?;
        bytes.extend_from_slice(key.take(length)?);
        key.u8()?;
        match key.u8()? {
            0xFF => bytes.push(0),
            last_bits @ 0..=8 => return Ok((bytes, last_bits)),
            _ => return Err(KeyError::Malformed),
        }
    }
}
