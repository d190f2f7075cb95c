//! Is a recorded history linearizable? The judge of the torture runs and of the simulator.
//!
//! What changes several keys at once has judges of its own, as [`Calls`]: [`accounts`] asks whether
//! reads of a bank see it whole, [`lists`] whether transactions are strictly serializable. So has
//! what goes by itself, [`expiry`], what has an owner, [`locks`] and [`names`], and what is told
//! unasked, [`watches`]. The rest is about operations on one key.
//!
//! The object is a map of registers. Linearizability is local (Herlihy and Wing, "Linearizability:
//! a correctness condition for concurrent objects", 1990, theorem 1), so every key is judged
//! alone: a register that is absent or holds a value, and an order of its operations in which each
//! has its recorded outcome and none stands before one that had returned before it was called.
//!
//! An operation with a known outcome must be in the order. One that is [`Outcome::Unknown`] may
//! stand anywhere after its call, or nowhere; its return bounds nothing. One that
//! [`Outcome::Failed`] did not happen. A read whose answer is unknown says nothing and is dropped.
//!
//! The road: [`History`] is recorded by the simulator or read by [`files`]; `problem` makes of one
//! key what is to be ordered; `search` orders it (Wing and Gong 1993 with Lowe's memo, 2017);
//! `explain` makes a refusal small enough to be understood; [`report`] draws it.
//!
//! A verdict is never a guess: [`Verdict::Linearizable`] carries the order it found, a violation
//! means that all orders were refuted, and a search that ends with its [`Budget`] is
//! [`Verdict::Undecided`]. There is no randomness; without a time limit the verdict depends on the
//! history and the budget alone.

pub mod accounts;
mod budget;
mod calls;
mod check;
pub mod expiry;
mod explain;
pub mod files;
mod history;
pub mod lists;
pub mod locks;
mod losses;
pub mod names;
mod problem;
pub mod report;
mod search;
pub mod watches;
mod words;

pub use budget::Budget;
pub use calls::{Call, CallId, Calls, Request, Told};
pub use check::{Verdict, check};
pub use explain::Violation;
pub use history::{
    Action, History, Malformed, Op, OpId, Outcome, Record, Ties, Value, parse_state, show_state,
};
