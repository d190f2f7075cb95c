//! Connections of peers without the cookie: floods of them, held open or full of garbage, and how
//! little members are held up.

use super::*;

use std::net::SocketAddr;
use tokio::net::TcpSocket;
use tokio::runtime::{Builder, Runtime};
use tokio::time::Instant;

/// A socket from an address of its own, as all of 127.0.0.0/8 is this host.
async fn connect_from(source: &str, to: &str) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::new(source.parse().unwrap(), 0))?;
    socket.connect(to.parse().unwrap()).await
}

/// A flood runs on a thread of its own, as real ones do: members do not work for it.
struct Flood(Option<Runtime>);

impl Drop for Flood {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// As many connections at once as are left of `sockets`, each held until the other side closes it,
/// and then opened again; every other one says something that makes no sense.
fn flood(source: &'static str, to: String, sockets: usize) -> Flood {
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    for number in 0..sockets {
        let to = to.clone();
        runtime.spawn(async move {
            loop {
                if let Ok(mut stream) = connect_from(source, &to).await {
                    if number % 2 == 0 {
                        let _ = stream.write_all(&[0x5a; 100]).await;
                    }
                    wait_closed(&mut stream).await;
                }
            }
        });
    }
    Flood(Some(runtime))
}

#[tokio::test]
async fn silent_connections_hold_few_slots_for_a_short_time() {
    let (a, b) = pair_with(|options| {
        options.handshakes_max = 2;
        options.handshake_timeout = Duration::from_millis(500);
    })
    .await;
    let mut oldest = b.raw_socket().await;
    let _silent = (b.raw_socket().await, b.raw_socket().await);
    wait_closed(&mut oldest).await;
    assert_eq!(b.refused(RefusalKind::Crowded), 1);
    wait_until("they time out", || b.refused(RefusalKind::Timeout) == 2).await;
    a.call(2, ECHO, b"").await.unwrap();
}

/// More sockets than there are slots, on the address that the member has, too.
#[tokio::test]
async fn members_get_in_while_a_flood_takes_every_slot_again_and_again() {
    let (a, b) = pair().await;
    let _flood = flood("127.0.0.1", b.net.advertised(), 4 * b.net.shared.options.handshakes_max);
    wait_until("the slots are taken", || b.refused(RefusalKind::Crowded) > 200).await;
    let mut ways_in = Vec::new();
    for _ in 0..20 {
        let began = Instant::now();
        a.net.set_address(PeerId(2), b.net.advertised());
        while a.net.call(PeerId(2), ECHO, Bytes::new(), LIMIT).await.is_err() {
            assert!(began.elapsed() < LIMIT, "locked out");
        }
        ways_in.push(began.elapsed());
        a.net.forget(PeerId(2));
    }
    ways_in.sort();
    println!("the ways in: {ways_in:?}, {:?}", b.net.stats().refusals);
    // One attempt that the machine is too busy for costs a second alone.
    assert!(ways_in[10] < Duration::from_secs(1), "{ways_in:?}");
    assert!(b.net.stats().accepts >= 20);
}

#[tokio::test]
async fn a_member_does_not_lose_its_slot_to_a_flood_from_another_address() {
    let mut small = options(2);
    small.handshakes_max = 4;
    let b = start(small).await;
    let mut member = connect_from("127.0.0.2", &b.net.advertised()).await.unwrap();
    wait_until("it has its slot", || b.net.shared.handshakes.count() == 1).await;
    let _flood = flood("127.0.0.1", b.net.advertised(), 16);
    wait_until("it was displaced", || b.refused(RefusalKind::Crowded) > 100).await;
    within(handshake::initiate(&mut member, &raw_credentials(), PeerId(2))).await.unwrap();
}

#[tokio::test]
async fn tens_of_thousands_of_connections_that_come_and_go_leave_nothing() {
    let (a, b) = pair().await;
    a.call(2, ECHO, b"").await.unwrap();
    for _ in 0..20_000 {
        drop(b.raw_socket().await);
    }
    wait_until("they are gone", || b.net.shared.handshakes.count() == 0).await;
    a.call(2, ECHO, b"").await.unwrap();
    assert_eq!((a.net.stats().connects, b.net.stats().accepts), (1, 1));
}

/// Passes bytes on to `to` and back, and keeps what was said to it.
async fn recorder(to: String) -> (String, Arc<Mutex<Vec<u8>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let said: Arc<Mutex<Vec<u8>>> = Arc::default();
    let recorded = Arc::clone(&said);
    tokio::spawn(async move {
        let (mut here, _) = listener.accept().await.unwrap();
        let mut there = TcpStream::connect(to).await.unwrap();
        let ((mut hears, mut tells), (mut answers, mut asks)) = (here.split(), there.split());
        let ask = async {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = hears.read(&mut bytes).await {
                recorded.lock().extend_from_slice(&bytes[..count]);
                asks.write_all(&bytes[..count]).await.unwrap();
            }
        };
        tokio::join!(ask, tokio::io::copy(&mut answers, &mut tells)).1.unwrap();
    });
    (address, said)
}

#[tokio::test]
async fn a_connection_that_is_played_back_a_thousand_times_opens_nothing() {
    let (a, b) = (start(options(1)).await, start(options(2)).await);
    let (through, said) = recorder(b.net.advertised()).await;
    a.net.set_address(PeerId(2), through);
    a.call(2, ECHO, b"once").await.unwrap();
    let said = said.lock().clone();
    for _ in 0..1000 {
        let mut stream = b.raw_socket().await;
        stream.write_all(&said).await.unwrap();
        wait_closed(&mut stream).await;
    }
    wait_until("they are counted", || b.refused(RefusalKind::WrongCookie) == 1000).await;
    a.call(2, ECHO, b"twice").await.unwrap();
    assert_eq!((b.net.stats().accepts, b.witness.0.requests.lock().len()), (1, 2));
}
