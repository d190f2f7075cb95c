//! Bytes that terms refer to, and do not copy.
//!
//! They are a resource object themselves, so the virtual machine has them where it has its own long
//! binaries. The small blocks of a table, which come from elsewhere, lie close together for that.

use std::alloc::{Layout, handle_alloc_error};
use std::ffi::{CStr, c_void};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::ptr::{self, NonNull};
use std::slice;

use once_cell::sync::Lazy;
use rustler::sys;
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

    /// Where the bytes are, under the seal of this process: for whoever keeps `self` beside it.
    pub fn sealed(&self) -> [u8; SEALED_BYTES] {
        let (object, length) = (self.object.as_ptr() as usize as u64, self.length as u64);
        let mut sealed = [0; SEALED_BYTES];
        let words = [*SEAL, object, length].map(u64::to_ne_bytes);
        for (place, word) in sealed.chunks_exact_mut(size_of::<u64>()).zip(words) {
            place.copy_from_slice(&word);
        }
        sealed
    }
}

/// Of [`SharedBytes::sealed`].
pub const SEALED_BYTES: usize = 3 * size_of::<u64>();

/// A number that nobody can guess, and that nobody is told: what begins with it was made here.
static SEAL: Lazy<u64> = Lazy::new(|| RandomState::new().build_hasher().finish());

/// A binary that refers to sealed bytes; none of what was not sealed by this process. It does not
/// look at the object to know that: so a read has one line of memory less to wait for.
///
/// Sealed bytes are to be kept where their [`SharedBytes`] is, and nowhere else: see
/// `value/references.rs`, which alone seals and unseals (`tests/layers.rs`).
pub fn unsealed<'a>(env: Env<'a>, sealed: &[u8; SEALED_BYTES]) -> Option<Term<'a>> {
    let ([seal, object, length], []) = sealed.as_chunks::<{ size_of::<u64>() }>() else {
        return None;
    };
    let [seal, object, length] = [seal, object, length].map(|word| u64::from_ne_bytes(*word));
    if seal != *SEAL {
        return None;
    }
    let object = object as usize as *mut c_void;
    // SAFETY: the seal says that these are an object and its length, and whoever shows it keeps a
    // reference to the object. The binary takes one of its own.
    unsafe {
        let env_arg = env.as_c_arg();
        let binary = sys::enif_make_resource_binary(env_arg, object, object, length as usize);
        Some(Term::new(env, binary))
    }
}

impl Drop for SharedBytes {
    fn drop(&mut self) {
        // SAFETY: the reference is ours.
        unsafe { sys::enif_release_resource(self.object.as_ptr()) }
    }
}
