//! Numbers: integers of any size and floats, interleaved by their exact value.
//!
//! A number other than zero is sign * 2^exponent * (1 + fraction). It is written as
//!
//! ```text
//! head      exponent -1074..=-1    81, exponent + 1074 in two bytes
//!           exponent 0..=63        82 + exponent
//!           exponent 64..=1023     C2, exponent in two bytes
//! fraction  7 bits to a byte, most significant first, 02 + bits; trailing zeros are left out
//! kind      00 integer, 01 float; less than any byte of a fraction, so it ends the fraction too
//! ```
//!
//! so that equal values have equal bytes up to the kind, and an integer sorts before the float of
//! its value. From 2^1024 on there are no floats: `C3, count of bytes, big endian bytes` (without
//! that, the 10 bytes of 2^4294967295 would decode to half a gigabyte). A negative number is all of
//! this complemented, except that the kind still puts the integer first. Zero is 80 and then 00 for
//! 0, 01 for -0.0, 02 for 0.0.

use super::cursor::Cursor;
use super::{KeyError, etf, push_count_masked, take_count_masked};

pub(super) const ZERO: u8 = 0x80;
const BELOW_ONE: u8 = 0x81;
pub(super) const SHORT: u8 = 0x82;
const WIDE: u8 = 0xC2;
const HUGE: u8 = 0xC3;
pub const FIRST: u8 = !HUGE;
pub const LAST: u8 = HUGE;

pub(super) const SHORT_EXPONENT_MAX: i32 = 63;
const FLOAT_EXPONENT_MIN: i32 = -1074;
const FLOAT_EXPONENT_MAX: usize = 1023;
const FRACTION_BYTE_MIN: u8 = 2;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Integer = 0,
    Float = 1,
}

pub fn push_int(out: &mut Vec<u8>, value: i64) {
    push_u64(out, value < 0, value.unsigned_abs());
}

fn push_u64(out: &mut Vec<u8>, negative: bool, magnitude: u64) {
    if magnitude == 0 {
        out.extend_from_slice(&[ZERO, 0]);
        return;
    }
    let exponent = magnitude.ilog2();
    push_scaled(out, negative, exponent as i32, without_lead(magnitude, exponent), Kind::Integer);
}

pub fn push_float(out: &mut Vec<u8>, value: f64) {
    let negative = value.is_sign_negative();
    if value == 0.0 {
        out.extend_from_slice(&[ZERO, if negative { 1 } else { 2 }]);
        return;
    }
    let biased = (value.to_bits() >> 52 & 0x7FF) as i32;
    let stored = value.to_bits() & ((1 << 52) - 1);
    let (exponent, fraction) = if biased == 0 {
        let lead = stored.ilog2();
        (lead as i32 + FLOAT_EXPONENT_MIN, without_lead(stored, lead))
    } else {
        (biased - 1023, stored << 12)
    };
    push_scaled(out, negative, exponent, fraction, Kind::Float);
}

/// An integer given by its magnitude in big endian bytes, as long as they like.
pub fn push_magnitude(out: &mut Vec<u8>, negative: bool, bytes: &[u8]) {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    let bytes = bytes.get(zeros..).unwrap_or_default();
    let Some(first) = bytes.first() else {
        out.extend_from_slice(&[ZERO, 0]);
        return;
    };
    let mask = mask(negative);
    let lead_at = first.leading_zeros() as usize;
    let exponent = bytes.len() * 8 - 1 - lead_at;
    if exponent > FLOAT_EXPONENT_MAX {
        out.push(HUGE ^ mask);
        push_count_masked(out, bytes.len(), mask);
        out.extend(bytes.iter().map(|byte| byte ^ mask));
        return;
    }
    push_head(out, exponent as i32, mask);
    let end = bits_used(bytes);
    for at in (lead_at + 1..end).step_by(7) {
        out.push((bits_at(bytes, at) + FRACTION_BYTE_MIN) ^ mask);
    }
    push_kind(out, negative, Kind::Integer);
}

/// `fraction` is aligned to the left: its top bit is worth one half.
fn push_scaled(out: &mut Vec<u8>, negative: bool, exponent: i32, fraction: u64, kind: Kind) {
    let mask = mask(negative);
    push_head(out, exponent, mask);
    let mut rest = fraction;
    while rest != 0 {
        out.push(((rest >> 57) as u8 + FRACTION_BYTE_MIN) ^ mask);
        rest <<= 7;
    }
    push_kind(out, negative, kind);
}

fn push_head(out: &mut Vec<u8>, exponent: i32, mask: u8) {
    let (tag, stored) = match exponent {
        0..=63 => {
            out.push((SHORT + exponent as u8) ^ mask);
            return;
        }
        64.. => (WIDE, exponent as u16),
        _ => (BELOW_ONE, (exponent - FLOAT_EXPONENT_MIN) as u16),
    };
    let [high, low] = stored.to_be_bytes();
    out.extend_from_slice(&[tag ^ mask, high ^ mask, low ^ mask]);
}

fn push_kind(out: &mut Vec<u8>, negative: bool, kind: Kind) {
    out.push((kind as u8 ^ u8::from(negative)) ^ mask(negative));
}

fn mask(negative: bool) -> u8 {
    if negative { 0xFF } else { 0 }
}

/// The bits below the leading one, aligned to the left.
fn without_lead(magnitude: u64, exponent: u32) -> u64 {
    magnitude.checked_shl(64 - exponent).unwrap_or(0)
}

/// The seven bits that begin at bit `at`, counted from the top; beyond the end there are zeros.
fn bits_at(bytes: &[u8], at: usize) -> u8 {
    let byte = |index| u16::from(bytes.get(index).copied().unwrap_or(0));
    let window = byte(at / 8) << 8 | byte(at / 8 + 1);
    ((window << (at % 8)) >> 9) as u8
}

/// Up to and with the last bit that is set.
fn bits_used(bytes: &[u8]) -> usize {
    let zeros = bytes.iter().rev().take_while(|byte| **byte == 0).count();
    let last = bytes.iter().rev().nth(zeros).map_or(0, |byte| byte.trailing_zeros() as usize);
    (bytes.len() - zeros) * 8 - last
}

/// Reads one number, and writes it in external term format. True if it is a float.
pub fn decode(key: &mut Cursor, etf: &mut Vec<u8>) -> Result<bool, KeyError> {
    let first = key.u8()?;
    if first == ZERO {
        return decode_zero(key.u8()?, etf);
    }
    let negative = first < ZERO;
    let mask = mask(negative);
    let head = first ^ mask;
    let exponent = match head {
        HUGE => return decode_huge(key, negative, etf).map(|()| false),
        SHORT..WIDE => i32::from(head - SHORT),
        WIDE | BELOW_ONE => take_exponent(key, head, mask)?,
        _ => return Err(KeyError::Malformed),
    };
    let (fraction, kind) = take_fraction(key, negative)?;
    match kind {
        Kind::Integer => put_scaled_integer(etf, negative, exponent, &fraction)?,
        Kind::Float => put_scaled_float(etf, negative, exponent, &fraction)?,
    }
    Ok(kind == Kind::Float)
}

/// An exponent that has a shorter head is refused: one number, one key.
fn take_exponent(key: &mut Cursor, head: u8, mask: u8) -> Result<i32, KeyError> {
    let stored = i32::from(key.u16()? ^ u16::from_be_bytes([mask, mask]));
    let (exponent, range) = match head {
        BELOW_ONE => (stored + FLOAT_EXPONENT_MIN, FLOAT_EXPONENT_MIN..=-1),
        _ => (stored, SHORT_EXPONENT_MAX + 1..=FLOAT_EXPONENT_MAX as i32),
    };
    if range.contains(&exponent) { Ok(exponent) } else { Err(KeyError::Malformed) }
}

fn decode_zero(kind: u8, etf: &mut Vec<u8>) -> Result<bool, KeyError> {
    match kind {
        0 => etf.extend_from_slice(&[etf::SMALL_INTEGER, 0]),
        1 => put_float(etf, -0.0),
        2 => put_float(etf, 0.0),
        _ => return Err(KeyError::Malformed),
    }
    Ok(kind != 0)
}

fn decode_huge(key: &mut Cursor, negative: bool, etf: &mut Vec<u8>) -> Result<(), KeyError> {
    let mask = mask(negative);
    let count = take_count_masked(key, mask)?;
    let bytes: Vec<u8> = key.take(count)?.iter().map(|byte| byte ^ mask).collect();
    let shortest = (FLOAT_EXPONENT_MAX + 1) / 8 + 1;
    if bytes.len() < shortest || bytes.first() == Some(&0) {
        return Err(KeyError::Malformed);
    }
    put_integer(etf, negative, &bytes)
}

/// The seven-bit groups of a fraction; the longest is that of an integer of 1,024 bits.
fn take_fraction(key: &mut Cursor, negative: bool) -> Result<(Vec<u8>, Kind), KeyError> {
    let mask = mask(negative);
    let mut groups = Vec::new();
    loop {
        let byte = key.u8()? ^ mask;
        match byte.checked_sub(FRACTION_BYTE_MIN) {
            Some(bits) if bits < 0x80 && groups.len() <= FLOAT_EXPONENT_MAX / 7 => {
                groups.push(bits);
            }
            Some(_) => return Err(KeyError::Malformed),
            None if groups.last() == Some(&0) => return Err(KeyError::Malformed),
            None if byte == u8::from(negative) => return Ok((groups, Kind::Integer)),
            None => return Ok((groups, Kind::Float)),
        }
    }
}

fn put_scaled_integer(
    etf: &mut Vec<u8>,
    negative: bool,
    exponent: i32,
    fraction: &[u8],
) -> Result<(), KeyError> {
    let exponent = usize::try_from(exponent).map_err(|_| KeyError::Malformed)?;
    let mut magnitude = vec![0u8; exponent / 8 + 1];
    let lead_at = 7 - exponent % 8;
    let mut set = |bit: usize| match magnitude.get_mut(bit / 8) {
        Some(byte) => {
            *byte |= 0x80 >> (bit % 8);
            Ok(())
        }
        None => Err(KeyError::Malformed),
    };
    set(lead_at)?;
    for (group, bits) in fraction.iter().enumerate() {
        for bit in (0..7).filter(|bit| bits & (0x40 >> bit) != 0) {
            set(lead_at + 1 + group * 7 + bit)?;
        }
    }
    put_integer(etf, negative, &magnitude)
}

fn put_scaled_float(
    etf: &mut Vec<u8>,
    negative: bool,
    exponent: i32,
    groups: &[u8],
) -> Result<(), KeyError> {
    if groups.len() > 8 {
        return Err(KeyError::Malformed);
    }
    let fraction = groups
        .iter()
        .enumerate()
        .fold(0u64, |sum, (at, bits)| sum | u64::from(*bits) << (57 - at * 7));
    let normal = exponent >= -1022;
    let precision_bits = if normal { 52 } else { (exponent - FLOAT_EXPONENT_MIN) as u32 };
    let stored = fraction.checked_shr(64 - precision_bits).unwrap_or(0);
    if stored.checked_shl(64 - precision_bits).unwrap_or(0) != fraction {
        return Err(KeyError::Malformed);
    }
    let lead = if normal { ((exponent + 1023) as u64) << 52 } else { 1 << precision_bits };
    put_float(etf, f64::from_bits(u64::from(negative) << 63 | lead | stored));
    Ok(())
}

fn put_float(etf: &mut Vec<u8>, value: f64) {
    etf.push(etf::NEW_FLOAT);
    etf.extend_from_slice(&value.to_bits().to_be_bytes());
}

/// `magnitude` is big endian and has no leading zero bytes.
fn put_integer(etf: &mut Vec<u8>, negative: bool, magnitude: &[u8]) -> Result<(), KeyError> {
    if let Some(value) = small(negative, magnitude) {
        match u8::try_from(value) {
            Ok(byte) => etf.extend_from_slice(&[etf::SMALL_INTEGER, byte]),
            Err(_) => {
                etf.push(etf::INTEGER);
                etf.extend_from_slice(&value.to_be_bytes());
            }
        }
        return Ok(());
    }
    if let Ok(count) = u8::try_from(magnitude.len()) {
        etf.extend_from_slice(&[etf::SMALL_BIG, count]);
    } else {
        let count = u32::try_from(magnitude.len()).map_err(|_| KeyError::Malformed)?;
        etf.push(etf::LARGE_BIG);
        etf.extend_from_slice(&count.to_be_bytes());
    }
    etf.push(u8::from(negative));
    etf.extend(magnitude.iter().rev());
    Ok(())
}

fn small(negative: bool, magnitude: &[u8]) -> Option<i32> {
    if magnitude.len() > 4 {
        return None;
    }
    let value = magnitude.iter().fold(0i64, |sum, byte| sum << 8 | i64::from(*byte));
    i32::try_from(if negative { -value } else { value }).ok()
}
