//! Which of the readers a thread is: what each of them writes lies in places of its own, since a
//! processor waits long for a word that another has written.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Of the calling thread, counted from 0 in the order in which they ask first.
pub fn own_number() -> usize {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_keeps_its_number_and_shares_it_with_no_other() {
        let own = own_number();
        let of_others: Vec<usize> =
            (0..9).map(|_| std::thread::spawn(own_number).join().unwrap()).collect();
        assert_eq!(own_number(), own);
        assert!(!of_others.contains(&own));
        assert!(of_others.is_sorted_by(|one, next| one < next), "{of_others:?}");
    }
}
