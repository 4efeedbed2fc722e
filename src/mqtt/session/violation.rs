//! What a client did that ends its connection.

use std::fmt;

use crate::{
    auth::Denied,
    mqtt::packet::{PacketId, ReasonCode},
};

/// The client broke a rule of the protocol that only its session can see.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Violation {
    /// A packet that has no place in a running connection.
    Unexpected {
        /// Its name.
        packet: &'static str,
    },
    /// More QoS 1 and 2 publishes at once than the server had allowed [MQTT-3.3.4-9].
    ReceiveMaximumExceeded {
        /// What was allowed.
        limit: u16,
    },
    /// An acknowledgement that does not fit the QoS or the progress of what it acknowledges.
    Misplaced {
        /// Its name.
        packet: &'static str,
        /// Its packet identifier.
        packet_id: PacketId,
    },
    /// Silence for one and a half times the keep alive [MQTT-3.1.2-22].
    KeepAliveTimeout {
        /// The keep alive in seconds.
        seconds: u64,
    },
    /// DISCONNECT raises a Session Expiry Interval that was 0 (MQTT 5, 3.14.2.2.2).
    SessionExpiryRaised,
    /// AUTH without an enhanced authentication having begun, or one of another kind than this moment allows.
    AuthenticationNotBegun,
    /// AUTH names another method than CONNECT did [MQTT-4.12.0-5].
    AuthenticationMethodChanged,
    /// A re-authentication has failed [MQTT-4.12.1-2].
    ReAuthenticationFailed(Denied),
}

impl Violation {
    /// What the standard calls it.
    #[must_use]
    pub const fn reason_code(&self) -> ReasonCode {
        match self {
            Self::Unexpected { .. }
            | Self::Misplaced { .. }
            | Self::SessionExpiryRaised
            | Self::AuthenticationNotBegun
            | Self::AuthenticationMethodChanged => ReasonCode::ProtocolError,
            Self::ReceiveMaximumExceeded { .. } => ReasonCode::ReceiveMaximumExceeded,
            Self::KeepAliveTimeout { .. } => ReasonCode::KeepAliveTimeout,
            Self::ReAuthenticationFailed(_) => ReasonCode::NotAuthorized,
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unexpected { packet } => write!(f, "{packet} has no place here"),
            Self::ReceiveMaximumExceeded { limit } => {
                write!(f, "more than {limit} publishes in flight")
            }
            Self::Misplaced { packet, packet_id } => {
                write!(
                    f,
                    "{packet} does not fit what was sent with packet identifier {packet_id}"
                )
            }
            Self::KeepAliveTimeout { seconds } => {
                write!(
                    f,
                    "nothing received for one and a half times the keep alive of {seconds} s"
                )
            }
            Self::SessionExpiryRaised => {
                f.write_str("a session expiry interval of 0 cannot be raised by DISCONNECT")
            }
            Self::AuthenticationNotBegun => {
                f.write_str("AUTH without an enhanced authentication in progress")
            }
            Self::AuthenticationMethodChanged => {
                f.write_str("AUTH names another authentication method than CONNECT")
            }
            Self::ReAuthenticationFailed(denied) => write!(f, "re-authentication failed: {denied}"),
        }
    }
}

impl std::error::Error for Violation {}
