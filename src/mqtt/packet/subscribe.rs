//! SUBSCRIBE and SUBACK.

use super::{PacketId, ReasonCode, UserProperties};
use crate::{message::TopicFilter, router::SubscriptionOptions};

/// A client asks for subscriptions (MQTT 5, 3.8).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Subscribe {
    /// The identifier that SUBACK repeats.
    pub packet_id: PacketId,
    /// At least one [MQTT-3.8.3-2].
    pub subscriptions: Vec<Subscription>,
    /// User Properties.
    pub user_properties: UserProperties,
}

/// One line of a SUBSCRIBE.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Subscription {
    /// What is subscribed to.
    pub topic_filter: TopicFilter,
    /// How. The Subscription Identifier of the packet stands in each of its lines.
    pub options: SubscriptionOptions,
}

/// The answer to SUBSCRIBE (MQTT 5, 3.9).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SubAck {
    /// The identifier of the SUBSCRIBE.
    pub packet_id: PacketId,
    /// One for each filter, in their order [MQTT-3.9.3-1].
    pub reason_codes: Vec<ReasonCode>,
    /// The cause in words.
    pub reason_string: Option<Box<str>>,
    /// User Properties.
    pub user_properties: UserProperties,
}
