//! Who a member is: a node name plus an incarnation, kept with the data.
//!
//! The Raft id belongs to the incarnation. It is drawn at random when the data folder is made and
//! dies with it, so a node that comes back without its data cannot vote under its former id.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use crate::codec;
use crate::log::{Disk, RealDisk, read_checked, write_checked};
use crate::{Error, Result};

const FILE: &str = "member";

#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterId(pub [u8; 16]);

impl fmt::Debug for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    pub cluster: ClusterId,
    /// The Raft id of this incarnation.
    pub id: u64,
    pub name: String,
    /// The port it listened on last.
    pub port: u16,
}

impl Identity {
    pub fn new(cluster: ClusterId, name: &str) -> Result<Identity> {
        let mut bytes = [0; 8];
        getrandom::fill(&mut bytes).map_err(Error::failed)?;
        // Not 0, and within what Erlang keeps in one word.
        let id = (u64::from_le_bytes(bytes) >> 5).max(1);
        Ok(Identity { cluster, id, name: name.into(), port: 0 })
    }

    pub fn load(disk: &Arc<dyn Disk>) -> Result<Option<Identity>> {
        match read_checked(disk.as_ref(), FILE).map_err(Error::failed)? {
            Some(bytes) => codec::decode("identity", &bytes).map(Some).map_err(Error::failed),
            None => Ok(None),
        }
    }

    /// What a data folder holds; makes no folder where there is none.
    pub fn peek(data_dir: &Path) -> Result<Option<Identity>> {
        if !data_dir.join(FILE).exists() {
            return Ok(None);
        }
        let disk: Arc<dyn Disk> = Arc::new(RealDisk::open(data_dir).map_err(Error::failed)?);
        Identity::load(&disk)
    }

    pub fn save(&self, disk: &Arc<dyn Disk>) -> Result<()> {
        write_checked(disk.as_ref(), FILE, &codec::encode(self)).map_err(Error::failed)
    }
}
