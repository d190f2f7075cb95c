//! Terms of keys of the table, made directly where a key is of the usual kinds: integers of a word,
//! atoms, binaries, and tuples and lists of these. All others go the way of [`decode`].
//!
//! The bytes are those that an encoder wrote. Of others the term may be wrong, never unsafe.

use rustler::{Env, NewBinary, Term};

use super::form::{KeyError, fast, tag};
use crate::raw::{self, RawTerm, Stack};

/// Compounds in compounds.
const DEPTH_MAX: usize = 8;

/// The term of a key of the table. An error is as that of [`decode`](super::decode).
pub fn read<'a>(env: Env<'a>, key: &[u8]) -> Result<Term<'a>, KeyError> {
    let usual = raw::with_stack(env, |stack| {
        let mut reader = Reader { stack, rest: key };
        let term = reader.term(DEPTH_MAX)?;
        reader.rest.is_empty().then(|| term.term(env))
    });
    match usual.flatten() {
        Some(term) => Ok(term),
        None => super::decode(env, key),
    }
}

struct Reader<'a, 's, 'k> {
    stack: Stack<'a, 's>,
    rest: &'k [u8],
}

impl<'a, 'k> Reader<'a, '_, 'k> {
    /// `None`: it is not of the usual kinds.
    fn term(&mut self, depth_left: usize) -> Option<RawTerm<'a>> {
        if let Some((int, rest)) = fast::take_int(self.rest) {
            self.rest = rest;
            return Some(self.stack.long(int));
        }
        let (tag, rest) = self.rest.split_first()?;
        self.rest = rest;
        match *tag {
            tag::ATOM => self.atom(),
            tag::BITS => self.binary(),
            tag::NIL => Some(self.stack.list_from(self.stack.depth())),
            tag::TUPLE => self.tuple(depth_left.checked_sub(1)?),
            tag::CONS => self.list(depth_left.checked_sub(1)?),
            _ => None,
        }
    }

    fn atom(&mut self) -> Option<RawTerm<'a>> {
        let text = self.text()?;
        // What is escaped, or not ASCII, is rare.
        if !text.iter().all(|byte| (2..0x80).contains(byte)) {
            return None;
        }
        let env = self.stack.env();
        Some(rustler::Atom::from_bytes(env, text).ok()?.to_term(env).into())
    }

    fn binary(&mut self) -> Option<RawTerm<'a>> {
        let bytes = self.text()?;
        let (bits, rest) = self.rest.split_first()?;
        // A zero among the bytes, or a bitstring that is no binary.
        if *bits != if bytes.is_empty() { 0 } else { 8 } {
            return None;
        }
        self.rest = rest;
        let env = self.stack.env();
        let mut binary = NewBinary::new(env, bytes.len());
        binary.as_mut_slice().copy_from_slice(bytes);
        Some(Term::from(binary).into())
    }

    /// Up to the next zero, which is passed.
    fn text(&mut self) -> Option<&'k [u8]> {
        let end = self.rest.iter().position(|byte| *byte == 0)?;
        let (text, rest) = self.rest.split_at_checked(end)?;
        self.rest = rest.get(1..)?;
        Some(text)
    }

    fn tuple(&mut self, depth_left: usize) -> Option<RawTerm<'a>> {
        let (size, rest) = self.rest.split_first()?;
        // Larger counts have more bytes.
        if *size >= fast::COUNT_SHORT {
            return None;
        }
        self.rest = rest;
        let depth = self.stack.depth();
        for _ in 0..*size {
            let element = self.term(depth_left)?;
            self.stack.push(element);
        }
        Some(self.stack.tuple_from(depth))
    }

    /// Behind the tag of its first cell.
    fn list(&mut self, depth_left: usize) -> Option<RawTerm<'a>> {
        let depth = self.stack.depth();
        loop {
            let element = self.term(depth_left)?;
            self.stack.push(element);
            let (tag, rest) = self.rest.split_first()?;
            self.rest = rest;
            match *tag {
                tag::CONS => {}
                tag::NIL => return Some(self.stack.list_from(depth)),
                _ => return None,
            }
        }
    }
}
