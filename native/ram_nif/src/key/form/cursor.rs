//! Reading bytes that may be anything: each step answers `Malformed` instead of running past the
//! end.

use super::KeyError;

pub struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Cursor { rest: bytes }
    }

    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub fn len(&self) -> usize {
        self.rest.len()
    }

    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub fn peek(&self) -> Result<u8, KeyError> {
        self.rest.first().copied().ok_or(KeyError::Malformed)
    }

    pub fn take(&mut self, count: usize) -> Result<&'a [u8], KeyError> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(KeyError::Malformed)?;
        self.rest = rest;
        Ok(taken)
    }

    pub fn u8(&mut self) -> Result<u8, KeyError> {
        let (&byte, rest) = self.rest.split_first().ok_or(KeyError::Malformed)?;
        self.rest = rest;
        Ok(byte)
    }

    pub fn u16(&mut self) -> Result<u16, KeyError> {
        self.array().map(u16::from_be_bytes)
    }

    pub fn u32(&mut self) -> Result<u32, KeyError> {
        self.array().map(u32::from_be_bytes)
    }

    pub fn u64(&mut self) -> Result<u64, KeyError> {
        self.array().map(u64::from_be_bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], KeyError> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(KeyError::Malformed)?;
        self.rest = rest;
        Ok(*taken)
    }
}
