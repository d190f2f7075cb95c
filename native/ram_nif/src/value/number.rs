//! Counters: integers in external term format, and what a count makes of them. The rules are those
//! of `ets:update_counter/4` for one counter.
//!
//! A count is the increment, what an absent key counts from, and perhaps a threshold and what the
//! counter is set to beyond it. It is in the log as two or four integers in external term format,
//! one after the other, without a version. What it makes of the bytes of a value is a function of
//! the bytes, and the bytes that come out are those that `term_to_binary/1` gives.

use num_bigint::{BigInt, Sign};
use std::cmp::Ordering;

use super::extent::head;
use crate::key::etf;

/// The largest integer of a virtual machine of OTP 29; earlier ones have larger ones too. What is
/// beyond counts as no number, so that no counter is written that some member cannot read.
pub const MAGNITUDE_BYTES_MAX: usize = ((1 << 16) - 1) * 8;

/// A count as it is in the log, of values that are integers in external term format; `None` if one
/// is none.
pub fn encode(increment: &[u8], default: &[u8], limit: Option<(&[u8], &[u8])>) -> Option<Vec<u8>> {
    let (threshold, set_to) = limit.unzip();
    let mut count = Vec::new();
    for value in [Some(increment), Some(default), threshold, set_to].into_iter().flatten() {
        Integer::of_value(value)?.push(&mut count)?;
    }
    Some(count)
}

/// The value that a count makes of the one of a key; `None` if that is no integer, if the result
/// would be too large for one, or if these bytes are no count.
pub fn count(current: Option<&[u8]>, count: &[u8]) -> Option<Vec<u8>> {
    let mut rest = count;
    let (increment, default) = (Integer::take(&mut rest)?, Integer::take(&mut rest)?);
    let limit = match rest {
        [] => None,
        _ => Some((Integer::take(&mut rest)?, Integer::take(&mut rest)?)),
    };
    if !rest.is_empty() {
        return None;
    }
    let current = current.map_or(Some(default), Integer::of_value)?;
    let is_upward = increment >= Integer::Small(0);
    let sum = current.plus(increment);
    let counted = match limit {
        Some((threshold, set_to)) if is_upward && sum > threshold => set_to,
        Some((threshold, set_to)) if !is_upward && sum < threshold => set_to,
        _ => sum,
    };
    let mut value = vec![etf::VERSION];
    counted.push(&mut value)?;
    Some(value)
}

/// `Big` is beyond 64 bits.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Integer {
    Small(i64),
    Big(BigInt),
}

impl Integer {
    fn of_value(value: &[u8]) -> Option<Integer> {
        let (version, mut rest) = value.split_first()?;
        let integer = Integer::take(&mut rest)?;
        (*version == etf::VERSION && rest.is_empty()).then_some(integer)
    }

    /// The integer that is written at the beginning.
    fn take(rest: &mut &[u8]) -> Option<Integer> {
        let (integer, behind) = rest.split_at_checked(head(rest)?.bytes)?;
        *rest = behind;
        match *integer {
            [etf::SMALL_INTEGER, byte] => Some(Integer::Small(byte.into())),
            [etf::INTEGER, a, b, c, d] => {
                Some(Integer::Small(i32::from_be_bytes([a, b, c, d]).into()))
            }
            [etf::SMALL_BIG, _, sign, ref magnitude @ ..]
            | [etf::LARGE_BIG, _, _, _, _, sign, ref magnitude @ ..] => {
                Integer::of_magnitude(sign != 0, magnitude)
            }
            _ => None,
        }
    }

    /// Little endian.
    fn of_magnitude(is_negative: bool, magnitude: &[u8]) -> Option<Integer> {
        if magnitude.len() > MAGNITUDE_BYTES_MAX {
            return None;
        }
        let sign = if is_negative { Sign::Minus } else { Sign::Plus };
        Some(Integer::of_big(BigInt::from_bytes_le(sign, magnitude)))
    }

    fn of_big(big: BigInt) -> Integer {
        i64::try_from(&big).map_or(Integer::Big(big), Integer::Small)
    }

    fn into_big(self) -> BigInt {
        match self {
            Integer::Small(int) => int.into(),
            Integer::Big(big) => big,
        }
    }

    fn plus(self, other: Integer) -> Integer {
        if let (Integer::Small(one), Integer::Small(other)) = (&self, &other)
            && let Some(sum) = one.checked_add(*other)
        {
            return Integer::Small(sum);
        }
        Integer::of_big(self.into_big() + other.into_big())
    }

    /// Appends it in external term format, in the one way of `term_to_binary/1`.
    fn push(&self, out: &mut Vec<u8>) -> Option<()> {
        match self {
            Integer::Small(int) => {
                if let Ok(byte) = u8::try_from(*int) {
                    out.extend_from_slice(&[etf::SMALL_INTEGER, byte]);
                } else if let Ok(int) = i32::try_from(*int) {
                    out.push(etf::INTEGER);
                    out.extend_from_slice(&int.to_be_bytes());
                } else {
                    let bytes = int.unsigned_abs().to_le_bytes();
                    let used = bytes.len() - int.unsigned_abs().leading_zeros() as usize / 8;
                    push_magnitude(out, *int < 0, bytes.get(..used)?)?;
                }
                Some(())
            }
            Integer::Big(big) => {
                let (sign, magnitude) = big.to_bytes_le();
                push_magnitude(out, sign == Sign::Minus, &magnitude)
            }
        }
    }
}

impl PartialOrd for Integer {
    fn partial_cmp(&self, other: &Integer) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Integer {
    fn cmp(&self, other: &Integer) -> Ordering {
        let sign = |big: &BigInt| if big.sign() == Sign::Minus { -1 } else { 1 };
        match (self, other) {
            (Integer::Small(one), Integer::Small(other)) => one.cmp(other),
            (Integer::Big(one), Integer::Big(other)) => one.cmp(other),
            // It is beyond every small one.
            (Integer::Big(one), Integer::Small(_)) => sign(one).cmp(&0),
            (Integer::Small(_), Integer::Big(other)) => 0.cmp(&sign(other)),
        }
    }
}

fn push_magnitude(out: &mut Vec<u8>, is_negative: bool, magnitude: &[u8]) -> Option<()> {
    if magnitude.len() > MAGNITUDE_BYTES_MAX {
        return None;
    }
    if let Ok(length) = u8::try_from(magnitude.len()) {
        out.extend_from_slice(&[etf::SMALL_BIG, length]);
    } else {
        out.push(etf::LARGE_BIG);
        out.extend_from_slice(&(magnitude.len() as u32).to_be_bytes());
    }
    out.push(is_negative.into());
    out.extend_from_slice(magnitude);
    Some(())
}
