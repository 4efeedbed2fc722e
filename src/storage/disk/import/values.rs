//! Fields become what is kept: each kind of line, with its defaults.

use std::{
    num::{NonZeroU16, NonZeroU32},
    sync::Arc,
    time::SystemTime,
};

use super::fields::{Fields, MAX_NUMBER, Problem, shown_text};
use crate::{
    message::{ClientId, Message, MessageProperties, QoS, TopicFilter, TopicName},
    router::{RetainHandling, SubscriptionOptions},
    storage::{Presence, SessionId, SessionRecord, StoredWill, disk::record::Moment},
};

/// The longest packet: its length has 28 bits.
const MAX_PACKET: usize = 268_435_455;

const FOR_EVER: u32 = u32::MAX;

pub(super) fn message(
    fields: &mut Fields,
    is_retained: bool,
    moment: Moment,
) -> Result<Message, Problem> {
    let topic = topic(fields, "topic")?.ok_or_else(|| fields.missing("topic", A_TOPIC))?;
    let payload = fields.bytes("payload", "payload_base64")?;
    let message = Message {
        topic,
        payload: payload.unwrap_or_default().into(),
        qos: optional_qos(fields, "qos")?.unwrap_or_default(),
        retain: fields.flag("retain", is_retained)?,
        origin: fields.short_text("publisher")?.map(ClientId::from),
        expires_at: fields.time("expires_at")?.map(|at| moment.to_instant(at)),
        properties: properties(fields)?.map(Box::new),
    };
    let bytes = length(&message);
    if bytes > MAX_PACKET {
        let found = format!("in all {bytes} bytes long with its topic and properties");
        return Err(fields.wrong("payload", &found, &format!("at most {MAX_PACKET}")));
    }
    Ok(message)
}

/// Bytes of a packet that carries it, roughly.
fn length(message: &Message) -> usize {
    let properties = message.properties.as_deref().map_or(0, |properties| {
        let pairs = properties.user_properties.iter();
        let user: usize = pairs
            .map(|(name, value)| 5 + name.len() + value.len())
            .sum();
        user + properties.content_type.as_ref().map_or(0, |it| it.len())
            + properties
                .correlation_data
                .as_ref()
                .map_or(0, |it| it.len())
    });
    message.topic.as_str().len() + message.payload.len() + properties
}

fn properties(fields: &mut Fields) -> Result<Option<MessageProperties>, Problem> {
    let Some(mut fields) = fields.object("properties", "properties.")? else {
        return Ok(None);
    };
    let indicator = fields.optional_number("payload_format_indicator", 0..=1)?;
    let correlation_data = fields.bytes("correlation_data", "correlation_data_base64")?;
    if let Some(data) = correlation_data.as_ref().filter(|it| it.len() > 65_535) {
        let found = format!("{} bytes long", data.len());
        return Err(fields.wrong("correlation_data", &found, "at most 65535"));
    }
    let properties = MessageProperties {
        payload_is_utf8: indicator.map(|it| it == 1),
        content_type: fields.short_text("content_type")?.map(Box::from),
        response_topic: topic(&mut fields, "response_topic")?,
        correlation_data: correlation_data.map(Into::into),
        user_properties: fields.pairs("user_properties")?,
    };
    fields.finish()?;
    Ok(Some(properties))
}

pub(super) fn session(
    fields: &mut Fields,
    id: SessionId,
    moment: Moment,
) -> Result<SessionRecord, Problem> {
    let client_id = client_id(fields)?;
    let expiry_interval = seconds(fields, "expiry_interval")?.unwrap_or(FOR_EVER);
    let receive_maximum = fields.optional_number("receive_maximum", 1..=u64::from(u16::MAX))?;
    let since = fields.time("away_since")?;
    let sent_before = fields.optional_number("sent_before", 0..=MAX_NUMBER)?;
    let presence = match receive_maximum {
        Some(_) if since.is_some() || sent_before.is_some() => {
            let text = "receive_maximum says that the client was connected, and away_since or sent_before that it \
                        was not: expected one of them";
            return Err(text.to_owned());
        }
        Some(maximum) => Presence::Connected {
            receive_maximum: u16::try_from(maximum).unwrap_or(u16::MAX),
        },
        None => Presence::Away {
            since: since.unwrap_or_else(SystemTime::now),
            sent_before: sent_before.unwrap_or_default(),
        },
    };
    let will = match fields.object("will", "will.")? {
        Some(mut fields) => {
            Some(will(&mut fields, moment).and_then(|it| fields.finish().map(|()| it))?)
        }
        None => None,
    };
    Ok(SessionRecord {
        id,
        client_id,
        expiry_interval,
        presence,
        will,
    })
}

fn will(fields: &mut Fields, moment: Moment) -> Result<StoredWill, Problem> {
    Ok(StoredWill {
        message: Arc::new(message(fields, false, moment)?),
        delay_interval: seconds(fields, "delay_interval")?.unwrap_or_default(),
        expiry_interval: seconds(fields, "expiry_interval")?,
        due: fields.time("due")?,
    })
}

pub(super) fn subscription(
    fields: &mut Fields,
) -> Result<(TopicFilter, SubscriptionOptions), Problem> {
    let filter = filter(fields, "filter")?.ok_or_else(|| fields.missing("filter", A_FILTER))?;
    let identifier = fields.optional_number("identifier", 1..=268_435_455)?;
    let options = SubscriptionOptions {
        qos: qos(fields, "qos")?,
        no_local: fields.flag("no_local", false)?,
        retain_as_published: fields.flag("retain_as_published", false)?,
        retain_handling: match fields.optional_number("retain_handling", 0..=2)? {
            None | Some(0) => RetainHandling::Send,
            Some(1) => RetainHandling::SendIfNew,
            Some(_) => RetainHandling::DoNotSend,
        },
        identifier: identifier
            .and_then(|it| u32::try_from(it).ok())
            .and_then(NonZeroU32::new),
    };
    Ok((filter, options))
}

pub(super) fn client_id(fields: &mut Fields) -> Result<ClientId, Problem> {
    const EXPECTED: &str = "a client identifier";
    match fields.short_text("client_id")? {
        Some(text) if text.is_empty() => Err(fields.wrong("client_id", "empty", EXPECTED)),
        Some(text) => Ok(text.into()),
        None => Err(fields.missing("client_id", EXPECTED)),
    }
}

pub(super) fn packet_id(fields: &mut Fields) -> Result<NonZeroU16, Problem> {
    let number = fields.number("packet_id", 1..=u64::from(u16::MAX))?;
    let packet_id = u16::try_from(number).ok().and_then(NonZeroU16::new);
    packet_id.ok_or_else(|| fields.missing("packet_id", "a packet identifier"))
}

pub(super) fn qos(fields: &mut Fields, name: &'static str) -> Result<QoS, Problem> {
    optional_qos(fields, name)?.ok_or_else(|| fields.missing(name, "0, 1 or 2"))
}

fn optional_qos(fields: &mut Fields, name: &'static str) -> Result<Option<QoS>, Problem> {
    let number = fields.optional_number(name, 0..=2)?;
    Ok(number.and_then(|it| QoS::from_bits(u8::try_from(it).ok()?)))
}

const A_TOPIC: &str = "a topic name";
const A_FILTER: &str = "a topic filter";

fn topic(fields: &mut Fields, name: &'static str) -> Result<Option<TopicName>, Problem> {
    let Some(text) = fields.optional_text(name, A_TOPIC)? else {
        return Ok(None);
    };
    let wrong = |error| format!("{}, which {error}", shown_text(&text));
    let parsed = TopicName::parse(&text).map(Some);
    parsed.map_err(|error| fields.wrong(name, &wrong(error), A_TOPIC))
}

pub(super) fn filter(
    fields: &mut Fields,
    name: &'static str,
) -> Result<Option<TopicFilter>, Problem> {
    let Some(text) = fields.optional_text(name, A_FILTER)? else {
        return Ok(None);
    };
    let wrong = |error| format!("{}, which {error}", shown_text(&text));
    let parsed = TopicFilter::parse(&text).map(Some);
    parsed.map_err(|error| fields.wrong(name, &wrong(error), A_FILTER))
}

fn seconds(fields: &mut Fields, name: &'static str) -> Result<Option<u32>, Problem> {
    let number = fields.optional_number(name, 0..=u64::from(u32::MAX))?;
    Ok(number.and_then(|it| u32::try_from(it).ok()))
}
