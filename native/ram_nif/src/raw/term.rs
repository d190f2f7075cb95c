//! Terms taken apart, and made of bytes.

use std::mem::MaybeUninit;
use std::slice;

use rustler::sys::{self, ErlNifCharEncoding, ErlNifTerm};
use rustler::{Env, NewBinary, OwnedBinary, Term};

/// 255 characters and the zero that the virtual machine adds.
const NAME_BYTES_MAX: usize = 256;

/// Calls `read` with the text of an atom in Latin-1; none if the term is not such an atom.
///
/// rustler answers with a `String`: an allocation for each atom of each key.
pub fn with_latin1_name<T>(atom: Term, read: impl FnOnce(&[u8]) -> T) -> Option<T> {
    let mut buffer = [MaybeUninit::<u8>::uninit(); NAME_BYTES_MAX];
    // SAFETY: the buffer is as long as said, and the environment is the term's own. An answer above
    // zero is the number of bytes written from the start of the buffer, the closing zero included.
    let name = unsafe {
        let written = sys::enif_get_atom(
            atom.get_env().as_c_arg(),
            atom.as_c_arg(),
            buffer.as_mut_ptr().cast(),
            NAME_BYTES_MAX as u32,
            ErlNifCharEncoding::ERL_NIF_LATIN1,
        );
        let length = usize::try_from(written).ok()?.checked_sub(1)?;
        slice::from_raw_parts(buffer.as_ptr().cast::<u8>(), length)
    };
    Some(read(name))
}

/// The elements of a tuple, in place: rustler copies them into a `Vec`.
pub struct Elements<'a> {
    env: Env<'a>,
    terms: slice::Iter<'a, ErlNifTerm>,
}

impl<'a> Iterator for Elements<'a> {
    type Item = Term<'a>;

    fn next(&mut self) -> Option<Term<'a>> {
        let term = *self.terms.next()?;
        // SAFETY: an element belongs to the environment of its tuple.
        Some(unsafe { Term::new(self.env, term) })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.terms.size_hint()
    }
}

impl ExactSizeIterator for Elements<'_> {}

pub fn elements(tuple: Term) -> Option<Elements> {
    let env = tuple.get_env();
    let mut arity = 0;
    let mut first = std::ptr::null();
    // SAFETY: both places outlive the call, and the environment is the term's own. After success
    // `first` points at so many terms, which stay where they are while the environment is alive.
    let terms = unsafe {
        if sys::enif_get_tuple(env.as_c_arg(), tuple.as_c_arg(), &mut arity, &mut first) != 1 {
            return None;
        }
        match usize::try_from(arity) {
            Ok(0) | Err(_) => &[],
            Ok(arity) => slice::from_raw_parts(first, arity),
        }
    };
    Some(Elements { env, terms: terms.iter() })
}

/// A binary with a copy of the bytes.
pub fn binary<'a>(env: Env<'a>, bytes: &[u8]) -> Term<'a> {
    let mut binary = NewBinary::new(env, bytes.len());
    binary.as_mut_slice().copy_from_slice(bytes);
    binary.into()
}

/// The external term format of a term; none if the virtual machine refuses.
///
/// rustler panics there.
pub fn etf_of(term: Term) -> Option<OwnedBinary> {
    let mut binary = MaybeUninit::uninit();
    // SAFETY: after success the binary is initialized, and ours to release.
    unsafe {
        let env = term.get_env().as_c_arg();
        if sys::enif_term_to_binary(env, term.as_c_arg(), binary.as_mut_ptr()) == 0 {
            return None;
        }
        Some(OwnedBinary::from_raw(binary.assume_init()))
    }
}

/// The term of one whole external term format, with atoms created as needed.
pub fn term_of_etf<'a>(env: Env<'a>, etf: &[u8]) -> Option<Term<'a>> {
    // SAFETY: the virtual machine checks the bytes. Trust is only about what they may create
    // (atoms, external funs), and those who can reach us with a key or a value are trusted with
    // that.
    let (term, bytes) = unsafe { env.binary_to_term_trusted(etf) }?;
    (bytes == etf.len()).then_some(term)
}
