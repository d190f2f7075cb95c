//! The sizes that every member accepts, whatever it is set to: constants of the formats.
//!
//! All follow from one, [`PROPOSAL_BYTES_MAX`]: what carries a proposal (a log record, a frame, a
//! block of a snapshot) has room for the largest and for what stands around it. What the callers of
//! a node may write, and what it packs together, are settings of that node; `config` checks them
//! against what is here. So no member's safety rests on another one's settings: whatever one of
//! them may write, all can store, send, apply and put into a snapshot.

#![forbid(unsafe_code)]
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// The longest proposal, which is one log entry. A member holds it in memory as a whole, several
/// times for moments (frame, record, table), so more would make one put cost gigabytes. Lengths in
/// files and frames have 32 bits, which is far above.
pub const PROPOSAL_BYTES_MAX: usize = 256 * MIB;

/// Writes of callers in one group: a session remembers an answer for each.
pub const GROUP_WRITES_MAX: usize = 4096;

/// All commands of one group: what is left of a proposal beside its stamp and a count for each
/// write.
pub const COMMANDS_BYTES_MAX: usize = PROPOSAL_BYTES_MAX - 32 * KIB;

/// What a command takes besides its key and value: its kind, two lengths, a revision.
pub const COMMAND_OVERHEAD_BYTES: usize = 32;

/// The conditions of a transaction, its commands, and those for when a condition does not hold,
/// each. A member decides and runs them in one go.
pub const TRANSACTION_PARTS_MAX: usize = 4096;

/// The entries of the ranges that one transaction expects to be unchanged, together: all are looked
/// at before it is run.
pub const RANGE_ENTRIES_MAX: usize = 64 * KIB;

/// What the values are allowed to cost that one transaction compares, all together: a step is a
/// term that has to be looked at, or [`COMPARED_STEP_BYTES`] of a value that have to be copied. A
/// member decides a transaction in one go; so many steps take it some hundredths of a second.
pub const COMPARED_STEPS_MAX: usize = 128 * KIB;

/// Copying them takes about as long as looking at a term.
pub const COMPARED_STEP_BYTES: usize = 512;

/// The longest value that is counted. The longest integer of Erlang has half of that.
pub const NUMBER_BYTES_MAX: usize = MIB;

/// The results of one transaction, together, unless it has a single one.
pub const RESULTS_BYTES_MAX: usize = 64 * MIB;

/// What has no bound of its own in the answers of one group (results, names), together, unless it
/// is that of a single answer.
pub const ANSWER_VALUES_BYTES_MAX: usize = MIB;

/// The longest value that is handed over with a turn at a contended key: a leader keeps one for
/// each such key. Larger ones are updated without turns.
pub const TURN_VALUE_BYTES_MAX: usize = 16 * KIB;

/// The name of a table. Erlang's atoms have 255 characters of 4 bytes at most.
pub const TABLE_NAME_BYTES_MAX: usize = 1020;

/// All tables, with the default one.
pub const TABLES_MAX: usize = 1024;

/// What stands around a proposal in a record, and once more in a frame.
const ENVELOPE_BYTES: usize = 64 * KIB;

/// The longest record of the log.
pub const RECORD_BYTES_MAX: usize = PROPOSAL_BYTES_MAX + ENVELOPE_BYTES;

/// The longest named value of the log: a vote, a log id.
pub const NAMED_VALUE_BYTES_MAX: usize = 64 * KIB;

/// The longest body of a frame.
pub const FRAME_BYTES_MAX: usize = RECORD_BYTES_MAX + ENVELOPE_BYTES;

/// The large frames of all members that a member receives at once. Beyond that their connections
/// are not read.
pub const RECEIVING_BYTES_MAX: usize = 2 * FRAME_BYTES_MAX;

/// The same for all unknown peers: proven, and in no configuration known here. One of them may be a
/// leader that this member has not heard of, so the largest frame fits.
pub const UNKNOWN_PEERS_RECEIVING_BYTES_MAX: usize = FRAME_BYTES_MAX;

/// Unknown peers that are connected at once. A new member knows nobody, so the members of a new
/// cluster are unknown peers to each other for a moment.
pub const UNKNOWN_PEERS_MAX: usize = 64;

/// Log entries that are read, or sent in one message, together; a longer entry goes alone.
pub const PACK_BYTES_MAX: usize = 4 * MIB;

/// A chunk of a snapshot on its way to another member.
pub const CHUNK_BYTES_MAX: usize = MIB;

/// A block of a snapshot or a backup is full with so many bytes; a longer entry has its own.
pub const BLOCK_BYTES: usize = 256 * KIB;

/// The longest block: one that was almost full when the largest entry came.
pub const BLOCK_BYTES_MAX: usize = BLOCK_BYTES + RECORD_BYTES_MAX;

/// What one decoding may claim. Lists of small things take more in memory than in a block.
pub const DECODED_BYTES_MAX: usize = BLOCK_BYTES_MAX + 16 * MIB;

/// No number among the settings is above this, so that no arithmetic on them overflows.
pub const SETTING_MAX: u64 = 1 << 53;

/// No term, log index or revision is above this, so that counting one on never overflows. One a
/// millisecond reaches it in 285,000 years; what claims to be beyond it is damaged, or a lie.
pub const COUNTER_MAX: u64 = 1 << 53;

/// The longest time to live: ten years.
pub const TTL_MS_MAX: u64 = 10 * 365 * 24 * 3_600_000;

/// The longest owner of a key: the name of a process has that of its node.
pub const OWNER_BYTES_MAX: usize = 2 * KIB;

/// How the names of tables begin that belong to ram itself, and not to its users.
pub const OWN_TABLES: &str = "$ram_";

/// The least that a node may be told to pack into a message.
pub const FRAME_BYTES_MIN: usize = 64 * KIB;

const _: () = assert!(PACK_BYTES_MAX + ENVELOPE_BYTES < FRAME_BYTES_MAX);
const _: () = assert!(FRAME_BYTES_MAX < u32::MAX as usize);
const _: () = assert!(BLOCK_BYTES_MAX < u32::MAX as usize);
// An answer takes 24 bytes at most beside its results and names. A single result may be the largest
// value.
const _: () = assert!(RESULTS_BYTES_MAX + 24 * GROUP_WRITES_MAX < FRAME_BYTES_MAX);
const _: () = assert!(COMMANDS_BYTES_MAX + 64 + 24 * GROUP_WRITES_MAX < FRAME_BYTES_MAX);
const _: () = assert!(ANSWER_VALUES_BYTES_MAX <= RESULTS_BYTES_MAX);
