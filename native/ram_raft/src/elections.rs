//! The election switch: when this member may campaign. The one owner of openraft's `elect` switch.
//!
//! openraft campaigns by its timer while the switch is on, and whenever it is told to, whatever the
//! switch says. Elections are held off for more than one reason, and one may end while another goes
//! on: so the switch is on only while no [`ElectionGuard`] lives. The reasons:
//!
//! - a vote hold of before the restart, until it is over;
//! - a large append of the leader is arriving (`election_holdoff`);
//! - the saved term is the last one possible (`terms`): for good.
//!
//! A campaign after a lost connection (`failure_detector`) ignores the switch. It obeys the vote
//! hold, and so does a vote for another member ([`vote`]).

use openraft::async_runtime::WatchReceiver;
use openraft::raft::{VoteRequest, VoteResponse};
use parking_lot::Mutex;
use std::sync::Arc;

use super::terms;
use super::types::TypeConfig;
use crate::Raft;
use ram_lease::Reads;

pub(super) const VOTE_HOLD: &str = "the vote hold of this member is not over";

/// Clones share the switch.
#[derive(Clone)]
pub struct Elections {
    raft: Raft,
    reads: Reads,
    /// Guards the switch: how many hold it off.
    held: Arc<Mutex<usize>>,
}

/// While one lives openraft does not campaign by its timer.
pub struct ElectionGuard(Elections);

impl Elections {
    /// Of a raft that nothing else switches.
    pub fn of(raft: Raft, reads: Reads) -> Elections {
        Elections { raft, reads, held: Arc::default() }
    }

    pub fn hold_off(&self) -> ElectionGuard {
        let mut held = self.held.lock();
        *held += 1;
        self.raft.runtime_config().elect(false);
        ElectionGuard(self.clone())
    }

    /// Holds elections off from this call on until the vote hold of before the restart is over,
    /// as long as that is awaited.
    pub fn keep_vote_hold(&self) -> impl Future<Output = ()> + Send + use<> {
        let held = self.hold_off();
        async move { held.0.reads.vote_hold_ends().await }
    }

    /// Holds elections off as long as it is awaited, if the term cannot grow.
    pub fn keep_still(&self) -> impl Future<Output = ()> + Send + use<> {
        let term = self.raft.metrics().borrow_watched().current_term;
        let held = (!terms::may_grow(term)).then(|| {
            tracing::error!(
                "the saved vote has term {term}, which no election reaches: this member takes part \
                 in none; wipe its data and add the node again, or, if this befell a majority, \
                 ram:force_recover/1"
            );
            self.hold_off()
        });
        async move {
            if let Some(_held) = held {
                std::future::pending().await
            }
        }
    }

    /// Campaigns now, by a pre-vote, unless its vote hold goes on.
    pub async fn campaign(&self) {
        let term = self.raft.metrics().borrow_watched().current_term;
        if self.reads.may_vote() && terms::may_grow(term) {
            // Raft has stopped; then so does whoever awaits this.
            let _ = self.raft.trigger().elect(true).await;
        }
    }
}

impl Drop for ElectionGuard {
    fn drop(&mut self) {
        let elections = &self.0;
        let mut held = elections.held.lock();
        *held -= 1;
        elections.raft.runtime_config().elect(*held == 0);
    }
}

/// Votes, unless its vote hold goes on. It grants no lease meanwhile: whoever leads may be
/// asked for one while the vote waits for raft, and that would begin a vote hold.
pub async fn vote(
    raft: Raft,
    reads: Reads,
    request: VoteRequest<TypeConfig>,
) -> Result<VoteResponse<TypeConfig>, String> {
    let _no_grant = reads.barrier.pause();
    if !reads.may_vote() {
        return Err(VOTE_HOLD.into());
    }
    let answer = raft.vote(request).await.map_err(|stopped| stopped.to_string())?;
    debug_assert!(
        reads.may_vote() || !answer.vote_granted,
        "I3: no member votes within its vote hold"
    );
    Ok(answer)
}
