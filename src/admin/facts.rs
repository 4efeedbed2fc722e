//! What the configuration says of the broker, and the addresses a client may use that follow from it.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use hyper::{header::HOST, http::request::Parts, http::uri::Authority};

use super::Asked;
use crate::listener::Protocols;

/// What the endpoints tell about the configuration.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// Where the broker listens, in the order of the configuration.
    pub listeners: Vec<FrontDoor>,
    /// The certificate of our own CA, PEM; `None` where the certificates are not of our making.
    pub certificate_authority: Option<Bytes>,
    /// The largest packet taken, in bytes.
    pub max_packet_size: u32,
    /// The longest keep alive granted; `None` leaves it to the client.
    pub max_keep_alive: Option<Duration>,
    /// Clients need no user name.
    pub allow_anonymous: bool,
}

/// One listener as its clients see it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FrontDoor {
    /// Its name, as requests carry it.
    pub name: Arc<str>,
    /// Where it listens, with the port that was taken; `None` for a Unix socket.
    pub addr: Option<SocketAddr>,
    /// TLS comes first.
    pub tls: bool,
    /// What may be spoken on it.
    pub protocols: Protocols,
}

/// How MQTT is spoken to an address.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Scheme {
    Wss,
    Ws,
    Mqtts,
    Mqtt,
}

/// Where a client may connect, as it would write it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Address {
    pub(super) scheme: Scheme,
    pub(super) host: Box<str>,
    pub(super) port: u16,
}

/// The host that a client asked for: its name for us.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Host {
    /// A name or an address, IPv6 in brackets; of letters, digits, `-`, `_`, `.`, `:`, `[`, `]` only.
    pub(super) name: Box<str>,
    pub(super) port: Option<u16>,
}

impl Host {
    /// From the target of the request (HTTP/2, absolute form) or else its Host header. What is neither, or cannot be a
    /// host, is `localhost`: it ends up in pages and must be harmless there.
    pub(super) fn of(head: &Parts) -> Self {
        let authority = head.uri.authority().cloned();
        let header = || {
            let value = head.headers.get(HOST)?;
            Authority::try_from(value.as_bytes()).ok()
        };
        let host = authority.or_else(header).filter(|authority| {
            let name = authority.host();
            !name.is_empty() && name.bytes().all(is_host_byte)
        });
        host.map_or_else(
            || Self {
                name: "localhost".into(),
                port: None,
            },
            |authority| Self {
                name: authority.host().into(),
                port: authority.port_u16(),
            },
        )
    }

    /// As it stands in an address of this scheme: `example.org`, `[::1]:8443`.
    pub(super) fn with_port(&self) -> String {
        self.port.map_or_else(
            || self.name.to_string(),
            |port| format!("{}:{port}", self.name),
        )
    }

    fn is_loopback(&self) -> bool {
        let name = self.name.to_ascii_lowercase();
        let bare = name.trim_start_matches('[').trim_end_matches(']');
        let is_loopback = |ip: std::net::IpAddr| ip.is_loopback();
        name == "localhost" || name.ends_with(".localhost") || bare.parse().is_ok_and(is_loopback)
    }
}

fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte)
}

impl Scheme {
    pub(super) const ALL: [Self; 4] = [Self::Wss, Self::Ws, Self::Mqtts, Self::Mqtt];

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Wss => "wss",
            Self::Ws => "ws",
            Self::Mqtts => "mqtts",
            Self::Mqtt => "mqtt",
        }
    }

    pub(super) const fn is_secure(self) -> bool {
        matches!(self, Self::Wss | Self::Mqtts)
    }

    pub(super) const fn is_websocket(self) -> bool {
        matches!(self, Self::Wss | Self::Ws)
    }

    /// The port that may be left out. Clients disagree about those of `mqtt` and `mqtts`, so they are always written.
    const fn default_port(self) -> Option<u16> {
        match self {
            Self::Wss => Some(443),
            Self::Ws => Some(80),
            Self::Mqtts | Self::Mqtt => None,
        }
    }
}

impl Address {
    /// `wss://example.org/mqtt`, `mqtts://example.org:8883`.
    pub(super) fn url(&self) -> String {
        let mut url = format!("{}://{}", self.scheme.as_str(), self.host);
        if self.scheme.default_port() != Some(self.port) {
            url += &format!(":{}", self.port);
        }
        if self.scheme.is_websocket() {
            url += "/mqtt";
        }
        url
    }
}

/// Where the client that asks may connect: first where it came in, then the other listeners. A listener on loopback is
/// only for those who came by such a name.
pub(super) fn addresses(asked: &Asked<'_>) -> Vec<Address> {
    let host = asked.host();
    let facts = asked.endpoints.facts.load();
    let mut found = Vec::new();
    let mut add = |scheme, port| {
        let address = Address {
            scheme,
            host: host.name.clone(),
            port,
        };
        if !found.contains(&address) {
            found.push(address);
        }
    };
    let own = facts
        .listeners
        .iter()
        .find(|listener| &*listener.name == asked.listener);
    if own.is_none_or(|listener| listener.protocols.websocket) {
        // A proxy may have changed the port: what the client wrote is what works.
        let (scheme, default) = if asked.is_secure {
            (Scheme::Wss, 443)
        } else {
            (Scheme::Ws, 80)
        };
        add(scheme, host.port.unwrap_or(default));
    }
    for listener in own.into_iter().chain(&facts.listeners) {
        let Some(addr) = listener.addr else { continue };
        if addr.ip().is_loopback() && !host.is_loopback() {
            continue;
        }
        let (websocket, mqtt) = if listener.tls {
            (Scheme::Wss, Scheme::Mqtts)
        } else {
            (Scheme::Ws, Scheme::Mqtt)
        };
        if listener.protocols.websocket {
            add(websocket, addr.port());
        }
        if listener.protocols.mqtt {
            add(mqtt, addr.port());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(target: &str, header: Option<&str>) -> String {
        let mut request = hyper::Request::builder().uri(target);
        if let Some(header) = header {
            request = request.header(HOST, header);
        }
        Host::of(&request.body(()).unwrap().into_parts().0).with_port()
    }

    #[test]
    fn the_host_is_what_the_client_wrote() {
        assert_eq!(host("/", Some("example.org:8443")), "example.org:8443");
        assert_eq!(host("/", Some("[::1]:8443")), "[::1]:8443");
        assert_eq!(host("/", Some("a_b.local")), "a_b.local");
        // RFC 9112, 3.2.2: the absolute form goes before the header.
        assert_eq!(host("https://h2.example/", Some("other")), "h2.example");
    }

    #[test]
    fn what_is_no_host_is_localhost() {
        for header in ["<script>", "a b", "", "a\"b", "a/b", "ex%61mple", "a'b"] {
            assert_eq!(host("/", Some(header)), "localhost", "{header}");
        }
        assert_eq!(host("/", None), "localhost");
    }

    #[test]
    fn user_information_is_left_out() {
        assert_eq!(host("/", Some("user:pass@example.org")), "example.org");
    }

    #[test]
    fn loopback_has_many_names() {
        let check = |name: &str, expected: bool| {
            let host = Host {
                name: name.into(),
                port: None,
            };
            assert_eq!(host.is_loopback(), expected, "{name}");
        };
        check("localhost", true);
        check("LOCALHOST", true);
        check("app.localhost", true);
        check("127.0.0.5", true);
        check("[::1]", true);
        check("example.org", false);
        check("10.0.0.1", false);
        check("notlocalhost", false);
    }
}
