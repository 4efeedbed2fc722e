//! PUBLISH (3.3).

use std::sync::Arc;

use bytes::Bytes;
use smallvec::SmallVec;

use super::{Context, connect::keep, topic_name};
use crate::{
    message::{Message, MessageProperties, QoS, TopicName},
    mqtt::{
        codec::{
            decoder::Sender,
            error::DecodeError,
            properties::{self, Properties, Property},
            reader::Reader,
        },
        packet::Publish,
    },
};

/// What the properties of a PUBLISH say beside those that travel with the message.
#[derive(Default)]
struct Hop {
    topic_alias: Option<u16>,
    message_expiry_interval: Option<u32>,
    subscription_identifiers: SmallVec<[u32; 1]>,
    message: Option<Box<MessageProperties>>,
}

/// The flags of the fixed header (3.3.1).
struct Flags {
    dup: bool,
    qos: QoS,
    retain: bool,
}

impl Flags {
    fn of(first: u8) -> Result<Self, DecodeError> {
        let (dup, retain) = (first & 0x08 != 0, first & 0x01 != 0);
        // [MQTT-3.3.1-4]
        let Some(qos) = QoS::from_bits((first >> 1) & 3) else {
            return Err(DecodeError::malformed("the QoS of PUBLISH is 3"));
        };
        if dup && qos == QoS::AtMostOnce {
            // [MQTT-3.3.1-2]
            return Err(DecodeError::malformed("PUBLISH of QoS 0 has DUP"));
        }
        Ok(Self { dup, qos, retain })
    }
}

/// Looks at the first byte, before the rest of the packet has come.
pub(super) fn check_flags(first: u8) -> Result<(), DecodeError> {
    Flags::of(first).map(|_| ())
}

pub(super) fn publish(
    first: u8,
    reader: &mut Reader<'_>,
    context: &mut Context<'_>,
) -> Result<Publish, DecodeError> {
    let Flags { dup, qos, retain } = Flags::of(first)?;
    let topic = reader.string("topic name")?;
    let packet_id = match qos {
        QoS::AtMostOnce => None,
        QoS::AtLeastOnce | QoS::ExactlyOnce => Some(reader.packet_id()?),
    };
    let hop = if context.has_properties() {
        hop(reader, context)?
    } else {
        Hop::default()
    };
    let topic = resolve(topic, hop.topic_alias, context)?;
    let message = Message {
        topic,
        // Copied: a message that is kept for a week must not keep the network's buffer with it.
        payload: Bytes::copy_from_slice(reader.take_rest()),
        qos,
        retain,
        origin: None,
        expires_at: None,
        properties: hop.message,
    };
    Ok(Publish {
        message: Arc::new(message),
        packet_id,
        dup,
        qos,
        retain,
        message_expiry_interval: hop.message_expiry_interval,
        subscription_identifiers: hop.subscription_identifiers,
    })
}

fn hop(reader: &mut Reader<'_>, context: &Context<'_>) -> Result<Hop, DecodeError> {
    let mut hop = Hop::default();
    let mut properties = Properties::begin(reader, properties::PUBLISH)?;
    while let Some(property) = properties.next()? {
        match property {
            Property::TopicAlias(alias) => hop.topic_alias = Some(alias),
            Property::MessageExpiryInterval(seconds) => hop.message_expiry_interval = Some(seconds),
            Property::SubscriptionIdentifier(identifier) if context.sender == Sender::Server => {
                hop.subscription_identifiers.push(identifier);
            }
            Property::SubscriptionIdentifier(_) => {
                // [MQTT-3.3.4-6]
                return Err(DecodeError::protocol(
                    "PUBLISH of a client has a subscription identifier",
                ));
            }
            other => keep(
                hop.message.get_or_insert_default(),
                other,
                context.limits.max_topic_levels,
            )?,
        }
    }
    Ok(hop)
}

/// The topic a PUBLISH is about: named, named and given an alias, or by its alias alone.
fn resolve(
    topic: &str,
    alias: Option<u16>,
    context: &mut Context<'_>,
) -> Result<TopicName, DecodeError> {
    let maximum = context.limits.topic_alias_maximum;
    match alias {
        Some(alias) if topic.is_empty() => context.aliases.topic(alias, maximum),
        // 3.3.2.1: without an alias the name is what is missing.
        None if topic.is_empty() && context.has_properties() => Err(DecodeError::protocol(
            "PUBLISH has neither a topic name nor a topic alias",
        )),
        _ => {
            let topic = topic_name(topic, context.limits.max_topic_levels, "topic name")?;
            if let Some(alias) = alias {
                context.aliases.set(alias, &topic, maximum)?;
            }
            Ok(topic)
        }
    }
}
