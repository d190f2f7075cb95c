//! Bytes that terms refer to, and do not copy.
//!
//! They are a resource object themselves, so the virtual machine has them where it has its own long
//! binaries. The small blocks of a table, which come from elsewhere, lie close together for that.

use std::alloc::{Layout, handle_alloc_error};
use std::cell::Cell;
use std::ffi::{CStr, c_void};
use std::ptr::{self, NonNull};
use std::slice;

use rustler::sys::{self, ErlNifEnv, ErlNifTerm};
use rustler::{Env, Term};

use super::resource::Opened;

static SHARED: Opened = Opened::not_yet();

/// While the library is loaded; false: it may not be.
pub fn open_shared(env: Env, name: &CStr) -> bool {
    // They are bytes: there is nothing to drop.
    SHARED.open(env, name, ptr::null())
}

/// One reference to the object: the bytes live as long as this, and as the terms made of it.
pub struct SharedBytes {
    object: NonNull<c_void>,
    length: usize,
}

// SAFETY: nobody changes the bytes once they are there, and references are counted atomically.
unsafe impl Send for SharedBytes {}
// SAFETY: as above.
unsafe impl Sync for SharedBytes {}

impl SharedBytes {
    /// With a copy of the bytes.
    pub fn new(bytes: &[u8]) -> SharedBytes {
        // SAFETY: the type is open.
        let object = unsafe { sys::enif_alloc_resource(SHARED.get(), bytes.len()) };
        let no_memory = || handle_alloc_error(Layout::for_value(bytes));
        let object = NonNull::new(object).unwrap_or_else(no_memory);
        // SAFETY: it is fresh, and has as much room as was asked for.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), object.as_ptr().cast(), bytes.len()) };
        SharedBytes { object, length: bytes.len() }
    }

    pub fn bytes(&self) -> &[u8] {
        // SAFETY: so many were written by `new`, and the object lives as long as `self`.
        unsafe { slice::from_raw_parts(self.object.as_ptr().cast(), self.length) }
    }

    /// Makes a binary that refers to the bytes, if one is wanted on this thread: see [`offered`].
    pub fn offer(&self) {
        let Wanted::In(env) = WANTED.get() else { return };
        let object = self.object.as_ptr();
        // SAFETY: the environment is there while it is noted. So is the object, it is these bytes,
        // and the binary takes a reference to it.
        let binary = unsafe { sys::enif_make_resource_binary(env, object, object, self.length) };
        WANTED.set(Wanted::Made(binary));
    }
}

#[derive(Clone, Copy)]
enum Wanted {
    Nothing,
    In(*mut ErlNifEnv),
    Made(ErlNifTerm),
}

thread_local! {
    static WANTED: Cell<Wanted> = const { Cell::new(Wanted::Nothing) };
}

/// A binary that refers to the [`SharedBytes`] that `ask` has somebody offer: so it need not be
/// known here who has them.
pub fn offered<'a>(env: Env<'a>, ask: impl FnOnce()) -> Option<Term<'a>> {
    struct End;
    impl Drop for End {
        fn drop(&mut self) {
            WANTED.set(Wanted::Nothing);
        }
    }
    let _end = End;
    WANTED.set(Wanted::In(env.as_c_arg()));
    ask();
    match WANTED.get() {
        // SAFETY: it was made in this environment.
        Wanted::Made(binary) => Some(unsafe { Term::new(env, binary) }),
        _ => None,
    }
}

impl Drop for SharedBytes {
    fn drop(&mut self) {
        // SAFETY: the reference is ours.
        unsafe { sys::enif_release_resource(self.object.as_ptr()) }
    }
}
