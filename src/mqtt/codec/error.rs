//! Bytes that are no packet, or a packet that may not come here.

use std::fmt;

use crate::mqtt::packet::{ProtocolVersion, ReasonCode};

/// What is wrong with what a peer has sent, in words that the peer may read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DecodeError {
    reason_code: ReasonCode,
    message: String,
    answer_version: Option<ProtocolVersion>,
}

impl DecodeError {
    /// The bytes do not follow the form of the packet: 0x81.
    pub(super) fn malformed(message: impl Into<String>) -> Self {
        Self::new(ReasonCode::MalformedPacket, message)
    }

    /// The packet is well formed and says what it must not: 0x82.
    pub(super) fn protocol(message: impl Into<String>) -> Self {
        Self::new(ReasonCode::ProtocolError, message)
    }

    pub(super) fn new(reason_code: ReasonCode, message: impl Into<String>) -> Self {
        Self {
            reason_code,
            message: message.into(),
            answer_version: None,
        }
    }

    /// A CONNECT that may be answered by CONNACK, in the form of this version.
    pub(super) fn answered(mut self, version: ProtocolVersion) -> Self {
        self.answer_version = Some(version);
        self
    }

    /// What the standard calls it.
    #[must_use]
    pub const fn reason_code(&self) -> ReasonCode {
        self.reason_code
    }

    /// The version in which a CONNACK may say so; `None`: the connection is closed in silence, as the standard says of
    /// whatever is no CONNECT [MQTT-3.1.0-1], and of a malformed CONNECT before MQTT 5 [MQTT-3.1.4-1 of 3.1.1].
    #[must_use]
    pub const fn answer_version(&self) -> Option<ProtocolVersion> {
        self.answer_version
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for DecodeError {}
