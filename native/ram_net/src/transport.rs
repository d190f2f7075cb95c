//! [`Transport`]: how connections are opened and accepted. The simulator has a transport of its
//! own; this file alone names TCP.
//!
//! Addresses are `host:port` strings (`[::1]:port` for IPv6), resolved anew at each attempt, since
//! a name may mean another machine tomorrow. Time limits belong to the caller: a dropped future is
//! a given-up attempt.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::OnceLock;

use futures_util::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, lookup_host};

/// A connected byte stream, whatever carries it.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

pub type BoxStream = Box<dyn Stream>;

/// How connections are made and taken.
pub trait Transport: Send + Sync {
    /// Opens a connection to `host:port`; `NotFound` when the host has no address.
    fn connect<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<BoxStream>>;

    /// Listens on `host`, on any free port when `port` is 0.
    fn bind<'a>(&'a self, host: &'a str, port: u16)
    -> BoxFuture<'a, io::Result<Box<dyn Listener>>>;
}

/// Takes connections; dropping it stops listening.
pub trait Listener: Send + Sync {
    /// The next connection and where it comes from.
    fn accept(&self) -> BoxFuture<'_, io::Result<(BoxStream, SocketAddr)>>;

    fn local_port(&self) -> u16;
}

/// TCP without delay for small writes. Binding takes over a port whose old connections linger.
///
/// A member that listens on one address also connects from it, where the target can be reached from
/// there, so that a packet filter sees one address for a member.
#[derive(Debug, Default)]
pub struct TcpTransport {
    /// The address that was bound, once.
    listening: OnceLock<IpAddr>,
}

impl Transport for TcpTransport {
    fn connect<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<BoxStream>> {
        Box::pin(connect_tcp(self.listening.get().copied(), address))
    }

    fn bind<'a>(
        &'a self,
        host: &'a str,
        port: u16,
    ) -> BoxFuture<'a, io::Result<Box<dyn Listener>>> {
        Box::pin(async move {
            let listener = TcpListener::bind((host, port)).await?;
            let local = listener.local_addr()?;
            let local_port = local.port();
            // A second call is for another try; the first address that could be bound stays.
            let _ = self.listening.set(local.ip());
            Ok(Box::new(TcpDoor { listener, local_port }) as Box<dyn Listener>)
        })
    }
}

async fn connect_tcp(source: Option<IpAddr>, address: &str) -> io::Result<BoxStream> {
    let mut failure = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    let unknown = |error| io::Error::new(io::ErrorKind::NotFound, error);
    for target in lookup_host(address).await.map_err(unknown)? {
        let socket = if target.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        if let Some(source) = source.filter(|source| reaches(*source, target.ip())) {
            socket.bind(SocketAddr::new(source, 0))?;
        }
        match socket.connect(target).await {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                return Ok(Box::new(stream));
            }
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

fn reaches(source: IpAddr, target: IpAddr) -> bool {
    !source.is_unspecified()
        && source.is_ipv4() == target.is_ipv4()
        && source.is_loopback() == target.is_loopback()
}

struct TcpDoor {
    listener: TcpListener,
    local_port: u16,
}

impl Listener for TcpDoor {
    fn accept(&self) -> BoxFuture<'_, io::Result<(BoxStream, SocketAddr)>> {
        Box::pin(async move {
            let (stream, remote) = self.listener.accept().await?;
            // A connection that is gone already shows at its first read, not as a broken listener.
            let _ = stream.set_nodelay(true);
            Ok((Box::new(stream) as BoxStream, remote))
        })
    }

    fn local_port(&self) -> u16 {
        self.local_port
    }
}
