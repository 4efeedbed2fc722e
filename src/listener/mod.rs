//! A socket becomes a Transport. Owns sockets, TLS, HTTP, WebSocket framing and peer addresses; knows no packets.

mod accept;
pub mod admission;
pub mod detect;
pub mod forwarded;
mod front_door;
mod handshakes;
pub mod http;
mod inherited;
mod path;
pub mod proxy_protocol;
mod socket;
mod stream;
pub mod tcp;
pub mod tls;
mod turned_away;
pub mod websocket;

pub use front_door::{FrontDoor, Prepared};
pub use inherited::Inherited;
pub use socket::BindError;

use std::{fmt, net::SocketAddr, path::PathBuf, time::Duration};

use ipnet::IpNet;

/// What one listener is to do.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Config {
    /// Where it listens, which is also its name in logs and metrics.
    pub bind: Bind,
    /// TLS first.
    pub tls: bool,
    /// What may be spoken on it.
    pub protocols: Protocols,
    /// Whether a PROXY header comes first.
    pub proxy_protocol: ProxyProtocol,
    /// Who is believed about the source address, by PROXY header or `X-Forwarded-For`.
    pub trusted_proxies: Vec<IpNet>,
    /// Whether clients show a certificate.
    pub client_certificates: ClientCertificates,
    /// In no-file mode a port that cannot be had is skipped with a warning instead of an error.
    pub optional: bool,
}

/// Where a listener listens.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Bind {
    /// An address and a port; port 0 takes a free one.
    Tcp(SocketAddr),
    /// The path of a Unix socket.
    Unix(PathBuf),
}

/// What may be spoken on a listener.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Protocols {
    /// MQTT straight on the stream.
    pub mqtt: bool,
    /// MQTT in WebSocket.
    pub websocket: bool,
    /// The page and the endpoints.
    pub http: bool,
}

impl Protocols {
    /// As they stand in the configuration.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        let named = [
            ("mqtt", self.mqtt),
            ("websocket", self.websocket),
            ("http", self.http),
        ];
        named
            .into_iter()
            .filter_map(|(name, is_served)| is_served.then_some(name))
    }
}

/// Whether a PROXY header comes first.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ProxyProtocol {
    /// No; one that comes is a foreign protocol.
    Off,
    /// From a trusted proxy it may.
    Optional,
    /// It must, from a trusted proxy; everyone else is refused.
    Required,
}

/// Whether clients show a certificate.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ClientCertificates {
    /// They are not asked.
    Off,
    /// They are asked, and checked where they show one.
    Optional,
    /// Without a valid one there is no handshake.
    Required,
}

/// Limits and timeouts of the front door, the same for all listeners.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Limits {
    /// Connections in all.
    pub max_connections: usize,
    /// Connections from one address; Unix sockets, unnamed sources and trusted proxies are not counted.
    pub max_connections_per_address: usize,
    /// Connections that have not yet become a client or a request: TLS and first bytes still to come.
    pub max_handshakes: usize,
    /// For a whole PROXY header.
    pub proxy_header_timeout: Duration,
    /// For the TLS handshake.
    pub tls_handshake_timeout: Duration,
    /// For the first byte of a protocol.
    pub first_byte_timeout: Duration,
    /// For the head of an HTTP request, and for an idle HTTP connection.
    pub http_header_timeout: Duration,
    /// Bytes of an HTTP request's head.
    pub max_header_bytes: usize,
    /// Between two WebSocket PINGs of the server.
    pub websocket_ping_interval: Duration,
    /// Origins, beside the request's own host, whose pages may open a WebSocket; `*` is all.
    pub allowed_origins: Vec<String>,
}

impl fmt::Display for Bind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(addr) => addr.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}
