//! Why a client cannot go on, in the words of whoever has to mend it.

use std::{error::Error, fmt, io, time::Duration};

use super::{DialError, TlsFailure, reason};
use crate::{
    message::QoS,
    mqtt::{
        codec::DecodeError,
        packet::{ConnAck, Disconnect, ReasonCode},
    },
};

/// The end of a connection that the client did not want. Displayed as a sentence with what to try.
#[derive(Debug)]
pub enum ClientError {
    /// There is none.
    Dial(DialError),
    /// CONNECT was refused.
    Refused(Box<ConnAck>),
    /// The broker says why it ends.
    Disconnected(Box<Disconnect>),
    /// The other end has closed.
    Closed {
        /// Before it has answered CONNECT.
        before_connack: bool,
        /// Code and reason, where it was a WebSocket's end in order.
        close_frame: Option<(u16, String)>,
    },
    /// TLS was refused after its handshake: a client certificate.
    Tls(TlsFailure),
    /// The network failed.
    Io(io::Error),
    /// What came is no MQTT of the version that was agreed on.
    Decode(DecodeError),
    /// What answers speaks something else.
    NotMqtt(&'static str),
    /// A packet that may not come here.
    Unexpected(&'static str),
    /// No CONNACK in time.
    NoConnAck(Duration),
    /// No answer to PINGREQ in time.
    NoPingResp(Duration),
    /// CONNECT itself is larger than there can be.
    ConnectTooLarge,
}

/// Why a message cannot be published.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum PublishError {
    /// As many are in flight as the broker takes at once: wait for an acknowledgement.
    WindowFull,
    /// The packet is larger than the broker takes.
    TooLarge {
        /// The payload, in bytes.
        payload: usize,
        /// The largest packet, in bytes; `None`: the standard's.
        maximum: Option<u32>,
    },
    /// The broker takes only lower ones.
    QoSNotSupported(QoS),
    /// The broker retains nothing.
    RetainNotSupported,
}

/// What kind of end it was: what an exit code tells.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// What was asked for cannot be.
    Usage,
    /// Nobody answers.
    Unreachable,
    /// Somebody answers, and says no.
    Refused,
    /// No answer in time.
    Timeout,
}

impl ClientError {
    /// What kind of end it was.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Dial(DialError::Trust(_)) | Self::ConnectTooLarge => Kind::Usage,
            Self::Dial(DialError::Timeout(..)) | Self::NoConnAck(_) | Self::NoPingResp(_) => {
                Kind::Timeout
            }
            Self::Dial(error) if error.is_refusal() => Kind::Refused,
            Self::Refused(_) | Self::Disconnected(_) | Self::Tls(_) => Kind::Refused,
            Self::Dial(_)
            | Self::Closed { .. }
            | Self::Io(_)
            | Self::Decode(_)
            | Self::NotMqtt(_)
            | Self::Unexpected(_) => Kind::Unreachable,
        }
    }

    /// The same may work a moment later. What the broker has refused for good will not, and two clients that take a
    /// session over from each other must not go on for ever.
    #[must_use]
    pub fn is_worth_retrying(&self) -> bool {
        let is_passing = |code| {
            matches!(
                code,
                ReasonCode::ServerUnavailable
                    | ReasonCode::ServerBusy
                    | ReasonCode::ServerShuttingDown
                    | ReasonCode::KeepAliveTimeout
                    | ReasonCode::ConnectionRateExceeded
                    | ReasonCode::MaximumConnectTime
                    | ReasonCode::UnspecifiedError
                    | ReasonCode::ImplementationSpecificError
            )
        };
        match self {
            Self::Refused(connack) => is_passing(connack.reason_code),
            Self::Disconnected(disconnect) => is_passing(disconnect.reason_code),
            Self::Dial(DialError::Http { status, .. }) => *status >= 429,
            Self::Dial(error) => !matches!(error, DialError::Trust(_) | DialError::Tls(_)),
            Self::Closed { .. } | Self::Io(_) | Self::NoConnAck(_) | Self::NoPingResp(_) => true,
            Self::Tls(_)
            | Self::Decode(_)
            | Self::NotMqtt(_)
            | Self::Unexpected(_)
            | Self::ConnectTooLarge => false,
        }
    }

    /// The broker does not speak the version: it says so, or answers in the form of another.
    #[must_use]
    pub fn is_about_version(&self) -> bool {
        match self {
            Self::Refused(connack) => connack.reason_code == ReasonCode::UnsupportedProtocolVersion,
            Self::Decode(_) => true,
            Self::Dial(_)
            | Self::Disconnected(_)
            | Self::Closed { .. }
            | Self::Tls(_)
            | Self::Io(_)
            | Self::NotMqtt(_)
            | Self::Unexpected(_)
            | Self::NoConnAck(_)
            | Self::NoPingResp(_)
            | Self::ConnectTooLarge => false,
        }
    }
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dial(error) => write!(f, "{error}"),
            Self::Refused(connack) => {
                let (code, text) = (connack.reason_code, &connack.reason_string);
                f.write_str("the broker refuses the connection: ")?;
                reasoned(f, code, text.as_deref())
            }
            Self::Disconnected(disconnect) => {
                let (code, text) = (disconnect.reason_code, &disconnect.reason_string);
                f.write_str("the broker ended the connection: ")?;
                reasoned(f, code, text.as_deref())
            }
            Self::Closed {
                close_frame: Some((code, reason)),
                ..
            } => {
                write!(f, "the server closed the WebSocket with {code}")?;
                if !reason.is_empty() {
                    write!(f, ": {reason}")?;
                }
                f.write_str("; its log says why")
            }
            Self::Closed {
                before_connack: true,
                ..
            } => f.write_str(
                "the other end closed the connection instead of answering CONNECT; does that port want TLS \
                 (mqtts://, wss://) or a WebSocket (ws://), or does the broker keep this client out?",
            ),
            Self::Closed { .. } => f.write_str(
                "the broker closed the connection without a word; its log says why",
            ),
            Self::Tls(failure) => write!(f, "{failure}"),
            Self::Io(error) => write!(f, "the connection broke off: {error}; try again"),
            Self::Decode(error) => write!(
                f,
                "what came is no MQTT: {error}; is this the port of a broker, and does it speak this version (-V 311)?"
            ),
            Self::NotMqtt(hint) => f.write_str(hint),
            Self::Unexpected(name) => write!(
                f,
                "the broker sent a {name} where none may come; it is at fault, see its log"
            ),
            Self::NoConnAck(after) => write!(
                f,
                "no answer to CONNECT within {after:?}; is this the port of a broker?"
            ),
            Self::NoPingResp(after) => write!(
                f,
                "no answer to a ping within {after:?}: the network, or the broker, is gone"
            ),
            Self::ConnectTooLarge => f.write_str(
                "the CONNECT packet would be larger than MQTT allows; shorten the will",
            ),
        }
    }
}

fn reasoned(f: &mut fmt::Formatter<'_>, code: ReasonCode, text: Option<&str>) -> fmt::Result {
    f.write_str(&reason::words(code))?;
    if let Some(text) = text {
        write!(f, ": {text}")?;
    }
    write!(f, "; {}", reason::hint(code))
}

impl Error for ClientError {}

impl fmt::Display for PublishError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WindowFull => {
                f.write_str("too many messages are in flight; wait for one to be acknowledged")
            }
            Self::TooLarge {
                payload,
                maximum: Some(maximum),
            } => write!(
                f,
                "a payload of {payload} bytes does not fit: the broker takes packets of up to {maximum} bytes; \
                 send less at once, or raise its limit (max_packet_size)"
            ),
            Self::TooLarge { payload, .. } => write!(
                f,
                "a payload of {payload} bytes does not fit: MQTT has packets of up to 268435460 bytes; send less at once"
            ),
            Self::QoSNotSupported(maximum) => write!(
                f,
                "the broker takes QoS up to {}; use a lower -q",
                *maximum as u8
            ),
            Self::RetainNotSupported => f.write_str("the broker retains nothing; leave -r away"),
        }
    }
}

impl Error for PublishError {}
