//! The route to the leader: this member itself, or another over the network.
//!
//! A request goes to the current leader. When the leader changes while it is in flight, it goes to
//! the new one. So every request that passes here may be executed twice: a group of commands has
//! its stamp for that; a read index and a membership change are idempotent.

use bytes::Bytes;
use serde::de::DeserializeOwned;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::{Error, Result};
use ram_net::{Net, NetError, PeerId};
use ram_raft::Raft;
use ram_raft::leader;
use ram_raft::members::Members;
use ram_raft::rpc::{self, Answer, MemberChange, Refusal};
use ram_raft::turns::{TurnRequest, Turns};
use ram_raft::types::Member;
use ram_sabotage::{Fault, armed};
use ram_store::answer::Outcome;
use ram_store::codec;
use ram_store::proposed::Hint;

/// After a refusal: short at first, since a fresh leader refuses until it has heard from a
/// majority.
const RETRY_DELAY_MIN: Duration = Duration::from_millis(1);
const RETRY_DELAY_MAX: Duration = Duration::from_millis(10);

/// Why there is no answer.
enum Missed {
    /// `may_be_done`: by an attempt before the one that was refused.
    Refused { refusal: Refusal, may_be_done: bool },
    /// It may be done.
    Late,
    /// It may be done; this member is stopping.
    Stopped,
}

#[derive(Clone)]
pub struct Route {
    raft: Raft,
    net: Arc<Net>,
    leader: watch::Receiver<Option<u64>>,
    members: Members,
    turns: Turns,
}

impl Route {
    /// `turns`: those that this member gives when it leads.
    pub fn new(
        raft: Raft,
        net: Arc<Net>,
        leader: watch::Receiver<Option<u64>>,
        members: Members,
        turns: Turns,
    ) -> Self {
        Route { raft, net, leader, members, turns }
    }

    /// `Timeout`: no answer came in time, or this member is stopping; whether it is done is
    /// not known. `Refused`: the leader will not have it, ever.
    pub async fn propose(&self, proposal: Bytes, deadline: Instant) -> Result<Outcome> {
        let (raft, turns) = (&self.raft, &self.turns);
        let own = || {
            let proposal = proposal.clone();
            async move { leader::propose(raft, turns, *raft.node_id(), proposal).await }
        };
        match self.reach(rpc::PROPOSE, &proposal, own, deadline).await {
            Ok(outcome) => Ok(outcome),
            Err(Missed::Refused { refusal: Refusal::Unfit(reason), .. }) => {
                Err(Error::Refused(reason))
            }
            Err(_) => Err(Error::Timeout),
        }
    }

    /// Asks the leader of now, once: whoever gets no turn does without.
    pub async fn turn(&self, request: TurnRequest, deadline: Instant) -> Option<Hint> {
        let (leader, own) = (*self.leader.borrow(), *self.raft.node_id());
        let answer: Answer<Option<Hint>> = match leader? {
            id if id == own => leader::turn(&self.raft, &self.turns, own, request).await,
            id => {
                let body = Bytes::from(codec::encode(&request));
                self.ask(PeerId(id), rpc::TURN, body, deadline).await
            }
        };
        answer.ok().flatten()
    }

    pub async fn read_index(&self, deadline: Instant) -> Option<u64> {
        if armed(Fault::ReadWithoutIndex) {
            return Some(0);
        }
        let own = || leader::read_index(&self.raft);
        self.reach(rpc::READ_INDEX, &Bytes::new(), own, deadline).await.ok()
    }

    pub async fn change_member(&self, change: MemberChange, deadline: Instant) -> Result<()> {
        let body = Bytes::from(codec::encode(&change));
        let own = || self.members.change(change.clone());
        let name = || change.name().to_owned();
        match self.reach(rpc::CHANGE_MEMBER, &body, own, deadline).await {
            Ok(()) => Ok(()),
            Err(Missed::Late) => Err(Error::Timeout),
            Err(Missed::Stopped) => Err(Error::Stopped),
            Err(Missed::Refused { refusal, may_be_done }) => match refusal {
                // An attempt whose answer was lost has removed it.
                Refusal::UnknownMember if may_be_done => Ok(()),
                Refusal::UnknownMember => Err(Error::UnknownMember(name())),
                Refusal::LastMember => Err(Error::LastMember(name())),
                Refusal::Removed => Err(Error::Removed(name())),
                Refusal::NotReached { member: Member { name, address, .. }, cause } => {
                    Err(Error::NotReached { name, address, cause })
                }
                Refusal::NotCaughtUp { member: Member { name, address, .. }, why } => {
                    Err(Error::NotCaughtUp { name, address, why })
                }
                Refusal::NotLeader
                | Refusal::Unknown
                | Refusal::Busy
                | Refusal::Unfit(_)
                | Refusal::Stopped(_) => Err(Error::Stopped),
            },
        }
    }

    /// Tries until there is an answer or the time is over.
    async fn reach<T, F>(
        &self,
        kind: u8,
        body: &Bytes,
        own: impl Fn() -> F,
        deadline: Instant,
    ) -> std::result::Result<T, Missed>
    where
        T: DeserializeOwned,
        F: Future<Output = Answer<T>>,
    {
        let mut leader = self.leader.clone();
        let mut delay = RETRY_DELAY_MIN;
        let mut may_be_done = false;
        loop {
            let now = *leader.borrow_and_update();
            let attempt = async {
                match now {
                    Some(id) if id == *self.raft.node_id() => own().await,
                    Some(id) => self.ask(PeerId(id), kind, body.clone(), deadline).await,
                    None => std::future::pending().await,
                }
            };
            let answer = tokio::select! {
                biased;
                answer = attempt => answer,
                // The one that was asked may have done it all the same: see above.
                changed = leader.changed() => {
                    changed.map_err(|_| Missed::Stopped)?;
                    may_be_done |= now.is_some();
                    continue;
                }
                () = tokio::time::sleep_until(deadline) => return Err(Missed::Late),
            };
            match answer {
                Ok(answer) => return Ok(answer),
                Err(refusal) if refusal.is_final() => {
                    return Err(Missed::Refused { refusal, may_be_done });
                }
                Err(refusal) => may_be_done |= refusal == Refusal::Unknown,
            }
            tokio::select! {
                changed = leader.changed() => {
                    changed.map_err(|_| Missed::Stopped)?;
                    delay = RETRY_DELAY_MIN;
                }
                () = tokio::time::sleep(delay) => delay = (2 * delay).min(RETRY_DELAY_MAX),
            }
            if Instant::now() >= deadline {
                return Err(Missed::Late);
            }
        }
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        peer: PeerId,
        kind: u8,
        body: Bytes,
        deadline: Instant,
    ) -> Answer<T> {
        let timeout = deadline.saturating_duration_since(Instant::now());
        match self.net.call(peer, kind, body, timeout).await {
            Ok(reply) => codec::decode::<Answer<T>>("answer of the leader", &reply)
                .unwrap_or_else(|error| Err(Refusal::Stopped(error.to_string()))),
            Err(NetError::Timeout { .. } | NetError::Broken { .. }) => Err(Refusal::Unknown),
            Err(_) => Err(Refusal::NotLeader),
        }
    }
}
