//! A snapshot as its users pass it around: of this member, or arrived from another and not yet
//! accepted.

use std::io;
use std::sync::Arc;

use crate::snapshot::latest_snapshot;
use crate::{Disk, DiskError, ReceivedSnapshot, SnapshotReader, SnapshotReceiver, SnapshotSource};
use ram_limits::BLOCK_BYTES;

/// A whole snapshot, known by the index of the last log entry it holds. Clones are the same one.
#[derive(Debug, Clone)]
pub struct StoredSnapshot {
    pub disk: Arc<dyn Disk>,
    pub index: u64,
    /// One that has arrived and is not accepted: the last clone removes it.
    received: Option<Arc<ReceivedSnapshot>>,
}

impl StoredSnapshot {
    /// One of this member.
    #[must_use]
    pub fn at(disk: Arc<dyn Disk>, index: u64) -> StoredSnapshot {
        StoredSnapshot { disk, index, received: None }
    }

    /// The newest one on this disk.
    ///
    /// # Errors
    ///
    /// [`DiskError::Io`].
    pub fn latest(disk: &Arc<dyn Disk>) -> Result<Option<StoredSnapshot>, DiskError> {
        let index = latest_snapshot(disk.as_ref())?;
        Ok(index.map(|index| StoredSnapshot::at(disk.clone(), index)))
    }

    #[must_use]
    pub fn received(received: ReceivedSnapshot) -> StoredSnapshot {
        let (disk, index) = (received.disk().clone(), received.index());
        StoredSnapshot { disk, index, received: Some(Arc::new(received)) }
    }

    /// Makes one that has arrived a snapshot of this member.
    ///
    /// # Errors
    ///
    /// [`DiskError::Io`].
    pub fn accept(self) -> Result<StoredSnapshot, DiskError> {
        if let Some(received) = &self.received {
            received.accept()?;
        }
        Ok(StoredSnapshot::at(self.disk, self.index))
    }

    /// Reads its blocks.
    ///
    /// # Errors
    ///
    /// [`DiskError::Io`], [`DiskError::Corrupt`].
    pub fn open(&self) -> Result<SnapshotReader, DiskError> {
        match &self.received {
            Some(received) => received.open(),
            None => SnapshotReader::open(self.disk.as_ref(), self.index),
        }
    }

    /// Its bytes, for another member.
    ///
    /// # Errors
    ///
    /// [`DiskError::Io`].
    pub fn source(&self) -> Result<SnapshotSource, DiskError> {
        SnapshotSource::open(self.disk.as_ref(), self.index)
    }

    /// The same snapshot on `disk`, copied there if it is on another one.
    ///
    /// # Errors
    ///
    /// Those of reading and of receiving.
    pub fn on(self, disk: &Arc<dyn Disk>) -> io::Result<StoredSnapshot> {
        if Arc::ptr_eq(&self.disk, disk) {
            return Ok(self);
        }
        let source = self.source()?;
        let mut copy = SnapshotReceiver::create(disk.clone(), self.index, source.length_bytes())?;
        let mut chunk = vec![0; BLOCK_BYTES];
        while copy.received_bytes() < source.length_bytes() {
            let offset = copy.received_bytes();
            let bytes = source.read_at(offset, &mut chunk)?;
            copy.write_at(offset, chunk.get(..bytes).unwrap_or_default())?;
        }
        Ok(StoredSnapshot::received(copy.check(|| Ok(()))?))
    }
}
