//! The global allocator of the library: the virtual machine's, so that `erlang:memory()` shows what
//! we use, with a [`Cache`] on each thread of a member.
//!
//! The virtual machine has an allocator for each scheduler, and one with a lock for all other
//! threads. A block that was allocated by a scheduler and is freed by one of our threads, as are
//! those of every request, goes back through a queue of that scheduler, which is woken for it. With
//! a cache our threads use such blocks again, and give back many at once.

use std::alloc::{GlobalAlloc, Layout};
use std::cell::Cell;
use std::ptr::{self, NonNull};

use rustler::{EnifAllocator, sys};

use super::cache::{Cache, Class, Source};

/// What the virtual machine aligns to.
pub const ALIGN_MAX: usize = 8;

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

struct Allocator;

struct VirtualMachine;

impl Source for VirtualMachine {
    fn allocate(bytes: usize) -> *mut u8 {
        // SAFETY: it may be called by any thread.
        unsafe { sys::enif_alloc(bytes) }.cast()
    }

    unsafe fn free(block: NonNull<u8>) {
        // SAFETY: by our own contract; it may be called by any thread.
        unsafe { sys::enif_free(block.as_ptr().cast()) }
    }
}

type OwnCache = Cache<VirtualMachine>;

thread_local! {
    /// The cache of this thread, while it has one.
    static OWN: Cell<*mut OwnCache> = const { Cell::new(ptr::null_mut()) };
}

/// Calls `run` with a cache for this thread.
pub fn with_cache(run: &mut dyn FnMut()) {
    struct Kept(OwnCache);
    impl Drop for Kept {
        fn drop(&mut self) {
            OWN.set(ptr::null_mut());
        }
    }
    let mut kept = Kept(OwnCache::new());
    OWN.set(&mut kept.0);
    run();
}

fn class_of(layout: Layout) -> Option<Class> {
    if layout.align() > ALIGN_MAX { None } else { Class::of(layout.size()) }
}

/// Calls `with` with the cache of this thread, if it has one. `with` must not allocate.
fn with_own<T>(with: impl FnOnce(&mut OwnCache) -> T) -> Option<T> {
    let mut own = NonNull::new(OWN.get())?;
    // SAFETY: it is in the frame of `with_cache` on this very thread, which clears the pointer
    // before the cache goes; nobody else has a reference to it, and `with` does not come back here.
    Some(with(unsafe { own.as_mut() }))
}

// SAFETY: each block has the bytes of its class, or is that of rustler's allocator. Which of them
// follows from the layout, and so is the same when it is freed, on whatever thread.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match class_of(layout) {
            Some(class) => with_own(|own| own.take(class))
                .unwrap_or_else(|| VirtualMachine::allocate(class.bytes())),
            // SAFETY: by our own contract.
            None => unsafe { EnifAllocator.alloc(layout) },
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let (Some(class), Some(free)) = (class_of(layout), NonNull::new(block)) else {
            // SAFETY: by our own contract.
            return unsafe { EnifAllocator.dealloc(block, layout) };
        };
        // SAFETY: the block is from `alloc`, for the same layout, and given up by the caller.
        if with_own(|own| unsafe { own.give(free, class) }).is_none() {
            // SAFETY: as above.
            unsafe { VirtualMachine::free(free) }
        }
    }
}
