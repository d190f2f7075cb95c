//! Requests of this node's callers for turns at contended keys: see [`ram_raft::turns`]. Each asks
//! the leader once, beside the others; who gets no turn does without.

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::route::Route;
use crate::{Error, Reply};
use ram_raft::turns::TurnRequest;
use ram_store::proposed::Hint;

/// On the way at once. More wait in their queue.
const REQUESTS_MAX: usize = 256;

pub(crate) struct Request {
    pub request: TurnRequest,
    pub deadline: Instant,
    /// `Timeout`: there is no turn, at least not now.
    pub reply: Reply<Hint>,
}

/// Asks until the queue is closed.
pub(crate) async fn serve(mut queue: mpsc::Receiver<Request>, route: Route) {
    let mut on_the_way = FuturesUnordered::new();
    loop {
        tokio::select! {
            Some(()) = on_the_way.next(), if !on_the_way.is_empty() => {}
            request = queue.recv(), if on_the_way.len() < REQUESTS_MAX => match request {
                Some(request) => on_the_way.push(ask(&route, request)),
                None => return,
            },
        }
    }
}

async fn ask(route: &Route, Request { request, deadline, reply }: Request) {
    reply(route.turn(request, deadline).await.ok_or(Error::Timeout));
}
