//! The identity of a member in the network: its id, its cluster, and the secret that all members
//! share. No other file is named here.

use std::fmt;
use std::sync::Arc;

use parking_lot::RwLock;

/// An Erlang node name is an atom: at most 255 characters.
pub(super) const NAME_BYTES_MAX: usize = 255;
pub(super) const ADDRESS_BYTES_MAX: usize = 255;

/// A member of the cluster, as Raft knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId(pub u64);

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The cluster a member belongs to; made once, when the cluster is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ClusterId(pub [u8; 16]);

impl fmt::Debug for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The secret that members share. It never appears in a log line. Clones are the same cookie: a
/// new one replaces it in all of them, for the handshakes that come.
#[derive(Clone)]
pub struct Cookie(Arc<RwLock<Vec<u8>>>);

impl Cookie {
    pub fn new(bytes: impl Into<Vec<u8>>) -> Cookie {
        Cookie(Arc::new(RwLock::new(bytes.into())))
    }

    /// Calls `read` with the bytes; for moments.
    pub(super) fn with<T>(&self, read: impl FnOnce(&[u8]) -> T) -> T {
        read(&self.0.read())
    }

    pub(super) fn replace(&self, bytes: Vec<u8>) {
        *self.0.write() = bytes;
    }
}

impl fmt::Debug for Cookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cookie(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cookie_is_not_printed() {
        assert!(!format!("{:?}", Cookie::new("secret")).contains("secret"));
    }
}
