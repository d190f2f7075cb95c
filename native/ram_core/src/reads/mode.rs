//! What a reader asks for: who may answer, and how new the answer is.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadMode {
    /// What the asked node has, at once. It may be old, and it is there without a majority too.
    Local,
    /// Linearizable, by a round of messages with a quorum.
    Quorum,
}
