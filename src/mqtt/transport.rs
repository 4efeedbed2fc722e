//! What a connection needs of the network: a stream of bytes, and who stands at its other end.
//! Used here, provided by `listener`; nothing in it tells TCP from TLS or WebSocket.

use std::{fmt, future::Future, io, net::SocketAddr, sync::Arc};

use bytes::Bytes;

pub use super::codec::Frames;
use crate::telemetry::Probe;

/// A stream of bytes to and from one client, whatever carries it.
///
/// Both [`receive`](Self::receive) and [`send`](Self::send) are cancel-safe *and* keep no state in their futures: a
/// connection polls one, drops it, polls the other, and begins again on the next wake-up. That is how one task reads
/// while its peer is slow to take what is written, so that two ends that both write first never wait for each other.
pub trait Transport: Send {
    /// More bytes from the peer, `None` once it has closed its side in order.
    ///
    /// # Errors
    /// The network's, or `InvalidData` where the peer broke the framing; the transport has then already told the peer
    /// what its protocol tells it to (a WebSocket close code, a TLS alert).
    fn receive(&mut self) -> impl Future<Output = io::Result<Option<Bytes>>> + Send;

    /// Writes the frames in order and flushes them; takes from `frames` what has been handed over.
    ///
    /// # Errors
    /// The network's: nothing more can be written.
    fn send(&mut self, frames: &mut Frames) -> impl Future<Output = io::Result<()>> + Send;

    /// Ends the stream in order and tells the peer why, where the transport has words for it. Bounded in time by the
    /// transport itself.
    fn close(&mut self, closing: Closing) -> impl Future<Output = ()> + Send;
}

/// Why the server ends a stream, in terms that every transport can translate (WebSocket: to close codes).
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Closing {
    /// Nothing left to say (WebSocket 1000).
    Normal,
    /// The server goes away; come back later (1001).
    GoingAway,
    /// The peer broke the protocol inside the stream (1002).
    ProtocolError(Box<str>),
    /// A policy refuses the peer, and would again (1008). The text reaches a browser.
    Refused(Box<str>),
    /// The peer may try again later (1013).
    TryAgainLater(Box<str>),
}

impl Closing {
    /// Why, in words; empty where there is nothing to say.
    #[must_use]
    pub fn reason(&self) -> &str {
        match self {
            Self::Normal | Self::GoingAway => "",
            Self::ProtocolError(reason) | Self::Refused(reason) | Self::TryAgainLater(reason) => {
                reason
            }
        }
    }
}

/// Who stands at the other end of a transport, and how it came here.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Where it comes from: behind a trusted proxy the address that the proxy names.
    pub source: Source,
    /// The name of the listener it came in by.
    pub listener: Arc<str>,
    /// What carries the stream, for logs and metrics.
    pub carrier: Carrier,
    /// The client certificate, where one was shown and verified.
    pub certificate: Option<Arc<ClientCertificate>>,
    /// The longest keep alive this path allows, in seconds as CONNECT has it: proxies on the way cut what is silent for
    /// longer.
    pub max_keep_alive: Option<u16>,
    /// The front door is full: the client is to be told so in its own protocol, and no more.
    pub refusal: Option<LimitReached>,
    /// The client wants to know afterwards how far it came.
    pub probe: Option<Arc<Probe>>,
}

/// Where a peer comes from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Source {
    /// An internet address.
    Ip(SocketAddr),
    /// A Unix socket of this machine, or a proxy that names no address (PROXY `LOCAL`, `UNKNOWN`).
    Local,
}

/// What carries a stream of MQTT bytes.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Carrier {
    /// Plain TCP or a Unix socket.
    Tcp,
    /// TLS.
    Tls,
    /// WebSocket without TLS.
    WebSocket,
    /// WebSocket over TLS.
    SecureWebSocket,
}

/// A verified client certificate.
#[derive(Debug, Eq, PartialEq)]
pub struct ClientCertificate {
    /// The leaf certificate in DER.
    pub der: Vec<u8>,
    /// Its subject as RFC 4514 writes it: `CN=device-7,O=Example`.
    pub subject: String,
    /// The common name of its subject.
    pub common_name: Option<String>,
    /// Its serial number in hexadecimal, as `openssl x509 -serial` prints it.
    pub serial_number: String,
}

/// Which limit of the front door a connection has met.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LimitReached {
    /// All connections together.
    Connections {
        /// The limit.
        limit: usize,
    },
    /// Connections from one address.
    ConnectionsPerAddress {
        /// The limit.
        limit: usize,
    },
}

impl Carrier {
    /// Every carrier.
    pub const ALL: [Self; 4] = [Self::Tcp, Self::Tls, Self::WebSocket, Self::SecureWebSocket];

    /// The stream can end with a code and a reason that reach the client.
    #[must_use]
    pub const fn has_close_codes(self) -> bool {
        matches!(self, Self::WebSocket | Self::SecureWebSocket)
    }

    /// As written in logs and metrics: `tcp`, `tls`, `ws`, `wss`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::WebSocket => "ws",
            Self::SecureWebSocket => "wss",
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(addr) => addr.fmt(f),
            Self::Local => f.write_str("local"),
        }
    }
}

impl fmt::Display for LimitReached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connections { limit } => {
                write!(f, "the server has its limit of {limit} connections")
            }
            Self::ConnectionsPerAddress { limit } => {
                write!(f, "your address has its limit of {limit} connections")
            }
        }
    }
}
