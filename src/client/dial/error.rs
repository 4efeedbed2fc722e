//! What can be in the way to a broker, in the words of whoever has to clear it.

use std::{error::Error, fmt, io, net::SocketAddr, time::Duration};

use crate::client::{TlsFailure, TrustError};

/// How far a connection has come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Stage {
    /// The host's address is looked up.
    Resolve,
    /// TCP.
    Connect,
    /// The TLS handshake.
    Tls,
    /// The opening handshake of a WebSocket.
    Upgrade,
}

/// Why there is no connection. Displayed as a sentence with what to try.
#[derive(Debug)]
pub enum DialError {
    /// The host has no address.
    Resolve(String, io::Error),
    /// Nobody accepts connections there.
    Connect(SocketAddr, io::Error),
    /// Nobody accepts connections on a Unix socket.
    Unix(io::Error),
    /// No answer in time, of so much.
    Timeout(Stage, Duration),
    /// The certificates that the user names cannot be used.
    Trust(TrustError),
    /// The TLS handshake has failed.
    Tls(TlsFailure),
    /// The connection broke off.
    Io(Stage, io::Error),
    /// The answer to the opening handshake is another one than 101 (over HTTP/2: 200).
    Http {
        /// The status code.
        status: u16,
        /// Where a redirection leads.
        location: Option<String>,
        /// The beginning of the body, where that is text.
        text: String,
    },
    /// The answer is not HTTP.
    NotHttp(String),
    /// The answer agrees to a WebSocket, but not as RFC 6455 says.
    NotWebSocket(&'static str),
    /// The server does not speak HTTP/2.
    NoHttp2,
    /// The server speaks HTTP/2, but allows no WebSockets over it.
    NoExtendedConnect,
}

impl DialError {
    /// Somebody has answered and said no, in HTTP.
    #[must_use]
    pub const fn is_refusal(&self) -> bool {
        matches!(self, Self::Http { .. })
    }
}

impl fmt::Display for DialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Resolve(host, error) => write!(
                f,
                "the host {host:?} is not found ({error}); is it spelled right, and is there a network?"
            ),
            Self::Connect(addr, error) if error.kind() == io::ErrorKind::ConnectionRefused => write!(
                f,
                "nothing listens on {addr} (connection refused); is the broker running, and is this its port?"
            ),
            Self::Connect(addr, error) => write!(
                f,
                "{addr} cannot be reached: {error}; are network, address and port right?"
            ),
            Self::Unix(error) => write!(
                f,
                "the Unix socket cannot be reached: {error}; is the broker running, and is this its path?"
            ),
            Self::Timeout(stage, after) => timeout(f, *stage, *after),
            Self::Trust(error) => write!(f, "{error}"),
            Self::Tls(failure) => write!(f, "{failure}"),
            Self::Io(stage, error) => write!(
                f,
                "the connection broke off during {stage}: {error}; the broker's log, or that of a proxy before it, says why"
            ),
            Self::Http {
                status,
                location,
                text,
            } => http(f, *status, location.as_deref(), text),
            Self::NotHttp(found) => write!(
                f,
                "what answers there does not speak HTTP but begins with {found:?}; try mqtt:// or mqtts://, or another port"
            ),
            Self::NotWebSocket(what) => write!(
                f,
                "the server agrees to a WebSocket, but {what}; is this the path of the broker, as in wss://HOST/mqtt?"
            ),
            Self::NoHttp2 => f.write_str(
                "the server does not speak HTTP/2; leave --http2 away",
            ),
            Self::NoExtendedConnect => f.write_str(
                "the server allows no WebSocket over HTTP/2 (no SETTINGS_ENABLE_CONNECT_PROTOCOL); leave --http2 away",
            ),
        }
    }
}

fn timeout(f: &mut fmt::Formatter<'_>, stage: Stage, after: Duration) -> fmt::Result {
    let hint = match stage {
        Stage::Resolve => "is there a network?",
        Stage::Connect => "are address and port right, and does a firewall let it through?",
        Stage::Tls => "does that port speak TLS?",
        Stage::Upgrade => "does that port speak HTTP?",
    };
    write!(f, "no answer within {after:?} to {stage}; {hint}")
}

fn http(
    f: &mut fmt::Formatter<'_>,
    status: u16,
    location: Option<&str>,
    text: &str,
) -> fmt::Result {
    let reason = http::StatusCode::from_u16(status).ok();
    let reason = reason
        .and_then(|status| status.canonical_reason())
        .unwrap_or("");
    write!(
        f,
        "the server does not open a WebSocket but answers {status}"
    )?;
    if !reason.is_empty() {
        write!(f, " {reason}")?;
    }
    if !text.is_empty() {
        write!(f, ": {text:?}")?;
    }
    match (status, location) {
        (300..400, Some(location)) => write!(f, "; it points to {location}: connect there"),
        (401 | 403, _) => {
            f.write_str("; a proxy or the broker wants to know more, or allows no such client")
        }
        (404 | 405, _) => f.write_str("; try another path, most brokers have theirs at /mqtt"),
        (200 | 400 | 426, _) => {
            f.write_str("; this is not the path of a broker, or a proxy does not pass Upgrade on")
        }
        (429 | 503, _) => f.write_str("; try again later"),
        (502 | 504, _) => f.write_str("; the proxy does not reach the broker behind it"),
        _ => f.write_str("; the server's log says why"),
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Resolve => "the look-up of the host",
            Self::Connect => "the TCP connection",
            Self::Tls => "the TLS handshake",
            Self::Upgrade => "the opening handshake of the WebSocket",
        })
    }
}

impl Error for DialError {}
