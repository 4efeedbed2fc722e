//! The lines of an export, as serde writes them. A field that has its default is left out; `import` knows the same.

use std::time::SystemTime;

use data_encoding::BASE64;
use serde::Serialize;

use super::MAX_LINE;
use crate::{
    message::{self, MessageProperties, TopicFilter, TopicName},
    router::{RetainHandling, SubscriptionOptions},
    storage::{
        Presence, SessionRecord,
        disk::record::{Moment, Options},
    },
};

/// Counts up with each change that an older GateMQ would misread.
pub(in crate::storage::disk) const VERSION: u64 = 1;

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Line<'a> {
    #[serde(rename = "gatemq-export")]
    Header {
        version: u64,
        gatemq: &'static str,
    },
    Message {
        id: u64,
        #[serde(flatten)]
        message: Message<'a>,
    },
    Session(Box<Session<'a>>),
    Subscription(Subscription<'a>),
    Received {
        client_id: &'a str,
        packet_id: u16,
    },
    Queued {
        client_id: &'a str,
        place: u64,
        message: Body<'a>,
        qos: u8,
        queued_at: String,
        #[serde(skip_serializing_if = "is_false")]
        retain: bool,
        #[serde(skip_serializing_if = "<[u32]>::is_empty")]
        subscription_identifiers: &'a [u32],
        #[serde(skip_serializing_if = "Option::is_none")]
        share: Option<&'a str>,
    },
    Released {
        client_id: &'a str,
        place: u64,
    },
    Retained(Message<'a>),
    End(Counts),
}

/// The message of a queue's line.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Body<'a> {
    /// That of a line before, by its id.
    Elsewhere(u64),
    Here(Message<'a>),
}

/// How many lines there are of each kind.
#[derive(Clone, Copy, Default, Serialize)]
pub(super) struct Counts {
    pub(super) messages: u64,
    pub(super) sessions: u64,
    pub(super) subscriptions: u64,
    pub(super) received: u64,
    pub(super) queued: u64,
    pub(super) released: u64,
    pub(super) retained: u64,
}

#[derive(Serialize)]
pub(super) struct Message<'a> {
    topic: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_base64: Option<String>,
    qos: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    retain: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    publisher: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    properties: Option<Properties<'a>>,
}

#[derive(Serialize)]
struct Properties<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_format_indicator: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_topic: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    correlation_data: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    correlation_data_base64: Option<String>,
    /// Pairs: the order counts, and a name may come twice.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    user_properties: &'a [(Box<str>, Box<str>)],
}

#[derive(Serialize)]
pub(super) struct Session<'a> {
    client_id: &'a str,
    expiry_interval: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    receive_maximum: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    away_since: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sent_before: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    will: Option<Will<'a>>,
}

#[derive(Serialize)]
struct Will<'a> {
    #[serde(flatten)]
    message: Message<'a>,
    delay_interval: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    expiry_interval: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    due: Option<String>,
}

#[derive(Serialize)]
pub(super) struct Subscription<'a> {
    client_id: &'a str,
    filter: &'a str,
    qos: u8,
    #[serde(skip_serializing_if = "is_false")]
    no_local: bool,
    #[serde(skip_serializing_if = "is_false")]
    retain_as_published: bool,
    #[serde(skip_serializing_if = "is_zero")]
    retain_handling: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    identifier: Option<u32>,
}

impl<'a> Message<'a> {
    /// `is_retained`: what RETAIN is where nothing is said of it.
    pub(super) fn of(message: &'a message::Message, is_retained: bool, moment: Moment) -> Self {
        let (payload, payload_base64) = text_or_base64(&message.payload);
        let expires_at = message.expires_at.map(|at| moment.to_wall_clock(at));
        Self {
            topic: message.topic.as_str(),
            payload,
            payload_base64,
            qos: message.qos as u8,
            retain: (message.retain != is_retained).then_some(message.retain),
            publisher: message.origin.as_deref(),
            expires_at: expires_at.map(time),
            properties: message.properties.as_deref().map(Properties::of),
        }
    }
}

impl<'a> Properties<'a> {
    fn of(properties: &'a MessageProperties) -> Self {
        let correlation_data = properties.correlation_data.as_deref();
        let (text, base64) = correlation_data.map_or((None, None), text_or_base64);
        Self {
            payload_format_indicator: properties.payload_is_utf8.map(u8::from),
            content_type: properties.content_type.as_deref(),
            response_topic: properties.response_topic.as_ref().map(TopicName::as_str),
            correlation_data: text,
            correlation_data_base64: base64,
            user_properties: &properties.user_properties,
        }
    }
}

impl<'a> Session<'a> {
    pub(super) fn of(record: &'a SessionRecord, moment: Moment) -> Self {
        let (receive_maximum, away) = match record.presence {
            Presence::Connected { receive_maximum } => (Some(receive_maximum), None),
            Presence::Away { since, sent_before } => (None, Some((since, sent_before))),
        };
        Self {
            client_id: &record.client_id,
            expiry_interval: record.expiry_interval,
            receive_maximum,
            away_since: away.map(|(since, _)| time(since)),
            sent_before: away.map(|(_, sent_before)| sent_before),
            will: record.will.as_ref().map(|will| Will {
                message: Message::of(&will.message, false, moment),
                delay_interval: will.delay_interval,
                expiry_interval: will.expiry_interval,
                due: will.due.map(time),
            }),
        }
    }
}

impl<'a> Subscription<'a> {
    pub(super) fn of(
        client_id: &'a str,
        filter: &'a TopicFilter,
        options: SubscriptionOptions,
    ) -> Self {
        Self {
            client_id,
            filter: filter.as_str(),
            qos: options.qos as u8,
            no_local: options.no_local,
            retain_as_published: options.retain_as_published,
            retain_handling: match options.retain_handling {
                RetainHandling::Send => 0,
                RetainHandling::SendIfNew => 1,
                RetainHandling::DoNotSend => 2,
            },
            identifier: options.identifier.map(Into::into),
        }
    }
}

pub(super) fn queued<'a>(
    client_id: &'a str,
    place: u64,
    message: Body<'a>,
    options: &'a Options,
) -> Line<'a> {
    Line::Queued {
        client_id,
        place,
        message,
        qos: options.qos as u8,
        queued_at: time(options.queued_at),
        retain: options.retain,
        subscription_identifiers: &options.subscription_identifiers,
        share: options.share.as_ref().map(TopicFilter::as_str),
    }
}

/// As text where people would call it that: control characters but those of lines and tables are bytes, and written as
/// text they would be six times as long.
fn text_or_base64(bytes: &[u8]) -> (Option<&str>, Option<String>) {
    let is_control =
        |byte: &u8| *byte < b' ' && !matches!(byte, b'\t' | b'\n' | b'\r') || *byte == 0x7F;
    // Quotes and backslashes are twice as long in JSON: of the longest payloads too long for a line.
    let escaped = bytes.iter().filter(|byte| is_escaped(**byte)).count();
    if bytes.iter().any(is_control) || bytes.len() + escaped > MAX_LINE / 8 * 7 {
        return (None, Some(BASE64.encode(bytes)));
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => (Some(text), None),
        Err(_) => (None, Some(BASE64.encode(bytes))),
    }
}

const fn is_escaped(byte: u8) -> bool {
    matches!(byte, b'"' | b'\\' | b'\t' | b'\n' | b'\r')
}

/// In UTC with milliseconds, as RFC 3339 writes it. Nothing is kept that is later than the year 9999.
fn time(at: SystemTime) -> String {
    let at = jiff::Timestamp::try_from(at).unwrap_or(jiff::Timestamp::MAX);
    format!("{at:.3}")
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
const fn is_false(value: &bool) -> bool {
    !*value
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
const fn is_zero(value: &u8) -> bool {
    *value == 0
}
