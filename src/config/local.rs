//! Where a broker listens that nobody has told where: on loopback, on every port that clients try first.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use socket2::{Domain, Socket, Type};

use super::defaults::{FRONT_DOOR_PORTS, LOCAL_PORTS};
use crate::listener::{Bind, ClientCertificates, Config, Protocols, ProxyProtocol};

const LOOPBACK: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::LOCALHOST),
    IpAddr::V6(Ipv6Addr::LOCALHOST),
];

/// What a listener speaks where nothing is said.
pub(super) const EVERY_PROTOCOL: Protocols = Protocols {
    mqtt: true,
    websocket: true,
    http: true,
};

/// The listeners of a broker without configuration, the front door first. Only that one, on 127.0.0.1, must be had: a
/// machine may lack IPv6, and the other ports may be another broker's. Where the front door is at 443, what is written
/// everywhere about 8443 holds all the same.
pub(super) fn listeners(front_door: u16) -> Vec<Config> {
    let [first, other] = FRONT_DOOR_PORTS;
    let other = (front_door == first).then_some((other, true));
    let others = LOCAL_PORTS.iter().filter(|(port, _)| *port != front_door);
    let ports = [(front_door, true)].into_iter().chain(other);
    let ports = ports.chain(others.copied());
    let pairs =
        ports.flat_map(|(port, tls)| LOOPBACK.map(|addr| (SocketAddr::new(addr, port), tls)));
    let listeners = pairs.enumerate().map(|(place, (addr, tls))| Config {
        bind: Bind::Tcp(addr),
        tls,
        protocols: EVERY_PROTOCOL,
        proxy_protocol: ProxyProtocol::Off,
        trusted_proxies: Vec::new(),
        client_certificates: ClientCertificates::Off,
        optional: place > 0,
    });
    listeners.collect()
}

/// The first port of those for a front door that may be bound; the last one if none may: then its listener says why.
pub(super) fn free_front_door() -> u16 {
    let [first, last] = FRONT_DOOR_PORTS;
    let free = try_bind(SocketAddr::new(LOOPBACK[0], first), false).is_ok();
    if free { first } else { last }
}

/// Binds, and lets go at once. `shared` succeeds also where another process of this user listens with `SO_REUSEPORT`.
pub(super) fn try_bind(addr: SocketAddr, shared: bool) -> std::io::Result<()> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, None)?;
    // As servers do: connections of an earlier process that linger are no obstacle.
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(shared)?;
    socket.bind(&addr.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_443_the_front_door_is_at_8443_too_and_a_chosen_port_is_the_only_one() {
        let has_8443 = |front_door| {
            let listens =
                |config: &Config| matches!(config.bind, Bind::Tcp(addr) if addr.port() == 8443);
            listeners(front_door)
                .iter()
                .filter(|config| listens(config))
                .count()
        };
        assert_eq!((has_8443(443), has_8443(8443), has_8443(9000)), (2, 2, 0));
    }
}
