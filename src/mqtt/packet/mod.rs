//! The fifteen control packets, one model for all versions of the protocol.
//!
//! What a version cannot say has the value that the standard assumes where it is absent; versions end at the codec.
//! Start at [`Packet`].

mod acknowledgement;
mod auth;
mod connack;
mod connect;
mod disconnect;
mod publish;
mod reason_code;
mod subscribe;
mod unsubscribe;

pub use acknowledgement::Acknowledgement;
pub use auth::{Auth, Authentication};
pub use connack::ConnAck;
pub use connect::{Connect, NEVER_EXPIRES, ProtocolVersion, Will};
pub use disconnect::Disconnect;
pub use publish::Publish;
pub use reason_code::ReasonCode;
pub use subscribe::{SubAck, Subscribe, Subscription};
pub use unsubscribe::{UnsubAck, Unsubscribe};

use std::num::NonZeroU16;

/// Identifies a PUBLISH, SUBSCRIBE or UNSUBSCRIBE until it has been acknowledged; never zero [MQTT-2.2.1-3].
pub type PacketId = NonZeroU16;

/// User Properties in the order they came; the same name may stand there twice.
pub type UserProperties = Vec<(Box<str>, Box<str>)>;

/// An MQTT control packet (MQTT 5, 2.1.2).
#[derive(Clone, Debug, PartialEq)]
pub enum Packet {
    /// A client asks for a connection.
    Connect(Box<Connect>),
    /// The answer to CONNECT.
    ConnAck(Box<ConnAck>),
    /// A message.
    Publish(Publish),
    /// QoS 1: received.
    PubAck(Acknowledgement),
    /// QoS 2, first answer: received.
    PubRec(Acknowledgement),
    /// QoS 2: the identifier may be released.
    PubRel(Acknowledgement),
    /// QoS 2: the identifier has been released.
    PubComp(Acknowledgement),
    /// A client asks for subscriptions.
    Subscribe(Subscribe),
    /// The answer to SUBSCRIBE.
    SubAck(SubAck),
    /// A client gives subscriptions up.
    Unsubscribe(Unsubscribe),
    /// The answer to UNSUBSCRIBE.
    UnsubAck(UnsubAck),
    /// Are you there?
    PingReq,
    /// Yes.
    PingResp,
    /// The last packet of a connection.
    Disconnect(Disconnect),
    /// One step of an enhanced authentication.
    Auth(Auth),
}

impl Packet {
    /// The name in the standard, for logs and errors.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Connect(_) => "CONNECT",
            Self::ConnAck(_) => "CONNACK",
            Self::Publish(_) => "PUBLISH",
            Self::PubAck(_) => "PUBACK",
            Self::PubRec(_) => "PUBREC",
            Self::PubRel(_) => "PUBREL",
            Self::PubComp(_) => "PUBCOMP",
            Self::Subscribe(_) => "SUBSCRIBE",
            Self::SubAck(_) => "SUBACK",
            Self::Unsubscribe(_) => "UNSUBSCRIBE",
            Self::UnsubAck(_) => "UNSUBACK",
            Self::PingReq => "PINGREQ",
            Self::PingResp => "PINGRESP",
            Self::Disconnect(_) => "DISCONNECT",
            Self::Auth(_) => "AUTH",
        }
    }

    /// The four bits that stand for it in the fixed header: 1 for CONNECT to 15 for AUTH.
    #[must_use]
    pub const fn packet_type(&self) -> u8 {
        match self {
            Self::Connect(_) => 1,
            Self::ConnAck(_) => 2,
            Self::Publish(_) => 3,
            Self::PubAck(_) => 4,
            Self::PubRec(_) => 5,
            Self::PubRel(_) => 6,
            Self::PubComp(_) => 7,
            Self::Subscribe(_) => 8,
            Self::SubAck(_) => 9,
            Self::Unsubscribe(_) => 10,
            Self::UnsubAck(_) => 11,
            Self::PingReq => 12,
            Self::PingResp => 13,
            Self::Disconnect(_) => 14,
            Self::Auth(_) => 15,
        }
    }
}
