//! Leaves that the NIF interface cannot look into: they come here as the virtual machine writes
//! them in external term format, one leaf at a time.
//!
//! These are integers beyond 64 bits, atoms beyond Latin-1 (on OTP 25), bitstrings that are not
//! whole bytes, and references, funs, ports and pids.

use super::cursor::Cursor;
use super::{KeyError, etf, identity, number, tag, text};

/// Writes the key of the leaf whose external term format this is, version byte and all.
pub fn push_leaf(out: &mut Vec<u8>, bytes: &[u8]) -> Result<(), KeyError> {
    let mut leaf = Cursor::new(bytes);
    // Not `Malformed`: these bytes are the virtual machine's, so it is we who do not understand.
    push(out, &mut leaf).map_err(|error| match error {
        KeyError::Malformed => KeyError::Unsupported,
        other => other,
    })?;
    if leaf.is_empty() { Ok(()) } else { Err(KeyError::Unsupported) }
}

fn push(out: &mut Vec<u8>, leaf: &mut Cursor) -> Result<(), KeyError> {
    if leaf.u8()? != etf::VERSION {
        return Err(KeyError::Unsupported);
    }
    match leaf.peek()? {
        etf::ATOM | etf::SMALL_ATOM | etf::ATOM_UTF8 | etf::SMALL_ATOM_UTF8 => {
            out.push(tag::ATOM);
            identity::push_name(out, leaf)
        }
        etf::SMALL_BIG | etf::LARGE_BIG => push_big(out, leaf),
        etf::BIT_BINARY => push_bit_binary(out, leaf),
        etf::NEW_FUN => Err(KeyError::LocalFun),
        _ => identity::push(out, leaf),
    }
}

fn push_big(out: &mut Vec<u8>, leaf: &mut Cursor) -> Result<(), KeyError> {
    let count = match leaf.u8()? {
        etf::SMALL_BIG => usize::from(leaf.u8()?),
        _ => leaf.u32()? as usize,
    };
    let negative = leaf.u8()? != 0;
    let magnitude: Vec<u8> = leaf.take(count)?.iter().rev().copied().collect();
    number::push_magnitude(out, negative, &magnitude);
    Ok(())
}

fn push_bit_binary(out: &mut Vec<u8>, leaf: &mut Cursor) -> Result<(), KeyError> {
    leaf.u8()?;
    let count = leaf.u32()? as usize;
    let last_bits = leaf.u8()?;
    text::push_bits(out, leaf.take(count)?, last_bits);
    Ok(())
}
