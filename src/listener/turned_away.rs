//! Why a connection did not even become MQTT or HTTP. One log line and one count for each.

use std::{fmt, io};

use super::{proxy_protocol, tls};
use crate::{mqtt::transport::Source, telemetry::Metrics};

/// Why a connection was ended on its way in.
#[derive(Debug)]
pub(super) enum TurnedAway {
    /// Closed before its first byte: a load balancer that looks whether somebody is there.
    Silent,
    /// The network failed.
    Network(io::Error),
    /// No byte in time, or too few to tell what they are.
    FirstByteTimeout,
    /// No complete PROXY header in time.
    ProxyHeaderTimeout,
    /// A PROXY header that is none.
    ProxyHeader(proxy_protocol::HeaderError),
    /// `proxy_protocol = "required"`, and the header is missing.
    MissingProxyHeader,
    /// `proxy_protocol = "required"`, and who connects is not in `trusted_proxies`.
    UntrustedProxy,
    /// A PROXY header where none is believed.
    UnexpectedProxyHeader,
    /// No complete handshake in time.
    TlsTimeout,
    /// The handshake failed.
    Tls(tls::HandshakeError),
    /// Plain text on a listener with TLS.
    PlainOnTls {
        /// What it was.
        protocol: &'static str,
    },
    /// A ClientHello on a listener without TLS.
    TlsOnPlain,
    /// A protocol that the listener's `protocols` leave out.
    NotServed {
        /// As it would stand there.
        protocol: &'static str,
    },
    /// It was silent, and others wait for its place.
    GaveWay,
    /// The server stops, and does not wait for what it would be.
    Stopping,
    /// Bytes of no protocol that is known here.
    UnknownProtocol {
        /// The first of them.
        first: u8,
    },
}

impl TurnedAway {
    /// Waiting for a PROXY header has a name of its own.
    pub(super) fn while_waiting_for_proxy_header(self) -> Self {
        if matches!(self, Self::FirstByteTimeout) {
            Self::ProxyHeaderTimeout
        } else {
            self
        }
    }

    /// A short name for metrics and logs; `None` is not worth a count.
    const fn name(&self) -> Option<&'static str> {
        match self {
            Self::Silent => None,
            Self::Network(_) => Some("network"),
            Self::FirstByteTimeout => Some("first_byte_timeout"),
            Self::ProxyHeaderTimeout => Some("proxy_header_timeout"),
            Self::ProxyHeader(_)
            | Self::MissingProxyHeader
            | Self::UntrustedProxy
            | Self::UnexpectedProxyHeader => Some("proxy_header"),
            Self::TlsTimeout => Some("tls_timeout"),
            Self::Tls(_) => Some("tls"),
            Self::PlainOnTls { .. } => Some("plain_on_tls"),
            Self::TlsOnPlain => Some("tls_on_plain"),
            Self::NotServed { .. } => Some("not_served"),
            Self::GaveWay => Some("handshakes"),
            Self::Stopping => Some("shutting_down"),
            Self::UnknownProtocol { .. } => Some("unknown_protocol"),
        }
    }

    pub(super) fn count(&self, metrics: &Metrics) {
        if let Some(name) = self.name() {
            metrics.connect_refused.add(name, 1);
        }
        if matches!(self, Self::TlsTimeout) {
            metrics.tls_handshakes.add("timeout", 1);
        } else if matches!(self, Self::Tls(_)) {
            metrics.tls_handshakes.add("failed", 1);
        }
    }

    pub(super) fn log(&self, source: &Source, listener: &str) {
        match self.name() {
            Some(reason) => {
                tracing::info!(code = "connection.refused", %source, listener, reason, "connection ended: {self}");
            }
            None => {
                tracing::debug!(code = "connection.silent", %source, listener, "connection ended: {self}");
            }
        }
    }
}

impl fmt::Display for TurnedAway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silent => f.write_str("closed before its first byte"),
            Self::Network(error) => write!(f, "the network failed: {error}"),
            Self::FirstByteTimeout => f.write_str("the first bytes did not come in time"),
            Self::ProxyHeaderTimeout => f.write_str("no complete PROXY header in time"),
            Self::ProxyHeader(error) => error.fmt(f),
            Self::MissingProxyHeader => {
                f.write_str("proxy_protocol is \"required\", and the PROXY header is missing")
            }
            Self::UntrustedProxy => f.write_str(
                "proxy_protocol is \"required\", and this address is not in trusted_proxies",
            ),
            Self::UnexpectedProxyHeader => f.write_str(
                "a PROXY header where none is believed; set proxy_protocol and trusted_proxies",
            ),
            Self::TlsTimeout => f.write_str("no complete TLS handshake in time"),
            Self::Tls(error) => error.fmt(f),
            Self::PlainOnTls { protocol } => {
                write!(
                    f,
                    "plain {protocol} on a listener with TLS; use mqtts:// or https://"
                )
            }
            Self::TlsOnPlain => {
                f.write_str("a TLS ClientHello on a listener without TLS; set tls = true there")
            }
            Self::NotServed { protocol } => {
                write!(f, "{protocol} is not among the protocols of this listener")
            }
            Self::GaveWay => f.write_str(
                "silent while others waited: max_handshakes connections were on their way in; raise it where clients are slow",
            ),
            Self::Stopping => f.write_str("the server shuts down"),
            Self::UnknownProtocol { first } => write!(
                f,
                "the first byte 0x{first:02X} begins neither MQTT nor HTTP"
            ),
        }
    }
}

impl From<tls::HandshakeError> for TurnedAway {
    fn from(error: tls::HandshakeError) -> Self {
        Self::Tls(error)
    }
}

impl From<proxy_protocol::HeaderError> for TurnedAway {
    fn from(error: proxy_protocol::HeaderError) -> Self {
        Self::ProxyHeader(error)
    }
}
