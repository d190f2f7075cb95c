//! Terms made of their parts, with one call of the virtual machine for each and nothing allocated
//! on the way: rustler collects the parts of a list, a tuple or a map into a `Vec` of its own.
//!
//! Parts wait on a stack. A compound that has several takes them off it, from a depth on that its
//! maker has noted.

use std::cell::RefCell;
use std::marker::PhantomData;
use std::mem::MaybeUninit;

use rustler::sys::{self, ErlNifTerm};
use rustler::{Env, Term};

use super::ints::SmallInts;

/// A map of more keys is a tree. To build one the virtual machine sorts its keys, from 129 on with
/// a random number that it takes from the data of its scheduler (erts_qsort): on another thread
/// that is the end of the process. So no map of more is made here.
pub const FLAT_MAP_KEYS_MAX: usize = 32;

/// An `ERL_NIF_TERM` of an environment with this lifetime: a third of rustler's `Term`, which has
/// its environment beside it.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct RawTerm<'a>(ErlNifTerm, PhantomData<Term<'a>>);

impl<'a> RawTerm<'a> {
    pub fn term(self, env: Env<'a>) -> Term<'a> {
        // SAFETY: an environment has a lifetime of its own, and this is a term of that lifetime.
        unsafe { Term::new(env, self.0) }
    }
}

impl<'a> From<Term<'a>> for RawTerm<'a> {
    fn from(term: Term<'a>) -> Self {
        RawTerm(term.as_c_arg(), PhantomData)
    }
}

/// Makes terms in one environment.
pub struct Stack<'a, 's> {
    env: Env<'a>,
    /// Each is a term of the environment.
    parts: &'s mut Vec<ErlNifTerm>,
    ints: Option<SmallInts>,
}

/// Calls `make` with an empty stack, whose memory the next call on this thread uses again: as much
/// as the largest so far has needed. None from inside of such a call.
pub fn with_stack<'a, T>(env: Env<'a>, make: impl FnOnce(Stack<'a, '_>) -> T) -> Option<T> {
    thread_local! {
        static PARTS: RefCell<Vec<ErlNifTerm>> = const { RefCell::new(Vec::new()) };
    }
    PARTS.with(|parts| {
        let mut parts = parts.try_borrow_mut().ok()?;
        parts.clear();
        Some(make(Stack { env, parts: &mut parts, ints: SmallInts::learned() }))
    })
}

impl<'a> Stack<'a, '_> {
    pub fn env(&self) -> Env<'a> {
        self.env
    }

    pub fn depth(&self) -> usize {
        self.parts.len()
    }

    pub fn push(&mut self, part: RawTerm<'a>) {
        self.parts.push(part.0);
    }

    fn raw(&self, term: ErlNifTerm) -> RawTerm<'a> {
        RawTerm(term, PhantomData)
    }

    pub fn int(&self, int: i32) -> RawTerm<'a> {
        self.raw(match self.ints {
            Some(ints) => ints.immediate(int),
            // SAFETY: for any environment.
            None => unsafe { sys::enif_make_int64(self.env.as_c_arg(), int.into()) },
        })
    }

    pub fn long(&self, int: i64) -> RawTerm<'a> {
        match i32::try_from(int) {
            Ok(int) => self.int(int),
            // SAFETY: for any environment.
            Err(_) => self.raw(unsafe { sys::enif_make_int64(self.env.as_c_arg(), int) }),
        }
    }

    /// None for what is no finite number.
    pub fn float(&self, float: f64) -> Option<RawTerm<'a>> {
        // SAFETY: for any environment, and finite numbers.
        let made = || unsafe { sys::enif_make_double(self.env.as_c_arg(), float) };
        float.is_finite().then(|| self.raw(made()))
    }

    pub fn tuple(&self, elements: &[RawTerm<'a>]) -> RawTerm<'a> {
        let first = elements.as_ptr().cast::<ErlNifTerm>();
        // SAFETY: so many terms of this environment; a `RawTerm` is laid out as what is in it.
        self.raw(unsafe {
            sys::enif_make_tuple_from_array(self.env.as_c_arg(), first, elements.len() as u32)
        })
    }

    pub fn tuple_from(&mut self, depth: usize) -> RawTerm<'a> {
        let tuple = self.take_from(depth, |env, parts| {
            // SAFETY: so many terms of this environment.
            unsafe { sys::enif_make_tuple_from_array(env, parts.as_ptr(), parts.len() as u32) }
        });
        self.raw(tuple)
    }

    pub fn list_from(&mut self, depth: usize) -> RawTerm<'a> {
        let list = self.take_from(depth, |env, parts| {
            // SAFETY: so many terms of this environment.
            unsafe { sys::enif_make_list_from_array(env, parts.as_ptr(), parts.len() as u32) }
        });
        self.raw(list)
    }

    pub fn improper_list_from(&mut self, depth: usize, tail: RawTerm<'a>) -> RawTerm<'a> {
        let list = self.take_from(depth, |env, parts| {
            // SAFETY: all are terms of this environment.
            let cell =
                |tail, part: &ErlNifTerm| unsafe { sys::enif_make_list_cell(env, *part, tail) };
            parts.iter().rev().fold(tail.0, cell)
        });
        self.raw(list)
    }

    /// Of a key, its value, the next key, and so on. None when a key comes twice, or when there are
    /// more than `FLAT_MAP_KEYS_MAX`.
    pub fn map_from(&mut self, depth: usize) -> Option<RawTerm<'a>> {
        let map = self.take_from(depth, |env, parts| {
            let none = [ErlNifTerm::default(); FLAT_MAP_KEYS_MAX];
            let (mut keys, mut values) = (none, none);
            let size = parts.len() / 2;
            let places = keys.get_mut(..size)?.iter_mut().zip(values.iter_mut());
            for (pair, (key, value)) in parts.chunks_exact(2).zip(places) {
                let &[the_key, the_value] = pair else { return None };
                (*key, *value) = (the_key, the_value);
            }
            let (keys, values, mut map) = (keys.as_ptr(), values.as_ptr(), MaybeUninit::uninit());
            // SAFETY: so many keys and values have come, terms of this environment. After success
            // the map is there.
            unsafe {
                let made =
                    sys::enif_make_map_from_arrays(env, keys, values, size, map.as_mut_ptr());
                (made != 0).then(|| map.assume_init())
            }
        });
        map.map(|map| self.raw(map))
    }

    /// What `make` makes of the parts from this depth on, which leave the stack.
    fn take_from<T>(
        &mut self,
        depth: usize,
        make: impl FnOnce(*mut sys::ErlNifEnv, &[ErlNifTerm]) -> T,
    ) -> T {
        let made = make(self.env.as_c_arg(), self.parts.get(depth..).unwrap_or_default());
        self.parts.truncate(depth);
        made
    }
}
