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
    /// How many more there is memory for.
    static LEFT: Cell<usize> = const { Cell::new(usize::MAX) };
}

struct Counted;

impl Source for Counted {
    fn allocate(bytes: usize) -> *mut u8 {
        if LEFT.get() == 0 {
            return std::ptr::null_mut();
        }
        LEFT.set(LEFT.get() - 1);
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
fn blocks_come_in_runs_of_a_page_or_in_as_many_as_there_is_memory_for() {
    for (bytes, run) in [(8, 512), (64, 64), (72, 56), (1024, 4)] {
        let mut cache = Cache::<Counted>::new();
        let before = ALLOCATIONS.get();
        let used: Vec<Used> = (0..run).map(|_| Used::take(&mut cache, bytes, 7)).collect();
        assert_eq!(ALLOCATIONS.get() - before, run, "of {bytes}");
        used.into_iter().for_each(|used| used.give(&mut cache));
    }
    let (mut cache, class) = (Cache::<Counted>::new(), Class::of(64).unwrap());
    LEFT.set(3);
    let taken: Vec<_> = (0..4).map(|_| NonNull::new(cache.take(class))).collect();
    LEFT.set(usize::MAX);
    assert_eq!(taken.iter().map(Option::is_some).collect::<Vec<_>>(), [true, true, true, false]);
    // SAFETY: they are of this class and not in use.
    taken.into_iter().flatten().for_each(|block| unsafe { cache.give(block, class) });
}

#[test]
fn large_blocks_have_no_class() {
    assert!(Class::of(1024).is_some());
    assert!(Class::of(1025).is_none());
    assert!(Class::of(usize::MAX).is_none());
}
