//! CONNECT, its will, and the version it announces.

use bytes::Bytes;

use super::{Authentication, UserProperties};
use crate::message::{MessageProperties, QoS, TopicName};

/// A Session Expiry Interval that never ends (MQTT 5, 3.1.2.11.2). CleanSession 0 of MQTT 3 means this.
pub const NEVER_EXPIRES: u32 = u32::MAX;

/// A client asks for a connection (MQTT 5, 3.1).
#[derive(Clone, Debug, PartialEq)]
pub struct Connect {
    /// What the client speaks: outside the codec only for logs, and to ask what the client can be told.
    pub version: ProtocolVersion,
    /// Empty: the server assigns one.
    pub client_id: Box<str>,
    /// Forget the session that may be there [MQTT-3.1.2-4].
    pub clean_start: bool,
    /// Seconds after one and a half times of which silence ends the connection; 0 never [MQTT-3.1.2-22].
    pub keep_alive: u16,
    /// User Name.
    pub username: Option<Box<str>>,
    /// Password; may stand without a user name in MQTT 5.
    pub password: Option<Bytes>,
    /// What the server publishes where the connection ends without DISCONNECT.
    pub will: Option<Box<Will>>,
    /// Seconds the session is kept after the connection; [`NEVER_EXPIRES`] for ever; 0 ends with the connection.
    pub session_expiry_interval: u32,
    /// How many QoS 1 and 2 publishes the client takes before it acknowledges one; never 0.
    pub receive_maximum: u16,
    /// The largest packet the client takes, in bytes, fixed header included.
    pub maximum_packet_size: Option<u32>,
    /// The highest topic alias the client takes; 0 none.
    pub topic_alias_maximum: u16,
    /// The client wants Response Information in CONNACK.
    pub request_response_information: bool,
    /// Reason Strings and User Properties may stand in other packets than CONNACK, PUBLISH and DISCONNECT.
    pub request_problem_information: bool,
    /// The enhanced authentication the client begins.
    pub authentication: Option<Authentication>,
    /// User Properties.
    pub user_properties: UserProperties,
}

/// What the server publishes for a client that has gone (MQTT 5, 3.1.2.5).
#[derive(Clone, Debug, PartialEq)]
pub struct Will {
    /// Where.
    pub topic: TopicName,
    /// The application's bytes.
    pub payload: Bytes,
    /// At which QoS.
    pub qos: QoS,
    /// As a retained message.
    pub retain: bool,
    /// Seconds between the end of the connection and the publication; a return within them cancels it.
    pub delay_interval: u32,
    /// Message Expiry Interval in seconds, counted from the publication.
    pub message_expiry_interval: Option<u32>,
    /// The properties that travel with the message.
    pub properties: Option<Box<MessageProperties>>,
}

/// The version of the protocol (the Protocol Level of CONNECT).
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[repr(u8)]
pub enum ProtocolVersion {
    /// MQTT 3.1, `MQIsdp`.
    V3_1 = 3,
    /// MQTT 3.1.1.
    V3_1_1 = 4,
    /// MQTT 5.0.
    V5 = 5,
}

impl ProtocolVersion {
    /// Every version, oldest first.
    pub const ALL: [Self; 3] = [Self::V3_1, Self::V3_1_1, Self::V5];

    /// The client understands a DISCONNECT from the server.
    #[must_use]
    pub const fn accepts_server_disconnect(self) -> bool {
        matches!(self, Self::V5)
    }

    /// The client learns how a PUBLISH went; otherwise PUBACK and PUBREC can only be positive.
    #[must_use]
    pub const fn accepts_publish_failure(self) -> bool {
        matches!(self, Self::V5)
    }

    /// The client has been told the server's Receive Maximum, so that exceeding it is its error.
    #[must_use]
    pub const fn knows_receive_maximum(self) -> bool {
        matches!(self, Self::V5)
    }

    /// The client obeys a Server Keep Alive and learns an Assigned Client Identifier in CONNACK.
    #[must_use]
    pub const fn accepts_connack_properties(self) -> bool {
        matches!(self, Self::V5)
    }

    /// As written in logs and metrics: `3.1`, `3.1.1`, `5.0`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V3_1 => "3.1",
            Self::V3_1_1 => "3.1.1",
            Self::V5 => "5.0",
        }
    }
}
