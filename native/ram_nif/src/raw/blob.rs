//! Bytes that readers refer to, and do not copy.
//!
//! They are the object itself, so the virtual machine has them where it has its own long binaries.
//! The small blocks of a table, which come from elsewhere, lie close together for that.

use std::alloc::{Layout, handle_alloc_error};
use std::ffi::c_void;
use std::ptr::{self, NonNull};
use std::slice;

use rustler::sys;

use super::resource::Opened;

pub static BLOBS: Opened = Opened::not_yet();

/// One reference to the object: the bytes live as long as this, and as the terms made of it.
pub struct Blob {
    object: NonNull<c_void>,
    length: usize,
}

// SAFETY: nobody changes the bytes once they are there, and references are counted atomically.
unsafe impl Send for Blob {}
// SAFETY: as above.
unsafe impl Sync for Blob {}

impl Blob {
    /// With a copy of the bytes.
    pub fn new(bytes: &[u8]) -> Blob {
        // SAFETY: the type is open, or nobody could call the library.
        let object = unsafe { sys::enif_alloc_resource(BLOBS.get(), bytes.len()) };
        let no_memory = || handle_alloc_error(Layout::for_value(bytes));
        let object = NonNull::new(object).unwrap_or_else(no_memory);
        // SAFETY: it is fresh, and has as much room as was asked for.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), object.as_ptr().cast(), bytes.len()) };
        Blob { object, length: bytes.len() }
    }

    pub fn bytes(&self) -> &[u8] {
        // SAFETY: so many were written by `new`, and the object lives as long as `self`.
        unsafe { slice::from_raw_parts(self.object.as_ptr().cast(), self.length) }
    }

    pub fn object(&self) -> *mut c_void {
        self.object.as_ptr()
    }
}

impl Drop for Blob {
    fn drop(&mut self) {
        // SAFETY: the reference is ours.
        unsafe { sys::enif_release_resource(self.object.as_ptr()) }
    }
}
