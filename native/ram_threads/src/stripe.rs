//! Reader stripes: threads that read often write to memory of their own, a stripe, since a
//! processor waits long for a word that another has written. The table's locks and counters do.

use std::num::NonZero;
use std::sync::LazyLock;

/// The number of the calling thread, from 0 in the order of their first calls. Stripes are assigned
/// by it.
#[cfg(not(feature = "loom"))]
pub fn of_this_thread() -> usize {
    use std::cell::Cell;
    use std::sync::atomic::{AtomicUsize, Ordering};
    const NONE: usize = usize::MAX;
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static OWN: Cell<usize> = const { Cell::new(NONE) };
    }
    if OWN.get() == NONE {
        OWN.set(NEXT.fetch_add(1, Ordering::Relaxed));
    }
    OWN.get()
}

/// As above, in one run of a model: all threads of a model are one thread of the system.
#[cfg(feature = "loom")]
pub fn of_this_thread() -> usize {
    loom::lazy_static! {
        static ref NEXT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    }
    loom::thread_local! {
        static OWN: usize = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    }
    OWN.with(|own| *own)
}

/// How many stripes there should be where a writer has to visit them all: so many that readers
/// seldom share one. A power of two, as `count_max` has to be.
pub fn count(count_max: usize) -> usize {
    const PER_PROCESSOR: usize = 2;
    static PROCESSORS: LazyLock<usize> =
        LazyLock::new(|| std::thread::available_parallelism().map_or(1, NonZero::get));
    let wanted = if crate::sync::IS_MODEL { 2 } else { PER_PROCESSOR * *PROCESSORS };
    wanted.next_power_of_two().min(count_max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_keeps_its_number_and_shares_it_with_no_other() {
        let own = of_this_thread();
        let of_others: Vec<usize> =
            (0..9).map(|_| std::thread::spawn(of_this_thread).join().unwrap()).collect();
        assert_eq!(of_this_thread(), own);
        assert!(!of_others.contains(&own));
        assert!(count(2) == 2 && count(1 << 20).is_power_of_two());
        assert!(of_others.is_sorted_by(|one, next| one < next), "{of_others:?}");
    }
}
