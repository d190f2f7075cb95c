//! Renews this member's read lease: asks the leader for one, and again before it is over.

use bytes::Bytes;
use openraft::async_runtime::WatchReceiver;
use tokio::sync::watch;

use crate::Raft;
use crate::leader;
use crate::replica::Replica;
use crate::rpc;
use ram_lease::Reads;
use ram_lease::grants::{Ask, Grant, Refused};
use ram_lease::lease::NoLeaseReason;
use ram_net::{Net, PeerId};
use ram_store::codec;

/// So many times a lease is asked for while it lasts: one answer, or two, may be lost.
const ASKED_IN_A_LEASE: u32 = 3;

/// Asks as long as the member runs, and at once when another leads: also while a former leader owes
/// an answer. The time between two requests does not grow with the time an answer takes.
pub async fn renew(replica: Replica, mut leader: watch::Receiver<Option<u64>>) {
    let Replica { raft, net, reads, .. } = replica;
    let every = reads.timeouts.lease / ASKED_IN_A_LEASE;
    loop {
        let next = tokio::time::sleep(every);
        let round = async {
            if let Err(cause) = ask(&raft, &net, &reads).await {
                reads.lease.not_granted(cause);
            }
            next.await;
        };
        tokio::select! {
            () = round => {}
            changed = leader.changed() => if changed.is_err() { return },
        }
    }
}

async fn ask(raft: &Raft, net: &Net, reads: &Reads) -> Result<(), NoLeaseReason> {
    let (leader, term) = {
        let metrics = raft.metrics();
        let metrics = metrics.borrow_watched();
        (metrics.current_leader.ok_or(NoLeaseReason::NoLeader)?, metrics.current_term)
    };
    let ticket = reads.lease.ask(reads.clock.now(), term);
    let ask = Ask { id: reads.own, term, renews: ticket.renews };
    let granted: Result<Grant, Refused> = if leader == reads.own {
        leader::grant_lease(raft, reads, &ask)
    } else {
        let body = Bytes::from(codec::encode(&ask));
        let answer = net.call(PeerId(leader), rpc::LEASE, body, reads.timeouts.lease).await;
        let answer = answer.map_err(|_| NoLeaseReason::NoAnswer)?;
        // Another version, or a member that is starting.
        codec::decode("answer to a request for a lease", &answer)
            .map_err(|_| NoLeaseReason::NoAnswer)?
    };
    let grant = granted.map_err(NoLeaseReason::Refused)?;
    // Dropped meanwhile: that cause is the newer one.
    reads.lease.take(ticket, &grant);
    Ok(())
}
