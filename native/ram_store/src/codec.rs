//! The one encoding: bincode 2 with serde, little endian, variable-length integers.
//!
//! All that ram writes to a disk or a socket passes through here. The bytes carry no version of
//! their own: the file or the handshake around them does.
//!
//! Decoding is bounded: no length read from the input may claim more than `DECODED_BYTES_MAX`.

use bincode::config::{Configuration, Limit, LittleEndian, Varint};
use serde::{Deserialize, Serialize, Serializer, de::DeserializeOwned};
use thiserror::Error;

use ram_limits::DECODED_BYTES_MAX;

type Format = Configuration<LittleEndian, Varint, Limit<DECODED_BYTES_MAX>>;

#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("malformed {what}: {reason}")]
pub struct DecodeError {
    pub what: &'static str,
    pub reason: String,
}

impl DecodeError {
    pub fn new(what: &'static str, reason: impl ToString) -> Self {
        DecodeError { what, reason: reason.to_string() }
    }
}

impl From<DecodeError> for std::io::Error {
    fn from(error: DecodeError) -> Self {
        std::io::Error::new(std::io::ErrorKind::InvalidData, error)
    }
}

fn format() -> Format {
    bincode::config::standard().with_limit::<DECODED_BYTES_MAX>()
}

/// For serde, of a field that is bytes: all in one go, where those of a slice go one by one. The
/// encoding is the same.
pub(crate) fn bytes<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_bytes(bytes)
}

/// Appends the encoding of `value` to `out`.
pub fn encode_into<T: Serialize>(value: &T, out: &mut Vec<u8>) {
    let result = bincode::serde::encode_into_std_write(value, out, format());
    // Our types are plain data and a Vec takes any write: this cannot fail.
    debug_assert!(result.is_ok(), "encoding failed: {result:?}");
}

pub fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    let mut out = Vec::with_capacity(64);
    encode_into(value, &mut out);
    out
}

/// Decodes a value that fills `bytes` to the last one.
pub fn decode<T: DeserializeOwned>(what: &'static str, bytes: &[u8]) -> Result<T, DecodeError> {
    let (value, used) = bincode::serde::decode_from_slice(bytes, format())
        .map_err(|error| DecodeError::new(what, error))?;
    if used != bytes.len() {
        return Err(DecodeError::new(what, "trailing bytes"));
    }
    Ok(value)
}

/// Decodes a value that borrows from `bytes`; the second part is how many bytes it took.
pub fn decode_prefix<'a, T: Deserialize<'a>>(
    what: &'static str,
    bytes: &'a [u8],
) -> Result<(T, usize), DecodeError> {
    bincode::serde::borrow_decode_from_slice(bytes, format())
        .map_err(|error| DecodeError::new(what, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_survives_the_round_trip_and_trailing_bytes_are_refused() {
        let value = (7u64, String::from("ram"), vec![1u8, 2, 3]);
        let mut bytes = encode(&value);
        assert_eq!(decode::<(u64, String, Vec<u8>)>("test", &bytes).unwrap(), value);
        bytes.push(0);
        assert!(decode::<(u64, String, Vec<u8>)>("test", &bytes).is_err());
    }

    #[test]
    fn a_hostile_length_is_refused_without_an_allocation() {
        let bytes = encode(&u64::MAX);
        assert!(decode::<Vec<u8>>("test", &bytes).is_err());
        assert!(decode::<Vec<u64>>("test", &bytes).is_err());
    }
}
