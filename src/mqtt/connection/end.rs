//! The reasons a connection may end for, and what the client is told then.

use std::{fmt, io, time::Instant};

use crate::{
    auth::Denied,
    mqtt::{
        codec::DecodeError,
        mailbox::Request,
        packet::{ConnAck, Disconnect, Packet, ReasonCode},
        session::{Outcome, Violation, denied_code},
        transport::{Closing, LimitReached},
    },
    telemetry::{Probe, Stage},
};

/// Why a connection has ended. Logged once, where it ends.
#[derive(Debug)]
pub(super) enum End {
    /// The client has said DISCONNECT, with this code.
    Disconnected(ReasonCode),
    /// The client has closed the stream without DISCONNECT.
    Closed,
    /// The network or the framing under MQTT failed.
    Network(io::Error),
    /// The bytes are no packet that may come here.
    Malformed(DecodeError),
    /// A packet broke a rule.
    Violation(Violation),
    /// CONNECT was refused.
    Refused(Refusal),
    /// No complete CONNECT in time.
    ConnectTimeout,
    /// Another connection has come with the same client identifier.
    TakenOver,
    /// The server stops.
    ShuttingDown,
    /// The client's queue is full, and the configuration says to disconnect then.
    Overflowed,
    /// A message cannot be kept, and the client cannot be told.
    NotKept(Outcome),
}

/// Why a CONNECT was refused: our policy.
#[derive(Debug)]
pub(super) enum Refusal {
    /// Who the client says it is, or what its will may do.
    Denied(Denied),
    /// An enhanced authentication that is not supported here.
    AuthenticationMethod(Box<str>),
    /// A limit of the front door.
    Limit(LimitReached),
    /// As many sessions as there may be.
    Sessions { limit: usize },
    /// The server stops.
    Stopping,
}

/// The peer broke what lies under MQTT, as the contract of `Transport::receive` says it.
fn is_of_framing(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::InvalidData
}

impl End {
    /// A short name for metrics and logs.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Disconnected(_) => "client_disconnect",
            Self::Closed => "closed",
            Self::Network(error) if is_of_framing(error) => "framing",
            Self::Network(_) => "network",
            Self::Malformed(_) => "malformed",
            Self::Violation(Violation::KeepAliveTimeout { .. }) => "keep_alive",
            Self::Violation(_) => "protocol_error",
            Self::Refused(refusal) => refusal.name(),
            Self::ConnectTimeout => "connect_timeout",
            Self::TakenOver => "taken_over",
            Self::ShuttingDown => "shutting_down",
            Self::Overflowed => "queue_full",
            Self::NotKept(_) => "not_kept",
        }
    }

    /// The packet that tells the client, before or after CONNACK.
    pub(super) fn last_packet(&self, is_open: bool) -> Option<Packet> {
        let reason_code = match self {
            Self::Refused(refusal) => {
                let mut answer = ConnAck::new(false, refusal.reason_code());
                answer.reason_string = Some(refusal.to_string().into());
                return Some(Packet::ConnAck(Box::new(answer)));
            }
            Self::Malformed(error) if !is_open => {
                let mut answer = ConnAck::new(false, connack_code(error));
                answer.reason_string = Some(error.to_string().into());
                return Some(Packet::ConnAck(Box::new(answer)));
            }
            Self::Violation(violation) if !is_open => {
                let mut answer = ConnAck::new(false, violation.reason_code());
                answer.reason_string = Some(violation.to_string().into());
                return Some(Packet::ConnAck(Box::new(answer)));
            }
            Self::Malformed(error) => error.reason_code(),
            Self::Violation(violation) => violation.reason_code(),
            Self::TakenOver => ReasonCode::SessionTakenOver,
            Self::ShuttingDown if is_open => ReasonCode::ServerShuttingDown,
            Self::Overflowed | Self::NotKept(_) => ReasonCode::QuotaExceeded,
            Self::Disconnected(_)
            | Self::Closed
            | Self::Network(_)
            | Self::ConnectTimeout
            | Self::ShuttingDown => {
                return None;
            }
        };
        Some(Packet::Disconnect(
            Disconnect::new(reason_code).because(self),
        ))
    }

    /// Whether the client may still be there to read what was written.
    pub(super) const fn leaves_peer(&self) -> bool {
        !matches!(self, Self::Closed | Self::Network(_))
    }

    /// For the client that asks afterwards why.
    pub(super) fn note(&self, probe: &Probe, is_open: bool, now: Instant) {
        if let Some(Packet::ConnAck(answer)) = self.last_packet(is_open) {
            let code = kebab_case(answer.reason_code);
            probe.note(Stage::Connect, false, code, self, now);
        }
        let is_fine = matches!(self, Self::Disconnected(ReasonCode::Success));
        let code = self.name().replace('_', "-");
        probe.note(Stage::Closed, is_fine, code, self, now);
    }

    /// How the stream ends: what a browser is told in its close frame.
    pub(super) fn closing(&self) -> Closing {
        let text = || self.to_string().into();
        match self {
            Self::Disconnected(_) | Self::Closed | Self::Network(_) => Closing::Normal,
            Self::Malformed(_) | Self::Violation(_) => Closing::ProtocolError(text()),
            Self::Refused(Refusal::Limit(_) | Refusal::Sessions { .. } | Refusal::Stopping)
            | Self::Overflowed
            | Self::NotKept(_) => Closing::TryAgainLater(text()),
            Self::Refused(Refusal::Denied(_) | Refusal::AuthenticationMethod(_))
            | Self::ConnectTimeout
            | Self::TakenOver => Closing::Refused(text()),
            Self::ShuttingDown => Closing::GoingAway,
        }
    }
}

/// The code of a fault before CONNACK, which does not have them all (MQTT 5, table 3-1).
const fn connack_code(error: &DecodeError) -> ReasonCode {
    let code = error.reason_code();
    if matches!(
        code,
        ReasonCode::TopicFilterInvalid | ReasonCode::TopicAliasInvalid
    ) {
        return ReasonCode::ProtocolError;
    }
    code
}

/// `bad-user-name-or-password`.
fn kebab_case(code: ReasonCode) -> String {
    let mut name = String::new();
    for letter in format!("{code:?}").chars() {
        if letter.is_ascii_uppercase() && !name.is_empty() {
            name.push('-');
        }
        name.push(letter.to_ascii_lowercase());
    }
    name
}

impl Refusal {
    const fn name(&self) -> &'static str {
        match self {
            Self::Denied(_) => "not_authorized",
            Self::AuthenticationMethod(_) => "authentication_method",
            Self::Limit(LimitReached::Connections { .. }) => "connections",
            Self::Limit(LimitReached::ConnectionsPerAddress { .. }) => "connections_per_address",
            Self::Sessions { .. } => "sessions",
            Self::Stopping => "shutting_down",
        }
    }

    const fn reason_code(&self) -> ReasonCode {
        match self {
            Self::Denied(denied) => denied_code(denied),
            Self::AuthenticationMethod(_) => ReasonCode::BadAuthenticationMethod,
            Self::Limit(LimitReached::Connections { .. }) => ReasonCode::ServerBusy,
            Self::Limit(LimitReached::ConnectionsPerAddress { .. }) | Self::Sessions { .. } => {
                ReasonCode::QuotaExceeded
            }
            // CONNACK has no 0x8B (MQTT 5, table 3-1).
            Self::Stopping => ReasonCode::ServerUnavailable,
        }
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disconnected(ReasonCode::Success) => f.write_str("the client disconnected"),
            Self::Disconnected(code) => write!(
                f,
                "the client disconnected with reason code 0x{:02X}",
                *code as u8
            ),
            Self::Closed => f.write_str("closed by the client without DISCONNECT"),
            Self::Network(error) if is_of_framing(error) => error.fmt(f),
            Self::Network(error) => write!(f, "the network failed: {error}"),
            Self::Malformed(error) => error.fmt(f),
            Self::Violation(violation) => violation.fmt(f),
            Self::Refused(refusal) => refusal.fmt(f),
            Self::ConnectTimeout => f.write_str("no complete CONNECT in time"),
            Self::TakenOver => f.write_str("another connection uses this client identifier"),
            Self::ShuttingDown => f.write_str("the server shuts down"),
            Self::Overflowed => f.write_str("the client's queue is full"),
            Self::NotKept(outcome) => outcome.fmt(f),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Denied(denied) => denied.fmt(f),
            Self::AuthenticationMethod(method) => {
                write!(f, "authentication method {method} is not supported")
            }
            Self::Limit(limit) => limit.fmt(f),
            Self::Sessions { limit } => write!(f, "the server keeps its limit of {limit} sessions"),
            Self::Stopping => f.write_str("the server shuts down"),
        }
    }
}

impl From<DecodeError> for End {
    fn from(error: DecodeError) -> Self {
        Self::Malformed(error)
    }
}

impl From<Violation> for End {
    fn from(violation: Violation) -> Self {
        Self::Violation(violation)
    }
}

impl From<Refusal> for End {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Request> for End {
    fn from(request: Request) -> Self {
        match request {
            Request::TakeOver => Self::TakenOver,
            Request::ShutDown => Self::ShuttingDown,
        }
    }
}
