//! Terms outside of all processes, copied out by any thread at any time.
//!
//! An environment of its own costs 2.5 KB, so a heap is for several terms. A term is copied in
//! once, by the one who holds the [`HeapWriter`], and neither moves nor changes until the heap goes
//! as a whole. Copying it out reads it and counts references of what is off the heap, atomically;
//! it does not touch the environment, so writer and readers need not know of each other.

use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustler::sys::{self, ErlNifEnv, ErlNifTerm};
use rustler::{Env, OwnedBinary, Term};

pub struct Heap {
    env: NonNull<ErlNifEnv>,
    capacity: usize,
    used: AtomicUsize,
    /// How many terms there are in all heaps that share this counter.
    total: Arc<AtomicUsize>,
}

// SAFETY: the environment is written by the holder of the one `HeapWriter`, and freed by the last
// who holds the heap. All others read terms that do not change (see above), and get to them through
// a `HeapTerm`, which was made when its term was whole.
unsafe impl Send for Heap {}
// SAFETY: as above.
unsafe impl Sync for Heap {}

impl Heap {
    /// How many terms it may take.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }
}

/// A term on a heap, which lives as long as this.
pub struct HeapTerm {
    heap: Arc<Heap>,
    /// In the environment of the heap.
    word: ErlNifTerm,
}

// SAFETY: the word is that of a term which anybody may read: see `Heap`.
unsafe impl Send for HeapTerm {}
// SAFETY: as above.
unsafe impl Sync for HeapTerm {}

impl HeapTerm {
    pub fn heap(&self) -> &Arc<Heap> {
        &self.heap
    }

    /// A copy of it. Does not look at the heap: that would be one more line of memory to wait for.
    pub fn copy<'a>(&self, env: Env<'a>) -> Term<'a> {
        // SAFETY: the term is in the environment of the heap, which lives as long as `self`.
        unsafe { Term::new(env, sys::enif_make_copy(env.as_c_arg(), self.word)) }
    }

    /// Its external term format.
    pub fn etf(&self) -> Option<OwnedBinary> {
        let lifetime = ();
        // SAFETY: the term is in this environment, which lives as long as `self` and is not written
        // to by the virtual machine when it encodes a term.
        let term = unsafe { Term::new(Env::new(&lifetime, self.heap.env.as_ptr()), self.word) };
        super::etf_of(term)
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
    /// A new heap for so many terms.
    pub fn new(capacity: usize, total: Arc<AtomicUsize>) -> Option<HeapWriter> {
        // SAFETY: it may be called by any thread. What it returns is ours.
        let env = NonNull::new(unsafe { sys::enif_alloc_env() })?;
        Some(HeapWriter(Arc::new(Heap { env, capacity, used: AtomicUsize::new(0), total })))
    }

    pub fn heap(&self) -> &Arc<Heap> {
        &self.0
    }

    pub fn is_full(&self) -> bool {
        self.0.used() == self.0.capacity()
    }

    /// Copies a term to the heap; none when it is full.
    pub fn add(&mut self, term: Term) -> Option<HeapTerm> {
        if self.is_full() {
            return None;
        }
        // SAFETY: we alone write into this environment; the term is alive by its own lifetime.
        let word = unsafe { sys::enif_make_copy(self.0.env.as_ptr(), term.as_c_arg()) };
        Some(self.made(word))
    }

    /// As [`HeapWriter::add`], of the external term format, without a copy. It may take more memory
    /// for a small term.
    pub fn decode(&mut self, etf: &[u8]) -> Option<HeapTerm> {
        if self.is_full() {
            return None;
        }
        let lifetime = ();
        // SAFETY: we alone write into this environment, and the term stays in it.
        let env = unsafe { Env::new(&lifetime, self.0.env.as_ptr()) };
        let word = super::term_of_etf(env, etf)?.as_c_arg();
        Some(self.made(word))
    }

    fn made(&self, word: ErlNifTerm) -> HeapTerm {
        self.0.used.fetch_add(1, Ordering::Relaxed);
        self.0.total.fetch_add(1, Ordering::Relaxed);
        HeapTerm { heap: self.0.clone(), word }
    }
}
