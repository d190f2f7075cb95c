//! The cache of freed blocks, without Erlang: see src/raw/cache.rs.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "../src/raw/cache.rs"]
mod cache;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ptr::NonNull;

use cache::{Cache, Class, Source};
use proptest::prelude::*;

/// Of each class: see `CLASS_BYTES_MAX` there.
const KEPT_BYTES_MAX: usize = 16 * 1024;

thread_local! {
    /// The blocks that were allocated and not freed, with their bytes.
    static OUT: RefCell<HashMap<usize, Box<[u64]>>> = RefCell::default();
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

struct Counted;

impl Source for Counted {
    fn allocate(bytes: usize) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        let mut block = vec![0u64; bytes / 8].into_boxed_slice();
        let address = block.as_mut_ptr().cast::<u8>();
        OUT.with_borrow_mut(|out| out.insert(address as usize, block));
        address
    }

    unsafe fn free(block: NonNull<u8>) {
        let freed = OUT.with_borrow_mut(|out| out.remove(&(block.as_ptr() as usize)));
        assert!(freed.is_some(), "freed twice, or not from here");
    }
}

fn out() -> usize {
    OUT.with_borrow(HashMap::len)
}

struct Used {
    block: NonNull<u8>,
    class: Class,
    mark: u8,
}

impl Used {
    fn take(cache: &mut Cache<Counted>, bytes: usize, mark: u8) -> Used {
        let class = Class::of(bytes).unwrap();
        assert!(class.bytes() >= bytes && class.bytes() < bytes + 8);
        let block = NonNull::new(cache.take(class)).unwrap();
        // SAFETY: a block has the bytes of its class.
        unsafe { block.write_bytes(mark, class.bytes()) };
        Used { block, class, mark }
    }

    fn give(self, cache: &mut Cache<Counted>) {
        // SAFETY: as above, and this is the end of it.
        unsafe {
            let bytes = std::slice::from_raw_parts(self.block.as_ptr(), self.class.bytes());
            assert!(bytes.iter().all(|byte| *byte == self.mark), "somebody wrote into it");
            cache.give(self.block, self.class);
        }
    }
}

proptest! {
    #[test]
    fn blocks_in_use_are_apart_and_all_go_back(
        steps in prop::collection::vec((any::<bool>(), 1..=1024usize, any::<usize>()), 1..400)
    ) {
        let mut cache = Cache::<Counted>::new();
        let mut used: Vec<Used> = Vec::new();
        for (at, (takes, bytes, which)) in steps.into_iter().enumerate() {
            if takes || used.is_empty() {
                used.push(Used::take(&mut cache, bytes, at as u8));
            } else {
                used.swap_remove(which % used.len()).give(&mut cache);
            }
        }
        used.into_iter().for_each(|used| used.give(&mut cache));
        drop(cache);
        prop_assert_eq!(out(), 0);
    }
}

#[test]
fn what_was_freed_is_used_again_and_what_is_kept_is_bounded() {
    for bytes in [8, 64, 72, 1024] {
        let mut cache = Cache::<Counted>::new();
        let many = || (0..10_000).map(|_| bytes);
        let used: Vec<Used> = many().map(|bytes| Used::take(&mut cache, bytes, 7)).collect();
        used.into_iter().for_each(|used| used.give(&mut cache));
        let kept = out();
        assert!(kept > 0 && kept * bytes <= KEPT_BYTES_MAX, "{kept} blocks of {bytes}");
        let before = ALLOCATIONS.get();
        for _ in 0..kept {
            Used::take(&mut cache, bytes, 8).give(&mut cache);
        }
        assert_eq!(ALLOCATIONS.get(), before);
        drop(cache);
        assert_eq!(out(), 0);
    }
}

#[test]
fn large_blocks_have_no_class() {
    assert!(Class::of(1024).is_some());
    assert!(Class::of(1025).is_none());
    assert!(Class::of(usize::MAX).is_none());
}
