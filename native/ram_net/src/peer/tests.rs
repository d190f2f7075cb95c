use super::*;
use crate::identity::{ClusterId, Cookie};

#[test]
fn the_back_off_doubles_up_to_its_maximum_and_differs_between_members() {
    let of = |id: u64| {
        let cookie = Cookie::new("c");
        NetOptions::new(PeerId(id), ClusterId([0; 16]), "ram@box", cookie)
    };
    let options = of(1);
    for failures in 0..100 {
        let full = options.backoff_min.saturating_mul(1 << failures.min(6));
        let full = full.min(options.backoff_max);
        let got = backoff(&options, PeerId(2), failures);
        assert!(got <= full && got >= full / 2, "{failures}: {got:?}");
    }
    let waits: std::collections::HashSet<_> =
        (1..20).map(|id| backoff(&of(id), PeerId(99), 9)).collect();
    assert!(waits.len() > 2, "{waits:?}");
}

#[test]
fn an_address_that_is_noted_already_is_not_replaced_by_that_of_the_log() {
    let peer = Peer::new(PeerId(2));
    peer.set_address("moved:1".into(), false);
    peer.set_address_if_unknown("logged:1");
    assert_eq!((peer.address().as_deref(), peer.is_address_given()), (Some("moved:1"), false));
    let other = Peer::new(PeerId(3));
    other.set_address_if_unknown("logged:1");
    assert_eq!((other.address().as_deref(), other.is_address_given()), (Some("logged:1"), true));
}
