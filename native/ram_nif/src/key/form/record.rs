//! Native records (OTP 29): a definition's module and name, and fields with names and values.
//!
//! The NIF interface of version 2.16 cannot look into them, so a record comes here in external term
//! format, which is
//!
//! ```text
//! 43, count of fields u32, is exported u8, module, name, names of fields, values
//! ```
//!
//! and the values are left to the walk over live terms. Erlang compares two records by module,
//! name, is exported, count of fields, names of fields and values, in this order, so that is the
//! order of the key.

use super::cursor::Cursor;
use super::{KeyError, etf, identity, push_count, tag, take_count_masked, text};

/// As many as a tuple has elements.
const FIELDS_MAX: usize = (1 << 24) - 1;

/// Writes the key of a record up to its values. Answers how many there are, and their external
/// term formats.
pub fn push_head<'a>(out: &mut Vec<u8>, bytes: &'a [u8]) -> Result<(usize, &'a [u8]), KeyError> {
    // Not `Malformed`: these bytes are the virtual machine's, so it is we who do not understand.
    push(out, Cursor::new(bytes)).map_err(|_| KeyError::Unsupported)
}

fn push<'a>(out: &mut Vec<u8>, mut record: Cursor<'a>) -> Result<(usize, &'a [u8]), KeyError> {
    if record.take(2)? != [etf::VERSION, etf::RECORD] {
        return Err(KeyError::Unsupported);
    }
    let fields = record.u32()? as usize;
    let is_exported = record.u8()?;
    if is_exported > 1 {
        return Err(KeyError::Unsupported);
    }
    out.push(tag::RECORD);
    identity::push_name(out, &mut record)?;
    identity::push_name(out, &mut record)?;
    out.push(is_exported);
    push_count(out, fields);
    for _ in 0..fields {
        identity::push_name(out, &mut record)?;
    }
    Ok((fields, record.rest()))
}

/// Reads a record behind its key tag up to its values, writes that in external term format, and
/// answers how many values have to follow.
pub fn decode_head(key: &mut Cursor, etf: &mut Vec<u8>) -> Result<usize, KeyError> {
    etf.push(etf::RECORD);
    let fixed_at = etf.len();
    etf.extend_from_slice(&[0; 5]);
    text::decode_name(key, etf)?;
    text::decode_name(key, etf)?;
    let is_exported = key.u8()?;
    let fields = take_count_masked(key, 0)?;
    if is_exported > 1 || fields > FIELDS_MAX {
        return Err(KeyError::Malformed);
    }
    if let Some(place) = etf.get_mut(fixed_at..fixed_at + 5) {
        let [a, b, c, d] = (fields as u32).to_be_bytes();
        place.copy_from_slice(&[a, b, c, d, is_exported]);
    }
    decode_field_names(fields, key, etf)?;
    Ok(fields)
}

/// No two fields of a record have the same name.
fn decode_field_names(fields: usize, key: &mut Cursor, etf: &mut Vec<u8>) -> Result<(), KeyError> {
    let mut names = Vec::new();
    for _ in 0..fields {
        let before = key.rest();
        text::decode_name(key, etf)?;
        names.push(before.get(..before.len() - key.len()).unwrap_or_default());
    }
    names.sort_unstable();
    if names.is_sorted_by(|left, right| left < right) { Ok(()) } else { Err(KeyError::Malformed) }
}

/// The external term format of a tuple of so many values.
pub fn tuple_of(fields: usize, values: &[u8]) -> Vec<u8> {
    let mut tuple = Vec::with_capacity(values.len() + 6);
    tuple.extend_from_slice(&[etf::VERSION, etf::LARGE_TUPLE]);
    tuple.extend_from_slice(&(fields as u32).to_be_bytes());
    tuple.extend_from_slice(values);
    tuple
}
