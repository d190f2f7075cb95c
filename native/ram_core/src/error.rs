//! The one error type of the core, sorted by what the caller may do about it.
//!
//! - *refused*: the call is wrong as it stands; fix it. Nothing happened.
//! - *retry*: nothing happened; the same call may succeed later.
//! - *unknown*: the operation may have happened, or may still happen.
//! - *broken*: this member has stopped; the reason says what to do.

use thiserror::Error;

use ram_store::answer::Failure;

pub type Result<T> = std::result::Result<T, Error>;

#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Error {
    // --- refused ---
    #[error("configuration key {key}: {reason}")]
    Config { key: String, reason: String },
    #[error("the value has {bytes} bytes, the limit value_bytes_max is {bytes_max}")]
    ValueTooLarge { bytes: usize, bytes_max: usize },
    #[error("the key takes more bytes than the limit key_bytes_max, {bytes_max}")]
    KeyTooLarge { bytes_max: usize },
    #[error("the batch takes more bytes than the largest key and value may, {bytes_max}")]
    BatchTooLarge { bytes_max: usize },
    #[error("the leader refused the write: {0}")]
    Refused(String),
    #[error("{0} is not a member of the cluster")]
    UnknownMember(String),
    #[error("{0} is the last member; stop_cluster ends a cluster")]
    LastMember(String),
    #[error("this incarnation of {0} was removed")]
    Removed(String),
    #[error("{name} does not answer at {address}: {cause}")]
    NotReached { name: String, address: String, cause: String },
    #[error("{name} at {address} was not added: {why}")]
    NotCaughtUp { name: String, address: String, why: String },
    #[error("the data belongs to another cluster")]
    OtherCluster,
    #[error("the member has entries in its log")]
    Joined,
    #[error("{0}")]
    File(String),
    #[error("the cluster holds entries; a backup is restored into an empty one")]
    NotEmpty,
    #[error("the history of changes begins at revision {oldest}")]
    Compacted { oldest: u64 },
    #[error(transparent)]
    Unfit(#[from] Failure),

    // --- retry ---
    #[error("too many requests are waiting on this node")]
    Overloaded,

    // --- unknown ---
    #[error("no answer came in time")]
    Timeout,
    #[error("{restored} of {total} entries were restored; then: {cause}")]
    Partly { restored: u64, total: u64, cause: Box<Error> },

    // --- broken ---
    #[error("{0}")]
    Unreadable(String),
    #[error("{0}")]
    InUse(String),
    #[error("{0}")]
    NotErased(String),
    #[error("this node runs no member")]
    Stopped,
    #[error("the member stopped: {0}")]
    Failed(String),
}

impl From<ram_lease::Unserved> for Error {
    fn from(why: ram_lease::Unserved) -> Error {
        match why {
            ram_lease::Unserved::Timeout => Error::Timeout,
            ram_lease::Unserved::Stopped => Error::Stopped,
        }
    }
}

impl From<ram_table::table::Revoked> for Error {
    fn from(why: ram_table::table::Revoked) -> Error {
        Error::File(why.to_string())
    }
}

impl Error {
    pub fn failed(cause: impl ToString) -> Error {
        Error::Failed(cause.to_string())
    }
}
