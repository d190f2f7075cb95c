//! The options of a network: identity, addresses, limits, time limits.

use std::time::Duration;

use super::error::NetError;
use super::identity::{ADDRESS_BYTES_MAX, ClusterId, Cookie, NAME_BYTES_MAX, PeerId};
use ram_limits::{
    FRAME_BYTES_MAX, RECEIVING_BYTES_MAX, UNKNOWN_PEERS_MAX, UNKNOWN_PEERS_RECEIVING_BYTES_MAX,
};

#[derive(Debug, Clone)]
pub struct NetOptions {
    pub id: PeerId,
    pub cluster: ClusterId,
    /// The Erlang node name, for the policy and the logs of others.
    pub node_name: String,
    pub cookie: Cookie,
    pub listen_host: String,
    /// 0 takes any free port.
    pub listen_port: u16,
    /// The `host:port`, or `host`, under which others find this member. By default the host that is
    /// listened on, or, when that is all of them, the host of the node name.
    pub advertise: Option<String>,
    /// The largest body of a request or a reply. A constant, alike on all members; tests shrink it.
    pub frame_bytes_max: usize,
    /// The receive budgets of members and of unknown peers. Not below the largest body.
    pub receiving_bytes_max: usize,
    pub unknown_peers_receiving_bytes_max: usize,
    /// Connections of unknown peers: proven, and not known to the service.
    pub unknown_peers_max: usize,
    /// The bound of the send queue of requests to one peer, and of that of the replies to it.
    pub peer_queue_bytes_max: usize,
    pub connect_timeout: Duration,
    pub handshake_timeout: Duration,
    /// A peer that owes us an answer and has been silent for this long is taken for dead.
    pub stall_timeout: Duration,
    pub backoff_min: Duration,
    pub backoff_max: Duration,
    /// Handshakes in progress; beyond that, the one that `handshakes` chooses is closed.
    pub handshakes_max: usize,
    /// Refused connections are logged at most once in this time, per kind.
    pub refusal_log_interval: Duration,
}

impl NetOptions {
    pub fn new(id: PeerId, cluster: ClusterId, node_name: &str, cookie: Cookie) -> NetOptions {
        NetOptions {
            id,
            cluster,
            node_name: node_name.to_owned(),
            cookie,
            listen_host: "127.0.0.1".to_owned(),
            listen_port: 0,
            advertise: None,
            frame_bytes_max: FRAME_BYTES_MAX,
            receiving_bytes_max: RECEIVING_BYTES_MAX,
            unknown_peers_receiving_bytes_max: UNKNOWN_PEERS_RECEIVING_BYTES_MAX,
            unknown_peers_max: UNKNOWN_PEERS_MAX,
            peer_queue_bytes_max: 64 << 20,
            connect_timeout: Duration::from_secs(1),
            handshake_timeout: Duration::from_secs(2),
            stall_timeout: Duration::from_secs(3),
            backoff_min: Duration::from_millis(20),
            // Trying costs a packet, and a member that is back must not wait for long.
            backoff_max: Duration::from_millis(200),
            handshakes_max: 64,
            refusal_log_interval: Duration::from_secs(10),
        }
    }

    pub(super) fn check(&self) -> Result<(), NetError> {
        let refuse = |reason: &str| Err(NetError::BadOption { reason: reason.to_owned() });
        if self.cookie.with(<[u8]>::is_empty) {
            return refuse("the cookie is empty");
        }
        if self.node_name.len() > NAME_BYTES_MAX {
            return refuse("the node name is longer than 255 bytes");
        }
        if u32::try_from(self.frame_bytes_max).is_err() {
            return refuse("frame_bytes_max is 4 GiB or more");
        }
        if self.receiving_bytes_max.min(self.unknown_peers_receiving_bytes_max)
            < self.frame_bytes_max
        {
            return refuse("the largest frame has no room to arrive");
        }
        if self.stall_timeout.is_zero() || self.backoff_min > self.backoff_max {
            return refuse("stall_timeout is zero, or backoff_min is above backoff_max");
        }
        Ok(())
    }

    /// The address that others are told.
    pub fn advertised(&self, local_port: u16) -> Result<String, NetError> {
        let host = self.advertise.as_deref().unwrap_or_else(|| self.default_host());
        let address = with_port(host, local_port);
        if address.len() > ADDRESS_BYTES_MAX {
            let reason = "the advertised address is longer than 255 bytes".to_owned();
            return Err(NetError::BadOption { reason });
        }
        Ok(address)
    }

    fn default_host(&self) -> &str {
        match self.listen_host.as_str() {
            "0.0.0.0" | "::" | "" => {
                self.node_name.split_once('@').map_or("127.0.0.1", |(_, host)| host)
            }
            host => host,
        }
    }
}

fn with_port(host: &str, port: u16) -> String {
    match host.rsplit_once(':') {
        None => format!("{host}:{port}"),
        Some(_) if host.ends_with(']') => format!("{host}:{port}"),
        Some((front, _)) if front.contains(':') && !front.ends_with(']') => {
            format!("[{host}]:{port}")
        }
        Some(_) => host.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_advertised_address_always_has_a_host_and_a_port() {
        let mut options =
            NetOptions::new(PeerId(1), ClusterId([0; 16]), "ram@box", Cookie::new("c"));
        let mut told = |listen: &str, advertise: Option<&str>| {
            options.listen_host = listen.to_owned();
            options.advertise = advertise.map(str::to_owned);
            options.advertised(7).unwrap()
        };
        assert_eq!(told("127.0.0.1", None), "127.0.0.1:7");
        assert_eq!(told("0.0.0.0", None), "box:7");
        assert_eq!(told("::1", None), "[::1]:7");
        assert_eq!(told("0.0.0.0", Some("far.away")), "far.away:7");
        assert_eq!(told("0.0.0.0", Some("far.away:9")), "far.away:9");
        assert_eq!(told("0.0.0.0", Some("[::1]")), "[::1]:7");
        assert_eq!(told("0.0.0.0", Some("[::1]:9")), "[::1]:9");
    }
}
