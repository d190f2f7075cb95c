//! Process-independent environments that several terms share, and that any thread copies from.
//!
//! An environment costs 2.5 KB, so a heap is for several terms. A term is copied in
//! once, by the one who holds the [`HeapWriter`], and neither moves nor changes until the heap goes
//! as a whole. Copying it out reads it and counts references of what is off the heap, atomically;
//! it does not touch the environment, so writer and readers need not know of each other.

use std::ptr::NonNull;
use std::sync::Arc;

use rustler::sys::{self, ErlNifEnv, ErlNifTerm};
use rustler::{Env, Term};

struct Heap(NonNull<ErlNifEnv>);

// SAFETY: the environment is written by the holder of the one `HeapWriter`, and freed by the last
// who holds the heap. All others read terms that do not change (see above), and get to them through
// a `HeapTerm`, which was made when its term was whole.
unsafe impl Send for Heap {}
// SAFETY: as above.
unsafe impl Sync for Heap {}

/// A term on a heap, which lives as long as this.
pub struct HeapTerm {
    _heap: Arc<Heap>,
    /// In the environment of the heap.
    term: ErlNifTerm,
}

// SAFETY: anybody may read the term: see `Heap`.
unsafe impl Send for HeapTerm {}
// SAFETY: as above.
unsafe impl Sync for HeapTerm {}

impl HeapTerm {
    /// A copy of it. Does not look at the heap: that would be one more line of memory to wait for.
    pub fn copy<'a>(&self, env: Env<'a>) -> Term<'a> {
        // SAFETY: the term is in the environment of the heap, which lives as long as `self`.
        unsafe { Term::new(env, sys::enif_make_copy(env.as_c_arg(), self.term)) }
    }
}

impl Drop for Heap {
    fn drop(&mut self) {
        // SAFETY: it was allocated by `HeapWriter::new`, and nobody holds the heap any more.
        unsafe { sys::enif_free_env(self.0.as_ptr()) }
    }
}

/// The right to add terms to a heap; there is one for each.
pub struct HeapWriter {
    heap: Arc<Heap>,
    /// How many terms it may still take.
    left: usize,
}

impl HeapWriter {
    /// A new heap for so many terms.
    pub fn new(capacity: usize) -> Option<HeapWriter> {
        // SAFETY: it may be called by any thread. What it returns is ours.
        let env = NonNull::new(unsafe { sys::enif_alloc_env() })?;
        Some(HeapWriter { heap: Arc::new(Heap(env)), left: capacity })
    }

    pub fn is_full(&self) -> bool {
        self.left == 0
    }

    /// Copies a term to the heap; none when it is full.
    pub fn add(&mut self, original: Term) -> Option<HeapTerm> {
        self.left = self.left.checked_sub(1)?;
        // SAFETY: we alone write into this environment; the term is alive by its own lifetime.
        let term = unsafe { sys::enif_make_copy(self.heap.0.as_ptr(), original.as_c_arg()) };
        Some(HeapTerm { _heap: self.heap.clone(), term })
    }
}
