//! The way to the leader: this member itself, or another over the network.
//!
//! A request is given to whoever leads now. When the lead changes while it is on the way it is
//! given to the new leader, so all that passes here must bear being done twice: a group of commands
//! is (its stamp), a read index and a membership change are by nature.

use bytes::Bytes;
use serde::de::DeserializeOwned;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::codec;
use crate::net::{Net, NetError, PeerId};
use crate::raft::leader;
use crate::raft::rpc::{self, Answer, MemberChange, Refusal};
use crate::raft::types::Raft;
use crate::reads::Reads;
use crate::sabotage::{self, Fault};
use crate::store::command::Outcome;
use crate::{Error, Result};

/// After a refusal: short at first, since a fresh leader refuses until it has heard from a
/// majority.
const RETRY_DELAY_MIN: Duration = Duration::from_millis(1);
const RETRY_DELAY_MAX: Duration = Duration::from_millis(10);

#[derive(Clone)]
pub struct Route {
    raft: Raft,
    net: Arc<Net>,
    leader: watch::Receiver<Option<u64>>,
    reads: Reads,
}

impl Route {
    pub fn new(
        raft: Raft,
        net: Arc<Net>,
        leader: watch::Receiver<Option<u64>>,
        reads: Reads,
    ) -> Self {
        Route { raft, net, leader, reads }
    }

    /// `Timeout`: no answer came in time, or this member is stopping; whether it is done is not
    /// known. `Refused`: the leader will not have it, ever.
    pub async fn propose(&self, proposal: Bytes, deadline: Instant) -> Result<Outcome> {
        let raft = &self.raft;
        let own = || {
            let proposal = proposal.clone();
            async move { leader::propose(raft, proposal).await }
        };
        match self.reach(rpc::PROPOSE, &proposal, own, deadline).await {
            Ok(Some(outcome)) => Ok(outcome),
            Err(Refusal::Unfit(reason)) => Err(Error::Refused(reason)),
            Ok(None) | Err(_) => Err(Error::Timeout),
        }
    }

    pub async fn read_index(&self, deadline: Instant) -> Option<u64> {
        if sabotage::armed(Fault::ReadWithoutIndex) {
            return Some(0);
        }
        let own = || leader::read_index(&self.raft);
        self.reach(rpc::READ_INDEX, &Bytes::new(), own, deadline).await.ok().flatten()
    }

    pub async fn change_member(&self, change: MemberChange, deadline: Instant) -> Result<()> {
        let body = Bytes::from(codec::encode(&change));
        let own = || leader::change_member(&self.raft, &self.reads, change.clone());
        let name = match &change {
            MemberChange::Add { member, .. } => member.name.clone(),
            MemberChange::Remove { name } => name.clone(),
        };
        match self.reach(rpc::CHANGE_MEMBER, &body, own, deadline).await {
            Ok(Some(())) => Ok(()),
            Ok(None) => Err(Error::Timeout),
            Err(Refusal::UnknownMember) => Err(Error::UnknownMember(name)),
            Err(Refusal::LastMember) => Err(Error::LastMember(name)),
            Err(_) => Err(Error::Stopped),
        }
    }

    /// Tries until there is an answer or the time is over.
    async fn reach<T, F>(
        &self,
        kind: u8,
        body: &Bytes,
        own: impl Fn() -> F,
        deadline: Instant,
    ) -> Answer<Option<T>>
    where
        T: DeserializeOwned,
        F: Future<Output = Answer<T>>,
    {
        let mut leader = self.leader.clone();
        let mut delay = RETRY_DELAY_MIN;
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
                changed = leader.changed() => match changed {
                    Ok(()) => continue,
                    Err(_) => return Err(Refusal::Stopped(String::new())),
                },
                () = tokio::time::sleep_until(deadline) => return Ok(None),
            };
            match answer {
                Ok(answer) => return Ok(Some(answer)),
                Err(
                    refused @ (Refusal::UnknownMember | Refusal::LastMember | Refusal::Unfit(_)),
                ) => return Err(refused),
                Err(_) => {}
            }
            tokio::select! {
                changed = leader.changed() => match changed {
                    Ok(()) => delay = RETRY_DELAY_MIN,
                    Err(_) => return Err(Refusal::Stopped(String::new())),
                },
                () = tokio::time::sleep(delay) => delay = (2 * delay).min(RETRY_DELAY_MAX),
            }
            if Instant::now() >= deadline {
                return Ok(None);
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
