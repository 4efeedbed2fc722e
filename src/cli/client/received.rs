//! A message as it came.

use gatemq::mqtt::packet::Publish;
use jiff::ZonedDateTime;

/// A message, and when it came, in the time of this place.
#[derive(Debug)]
pub(crate) struct Received {
    pub(super) publish: Publish,
    pub(super) at: ZonedDateTime,
}

impl Received {
    /// Just now.
    pub(crate) fn now(publish: Publish) -> Self {
        Self {
            publish,
            at: ZonedDateTime::now(),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Arc;

    use gatemq::message::{Message, MessageProperties, QoS, TopicName};

    use super::*;

    /// A message that says all there is to say.
    pub(in super::super) fn received() -> Received {
        let topic = |text| TopicName::parse(text).expect("a topic");
        let pair = |name: &str, value: &str| (name.into(), value.into());
        let properties = MessageProperties {
            payload_is_utf8: Some(true),
            content_type: Some("text/plain".into()),
            response_topic: Some(topic("r/t")),
            correlation_data: Some("xx".into()),
            user_properties: vec![pair("a", "b"), pair("a", "c")],
        };
        let message = Message {
            properties: Some(Box::new(properties)),
            ..Message::new(topic("a/b"), "{\"n\": 1}", QoS::AtLeastOnce, true)
        };
        Received {
            publish: Publish {
                message: Arc::new(message),
                packet_id: std::num::NonZeroU16::new(7),
                dup: false,
                qos: QoS::AtLeastOnce,
                retain: true,
                message_expiry_interval: Some(50),
                subscription_identifiers: [5].into(),
            },
            at: "2026-11-24T19:55:10.000000012+01:00[+01:00]"
                .parse()
                .expect("a time"),
        }
    }
}
