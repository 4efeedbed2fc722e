//! UNSUBSCRIBE and UNSUBACK.

use super::{PacketId, ReasonCode, UserProperties};
use crate::message::TopicFilter;

/// A client gives subscriptions up (MQTT 5, 3.10).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Unsubscribe {
    /// The identifier that UNSUBACK repeats.
    pub packet_id: PacketId,
    /// At least one [MQTT-3.10.3-2].
    pub topic_filters: Vec<TopicFilter>,
    /// User Properties.
    pub user_properties: UserProperties,
}

/// The answer to UNSUBSCRIBE (MQTT 5, 3.11).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct UnsubAck {
    /// The identifier of the UNSUBSCRIBE.
    pub packet_id: PacketId,
    /// One for each filter, in their order [MQTT-3.11.3-1]; MQTT 3 has none and reads all as `Success`.
    pub reason_codes: Vec<ReasonCode>,
    /// The cause in words.
    pub reason_string: Option<Box<str>>,
    /// User Properties.
    pub user_properties: UserProperties,
}
