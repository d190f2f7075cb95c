//! How long the parts of the external term format are.

use crate::key::etf;

/// How many bytes there are from the tag of a term to its end, or to its first element; `None` for
/// a tag that is not known, or when they are not all there.
pub fn head_bytes(etf: &[u8]) -> Option<usize> {
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

/// As [`head_bytes`], of an atom.
pub fn atom_bytes(etf: &[u8]) -> Option<usize> {
    let bytes = match *etf {
        [etf::SMALL_ATOM | etf::SMALL_ATOM_UTF8, length, ..] => 2 + usize::from(length),
        [etf::ATOM | etf::ATOM_UTF8, high, low, ..] => {
            3 + usize::from(u16::from_be_bytes([high, low]))
        }
        _ => return None,
    };
    (bytes <= etf.len()).then_some(bytes)
}
