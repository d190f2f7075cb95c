//! May this member answer a read of a key now? Asked in this order, and the order matters:
//!
//! 1. the lease is valid on a clock that was read after the call began: then all that is committed
//!    anywhere is applied here, or marked here, or has an index of at most C;
//! 2. C is applied: so it is applied or marked;
//! 3. the key is not marked: so it is applied.
//!
//! Then the table is looked at, which by 3 shows at least what was committed at 1. The lease may
//! end between 1 and the look: the read then counts as made at 1, which lies within the call.
//!
//! The caller keeps what the key holds from changing from before 1 until it has looked (it takes a
//! lock, and has the processor fetch the item meanwhile). So a change of it that is applied by 3
//! was applied before 1, and is seen.

/// Why not. The first two say that there is something to wait for on this member alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unanswerable {
    /// An entry that may change the key is not yet applied.
    Pending,
    /// What was committed before the lease began is not yet applied.
    Behind { from_index: u64 },
    /// There is no lease, or it is over.
    NoLease,
}

pub fn may_answer(
    lease: impl FnOnce() -> Option<u64>,
    applied: impl FnOnce() -> u64,
    is_pending: impl FnOnce() -> bool,
) -> Result<(), Unanswerable> {
    let from_index = lease().ok_or(Unanswerable::NoLease)?;
    if applied() < from_index {
        return Err(Unanswerable::Behind { from_index });
    }
    if is_pending() { Err(Unanswerable::Pending) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    fn ask(lease: Option<u64>, applied: u64, is_pending: bool) -> Result<(), Unanswerable> {
        may_answer(|| lease, || applied, || is_pending)
    }

    #[test]
    fn a_member_answers_with_a_lease_that_it_has_caught_up_with_unless_the_key_is_pending() {
        assert_eq!(ask(Some(5), 5, false), Ok(()));
        assert_eq!(ask(Some(5), 5, true), Err(Unanswerable::Pending));
        assert_eq!(ask(Some(5), 4, false), Err(Unanswerable::Behind { from_index: 5 }));
        assert_eq!(ask(None, 9, false), Err(Unanswerable::NoLease));
    }

    #[test]
    fn the_lease_is_looked_at_first_and_the_marks_last() {
        let order = RefCell::new(Vec::new());
        let note = |what| order.borrow_mut().push(what);
        let lease = || {
            note("lease");
            Some(1)
        };
        let applied = || {
            note("applied");
            1
        };
        let pending = || {
            note("pending");
            false
        };
        may_answer(lease, applied, pending).unwrap();
        assert_eq!(*order.borrow(), ["lease", "applied", "pending"]);
    }
}
