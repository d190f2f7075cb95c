//! A snapshot on its way to another member: see `incoming` for what is done with it there.

use bytes::Bytes;
use openraft::StorageError;
use openraft::errors::{ErrorSource, NetworkError, StreamingError};
use openraft::raft::SnapshotResponse;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::super::rpc::{self, SnapshotChunk, SnapshotProgress};
use super::super::rpc_error::believe;
use super::super::types::{TypeConfig, Vote};
use super::{Peer, Snapshot};
use ram_log::DiskError;

/// For one chunk, and for the installation after the last.
const PIECE_TIMEOUT: Duration = Duration::from_secs(60);

impl Peer {
    /// Sends the file chunk by chunk. The receiver says where to go on, so what it has of the same
    /// snapshot from a connection that broke is not sent again.
    pub(super) async fn send_snapshot(
        &self,
        vote: Vote,
        snapshot: Snapshot,
    ) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
        let file = snapshot.snapshot.clone();
        let source = self.transfer.run(move || Ok(Arc::new(file.source()?))).await;
        let unsent = |error: io::Error| unsent(&error, self.transfer.is_closing());
        let source = source.map_err(unsent)?;
        let file_bytes = source.length_bytes();
        let (mut offset, mut chunk) = (0, Bytes::new());
        loop {
            let meta = snapshot.meta.clone();
            let request = SnapshotChunk { vote, meta, file_bytes, offset, chunk };
            let progress = self.ask(rpc::SNAPSHOT, &request, PIECE_TIMEOUT).await?;
            match progress {
                SnapshotProgress::Done { vote } => {
                    believe(&self.terms, self.peer, &vote)?;
                    return Ok(SnapshotResponse::new(vote));
                }
                SnapshotProgress::Continue { offset: next } => offset = next,
            }
            let (source, bytes) = (source.clone(), self.chunk_bytes);
            let read = self.transfer.run(move || Ok(read_piece(&source, offset, bytes)?)).await;
            chunk = read.map_err(unsent)?;
        }
    }
}

/// A file that is gone has a newer one in its place: openraft asks for that when it tries again. A
/// member that stops has not failed.
fn unsent(error: &io::Error, is_stopping: bool) -> StreamingError<TypeConfig> {
    if error.kind() == io::ErrorKind::NotFound || is_stopping {
        return StreamingError::Network(NetworkError::new(error));
    }
    StreamingError::StorageError(StorageError::read_snapshot(
        None,
        openraft::impls::BoxedErrorSource::from_error(error),
    ))
}

fn read_piece(
    source: &ram_log::SnapshotSource,
    offset: u64,
    bytes: usize,
) -> Result<Bytes, DiskError> {
    let mut chunk = vec![0; bytes];
    let bytes = source.read_at(offset, &mut chunk)?;
    chunk.truncate(bytes);
    Ok(Bytes::from(chunk))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ram_log::StoredSnapshot;

    /// A leader stopped when it began to send a snapshot while the next one took its place.
    #[test]
    fn a_snapshot_that_gave_way_to_a_newer_one_is_tried_again_and_no_failure_of_the_disk() {
        let disk = Arc::new(ram_log::MemoryDisk::default());
        let gone = io::Error::from(StoredSnapshot::at(disk, 7).source().err().unwrap());
        assert!(matches!(unsent(&gone, false), StreamingError::Network(_)), "{gone}");
        let broken = io::Error::other("broken");
        assert!(matches!(unsent(&broken, false), StreamingError::StorageError(_)));
        assert!(matches!(unsent(&broken, true), StreamingError::Network(_)));
    }
}
