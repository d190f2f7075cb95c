//! From a recipe to the term.

use ram_core::store::table::Item;
use rustler::sys::{self, ErlNifEnv, ErlNifTerm};
use rustler::{Env, NewBinary, Term};
use std::cell::RefCell;
use std::ffi::c_void;
use std::mem::MaybeUninit;

use super::super::term_of_etf;
use super::ints::{self, Words};
use super::{ATOM, BLOB, LENGTH_BYTES, OTHER, WHOLE, atom_bytes, atoms, word_of};
use crate::key::etf;
use crate::terms;

/// Elements of a tuple that are gathered on the stack.
const FEW: usize = 8;

thread_local! {
    /// The elements of what is being made: no more than the largest recipe has had.
    static WORDS: RefCell<Vec<ErlNifTerm>> = const { RefCell::new(Vec::new()) };
}

/// A value that was found.
pub enum Found<'a> {
    Term(Term<'a>),
    /// Its external term format, which the caller has to decode.
    Encoded(Term<'a>),
}

/// The value of an item that [`hold`](super::hold) has made, for a process or a message.
pub fn found<'a>(env: Env<'a>, item: &Item) -> Found<'a> {
    let held = item.held_bytes();
    let is_recipe = item.form().is_some();
    let rest = held.get(if is_recipe { LENGTH_BYTES } else { 1 }..).unwrap_or_default();
    let made = WORDS.with_borrow_mut(|words| {
        words.clear();
        let mut maker = Maker { env, all: rest, rest, words, ints: ints::words(), is_recipe };
        match rest {
            [WHOLE, rest @ ..] if is_recipe => {
                maker.rest = rest;
                maker.blob().map(|word| (word, true))
            }
            _ => maker.term().map(|word| (word, false)),
        }
    });
    // SAFETY: it was made in this environment.
    match made.map(|(word, is_whole)| (unsafe { Term::new(env, word) }, is_whole)) {
        Some((term, false)) => Found::Term(term),
        Some((term, true)) => Found::Encoded(term),
        // What it tells is no term: the caller is told by the virtual machine.
        None => Found::Encoded(terms::binary(env, &item.value())),
    }
}

struct Maker<'a, 'm> {
    env: Env<'a>,
    all: &'m [u8],
    rest: &'m [u8],
    words: &'m mut Vec<ErlNifTerm>,
    ints: Option<Words>,
    is_recipe: bool,
}

impl<'m> Maker<'_, 'm> {
    /// Made in place where it is wanted, when it has no parts: most terms are such. Small tuples
    /// are many too, and have one call less.
    #[inline(always)]
    fn term(&mut self) -> Option<ErlNifTerm> {
        match self.byte()? {
            etf::SMALL_INTEGER => {
                let int = self.byte()?;
                Some(self.int(int.into()))
            }
            etf::INTEGER => {
                let int = i32::from_be_bytes(self.take()?);
                Some(self.int(int))
            }
            ATOM if self.is_recipe => {
                let _tag = self.byte()?;
                Some(word_of(self.take()?))
            }
            etf::SMALL_TUPLE => {
                let size = self.byte()?;
                self.tuple(size.into())
            }
            tag => self.rarer(tag),
        }
    }

    #[inline(never)]
    fn rarer(&mut self, tag: u8) -> Option<ErlNifTerm> {
        Some(match tag {
            etf::NEW_FLOAT => {
                let float = f64::from_be_bytes(self.take()?);
                // SAFETY: for any environment, and finite numbers, as those of a recipe are.
                unsafe { sys::enif_make_double(self.env(), float) }
            }
            etf::NIL => self.list(self.words.len()),
            etf::BINARY => {
                let length = self.length()?;
                let bytes = self.bytes(length)?;
                let mut binary = NewBinary::new(self.env, length);
                binary.as_mut_slice().copy_from_slice(bytes);
                Term::from(binary).as_c_arg()
            }
            etf::STRING => {
                let length = u16::from_be_bytes(self.take()?);
                let from = self.words.len();
                for byte in self.bytes(length.into())? {
                    let word = self.int((*byte).into());
                    self.words.push(word);
                }
                self.list(from)
            }
            etf::LIST => {
                let length = self.length()?;
                let from = self.elements(length)?;
                match self.rest.split_first() {
                    Some((&etf::NIL, rest)) => {
                        self.rest = rest;
                        self.list(from)
                    }
                    _ => {
                        let tail = self.term()?;
                        self.improper_list(from, tail)
                    }
                }
            }
            etf::LARGE_TUPLE => {
                let size = self.length()?;
                self.tuple(size)?
            }
            etf::MAP => {
                let keys = self.length()?;
                self.map(keys)?
            }
            etf::SMALL_ATOM | etf::SMALL_ATOM_UTF8 | etf::ATOM | etf::ATOM_UTF8 => self.atom()?,
            BLOB if self.is_recipe => self.blob()?,
            OTHER if self.is_recipe => {
                let length = u32::from_ne_bytes(self.take()?);
                let bytes = self.bytes(length as usize)?;
                term_of_etf(self.env, bytes)?.as_c_arg()
            }
            _ => return None,
        })
    }

    fn env(&self) -> *mut ErlNifEnv {
        self.env.as_c_arg()
    }

    fn byte(&mut self) -> Option<u8> {
        self.take().map(|[byte]| byte)
    }

    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(*taken)
    }

    fn bytes(&mut self, length: usize) -> Option<&'m [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(taken)
    }

    fn length(&mut self) -> Option<usize> {
        Some(u32::from_be_bytes(self.take()?) as usize)
    }

    /// Makes terms and returns where they begin among the words.
    fn elements(&mut self, count: usize) -> Option<usize> {
        let from = self.words.len();
        for _ in 0..count {
            let word = self.term()?;
            self.words.push(word);
        }
        Some(from)
    }

    fn int(&self, int: i32) -> ErlNifTerm {
        match self.ints {
            Some(words) => words.word(int),
            // SAFETY: for any environment.
            None => unsafe { sys::enif_make_int64(self.env(), int.into()) },
        }
    }

    /// Of an atom that was not there when the value came: it is now.
    #[inline(never)]
    fn atom(&mut self) -> Option<ErlNifTerm> {
        let from = self.all.get(self.all.len().checked_sub(self.rest.len() + 1)?..)?;
        let (token, rest) = from.split_at_checked(atom_bytes(from)?)?;
        self.rest = rest;
        atoms::word(self.env, token)
    }

    fn list(&mut self, from: usize) -> ErlNifTerm {
        let words = self.words.get(from..).unwrap_or_default();
        // SAFETY: the words are of terms of this environment, and so many.
        let list = unsafe {
            sys::enif_make_list_from_array(self.env(), words.as_ptr(), words.len() as u32)
        };
        self.words.truncate(from);
        list
    }

    fn improper_list(&mut self, from: usize, tail: ErlNifTerm) -> ErlNifTerm {
        let env = self.env();
        // SAFETY: the words are of terms of this environment.
        let cell = |tail, word| unsafe { sys::enif_make_list_cell(env, word, tail) };
        self.words.drain(from..).rev().fold(tail, cell)
    }

    fn tuple(&mut self, size: usize) -> Option<ErlNifTerm> {
        // On the stack: most tuples are small, and a vector takes longer to fill.
        let mut few = [ErlNifTerm::default(); FEW];
        if let Some(few) = few.get_mut(..size) {
            for word in few.iter_mut() {
                *word = self.term()?;
            }
            return Some(self.tuple_of(few));
        }
        let from = self.elements(size)?;
        let tuple = self.tuple_of(self.words.get(from..)?);
        self.words.truncate(from);
        Some(tuple)
    }

    fn tuple_of(&self, words: &[ErlNifTerm]) -> ErlNifTerm {
        // SAFETY: the words are of terms of this environment, and so many.
        unsafe { sys::enif_make_tuple_from_array(self.env(), words.as_ptr(), words.len() as u32) }
    }

    fn map(&mut self, size: usize) -> Option<ErlNifTerm> {
        let from = self.words.len();
        // First all keys, then all values.
        self.words.resize(from + 2 * size, ErlNifTerm::default());
        for at in from..from + size {
            for place in [at, at + size] {
                let word = self.term()?;
                *self.words.get_mut(place)? = word;
            }
        }
        let (keys, values) = self.words.get(from..)?.split_at_checked(size)?;
        let mut map = MaybeUninit::uninit();
        // SAFETY: the words are of terms of this environment, and as many keys as values. After
        // success the map is there.
        let map = unsafe {
            let made = sys::enif_make_map_from_arrays(
                self.env(),
                keys.as_ptr(),
                values.as_ptr(),
                size,
                map.as_mut_ptr(),
            );
            (made != 0).then(|| map.assume_init())
        };
        self.words.truncate(from);
        map
    }

    /// Does not look at the object: that would be one more line of memory to wait for.
    fn blob(&mut self) -> Option<ErlNifTerm> {
        let object = usize::from_ne_bytes(self.take()?) as *mut c_void;
        let length = u32::from_ne_bytes(self.take()?) as usize;
        // SAFETY: in this library a form is an `Owner`, which came with this recipe and owns the
        // object that is these bytes; the item keeps it until after this call, and the binary the
        // object from then on.
        Some(unsafe { sys::enif_make_resource_binary(self.env(), object, object, length) })
    }
}
