//! Tickets in every order in which the owner of a request and whoever answers it can run.

#![allow(clippy::unwrap_used)]

use ram_threads::loom::{model, thread};
use ram_threads::tickets::Tickets;
use std::sync::Arc;

#[test]
fn a_request_is_answered_or_cancelled_and_never_both_or_neither() {
    model(|| {
        let tickets = Arc::new(Tickets::default());
        let id = tickets.enter("caller");
        let taking = tickets.clone();
        let answering = thread::spawn(move || taking.take(id).is_some());
        let is_cancelled = tickets.cancel(id);
        assert_ne!(answering.join().unwrap(), is_cancelled);
        assert!(tickets.is_empty());
    });
}

#[test]
fn requests_that_enter_at_once_have_tickets_of_their_own() {
    model(|| {
        let tickets = Arc::new(Tickets::default());
        let other = tickets.clone();
        let entering = thread::spawn(move || {
            let id = other.enter(1);
            (id, other.take(id))
        });
        let own = tickets.enter(2);
        let (id, taken) = entering.join().unwrap();
        assert_ne!(id, own);
        assert_eq!((taken, tickets.take(own)), (Some(1), Some(2)));
    });
}
