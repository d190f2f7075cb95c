//! The bounds of a log: its first, next and purged index, and how each operation moves them.
//!
//! The view moves its bounds when an operation is submitted, the writer when it is written, and
//! recovery when its record is read. No index may be `u64::MAX`, so that there is always a next
//! one.

/// The indexes of a log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Bounds {
    /// The first entry there is, or would be.
    first: u64,
    /// The index that the next entry must have. Without one, any may come.
    next: Option<u64>,
    purged: Option<u64>,
}

impl Bounds {
    /// A log that goes on at `next`, of whose earlier entries nothing is known.
    pub(super) fn starting_at(next: Option<u64>) -> Self {
        Self { first: next.unwrap_or(0), next, purged: None }
    }

    pub(super) fn first(&self) -> Option<u64> {
        self.next.filter(|next| self.first < *next).map(|_| self.first)
    }

    pub(super) fn last(&self) -> Option<u64> {
        self.next.filter(|next| self.first < *next).map(|next| next.saturating_sub(1))
    }

    pub(super) fn next(&self) -> Option<u64> {
        self.next
    }

    pub(super) fn purged(&self) -> Option<u64> {
        self.purged
    }

    /// Whether the first entry follows the purge point.
    pub(super) fn reach_down_to_the_purge_point(&self) -> bool {
        self.purged.is_some_and(|upto| self.first == upto.saturating_add(1))
    }

    /// Appends the entry `index`. If that would leave a hole, the error is the index that is next.
    pub(super) fn append(&mut self, index: u64) -> Result<(), u64> {
        match self.next {
            Some(next) if next != index => return Err(next),
            Some(_) => {}
            None => self.first = index,
        }
        self.next = Some(index.saturating_add(1));
        Ok(())
    }

    pub(super) fn truncate_after(&mut self, after: Option<u64>) {
        let floor = self.purged.map(|upto| upto.saturating_add(1));
        let limit = after.map(|after| after.saturating_add(1)).max(floor);
        self.next = self.next.and_then(|next| limit.map(|limit| next.min(limit)));
        self.first = self.first.min(self.next.unwrap_or(0));
    }

    pub(super) fn purge(&mut self, upto: u64) {
        let first = upto.saturating_add(1);
        self.purged = self.purged.max(Some(upto));
        self.first = self.first.max(first);
        self.next = self.next.max(Some(first));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holding(range: std::ops::Range<u64>) -> Bounds {
        let mut bounds = Bounds::default();
        range.for_each(|index| bounds.append(index).unwrap());
        bounds
    }

    #[test]
    fn an_empty_log_takes_any_first_index_and_then_only_the_next() {
        let mut bounds = holding(5..8);
        assert_eq!((bounds.first(), bounds.last()), (Some(5), Some(7)));
        assert_eq!(bounds.append(9), Err(8));
        assert_eq!(bounds.append(7), Err(8));
    }

    #[test]
    fn truncating_keeps_what_is_below_and_everything_may_go() {
        let mut bounds = holding(5..8);
        bounds.truncate_after(Some(9));
        assert_eq!(bounds.last(), Some(7));
        bounds.truncate_after(Some(5));
        assert_eq!((bounds.first(), bounds.last()), (Some(5), Some(5)));
        bounds.truncate_after(None);
        assert_eq!((bounds.first(), bounds.next()), (None, None));
    }

    #[test]
    fn what_was_purged_is_never_truncated() {
        let mut bounds = holding(0..8);
        bounds.purge(3);
        bounds.truncate_after(None);
        assert_eq!((bounds.first(), bounds.next()), (None, Some(4)));
        bounds.append(4).unwrap();
        bounds.truncate_after(Some(1));
        assert_eq!((bounds.first(), bounds.next()), (None, Some(4)));
    }

    #[test]
    fn purging_beyond_the_end_moves_the_end() {
        let mut bounds = holding(0..3);
        bounds.purge(9);
        assert_eq!((bounds.first(), bounds.last(), bounds.next()), (None, None, Some(10)));
        bounds.purge(4);
        assert_eq!(bounds.purged(), Some(9));
        let mut fresh = Bounds::default();
        fresh.purge(9);
        assert_eq!(fresh.append(10), Ok(()));
    }
}
