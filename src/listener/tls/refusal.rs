//! Why a handshake came to nothing, in words that tell whose fault it is.

use std::{fmt, io};

use rustls::{AlertDescription, CertificateError, InvalidMessage, PeerIncompatible};

/// Why a handshake came to nothing.
#[derive(Debug)]
pub enum HandshakeError {
    /// The peer went away in the middle; port scanners and health checks do.
    Closed,
    /// The network failed.
    Io(io::Error),
    /// What came was no TLS.
    NotTls,
    /// The client refused us, with this alert.
    Refused(AlertDescription),
    /// The two have no version, cipher suite, group or signature scheme in common.
    Incompatible(PeerIncompatible),
    /// A certificate is required, and the client showed none.
    NoClientCertificate,
    /// The client's certificate is not accepted.
    ClientCertificate(CertificateError),
    /// The client's certificate was verified, but it cannot be told whose it is.
    UnreadableClientCertificate,
    /// The client broke the protocol.
    Protocol(rustls::Error),
    /// The listener asks for client certificates, but the configuration has no roots to check them by.
    NoRoots,
}

impl From<rustls::Error> for HandshakeError {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "rustls may add errors at any time; a new one is a protocol error until looked at"
    )]
    fn from(error: rustls::Error) -> Self {
        match error {
            rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType) => Self::NotTls,
            rustls::Error::AlertReceived(alert) => Self::Refused(alert),
            rustls::Error::PeerIncompatible(cause) => Self::Incompatible(cause),
            rustls::Error::NoCertificatesPresented => Self::NoClientCertificate,
            rustls::Error::InvalidCertificate(cause) => Self::ClientCertificate(cause),
            other => Self::Protocol(other),
        }
    }
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("the client closed the connection during the handshake"),
            Self::Io(error) => write!(f, "the network failed during the handshake: {error}"),
            Self::NotTls => f.write_str("the client does not speak TLS"),
            Self::Refused(alert) => {
                write!(f, "the client refused the handshake with {alert:?}{}", hint(*alert))
            }
            Self::Incompatible(cause) => write!(
                f,
                "the client has nothing in common with TLS 1.2 and 1.3 as spoken here: {cause:?}"
            ),
            Self::NoClientCertificate => {
                f.write_str("the client showed no certificate, and this listener requires one")
            }
            Self::ClientCertificate(cause) => {
                write!(f, "the client's certificate is not accepted: {cause}")
            }
            Self::UnreadableClientCertificate => {
                f.write_str("the client's certificate cannot be read")
            }
            Self::Protocol(error) => write!(f, "the client broke the TLS protocol: {error}"),
            Self::NoRoots => f.write_str(
                "this listener asks for client certificates, but no roots to check them by are configured",
            ),
        }
    }
}

/// What usually is behind an alert.
const fn hint(alert: AlertDescription) -> &'static str {
    if matches!(
        alert,
        AlertDescription::UnknownCA
            | AlertDescription::CertificateUnknown
            | AlertDescription::BadCertificate
    ) {
        ": it does not trust the server's certificate, or connects by a name that is not in it"
    } else if matches!(alert, AlertDescription::CertificateExpired) {
        ": by its clock the server's certificate has expired"
    } else {
        ""
    }
}

impl std::error::Error for HandshakeError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            Self::Protocol(error) => Some(error),
            Self::Closed
            | Self::NotTls
            | Self::Refused(_)
            | Self::Incompatible(_)
            | Self::NoClientCertificate
            | Self::ClientCertificate(_)
            | Self::UnreadableClientCertificate
            | Self::NoRoots => None,
        }
    }
}
