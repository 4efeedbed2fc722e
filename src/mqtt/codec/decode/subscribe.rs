//! SUBSCRIBE to UNSUBACK (3.8 to 3.11).

use std::num::NonZeroU32;

use super::{Context, check_levels, reason_code, words};
use crate::{
    message::{InvalidTopic, QoS, TopicFilter},
    mqtt::{
        codec::{
            error::DecodeError,
            properties::{self, Properties, Property},
            reader::Reader,
        },
        packet::{ReasonCode, SubAck, Subscribe, Subscription, UnsubAck, Unsubscribe},
    },
    router::{RetainHandling, SubscriptionOptions},
};

pub(super) fn subscribe(
    reader: &mut Reader<'_>,
    context: &Context<'_>,
) -> Result<Subscribe, DecodeError> {
    let packet_id = reader.packet_id()?;
    let mut identifier = None;
    let mut user_properties = Vec::new();
    if context.has_properties() {
        let mut properties = Properties::begin(reader, properties::SUBSCRIBE)?;
        while let Some(property) = properties.next()? {
            match property {
                Property::SubscriptionIdentifier(value) => identifier = NonZeroU32::new(value),
                Property::UserProperty(name, value) => {
                    user_properties.push((name.into(), value.into()));
                }
                // The table of properties lets no other come here.
                _ => {}
            }
        }
    }
    let mut subscriptions = Vec::new();
    while !reader.is_empty() {
        let topic_filter = filter(reader, context)?;
        let options = options(reader, context, &topic_filter)?;
        subscriptions.push(Subscription {
            topic_filter,
            options: SubscriptionOptions {
                identifier,
                ..options
            },
        });
    }
    if subscriptions.is_empty() {
        // [MQTT-3.8.3-2]
        return Err(DecodeError::protocol("SUBSCRIBE has no topic filter"));
    }
    Ok(Subscribe {
        packet_id,
        subscriptions,
        user_properties,
    })
}

fn options(
    reader: &mut Reader<'_>,
    context: &Context<'_>,
    filter: &TopicFilter,
) -> Result<SubscriptionOptions, DecodeError> {
    let bits = reader.u8("subscription options")?;
    let Some(qos) = QoS::from_bits(bits & 3) else {
        // 3.8.3.1
        return Err(DecodeError::protocol("the QoS of a subscription is 3"));
    };
    if !context.has_properties() {
        // [MQTT-3.8.3-4 of 3.1.1]
        return if bits & 0xFC == 0 {
            Ok(SubscriptionOptions {
                qos,
                // Nobody shares a queue with itself [MQTT-3.8.3-4 of 5.0].
                no_local: context.is_bridge && filter.share_name().is_none(),
                retain_as_published: context.is_bridge,
                ..SubscriptionOptions::default()
            })
        } else {
            Err(DecodeError::malformed(
                "reserved bits of a requested QoS are not 0",
            ))
        };
    }
    let retain_handling = match (bits >> 4) & 3 {
        0 => RetainHandling::Send,
        1 => RetainHandling::SendIfNew,
        2 => RetainHandling::DoNotSend,
        _ => {
            return Err(DecodeError::protocol(
                "the retain handling of a subscription is 3",
            ));
        }
    };
    if bits & 0xC0 != 0 {
        // [MQTT-3.8.3-5]
        return Err(DecodeError::malformed(
            "reserved bits of subscription options are not 0",
        ));
    }
    let no_local = bits & 0x04 != 0;
    if no_local && filter.share_name().is_some() {
        // [MQTT-3.8.3-4]
        return Err(DecodeError::protocol("a shared subscription has No Local"));
    }
    Ok(SubscriptionOptions {
        qos,
        no_local,
        retain_as_published: bits & 0x08 != 0,
        retain_handling,
        identifier: None,
    })
}

fn filter(reader: &mut Reader<'_>, context: &Context<'_>) -> Result<TopicFilter, DecodeError> {
    let text = reader.string("topic filter")?;
    let filter = TopicFilter::parse(text).map_err(|error| match error {
        InvalidTopic::Null => DecodeError::malformed(format!("the topic filter {error}")),
        _ => DecodeError::new(
            ReasonCode::TopicFilterInvalid,
            format!("the topic filter {} {error}", excerpt(text)),
        ),
    })?;
    let limit = context.limits.max_topic_levels;
    check_levels(
        filter.pattern(),
        limit,
        "topic filter",
        ReasonCode::TopicFilterInvalid,
    )?;
    Ok(filter)
}

/// Enough of a text from a peer to know it again.
fn excerpt(text: &str) -> String {
    const MOST: usize = 100;
    let end = text.floor_char_boundary(MOST.min(text.len()));
    let dots = if end < text.len() { "…" } else { "" };
    format!("{:?}{dots}", &text[..end])
}

pub(super) fn unsubscribe(
    reader: &mut Reader<'_>,
    context: &Context<'_>,
) -> Result<Unsubscribe, DecodeError> {
    let packet_id = reader.packet_id()?;
    let user_properties = if context.has_properties() {
        words(reader, properties::UNSUBSCRIBE)?.1
    } else {
        Vec::new()
    };
    let mut topic_filters = Vec::new();
    while !reader.is_empty() {
        topic_filters.push(filter(reader, context)?);
    }
    if topic_filters.is_empty() {
        // [MQTT-3.10.3-2]
        return Err(DecodeError::protocol("UNSUBSCRIBE has no topic filter"));
    }
    Ok(Unsubscribe {
        packet_id,
        topic_filters,
        user_properties,
    })
}

pub(super) fn suback(
    reader: &mut Reader<'_>,
    context: &Context<'_>,
) -> Result<SubAck, DecodeError> {
    let packet_id = reader.packet_id()?;
    let (reason_string, user_properties) = if context.has_properties() {
        words(reader, properties::SUBACK)?
    } else {
        (None, Vec::new())
    };
    let may = |code| match context.has_properties() {
        true => matches!(
            code,
            0x00..=0x02 | 0x80 | 0x83 | 0x87 | 0x8F | 0x91 | 0x97 | 0x9E | 0xA1 | 0xA2
        ),
        false => matches!(code, 0x00..=0x02 | 0x80),
    };
    let mut reason_codes = Vec::new();
    while !reader.is_empty() {
        reason_codes.push(reason_code(reader, may)?);
    }
    Ok(SubAck {
        packet_id,
        reason_codes,
        reason_string,
        user_properties,
    })
}

pub(super) fn unsuback(
    reader: &mut Reader<'_>,
    context: &Context<'_>,
) -> Result<UnsubAck, DecodeError> {
    let packet_id = reader.packet_id()?;
    let mut answer = UnsubAck {
        packet_id,
        reason_codes: Vec::new(),
        reason_string: None,
        user_properties: Vec::new(),
    };
    if !context.has_properties() {
        return Ok(answer);
    }
    (answer.reason_string, answer.user_properties) = words(reader, properties::UNSUBACK)?;
    let may = |code| matches!(code, 0x00 | 0x11 | 0x80 | 0x83 | 0x87 | 0x8F | 0x91);
    while !reader.is_empty() {
        answer.reason_codes.push(reason_code(reader, may)?);
    }
    Ok(answer)
}
