//! The state of one peer: its addresses, its connection, and the back-off after a failure.
//!
//! `link` connects on the first request. Requests queue while the connection is being made. When it
//! fails or breaks, all pending requests fail, and during the back-off every request fails at once
//! with the same reason. The first request after the back-off connects again. No request is retried
//! here: only the caller knows whether it may be sent twice. A new address of the peer, or a
//! connection from it, ends the back-off.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::connection::CloseReason;
use super::error::NetError;
use super::identity::PeerId;
use super::options::NetOptions;
use super::pending_requests::PendingRequests;
use super::stats::PeerStatus;
use super::unreached::{Attempts, Unreached, UnreachedCause};

pub(super) struct Peer {
    id: PeerId,
    /// Guards the decision to connect, so that there is one connection at most.
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    address: Option<String>,
    /// The address that the configuration of the cluster has.
    configured_address: Option<String>,
    /// The last attempt failed, and was made at the other address.
    is_configured_next: bool,
    /// The owner of this network gave an address, not the peer alone.
    is_address_given: bool,
    name: Option<String>,
    attempts: Attempts,
    link: Option<Link>,
    /// Attempts that failed since one succeeded.
    failures: u32,
    retry_at: Option<Instant>,
    last_error: Option<NetError>,
}

/// A connection, or the attempt at one.
struct Link {
    requests: Arc<PendingRequests>,
    connected: bool,
    /// None for the moment between the decision to connect and the task that does.
    task: Option<AbortHandle>,
}

impl Peer {
    pub fn new(id: PeerId) -> Peer {
        Peer { id, state: Mutex::default() }
    }

    pub fn id(&self) -> PeerId {
        self.id
    }

    #[cfg(test)]
    pub fn address(&self) -> Option<String> {
        self.state.lock().address.clone()
    }

    pub fn is_address_given(&self) -> bool {
        self.state.lock().is_address_given
    }

    pub fn set_address(&self, address: String, is_given: bool) {
        let mut state = self.state.lock();
        state.is_address_given |= is_given;
        if state.address.as_ref() != Some(&address) {
            state.address = Some(address);
            state.end_backoff();
        }
    }

    pub fn set_address_if_unknown(&self, address: &str) {
        let mut state = self.state.lock();
        if state.address.is_none() {
            state.address = Some(address.to_owned());
            state.is_address_given = true;
            state.end_backoff();
        }
    }

    pub fn set_configured_address(&self, address: &str) {
        self.state.lock().configured_address = Some(address.to_owned());
    }

    /// The address for the next attempt. A handshake may have given a wrong one, even on purpose:
    /// so attempts use that one and the configured one by turns.
    pub fn next_address(&self) -> Option<String> {
        let mut state = self.state.lock();
        let (noted, configured) = (state.address.clone(), state.configured_address.clone());
        let is_configured_next = state.is_configured_next;
        state.is_configured_next = !is_configured_next;
        if is_configured_next { configured.or(noted) } else { noted.or(configured) }
    }

    pub fn set_name(&self, name: &str) {
        let mut state = self.state.lock();
        if state.name.as_deref() != Some(name) {
            state.name = Some(name.to_owned());
        }
    }

    /// Called when the peer has connected to us.
    pub fn seen(&self) {
        self.state.lock().end_backoff();
    }

    /// The next attempt is made at once, and at the noted address.
    pub fn start_over(&self) {
        let mut state = self.state.lock();
        state.end_backoff();
        state.is_configured_next = false;
    }

    pub fn status(&self, accepted: bool) -> PeerStatus {
        let state = self.state.lock();
        let requests = state.link.as_ref().map(|link| &link.requests);
        PeerStatus {
            id: self.id,
            name: state.name.clone(),
            address: state.address.clone(),
            connected: state.link.as_ref().is_some_and(|link| link.connected),
            accepted,
            queued_bytes: requests.map_or(0, |requests| requests.outbox.queued_bytes()),
            in_flight: requests.map_or(0, |requests| requests.in_flight_count()),
            last_error: state.last_error.as_ref().map(NetError::to_string),
            outage: state.attempts.outage(Instant::now()),
        }
    }

    pub fn is_connected(&self) -> bool {
        self.state.lock().link.as_ref().is_some_and(|link| link.connected)
    }

    /// Why the peer was not reached within the time limit of the caller.
    pub fn late(&self) -> Unreached {
        let outage = self.state.lock().attempts.outage(Instant::now());
        let text = outage.map_or("no answer in time".to_owned(), |outage| outage.text);
        Unreached { cause: UnreachedCause::Timeout, text }
    }

    /// Ends the connection; its requests fail.
    pub fn close(&self) {
        let link = self.state.lock().link.take();
        if let Some(link) = link {
            link.requests.close(&self.unreachable(UnreachedCause::Closed, &CloseReason::Here));
            if let Some(task) = link.task {
                task.abort();
            }
        }
    }

    /// The pending requests of the connection, and whether it still has to be made.
    pub fn pending_requests(
        &self,
        options: &NetOptions,
    ) -> Result<(Arc<PendingRequests>, bool), NetError> {
        let mut state = self.state.lock();
        if let Some(link) = &state.link {
            return Ok((Arc::clone(&link.requests), false));
        }
        if state.retry_at.is_some_and(|retry_at| Instant::now() < retry_at)
            && let Some(error) = &state.last_error
        {
            return Err(error.clone());
        }
        let requests = Arc::new(PendingRequests::new(self.id, options.peer_queue_bytes_max));
        state.link = Some(Link { requests: Arc::clone(&requests), connected: false, task: None });
        Ok((requests, true))
    }

    /// Notes the task of the link with these requests. If the link was closed meanwhile, the task
    /// is aborted: it must not outlive its requests.
    pub fn set_task(&self, requests: &Arc<PendingRequests>, task: Option<AbortHandle>) {
        let mut state = self.state.lock();
        match state.link_of(requests) {
            Some(link) => link.task = task,
            None => {
                drop(state);
                task.inspect(AbortHandle::abort);
            }
        }
    }

    pub fn connected(&self, requests: &Arc<PendingRequests>, name: String) {
        let ended = {
            let mut state = self.state.lock();
            state.end_backoff();
            state.is_configured_next = false;
            state.last_error = None;
            state.name = Some(name.clone());
            if let Some(link) = state.link_of(requests) {
                link.connected = true;
            }
            state.attempts.succeeded(Instant::now())
        };
        if let Some(outage) = ended {
            let (id, attempts, seconds) = (self.id, outage.attempts, outage.lasts.as_secs());
            tracing::info!(
                "member {id} {name} is reached again, after {attempts} attempts in {seconds} s"
            );
        }
    }

    /// Fails the requests of an ended link; the next request may connect after the back-off.
    pub fn ended(&self, options: &NetOptions, requests: &Arc<PendingRequests>, failure: &NetError) {
        {
            let mut state = self.state.lock();
            if state.link_of(requests).is_some() {
                state.link = None;
                let backoff = backoff(options, self.id, state.failures);
                state.failures = state.failures.saturating_add(1);
                state.retry_at = Some(Instant::now() + backoff);
                state.last_error = Some(failure.clone());
            }
        }
        requests.close(failure);
    }

    pub fn unreachable(&self, cause: UnreachedCause, reason: &dyn ToString) -> NetError {
        NetError::Unreachable { peer: self.id, cause, reason: reason.to_string() }
    }

    /// An attempt failed: it is counted, and logged if it is news.
    pub fn not_reached(&self, address: &str, failure: &NetError, log_interval: Duration) {
        let Unreached { cause, text } = failure.unreached();
        let (is_due, name) = {
            let mut state = self.state.lock();
            let last = Unreached { cause, text: text.clone() };
            let is_due =
                state.attempts.failed(address.to_owned(), last, Instant::now(), log_interval);
            (is_due, state.name.clone().unwrap_or_default())
        };
        if is_due {
            let id = self.id;
            tracing::warn!("member {id} {name} is not reached at {address}: {text} ({cause:?})");
        }
    }
}

impl State {
    fn end_backoff(&mut self) {
        self.failures = 0;
        self.retry_at = None;
    }

    fn link_of(&mut self, requests: &Arc<PendingRequests>) -> Option<&mut Link> {
        self.link.as_mut().filter(|link| Arc::ptr_eq(&link.requests, requests))
    }
}

/// Exponential back-off with jitter: doubles with each failure, up to the maximum, and is then
/// shortened by up to half. The jitter is a hash of both ids and the failures, so that members do
/// not all connect at once and a simulation repeats.
fn backoff(options: &NetOptions, peer: PeerId, failures: u32) -> Duration {
    let doubled = options.backoff_min.saturating_mul(1 << failures.min(20));
    let mut pair = crc32fast::Hasher::new();
    for number in [options.id.0, peer.0, u64::from(failures)] {
        pair.update(&number.to_be_bytes());
    }
    let eighths = 4 + pair.finalize() % 5;
    doubled.min(options.backoff_max) * eighths / 8
}

#[cfg(test)]
mod tests;
