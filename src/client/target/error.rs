//! What can be wrong with a URL.

use std::fmt;

/// What is wrong with a URL, and what is expected instead.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum TargetError {
    /// No `scheme://` in front.
    NoScheme(String),
    /// A scheme that does not lead to a broker.
    Scheme(String),
    /// Nothing where the host should be.
    NoHost,
    /// Characters that no host name has.
    Host(String),
    /// An IPv6 address without its brackets, or brackets without an IPv6 address.
    Brackets(String),
    /// No number from 1 to 65535.
    Port {
        /// What stands there.
        found: String,
        /// There is an `@` further on: a user name or password with `/`, `?` or `#` in it was probably meant.
        user_info_meant: bool,
    },
    /// A `%` that is not followed by two hexadecimal digits, or bytes that are no UTF-8.
    Percent(String),
    /// A space or control character in the path.
    Path(String),
    /// `#…`, which a WebSocket URL may not have (RFC 6455, 3).
    Fragment(String),
}

impl fmt::Display for TargetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoScheme(found) => write!(
                f,
                "{found:?} is no URL: it begins with none of mqtt://, mqtts://, ws://, wss://; \
                 for example mqtt://localhost or wss://localhost:8443/mqtt"
            ),
            Self::Scheme(found) => write!(
                f,
                "the scheme {found:?} does not lead to a broker; expected is mqtt:// or mqtts:// (MQTT on TCP, or inside \
                 TLS), ws:// or wss:// (WebSocket; http:// and https:// mean the same)"
            ),
            Self::NoHost => f.write_str(
                "the URL has no host; expected is SCHEME://HOST, as in mqtt://localhost or wss://example.com/mqtt",
            ),
            Self::Host(found) => write!(
                f,
                "{found:?} is no host name; expected are letters, digits, '.', '-' and '_', or an IP address \
                 (names in other scripts in their xn-- form)"
            ),
            Self::Brackets(found) => write!(
                f,
                "{found:?} is no host with a port; an IPv6 address stands in brackets, as in mqtt://[::1]:1883"
            ),
            Self::Port {
                found,
                user_info_meant,
            } => {
                write!(f, "the port {found:?} is no number from 1 to 65535")?;
                if *user_info_meant {
                    f.write_str(
                        "; where this is part of a password, write / as %2F, ? as %3F and # as %23",
                    )?;
                }
                Ok(())
            }
            Self::Percent(_) => f.write_str(
                "a % in the URL is not followed by two hexadecimal digits that make UTF-8; write a % itself as %25",
            ),
            Self::Path(found) => write!(
                f,
                "the path {found:?} has a character that URLs do not have; write a space as %20"
            ),
            Self::Fragment(found) => write!(
                f,
                "the URL ends in \"#{found}\", which a WebSocket URL may not have; give the topic with -t"
            ),
        }
    }
}

impl std::error::Error for TargetError {}
