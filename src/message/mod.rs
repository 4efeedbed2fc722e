//! The words every other module shares: [`Message`], [`TopicName`], [`TopicFilter`], [`QoS`].
//! Knows nothing of packets, clients, bytes on a wire or versions of the protocol.
//! Start at [`Message`].

mod topic;

pub use topic::{InvalidTopic, ShareName, TopicFilter, TopicName};

use std::{sync::Arc, time::Instant};

use bytes::Bytes;

/// How hard the two ends of one hop try to deliver a message (MQTT 5, 4.3).
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[repr(u8)]
pub enum QoS {
    /// QoS 0: sent once, never acknowledged.
    #[default]
    AtMostOnce = 0,
    /// QoS 1: sent until acknowledged; may arrive twice.
    AtLeastOnce = 1,
    /// QoS 2: acknowledged in two steps; arrives once.
    ExactlyOnce = 2,
}

impl QoS {
    /// The level of a two-bit field, `None` for the reserved value 3.
    #[must_use]
    pub const fn from_bits(bits: u8) -> Option<Self> {
        match bits {
            0 => Some(Self::AtMostOnce),
            1 => Some(Self::AtLeastOnce),
            2 => Some(Self::ExactlyOnce),
            _ => None,
        }
    }
}

/// The client identifier of a session, shared by everything that names that session.
pub type ClientId = Arc<str>;

/// What one client published: it travels from end to end and is shared, never copied.
///
/// What differs from hop to hop (packet identifier, DUP, the granted QoS, the RETAIN flag a subscriber sees) is not
/// in here but in the delivery or the packet that carries it.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// Where it was published; never empty, never with a wildcard.
    pub topic: TopicName,
    /// The application's bytes. Never a slice of a larger network buffer: whoever keeps the message keeps only it.
    pub payload: Bytes,
    /// The QoS of the publisher, the upper bound of every delivery [MQTT-3.8.4-8].
    pub qos: QoS,
    /// The publisher set RETAIN: the router keeps it, or clears the topic where the payload is empty.
    pub retain: bool,
    /// The client that published it, for No Local; `None` for messages of the broker itself.
    pub origin: Option<ClientId>,
    /// After this moment it is no longer delivered [MQTT-3.3.2-5]; `None` never expires.
    pub expires_at: Option<Instant>,
    /// Properties that travel unaltered; `None` where there are none, which is nearly always.
    pub properties: Option<Box<MessageProperties>>,
}

/// The PUBLISH properties that a server forwards unaltered (MQTT 5, 3.3.2.3).
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct MessageProperties {
    /// Payload Format Indicator: `Some(true)` promises UTF-8 [MQTT-3.3.2-4].
    pub payload_is_utf8: Option<bool>,
    /// Content Type [MQTT-3.3.2-20].
    pub content_type: Option<Box<str>>,
    /// Response Topic of a request [MQTT-3.3.2-15].
    pub response_topic: Option<TopicName>,
    /// Correlation Data of a request [MQTT-3.3.2-16].
    pub correlation_data: Option<Bytes>,
    /// User Properties in the order they came [MQTT-3.3.2-18].
    pub user_properties: Vec<(Box<str>, Box<str>)>,
}

impl Message {
    /// A message of the broker itself: no origin, no expiry, no properties.
    #[must_use]
    pub fn new(topic: TopicName, payload: impl Into<Bytes>, qos: QoS, retain: bool) -> Self {
        Self {
            topic,
            payload: payload.into(),
            qos,
            retain,
            origin: None,
            expires_at: None,
            properties: None,
        }
    }

    /// Whether its expiry interval has passed.
    #[must_use]
    pub fn has_expired(&self, now: Instant) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }

    /// What is left of the expiry interval in whole seconds, as the next hop is told [MQTT-3.3.2-6].
    #[must_use]
    pub fn remaining_expiry_interval(&self, now: Instant) -> Option<u32> {
        let left = self.expires_at?.saturating_duration_since(now);
        // Rounded up: a message that is delivered at once still has all the seconds it was given.
        Some(u32::try_from(left.as_millis().div_ceil(1000)).unwrap_or(u32::MAX))
    }

    /// What it occupies in memory, in bytes, as queues and the retained store count it.
    #[must_use]
    pub fn footprint(&self) -> usize {
        /// `Message`, its `Arc` header and its place in a queue.
        const OVERHEAD: usize = 160;
        let properties = self
            .properties
            .as_ref()
            .map_or(0, |properties| properties.footprint());
        OVERHEAD + self.topic.as_str().len() + self.payload.len() + properties
    }
}

impl MessageProperties {
    fn footprint(&self) -> usize {
        /// The box and its fields.
        const OVERHEAD: usize = 128;
        let user: usize = self
            .user_properties
            .iter()
            .map(|(name, value)| 32 + name.len() + value.len())
            .sum();
        OVERHEAD
            + user
            + self.content_type.as_ref().map_or(0, |text| text.len())
            + self
                .response_topic
                .as_ref()
                .map_or(0, |topic| topic.as_str().len())
            + self.correlation_data.as_ref().map_or(0, Bytes::len)
    }
}
