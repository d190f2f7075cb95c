//! Owners of keys, as callers name them: a process or a node, of this node or another. An owner
//! belongs to a run of the member of its node ([`ram_raft::ownership`]), which only that one knows.

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::handle::{Handle, enqueue};
use crate::{Error, Reply, Result};
use ram_net::PeerId;
pub use ram_raft::ownership::{Ended, Processes};
use ram_raft::replica::Replica;
use ram_raft::rounds::Pulse;
use ram_raft::rpc;
use ram_store::codec;
use ram_store::write::Owner;

/// On the way at once. More wait in their queue.
const REQUESTS_MAX: usize = 256;

/// Asks which run of a member this is.
pub(crate) struct Request {
    node: String,
    name: Vec<u8>,
    deadline: Instant,
    reply: Reply<Vec<u8>>,
}

impl Handle {
    /// Who of this node owns keys is told to these, and they tell when it has ended.
    pub fn host(&self, processes: Arc<dyn Processes>) {
        self.applied.owners().host(processes);
    }

    /// An owner of this node, as it is stored.
    pub fn owner_here(&self, name: &[u8]) -> Vec<u8> {
        let own = self.applied.owners().own();
        Owner { member: own.member, run: own.run, name }.encode()
    }

    /// Calls `reply` with an owner of this node or another. `UnknownMember`: it is not in the
    /// cluster; `Timeout`: it did not answer.
    pub fn owner(
        &self,
        node: String,
        name: Vec<u8>,
        deadline: std::time::Instant,
        reply: Reply<Vec<u8>>,
    ) -> Result<()> {
        let request = Request { node, name, deadline: deadline.into(), reply };
        enqueue(&self.owners, request)
    }
}

/// Asks until the queue is closed.
pub(crate) async fn serve(mut queue: mpsc::Receiver<Request>, replica: Replica) {
    let mut on_the_way = FuturesUnordered::new();
    loop {
        tokio::select! {
            Some(()) = on_the_way.next(), if !on_the_way.is_empty() => {}
            request = queue.recv(), if on_the_way.len() < REQUESTS_MAX => match request {
                Some(request) => on_the_way.push(answer(&replica, request)),
                None => return,
            },
        }
    }
}

async fn answer(replica: &Replica, request: Request) {
    let Request { node, name, deadline, reply } = request;
    let found = find(replica, &node, &name, deadline).await;
    reply(found);
}

async fn find(replica: &Replica, node: &str, name: &[u8], deadline: Instant) -> Result<Vec<u8>> {
    let members = replica.applied.membership();
    let member = members.nodes().find(|(_, member)| member.name == node).map(|(id, _)| *id);
    let member = member.ok_or_else(|| Error::UnknownMember(node.to_owned()))?;
    let own = replica.applied.owners().own();
    let run = if member == own.member {
        own.run
    } else {
        let limit = deadline.saturating_duration_since(Instant::now());
        let answer = replica.net.call(PeerId(member), rpc::PULSE, Bytes::new(), limit).await;
        let answer = answer.map_err(|_| Error::Timeout)?;
        let pulse = codec::decode::<std::result::Result<Pulse, String>>("pulse", &answer);
        pulse.map_err(|_| Error::Timeout)?.map_err(|_| Error::Timeout)?.run
    };
    Ok(Owner { member, run, name }.encode())
}
