//! Who may tell a member that it was removed, and where it is asked.

use super::leases::{append, first_append, patient, serve};
use super::*;
use ram_raft::types::Membership;

const OTHER: u64 = PEER + 1;

/// A member of three with two played ones, which follows `PEER`.
struct Three {
    cookie: Vec<u8>,
    net: Arc<Net>,
    peer: Player,
    other: Player,
    events: Arc<Mutex<Vec<Event>>>,
    served: tokio::task::JoinHandle<()>,
}

impl Three {
    async fn new() -> Three {
        let events: Arc<Mutex<Vec<Event>>> = Arc::default();
        let told = events.clone();
        let on_event: OnEvent = Arc::new(move |event| told.lock().push(event));
        let member = open_telling(&memory(), patient(), Open::New(CLUSTER), on_event).await;
        let (id, net) = (member.parts.identity.id, member.parts.replica.net.clone());
        let (peer, other) =
            (Player::beside(&member, PEER).await, Player::beside(&member, OTHER).await);
        let named = |player: &Player| Peer::new("p@h", player.net.advertised());
        let (own, cookie) = (as_peer(&member), member.config.cookie.clone());
        let all = [(id, own), (PEER, named(&peer)), (OTHER, named(&other))];
        let served = serve(member);
        append(&peer, id, &first_append(&Membership::from(BTreeMap::from(all)))).await;
        Three { cookie, net, peer, other, events, served }
    }

    /// The member asks a player for something, on a connection of its own.
    async fn knock(&self, player: u64) -> std::result::Result<Bytes, ram_net::NetError> {
        self.net.call(PeerId(player), rpc::PROGRESS, Bytes::new(), LIMIT).await
    }

    /// Hears the hint of a removal until it has asked `asked`, who admits it, several times: each
    /// round but the last has been judged by then.
    async fn rounds(&self, rumour_of: u64, asked: &Player) {
        let rounds = tokio::time::timeout(LIMIT, async {
            let before = asked.net.stats().accepts;
            while asked.net.stats().accepts < before + 3 {
                assert!(self.knock(rumour_of).await.is_err());
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        assert!(rounds.await.is_ok(), "it does not ask");
        assert!(!self.is_told() && !self.served.is_finished());
    }

    fn is_told(&self) -> bool {
        self.events.lock().contains(&Event::Removed)
    }
}

/// Its word deleted all that the member had.
#[tokio::test]
async fn one_peer_that_says_that_a_member_was_removed_is_not_believed_and_two_of_three_are() {
    let three = Three::new().await;
    three.peer.refuses.store(true, Ordering::SeqCst);
    three.net.forget(PeerId(PEER));
    three.net.set_address(PeerId(PEER), three.peer.net.advertised());
    let refused = three.knock(PEER).await.unwrap_err();
    assert!(matches!(refused, ram_net::NetError::Refused { .. }), "{refused}");
    three.rounds(PEER, &three.other).await;

    three.other.refuses.store(true, Ordering::SeqCst);
    three.net.forget(PeerId(OTHER));
    three.net.set_address(PeerId(OTHER), three.other.net.advertised());
    assert!(three.knock(OTHER).await.is_err());
    wait_until("it knows that it was removed", || three.is_told()).await;
    wait_until("it serves no more", || three.served.is_finished()).await;
    assert_eq!(three.events.lock().len(), 1);
}

/// Two peers that lie, at addresses that one hello each has planted: the log knows others.
#[tokio::test]
async fn a_member_asks_for_its_removal_where_its_log_says_and_not_where_a_handshake_said() {
    let three = Three::new().await;
    let mut liars = Vec::new();
    for id in [PEER, OTHER] {
        let liar = Player::with_cookie(Cookie::new(three.cookie.clone()), id).await;
        liar.refuses.store(true, Ordering::SeqCst);
        three.net.forget(PeerId(id));
        // As its handshake does.
        three.net.set_address(PeerId(id), liar.net.advertised());
        assert!(three.knock(id).await.is_err());
        liars.push(liar);
    }
    three.rounds(PEER, &three.other).await;
    three.served.abort();
}
