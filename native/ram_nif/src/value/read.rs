//! From a compiled term to the term.

use ram_table::table::Item;
use rustler::{Env, Term};

use super::etf::atom_bytes;
use super::format::{ATOM, DEPTH_MAX, ETF, OPAQUE, SHARED, U32_BYTES};
use super::{atoms, references};
use crate::key::etf;
use crate::raw::{self, RawTerm, SEALED_BYTES, Stack};

/// Elements of a tuple that are gathered in registers and on the stack of the thread.
const FEW: usize = 8;

/// A value that was found.
pub enum Found<'a> {
    Term(Term<'a>),
    /// Its external term format, which the caller has to decode.
    Encoded(Term<'a>),
}

/// The value of an item, for a process or a message.
pub fn found<'a>(env: Env<'a>, item: &Item) -> Found<'a> {
    made(env, item, item.stored_bytes())
}

/// Of an item and what it has stored.
pub fn made<'a>(env: Env<'a>, item: &Item, stored: &[u8]) -> Found<'a> {
    let is_compiled = item.representation().is_some();
    let head_bytes = if is_compiled { U32_BYTES } else { 1 };
    let sealed = || references::binary(env, item, head_bytes + 1);
    let found = match stored.get(head_bytes..).unwrap_or_default() {
        [SHARED, ..] if is_compiled => sealed().map(Found::Term),
        [OPAQUE, ..] if is_compiled => sealed().map(Found::Encoded),
        all => raw::with_stack(env, |stack| {
            let (rest, depth_left) = (all, DEPTH_MAX);
            let mut reader = Reader { stack, item, is_compiled, all, rest, depth_left };
            reader.term().map(|term| Found::Term(term.term(env)))
        })
        .flatten(),
    };
    // What it says is no term: the caller is told by the virtual machine.
    found.unwrap_or_else(|| Found::Encoded(raw::binary(env, &item.value())))
}

struct Reader<'a, 'r> {
    stack: Stack<'a, 'r>,
    item: &'r Item,
    is_compiled: bool,
    all: &'r [u8],
    rest: &'r [u8],
    depth_left: usize,
}

impl<'a, 'r> Reader<'a, 'r> {
    /// Made in place where it is wanted, when it has no parts: most terms are such. Small tuples
    /// are many too, and have one call less.
    #[inline(always)]
    fn term(&mut self) -> Option<RawTerm<'a>> {
        match self.byte()? {
            etf::SMALL_INTEGER => {
                let int = self.byte()?;
                Some(self.stack.int(int.into()))
            }
            etf::INTEGER => {
                let int = i32::from_be_bytes(self.take()?);
                Some(self.stack.int(int))
            }
            ATOM if self.is_compiled => {
                let index = u32::from_ne_bytes(self.take()?);
                Some(atoms::atom(index)?.to_term(self.stack.env()).into())
            }
            etf::SMALL_TUPLE => {
                let size = self.byte()?;
                self.tuple(size.into())
            }
            tag => self.rarer(tag),
        }
    }

    #[inline(never)]
    fn rarer(&mut self, tag: u8) -> Option<RawTerm<'a>> {
        Some(match tag {
            etf::NEW_FLOAT => {
                let float = f64::from_be_bytes(self.take()?);
                self.stack.float(float)?
            }
            etf::NIL => self.stack.list_from(self.stack.depth()),
            etf::BINARY => {
                let length = self.length()?;
                raw::binary(self.stack.env(), self.bytes(length)?).into()
            }
            etf::STRING => {
                let length = u16::from_be_bytes(self.take()?);
                let from = self.stack.depth();
                for byte in self.bytes(length.into())? {
                    self.stack.push(self.stack.int((*byte).into()));
                }
                self.stack.list_from(from)
            }
            etf::LIST => self.list()?,
            etf::LARGE_TUPLE => {
                let size = self.length()?;
                self.tuple(size)?
            }
            etf::MAP => {
                let keys = self.length()?;
                let from = self.elements(keys.checked_mul(2)?)?;
                self.stack.map_from(from)?
            }
            etf::SMALL_ATOM | etf::SMALL_ATOM_UTF8 | etf::ATOM | etf::ATOM_UTF8 => self.atom()?,
            SHARED if self.is_compiled => self.refer()?,
            ETF if self.is_compiled => {
                let length = u32::from_ne_bytes(self.take()?);
                raw::term_of_etf(self.stack.env(), self.bytes(length as usize)?)?.into()
            }
            _ => return None,
        })
    }

    fn byte(&mut self) -> Option<u8> {
        self.take().map(|[byte]| byte)
    }

    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(*taken)
    }

    fn bytes(&mut self, length: usize) -> Option<&'r [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(taken)
    }

    fn length(&mut self) -> Option<usize> {
        Some(u32::from_be_bytes(self.take()?) as usize)
    }

    /// Makes terms, pushes them, and returns from which depth on they are on the stack.
    fn elements(&mut self, count: usize) -> Option<usize> {
        let from = self.stack.depth();
        self.depth_left = self.depth_left.checked_sub(1)?;
        for _ in 0..count {
            let term = self.term()?;
            self.stack.push(term);
        }
        self.depth_left += 1;
        Some(from)
    }

    fn tuple(&mut self, size: usize) -> Option<RawTerm<'a>> {
        if size == 0 || size > FEW {
            let from = self.elements(size)?;
            return Some(self.stack.tuple_from(from));
        }
        // Most tuples are small, and a vector takes longer to fill.
        self.depth_left = self.depth_left.checked_sub(1)?;
        let mut few = [self.term()?; FEW];
        for place in few.get_mut(1..size)? {
            *place = self.term()?;
        }
        self.depth_left += 1;
        Some(self.stack.tuple(few.get(..size)?))
    }

    fn list(&mut self) -> Option<RawTerm<'a>> {
        let length = self.length()?;
        let from = self.elements(length)?;
        if let [etf::NIL, rest @ ..] = self.rest {
            self.rest = rest;
            return Some(self.stack.list_from(from));
        }
        self.depth_left = self.depth_left.checked_sub(1)?;
        let tail = self.term()?;
        self.depth_left += 1;
        Some(self.stack.improper_list_from(from, tail))
    }

    /// Of an atom that was not there when the value came: it is now.
    #[inline(never)]
    fn atom(&mut self) -> Option<RawTerm<'a>> {
        let from = self.all.get(self.all.len().checked_sub(self.rest.len() + 1)?..)?;
        let (etf, rest) = from.split_at_checked(atom_bytes(from)?)?;
        self.rest = rest;
        let env = self.stack.env();
        Some(atoms::atom_of(env, etf)?.to_term(env).into())
    }

    fn refer(&mut self) -> Option<RawTerm<'a>> {
        let at = self.item.stored_bytes().len().checked_sub(self.rest.len())?;
        let binary = references::binary(self.stack.env(), self.item, at)?;
        self.bytes(SEALED_BYTES)?;
        Some(binary.into())
    }
}
