//! The identity of a member: a node name plus an incarnation, stored with the data.
//!
//! The Raft id belongs to the incarnation. It is drawn at random when the data folder is made and
//! lost with it, so a node that comes back without its data cannot vote under its previous id.
//! `folder` says which files hold the identity, and when it counts.

use serde::{Deserialize, Serialize};
use std::sync::Arc;

use crate::{Error, Result};
use ram_log::{Disk, read_checked, write_checked};
pub use ram_net::ClusterId;
use ram_store::codec;

/// The identity of the member in the folder.
pub(super) const MEMBER: &str = "member";
/// The identity of one that is about to enter: see `folder`.
pub(super) const JOINING: &str = "joining";
/// The identity of one that is about to leave.
pub(super) const ERASING: &str = "erasing";
/// The identity of one that was removed, and is about to be moved aside: see `aside`.
pub(super) const REMOVING: &str = "removing";

/// How a [`ClusterId`] is encoded: the crate that has the type knows no serde.
#[derive(Serialize, Deserialize)]
#[serde(remote = "ClusterId")]
pub(super) struct EncodedClusterId([u8; 16]);

/// A random number: not 0, and within what Erlang keeps in one word.
pub(super) fn draw() -> Result<u64> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(Error::failed)?;
    Ok((u64::from_le_bytes(bytes) >> 5).max(1))
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    #[serde(with = "EncodedClusterId")]
    pub cluster: ClusterId,
    /// The Raft id of this incarnation.
    pub id: u64,
    pub name: String,
    /// The port it listened on last.
    pub port: u16,
    /// The folder was made for this member, and goes with it.
    pub made_folder: bool,
}

impl Identity {
    pub fn new(cluster: ClusterId, name: &str, made_folder: bool) -> Result<Identity> {
        Ok(Identity { cluster, id: draw()?, name: name.into(), port: 0, made_folder })
    }

    pub(super) fn load(disk: &Arc<dyn Disk>, file: &str) -> Result<Identity> {
        let unreadable = |error: String| Error::Unreadable(format!("{}: {error}", disk.path()));
        let bytes = read_checked(disk.as_ref(), file).map_err(|e| unreadable(e.to_string()))?;
        let bytes = bytes.ok_or_else(|| unreadable(format!("{file} is gone")))?;
        codec::decode("identity", &bytes).map_err(|error| unreadable(error.to_string()))
    }

    pub(super) fn save(&self, disk: &Arc<dyn Disk>, file: &str) -> Result<()> {
        write_checked(disk.as_ref(), file, &codec::encode(self)).map_err(Error::failed)
    }
}
