//! Terms outside of all processes, copied out by any thread at any time.
//!
//! An environment of its own costs 2.5 KB, so a heap has places for several terms. A term is
//! copied in once, by the one who holds the [`HeapWriter`], and neither moves nor changes until the
//! heap goes as a whole. Copying it out reads it and counts references of what is off the heap,
//! atomically; it does not touch the environment, so writer and readers need not know of each
//! other.

use std::mem::transmute;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustler::sys::{self, ErlNifEnv, ErlNifTerm};
use rustler::{Env, OwnedBinary, Term};

pub struct Heap {
    env: NonNull<ErlNifEnv>,
    /// The words of the terms, from the first place on; 0, which is no term, where there is none.
    places: Box<[AtomicUsize]>,
    used: AtomicUsize,
    /// How many terms there are in all heaps that share this counter.
    total: Arc<AtomicUsize>,
}

// SAFETY: the environment is written by the holder of the one `HeapWriter`, and freed by the last
// who holds the heap. All others read terms that do not change (see above), whose words they get
// through atomics that were stored after the term was whole.
unsafe impl Send for Heap {}
// SAFETY: as above.
unsafe impl Sync for Heap {}

impl Heap {
    /// How many terms it may take.
    pub fn capacity(&self) -> usize {
        self.places.len()
    }

    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// A copy of the term in this place.
    pub fn copy<'a>(&self, place: usize, env: Env<'a>) -> Option<Term<'a>> {
        let word = self.word(place)?;
        // SAFETY: the term is in our environment, which lives as long as `self`.
        Some(unsafe { Term::new(env, sys::enif_make_copy(env.as_c_arg(), word)) })
    }

    /// The external term format of the term in this place.
    pub fn etf(&self, place: usize) -> Option<OwnedBinary> {
        let word = self.word(place)?;
        let lifetime = ();
        // SAFETY: the term is in this environment, which lives as long as `self` and is not written
        // to by the virtual machine when it encodes a term.
        let term = unsafe { Term::new(Env::new(&lifetime, self.env.as_ptr()), word) };
        super::etf_of(term)
    }

    fn word(&self, place: usize) -> Option<ErlNifTerm> {
        let word = self.places.get(place)?.load(Ordering::Acquire);
        // SAFETY: a term is such a word, and this one was stored as a term.
        (word != 0).then(|| unsafe { transmute::<usize, ErlNifTerm>(word) })
    }
}

impl Drop for Heap {
    fn drop(&mut self) {
        self.total.fetch_sub(self.used(), Ordering::Relaxed);
        // SAFETY: it was allocated by `HeapWriter::new`, and nobody holds the heap any more.
        unsafe { sys::enif_free_env(self.env.as_ptr()) }
    }
}

/// The right to add terms to a heap; there is one for each.
pub struct HeapWriter(Arc<Heap>);

impl HeapWriter {
    /// A new heap with so many places.
    pub fn new(capacity: usize, total: Arc<AtomicUsize>) -> Option<HeapWriter> {
        // SAFETY: it may be called by any thread. What it returns is ours.
        let env = NonNull::new(unsafe { sys::enif_alloc_env() })?;
        let places = (0..capacity).map(|_| AtomicUsize::new(0)).collect();
        Some(HeapWriter(Arc::new(Heap { env, places, used: AtomicUsize::new(0), total })))
    }

    pub fn heap(&self) -> &Arc<Heap> {
        &self.0
    }

    pub fn is_full(&self) -> bool {
        self.0.used() == self.0.capacity()
    }

    /// Copies a term into the next place, and tells which that is; none when the heap is full.
    pub fn add(&mut self, term: Term) -> Option<usize> {
        let place = self.0.used();
        let free = self.0.places.get(place)?;
        // SAFETY: we alone write into this environment; the term is alive by its own lifetime.
        let word = unsafe { sys::enif_make_copy(self.0.env.as_ptr(), term.as_c_arg()) };
        self.fill(free, word);
        Some(place)
    }

    /// As [`HeapWriter::add`], of the external term format, without a copy. It may take more memory
    /// for a small term.
    pub fn decode(&mut self, etf: &[u8]) -> Option<usize> {
        let place = self.0.used();
        let free = self.0.places.get(place)?;
        let lifetime = ();
        // SAFETY: we alone write into this environment, and the term stays in it.
        let env = unsafe { Env::new(&lifetime, self.0.env.as_ptr()) };
        let word = super::term_of_etf(env, etf)?.as_c_arg();
        self.fill(free, word);
        Some(place)
    }

    fn fill(&self, free: &AtomicUsize, word: ErlNifTerm) {
        // SAFETY: a term is such a word.
        let word = unsafe { transmute::<ErlNifTerm, usize>(word) };
        free.store(word, Ordering::Release);
        self.0.used.fetch_add(1, Ordering::Relaxed);
        self.0.total.fetch_add(1, Ordering::Relaxed);
    }
}
