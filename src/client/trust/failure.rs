//! A handshake that failed, in the words of whoever has to mend it.

use std::{fmt, io};

use rustls::{AlertDescription, CertificateError, Error};

use super::Presented;
use crate::{
    client::Target,
    listener::tls::{self, CertificateInfo, Timestamp},
};

/// Why there is no TLS connection. Displayed as a sentence with what to try.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum TlsFailure {
    /// Nobody that is trusted has issued the certificate.
    UnknownIssuer {
        /// Who it says issued it, as RFC 4514 writes it.
        issuer: String,
        /// It is signed by itself.
        is_self_signed: bool,
    },
    /// The certificate is for others.
    WrongName {
        /// Who was asked for.
        host: String,
        /// Whom it is for.
        names: Vec<String>,
    },
    /// The certificate is no longer valid.
    Expired(Option<Timestamp>),
    /// The certificate is not valid yet.
    NotYetValid(Option<Timestamp>),
    /// Something else about the certificate.
    Certificate(String),
    /// What answers does not speak TLS.
    NotTls,
    /// The other end closed the connection instead of answering.
    Closed,
    /// The server wants a certificate of the client, and there was none, or not one that it accepts.
    ClientCertificate(AlertDescription),
    /// None of the ALPN protocols that were offered is spoken there.
    NoCommonProtocol,
    /// Another alert of the server's.
    Alert(AlertDescription),
    /// Anything else that rustls or the network says.
    Other(String),
}

impl TlsFailure {
    /// What a handshake with `target` has failed for.
    #[must_use]
    pub fn of(error: &io::Error, target: &Target, presented: &Presented) -> Self {
        let leaf = tls::describe_chain(&presented.chain()).into_iter().next();
        let cause = error
            .get_ref()
            .and_then(|cause| cause.downcast_ref::<Error>());
        match cause {
            Some(cause) => Self::of_rustls(cause, target, leaf),
            None if is_closed(error) => Self::Closed,
            None => Self::Other(error.to_string()),
        }
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "rustls may add errors at any time, and says itself what they are"
    )]
    fn of_rustls(error: &Error, target: &Target, leaf: Option<CertificateInfo>) -> Self {
        match error {
            Error::InvalidMessage(_) => Self::NotTls,
            Error::AlertReceived(alert) => Self::of_alert(*alert),
            Error::NoApplicationProtocol => Self::NoCommonProtocol,
            Error::InvalidCertificate(cause) => Self::of_certificate(cause, target, leaf),
            other => Self::Other(other.to_string()),
        }
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "alerts are a registry, and rustls has a name for each"
    )]
    const fn of_alert(alert: AlertDescription) -> Self {
        match alert {
            AlertDescription::NoApplicationProtocol => Self::NoCommonProtocol,
            AlertDescription::CertificateRequired
            | AlertDescription::BadCertificate
            | AlertDescription::CertificateUnknown
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateRevoked
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::UnknownCA => Self::ClientCertificate(alert),
            alert => Self::Alert(alert),
        }
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "rustls may add errors at any time, and says itself what they are"
    )]
    fn of_certificate(
        error: &CertificateError,
        target: &Target,
        leaf: Option<CertificateInfo>,
    ) -> Self {
        match error {
            CertificateError::UnknownIssuer => Self::UnknownIssuer {
                is_self_signed: leaf
                    .as_ref()
                    .is_some_and(|leaf| leaf.issuer == leaf.subject),
                issuer: leaf.map(|leaf| leaf.issuer).unwrap_or_default(),
            },
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                Self::WrongName {
                    host: target.host.clone(),
                    names: leaf.map(|leaf| leaf.names).unwrap_or_default(),
                }
            }
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                Self::Expired(leaf.map(|leaf| leaf.not_after))
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                Self::NotYetValid(leaf.map(|leaf| leaf.not_before))
            }
            other => Self::Certificate(other.to_string()),
        }
    }
}

fn is_closed(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
    )
}

impl fmt::Display for TlsFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownIssuer {
                is_self_signed: true,
                issuer,
            } => write!(
                f,
                "the server's certificate is signed by itself ({issuer}), and it is not trusted; \
                 where it is the right one, --cafile FILE with a copy of it trusts it"
            ),
            Self::UnknownIssuer { issuer, .. } => write!(
                f,
                "the server's certificate is signed by {issuer:?}, which is not trusted; \
                 --cafile FILE with the certificate of that authority trusts it \
                 (a GateMQ of its own making gives it out at https://HOST/ca.crt)"
            ),
            Self::WrongName { host, names } if names.is_empty() => write!(
                f,
                "the server's certificate is for no name at all, so not for {host:?}; \
                 it needs that name as Subject Alternative Name, or --insecure leaves the name unchecked"
            ),
            Self::WrongName { host, names } => write!(
                f,
                "the server's certificate is not for {host:?} but for {}; connect by such a name, \
                 or --insecure leaves the name unchecked",
                names.join(", ")
            ),
            Self::Expired(at) => {
                write!(f, "the server's certificate has expired{}", when("on", *at))?;
                f.write_str("; renew it, or set this machine's clock right")
            }
            Self::NotYetValid(from) => {
                write!(f, "the server's certificate is not valid yet{}", when("but from", *from))?;
                f.write_str("; set this machine's clock right")
            }
            Self::Certificate(cause) => write!(
                f,
                "the server's certificate is not accepted: {cause}; another one must be made for it"
            ),
            Self::NotTls => f.write_str(
                "what answers there does not speak TLS; try mqtt:// or ws:// (without TLS), or another port",
            ),
            Self::Closed => f.write_str(
                "the other end closed the connection instead of speaking TLS; \
                 try mqtt:// or ws:// (without TLS), or another port",
            ),
            Self::ClientCertificate(AlertDescription::CertificateRequired) => f.write_str(
                "the server wants to see a certificate of this client; --cert FILE and --key FILE show one",
            ),
            Self::ClientCertificate(alert) => write!(
                f,
                "the server does not accept this client's certificate ({alert:?}); \
                 --cert FILE and --key FILE show another one"
            ),
            Self::NoCommonProtocol => f.write_str(
                "the server speaks none of the ALPN protocols that were offered; --tls-alpn PROTOCOL offers another one",
            ),
            Self::Alert(alert) => write!(
                f,
                "the server ended the TLS handshake with {alert:?}; its log says why"
            ),
            Self::Other(cause) => write!(f, "the TLS handshake failed: {cause}; try again, or another port"),
        }
    }
}

fn when(word: &str, at: Option<Timestamp>) -> String {
    at.map_or_else(String::new, |at| format!(" {word} {at}"))
}

impl std::error::Error for TlsFailure {}
