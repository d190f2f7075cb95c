//! Settings of a member as they come from Erlang: counterpart of ram_config.erl.

use ram_core::config::{Config, Limits, Storage};
use ram_lease::mode::ReadMode;
use ram_table::tables::TableType;
use rustler::{Binary, Decoder, NifMap, NifResult, Term};
use std::path::PathBuf;
use std::time::Duration;

mod atoms {
    rustler::atoms! { lease, quorum, local, set, ordered_set }
}

/// `lease | quorum | local`
pub struct Mode(pub ReadMode);

impl<'a> Decoder<'a> for Mode {
    fn decode(term: Term<'a>) -> NifResult<Self> {
        // One comparison for most reads.
        Ok(Mode(if atoms::lease() == term {
            ReadMode::Lease
        } else if atoms::local() == term {
            ReadMode::Local
        } else if atoms::quorum() == term {
            ReadMode::Quorum
        } else {
            return Err(rustler::Error::BadArg);
        }))
    }
}

/// `set | ordered_set`
struct Type(TableType);

impl<'a> Decoder<'a> for Type {
    fn decode(term: Term<'a>) -> NifResult<Self> {
        let types = [(atoms::set(), TableType::Set), (atoms::ordered_set(), TableType::OrderedSet)];
        let named = types.iter().find(|(name, _)| *name == term);
        named.map(|(_, table_type)| Type(*table_type)).ok_or(rustler::Error::BadArg)
    }
}

/// What ram_node.erl says of a member; ram_config.erl has checked it.
#[derive(NifMap)]
#[rustler(decode)]
pub struct StartConfig<'a> {
    name: String,
    data_dir: String,
    memory: bool,
    listen_host: String,
    listen_port: u16,
    /// Empty: the listening host and port.
    advertise: String,
    cookie: Binary<'a>,
    heartbeat_ms: u64,
    election_timeout_min_ms: u64,
    election_timeout_max_ms: u64,
    reads: Mode,
    /// Of what the other times allow, when it is `nil`.
    read_lease_ms: Option<u64>,
    snapshot_every: u64,
    watch_history_bytes: u64,
    owner_timeout_ms: u64,
    /// A set, when it is `nil`.
    default_table_type: Option<Type>,
    key_bytes_max: usize,
    value_bytes_max: usize,
    batch_bytes_max: usize,
    queue_bytes_max: usize,
    queue_requests_max: usize,
    frame_bytes_max: usize,
}

impl StartConfig<'_> {
    pub fn config(&self) -> Config {
        Config {
            name: self.name.clone(),
            data_dir: PathBuf::from(&self.data_dir),
            storage: if self.memory { Storage::Memory } else { Storage::Disk },
            listen_host: self.listen_host.clone(),
            listen_port: self.listen_port,
            advertise: Some(self.advertise.clone()).filter(|address| !address.is_empty()),
            cookie: self.cookie.to_vec(),
            heartbeat: Duration::from_millis(self.heartbeat_ms),
            election_timeout_min: Duration::from_millis(self.election_timeout_min_ms),
            election_timeout_max: Duration::from_millis(self.election_timeout_max_ms),
            reads: self.reads.0,
            read_lease: self.read_lease_ms.map(Duration::from_millis),
            snapshot_every: self.snapshot_every,
            watch_history_bytes: self.watch_history_bytes,
            owner_timeout: Duration::from_millis(self.owner_timeout_ms),
            default_table_type: self.default_table_type.as_ref().map(|named| named.0),
            limits: Limits {
                key_bytes_max: self.key_bytes_max,
                value_bytes_max: self.value_bytes_max,
                batch_bytes_max: self.batch_bytes_max,
                queue_bytes_max: self.queue_bytes_max,
                queue_requests_max: self.queue_requests_max,
                frame_bytes_max: self.frame_bytes_max,
            },
        }
    }
}
