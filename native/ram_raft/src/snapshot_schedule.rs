//! The schedule of snapshots, and of purging the log.
//!
//! A snapshot costs what the table holds. It is taken when `every` entries were applied since the
//! last one and their records have the size of the table, so that snapshots cost a constant share
//! of the cost of writes; and, however few the entries are, when their records have twice that
//! size. Before the snapshot the log keeps entries for followers that lag: a quarter of `every`
//! entries, and no more bytes than the table has.
//!
//! So the log on disk is bounded by the data, whatever the size of the entries: twice the bytes of
//! the table and `SLACK_BYTES`, and what is written during one check and one snapshot.

use openraft::async_runtime::WatchReceiver;
use std::time::Duration;

use crate::replica::Replica;
use ram_log::Log;
use ram_table::tables::Tables;

const CHECK_INTERVAL: Duration = Duration::from_millis(200);
/// Of what tables leave over, in each interval.
const PARTS_FREED_MAX: usize = 64;
/// What a log may take beside a table that is small: a segment.
const SLACK_BYTES: u64 = 16 * 1024 * 1024;

/// Works until raft has stopped.
pub async fn schedule(replica: Replica, every: u64) {
    let Replica { raft, log, applied, .. } = replica;
    loop {
        tokio::time::sleep(CHECK_INTERVAL).await;
        free_some(applied.tables()).await;
        let tables = applied.tables();
        let held_bytes = tables.bytes();
        let last = raft.metrics().borrow_watched().snapshot.map_or(0, |log_id| log_id.index());
        let first = log.first_index().unwrap_or(0);
        let entries = applied.index().saturating_sub(last);
        let bytes = log.bytes_since(first.max(last + 1));
        if is_due(entries, bytes, held_bytes, every) && raft.trigger().snapshot().await.is_err() {
            return;
        }
        if let Some(upto) = dispensable(&log, first, held_bytes)
            && raft.trigger().purge_log(upto.min(last)).await.is_err()
        {
            return;
        }
    }
}

/// Frees what changes leave over when there are few: of tables that were dropped or replaced, and
/// of scans that have ended. A part takes well below a millisecond.
async fn free_some(tables: &Tables) {
    for _ in 0..PARTS_FREED_MAX {
        if !tables.reclaimer().free(1) {
            return;
        }
        tokio::task::yield_now().await;
    }
}

fn is_due(entries: u64, log_bytes: u64, table_bytes: u64, every: u64) -> bool {
    let worth_it = entries >= every && log_bytes >= table_bytes;
    worth_it || log_bytes >= table_bytes.saturating_mul(2).saturating_add(SLACK_BYTES)
}

/// Up to which index the log is longer than it need be. Raft keeps what no snapshot holds.
fn dispensable(log: &Log, first: u64, table_bytes: u64) -> Option<u64> {
    let bytes_max = table_bytes.saturating_add(SLACK_BYTES);
    if log.bytes_since(first) <= bytes_max {
        return None;
    }
    log.first_within(bytes_max)?.checked_sub(1).filter(|upto| *upto >= first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use ram_log::{FlushMode, LogOptions, MemoryDisk};
    use std::sync::Arc;

    #[test]
    fn a_snapshot_is_due_for_many_entries_or_for_many_bytes() {
        const MIB: u64 = 1024 * 1024;
        assert!(is_due(100, 50 * MIB, 50 * MIB, 100));
        assert!(!is_due(99, 50 * MIB, 50 * MIB, 100));
        assert!(!is_due(1000, 49 * MIB, 50 * MIB, 100));
        assert!(is_due(3, 116 * MIB, 50 * MIB, 100), "few and large ones");
        assert!(!is_due(3, 115 * MIB, 50 * MIB, 100));
        assert!(!is_due(3, 0, 0, 100), "nothing is written");
    }

    #[test]
    fn the_log_keeps_as_many_bytes_as_the_table_has_and_some() {
        let options = LogOptions { flush: FlushMode::Inline, ..LogOptions::default() };
        let log = Log::open(Arc::new(MemoryDisk::new()), options).unwrap();
        let entry = Bytes::from(vec![7; 1024 * 1024]);
        for index in 1..=24 {
            log.append(vec![(index, entry.clone())], Box::new(|done| done.unwrap()));
        }
        assert_eq!(dispensable(&log, 1, 10 * 1024 * 1024), None);
        let upto = dispensable(&log, 1, 2 * 1024 * 1024).unwrap();
        assert_eq!(upto, 7, "17 of 24 entries and their headers fit");
        assert!(log.bytes_since(upto + 1) <= SLACK_BYTES + 2 * 1024 * 1024);
        assert!(log.bytes_since(upto) > SLACK_BYTES + 2 * 1024 * 1024);
    }
}
