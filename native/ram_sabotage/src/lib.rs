//! Faults that our tests have to catch: a check that catches nothing proves nothing.
//!
//! Compiled only with the feature `sabotage`; without it [`armed`] is a constant false and every
//! hook is compiled away. One fault at most is armed in a process: by `arm`, or by the
//! environment variable `RAM_SABOTAGE`, which holds the fault's name and is read once.

#![forbid(unsafe_code)]
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// A put or delete is answered when the leader proposes it, before it is committed.
    ReplyBeforeCommit,
    /// A member that starts again does not remember whom it voted for, and in which term.
    ForgetVote,
    /// A read is answered from the local table at once.
    ReadWithoutIndex,
    /// A group that is sent again is applied again.
    ApplyRetryTwice,
    /// A member acknowledges an entry without marking its keys.
    SkipPendingMark,
    /// The leader commits what a holder of a read lease does not know of.
    SkipCommitBarrier,
    /// A member that starts again votes at once, whatever its vote hold was.
    ForgetRestartVoteHold,
    /// The leader takes its own vote hold for that of the members that acknowledge.
    AssumeOwnVoteHold,
    /// A member that starts again keeps no longer vote hold than it would have now.
    ForgetLongestVoteHold,
    /// A new member is made a voter before it has anything.
    PromoteUnready,
    /// Whatever term a peer speaks of is taken for one.
    BelieveAnyTerm,
    /// A peer of no configuration moves the term, also while a leader is heard.
    HeedUnknownPeers,
    /// A member that one peer says was removed takes that for a removal.
    BelieveOneRemoval,
    /// A transaction puts and deletes before its conditions are looked at.
    CheckAfterWriting,
    /// A counter counts from what the counter of this key before it found.
    CountStale,
    /// Each page of a scan is of the moment at which it is read.
    MixRevisions,
    /// A follower takes a key for gone when its own clock says so.
    ExpireByOwnClock,
    /// What a leader ended in its term is gone, also when another leads by then.
    AcceptDeposedExpiry,
    /// A snapshot does not say who owns a key.
    ForgetOwner,
    /// A member tells nobody that a process of its node has ended.
    ForgetEnd,
    /// A leader takes a member for gone that leaves one question without an answer.
    EndTheSilent,
    /// A watch is not sent the change of some revisions.
    DropEvent,
    /// A watch is sent the change of some revisions twice.
    RepeatEvent,
}

#[cfg(not(feature = "sabotage"))]
#[inline(always)]
pub const fn armed(_: Fault) -> bool {
    false
}

#[cfg(not(feature = "sabotage"))]
#[derive(Debug, Default)]
pub struct Stale(());

#[cfg(not(feature = "sabotage"))]
impl Stale {
    #[inline(always)]
    pub fn instead<T>(&self, _: &[u8], current: T) -> T {
        current
    }
}

/// Something that a fault alone needs: without the feature it is not kept.
#[cfg(not(feature = "sabotage"))]
#[derive(Debug)]
pub struct Kept<T>(std::marker::PhantomData<T>);

#[cfg(not(feature = "sabotage"))]
impl<T: Clone> Kept<T> {
    #[inline(always)]
    pub fn of(_: &T) -> Kept<T> {
        Kept(std::marker::PhantomData)
    }

    #[inline(always)]
    pub fn when_armed(&self, _: Fault) -> Option<&T> {
        None
    }
}

#[cfg(feature = "sabotage")]
pub use active::{Kept, Stale, arm, armed};

#[cfg(feature = "sabotage")]
mod active {
    use super::Fault;
    use std::borrow::Cow;
    use std::collections::HashMap;
    use std::sync::{Mutex, OnceLock, PoisonError};

    static ARMED: OnceLock<Option<Fault>> = OnceLock::new();

    impl Fault {
        pub const ALL: [Fault; 23] = [
            Fault::ReplyBeforeCommit,
            Fault::ForgetVote,
            Fault::ReadWithoutIndex,
            Fault::ApplyRetryTwice,
            Fault::SkipPendingMark,
            Fault::SkipCommitBarrier,
            Fault::ForgetRestartVoteHold,
            Fault::AssumeOwnVoteHold,
            Fault::ForgetLongestVoteHold,
            Fault::PromoteUnready,
            Fault::BelieveAnyTerm,
            Fault::HeedUnknownPeers,
            Fault::BelieveOneRemoval,
            Fault::CheckAfterWriting,
            Fault::CountStale,
            Fault::MixRevisions,
            Fault::ExpireByOwnClock,
            Fault::AcceptDeposedExpiry,
            Fault::ForgetOwner,
            Fault::ForgetEnd,
            Fault::EndTheSilent,
            Fault::DropEvent,
            Fault::RepeatEvent,
        ];

        pub fn name(self) -> &'static str {
            match self {
                Fault::ReplyBeforeCommit => "reply_before_commit",
                Fault::ForgetVote => "forget_vote",
                Fault::ReadWithoutIndex => "read_without_index",
                Fault::ApplyRetryTwice => "apply_retry_twice",
                Fault::SkipPendingMark => "skip_pending_mark",
                Fault::SkipCommitBarrier => "skip_commit_barrier",
                Fault::ForgetRestartVoteHold => "forget_restart_vote_hold",
                Fault::AssumeOwnVoteHold => "assume_own_vote_hold",
                Fault::ForgetLongestVoteHold => "forget_longest_vote_hold",
                Fault::PromoteUnready => "promote_unready",
                Fault::BelieveAnyTerm => "believe_any_term",
                Fault::HeedUnknownPeers => "heed_unknown_peers",
                Fault::BelieveOneRemoval => "believe_one_removal",
                Fault::CheckAfterWriting => "check_after_writing",
                Fault::CountStale => "count_stale",
                Fault::MixRevisions => "mix_revisions",
                Fault::ExpireByOwnClock => "expire_by_own_clock",
                Fault::AcceptDeposedExpiry => "accept_deposed_expiry",
                Fault::ForgetOwner => "forget_owner",
                Fault::ForgetEnd => "forget_end",
                Fault::EndTheSilent => "end_the_silent",
                Fault::DropEvent => "drop_event",
                Fault::RepeatEvent => "repeat_event",
            }
        }

        pub fn named(name: &str) -> Option<Fault> {
            Fault::ALL.into_iter().find(|fault| fault.name() == name)
        }
    }

    /// What the counters of each key found, for [`Fault::CountStale`].
    #[derive(Debug, Default)]
    pub struct Stale(Mutex<HashMap<Vec<u8>, Option<Vec<u8>>>>);

    impl Stale {
        /// What the one before found, if the fault is armed and there was one.
        pub fn instead<'a>(
            &self,
            key: &[u8],
            current: Option<Cow<'a, [u8]>>,
        ) -> Option<Cow<'a, [u8]>> {
            if !armed(Fault::CountStale) {
                return current;
            }
            let found = current.as_deref().map(<[u8]>::to_vec);
            let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            all.insert(key.to_vec(), found).map_or(current, |stale| stale.map(Cow::Owned))
        }
    }

    #[derive(Debug)]
    pub struct Kept<T>(T);

    impl<T: Clone> Kept<T> {
        pub fn of(kept: &T) -> Kept<T> {
            Kept(kept.clone())
        }

        pub fn when_armed(&self, fault: Fault) -> Option<&T> {
            armed(fault).then_some(&self.0)
        }
    }

    pub fn armed(fault: Fault) -> bool {
        let armed = ARMED.get_or_init(|| {
            let name = std::env::var("RAM_SABOTAGE").ok()?;
            let fault = Fault::named(&name);
            tracing::error!(
                "sabotage {name}: {}",
                if fault.is_some() { "armed" } else { "unknown" }
            );
            fault
        });
        *armed == Some(fault)
    }

    /// Arms a fault for the life of the process. False when another choice was made before.
    pub fn arm(fault: Fault) -> bool {
        ARMED.set(Some(fault)).is_ok()
    }
}
