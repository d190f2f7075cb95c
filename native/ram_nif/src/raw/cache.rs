//! A thread-local cache of free blocks: segregated free lists, one for each size class.
//!
//! The source of the scheme is Bonwick and Adams, "Magazines and Vmem", USENIX 2001, section 3,
//! without its depot: what is too much goes back to the source.
//!
//! A block of a class has the bytes of its class, whatever was asked for, so any block of the class
//! serves the next request; the pointer at its beginning leads to the next free one. A list that is
//! full gives half of its blocks back at once, and one that is empty is filled with a run of blocks
//! that were allocated one after another, so that they lie side by side: the items of a table are
//! allocated in turns with the bytes of requests, and if they lay between these each of them would
//! be on a page of memory of its own, which readers pay for.

use std::marker::PhantomData;
use std::ptr::{self, NonNull};

/// Size classes differ by so many bytes. A free block holds a pointer, so it has as many.
const STEP_BYTES: usize = 8;
const CLASSES: usize = 128;
/// So many bytes of each class are kept, at most.
const CLASS_BYTES_MAX: usize = 16 * 1024;
/// As many as a page of memory has.
const RUN_BYTES: usize = 4 * 1024;

/// Where blocks come from. Each call has to be safe for any thread.
pub trait Source {
    /// Null when there is no memory.
    fn allocate(bytes: usize) -> *mut u8;

    /// # Safety
    /// The block is from `allocate`, and nobody uses it any more.
    unsafe fn free(block: NonNull<u8>);
}

/// A size of blocks.
#[derive(Clone, Copy)]
pub struct Class(usize);

impl Class {
    /// The smallest with room for so many bytes; none for large blocks.
    pub fn of(bytes: usize) -> Option<Class> {
        let class = bytes.div_ceil(STEP_BYTES).max(1) - 1;
        (class < CLASSES).then_some(Class(class))
    }

    pub fn bytes(self) -> usize {
        (self.0 + 1) * STEP_BYTES
    }

    fn blocks_max(self) -> usize {
        CLASS_BYTES_MAX / self.bytes()
    }
}

/// What one thread keeps. What is left goes back when it is dropped.
pub struct Cache<S: Source> {
    lists: [List; CLASSES],
    source: PhantomData<S>,
}

#[derive(Clone, Copy)]
struct List {
    first: Option<NonNull<u8>>,
    blocks: usize,
}

impl<S: Source> Cache<S> {
    pub const fn new() -> Self {
        let empty = List { first: None, blocks: 0 };
        Cache { lists: [empty; CLASSES], source: PhantomData }
    }

    /// A block of this class; null when there is no memory.
    pub fn take(&mut self, class: Class) -> *mut u8 {
        let Some(list) = self.lists.get_mut(class.0) else { return ptr::null_mut() };
        if list.first.is_none() {
            list.fill::<S>(class);
        }
        list.pop().map_or(ptr::null_mut(), NonNull::as_ptr)
    }

    /// # Safety
    /// The block has the bytes of this class, is from the source, and nobody uses it any more.
    pub unsafe fn give(&mut self, block: NonNull<u8>, class: Class) {
        let Some(list) = self.lists.get_mut(class.0) else { return };
        if list.blocks == class.blocks_max() {
            list.shrink::<S>(class.blocks_max() / 2);
        }
        // SAFETY: the block is ours by the caller's word.
        unsafe { list.push(block) };
    }
}

impl List {
    fn pop(&mut self) -> Option<NonNull<u8>> {
        let first = self.first?;
        // SAFETY: a block in the list has what `push` wrote, and nobody else uses it.
        self.first = unsafe { first.cast::<Option<NonNull<u8>>>().read() };
        self.blocks -= 1;
        Some(first)
    }

    /// # Safety
    /// The block is not in use and has room for a pointer.
    unsafe fn push(&mut self, block: NonNull<u8>) {
        // SAFETY: by our own contract.
        unsafe { block.cast::<Option<NonNull<u8>>>().write(self.first) };
        self.first = Some(block);
        self.blocks += 1;
    }

    /// With fewer blocks, or none, when there is no memory.
    fn fill<S: Source>(&mut self, class: Class) {
        for _ in 0..RUN_BYTES / class.bytes() {
            let Some(block) = NonNull::new(S::allocate(class.bytes())) else { return };
            // SAFETY: it is fresh, and a class has the bytes of a pointer at least.
            unsafe { self.push(block) };
        }
    }

    fn shrink<S: Source>(&mut self, blocks: usize) {
        while self.blocks > blocks
            && let Some(block) = self.pop()
        {
            // SAFETY: what is in the list is from the source, and was given up.
            unsafe { S::free(block) };
        }
    }
}

impl<S: Source> Drop for Cache<S> {
    fn drop(&mut self) {
        self.lists.iter_mut().for_each(|list| list.shrink::<S>(0));
    }
}
