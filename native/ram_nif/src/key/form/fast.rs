//! The usual numbers, without what the others need.

use super::number::{SHORT, SHORT_EXPONENT_MAX, ZERO};

/// A count below is one byte.
pub const COUNT_SHORT: u8 = super::COUNT_SHORT as u8;

/// An integer of a word at the beginning of these bytes, and what follows; `None` where another
/// term is, or a larger number.
pub fn take_int(bytes: &[u8]) -> Option<(i64, &[u8])> {
    let (first, rest) = bytes.split_first()?;
    if *first == ZERO {
        return rest.split_first().filter(|(kind, _)| **kind == 0).map(|(_, rest)| (0, rest));
    }
    let is_negative = *first < ZERO;
    let mask = if is_negative { u8::MAX } else { 0 };
    let exponent = u32::from((*first ^ mask).checked_sub(SHORT)?);
    if exponent as i32 >= SHORT_EXPONENT_MAX {
        return None;
    }
    let (mut magnitude, mut shift, mut rest) = (1u64 << exponent, exponent, rest);
    loop {
        let (byte, behind) = rest.split_first()?;
        rest = behind;
        match *byte ^ mask {
            0 | 1 => {
                // The kind: 0 for an integer, the least of the two.
                let is_integer = (*byte ^ mask) == u8::from(is_negative);
                let value = magnitude as i64;
                return is_integer.then_some((if is_negative { -value } else { value }, rest));
            }
            group => {
                let bits = u64::from(group.checked_sub(2)?);
                if bits >= 0x80 || shift == 0 {
                    return None;
                }
                // Seven bits, or as many as are left.
                let (left, over) = (shift.saturating_sub(7), 7u32.saturating_sub(shift));
                magnitude |= bits >> over << left;
                shift = left;
            }
        }
    }
}
