//! A message as one line of JSON, in the shape of mosquitto's `%j`. Where that would lose something it is another: a
//! payload that is no UTF-8 stands in `payload_base64`, and a user property that comes twice has an array of values.

use data_encoding::BASE64;
use gatemq::message::MessageProperties;
use serde::{Serialize, Serializer, de::IgnoredAny, ser::SerializeMap as _};
use serde_json::value::RawValue;

use super::received::Received;

#[derive(Serialize)]
struct Line<'a> {
    tst: String,
    topic: &'a str,
    qos: u8,
    retain: u8,
    payloadlen: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    mid: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    properties: Option<Properties<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<Payload<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_base64: Option<String>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Payload<'a> {
    /// Nothing at all: `null`.
    Empty,
    Text(&'a str),
    Json(Box<RawValue>),
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Properties<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    message_expiry_interval: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_format_indicator: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_topic: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    correlation_data: Option<String>,
    #[serde(skip_serializing_if = "<[u32]>::is_empty")]
    subscription_identifiers: &'a [u32],
    #[serde(skip_serializing_if = "UserProperties::is_empty")]
    user_properties: UserProperties<'a>,
}

/// Name to value, or to all values where the name comes more than once.
struct UserProperties<'a>(Vec<(&'a str, Vec<&'a str>)>);

/// The payload as a string.
pub(super) fn line(received: &Received, pretty: bool) -> String {
    let payload = &received.publish.message.payload;
    let text = std::str::from_utf8(payload);
    let line = Line {
        payload: match text {
            Ok("") => Some(Payload::Empty),
            Ok(text) => Some(Payload::Text(text)),
            Err(_) => None,
        },
        payload_base64: text.is_err().then(|| BASE64.encode(payload)),
        ..head(received)
    };
    written(&line, pretty)
}

/// The payload as the JSON that it is, or what is wrong with it.
pub(super) fn line_with_json(received: &Received, pretty: bool) -> Result<String, String> {
    let message = &received.publish.message;
    let not_json = |error: &dyn std::fmt::Display| {
        format!(
            "the payload on topic {} is not JSON: {error}; %j takes any",
            message.topic
        )
    };
    let text = std::str::from_utf8(&message.payload).map_err(|error| not_json(&error))?;
    serde_json::from_str::<IgnoredAny>(text).map_err(|error| not_json(&error))?;
    let json = RawValue::from_string(without_spaces(text)).map_err(|error| not_json(&error))?;
    let line = Line {
        payload: Some(Payload::Json(json)),
        ..head(received)
    };
    Ok(written(&line, pretty))
}

fn head(received: &Received) -> Line<'_> {
    let publish = &received.publish;
    Line {
        tst: received.at.strftime("%Y-%m-%dT%H:%M:%S.%6f%z").to_string(),
        topic: publish.message.topic.as_str(),
        qos: publish.qos as u8,
        retain: publish.retain.into(),
        payloadlen: publish.message.payload.len(),
        mid: publish.packet_id.map(Into::into),
        properties: properties(received),
        payload: None,
        payload_base64: None,
    }
}

fn properties(received: &Received) -> Option<Properties<'_>> {
    let publish = &received.publish;
    let message = publish.message.properties.as_deref();
    if message.is_none()
        && publish.message_expiry_interval.is_none()
        && publish.subscription_identifiers.is_empty()
    {
        return None;
    }
    let correlation = message.and_then(|message| message.correlation_data.as_ref());
    Some(Properties {
        message_expiry_interval: publish.message_expiry_interval,
        payload_format_indicator: message
            .and_then(|message| message.payload_is_utf8)
            .map(u8::from),
        content_type: message.and_then(|message| message.content_type.as_deref()),
        response_topic: message.and_then(|message| Some(message.response_topic.as_ref()?.as_str())),
        correlation_data: correlation.map(|data| match std::str::from_utf8(data) {
            Ok(text) => text.to_owned(),
            Err(_) => BASE64.encode(data),
        }),
        subscription_identifiers: &publish.subscription_identifiers,
        user_properties: UserProperties::of(message),
    })
}

fn written(line: &Line<'_>, pretty: bool) -> String {
    let written = if pretty {
        serde_json::to_string_pretty(line)
    } else {
        serde_json::to_string(line)
    };
    written.expect("string keys and finite numbers only")
}

/// JSON in one line: what stands between its tokens is left out.
fn without_spaces(json: &str) -> String {
    let mut is_string = false;
    let mut is_escaped = false;
    let keeps = |letter: &char| {
        let keeps = is_string || !letter.is_ascii_whitespace();
        if *letter == '"' && !is_escaped {
            is_string = !is_string;
        }
        is_escaped = is_string && *letter == '\\' && !is_escaped;
        keeps
    };
    json.chars().filter(keeps).collect()
}

impl<'a> UserProperties<'a> {
    fn of(message: Option<&'a MessageProperties>) -> Self {
        let mut all: Vec<(&str, Vec<&str>)> = Vec::new();
        for (name, value) in message
            .into_iter()
            .flat_map(|message| &message.user_properties)
        {
            match all.iter_mut().find(|(known, _)| **known == **name) {
                Some((_, values)) => values.push(value),
                None => all.push((name, vec![value])),
            }
        }
        Self(all)
    }

    const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for UserProperties<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, values) in &self.0 {
            match values[..] {
                [value] => map.serialize_entry(name, value)?,
                _ => map.serialize_entry(name, values)?,
            }
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use gatemq::message::Message;

    use super::{super::received::tests::received, *};

    fn with_payload(payload: &'static [u8]) -> Received {
        let mut received = received();
        let message = Message {
            payload: payload.into(),
            properties: None,
            ..(*received.publish.message).clone()
        };
        received.publish.message = Arc::new(message);
        received.publish.message_expiry_interval = None;
        received.publish.subscription_identifiers.clear();
        received
    }

    #[test]
    fn everything_a_message_says_is_there() {
        assert_eq!(
            line(&received(), false),
            r#"{"tst":"2026-11-24T19:55:10.000000+0100","topic":"a/b","qos":1,"retain":1,"payloadlen":8,"mid":7,"properties":{"message-expiry-interval":50,"payload-format-indicator":1,"content-type":"text/plain","response-topic":"r/t","correlation-data":"xx","subscription-identifiers":[5],"user-properties":{"a":["b","c"]}},"payload":"{\"n\": 1}"}"#
        );
        let expected = r#""payload":{"n":1}}"#;
        assert!(
            line_with_json(&received(), false)
                .expect("JSON")
                .ends_with(expected)
        );
    }

    #[test]
    fn payloads_of_every_kind() {
        let check = |payload, expected: &str| {
            let line = line(&with_payload(payload), false);
            assert!(line.ends_with(expected), "{line}");
        };
        check(b"", r#""mid":7,"payload":null}"#);
        check(b"a\n\"", r#""payload":"a\n\""}"#);
        check(b"\xff\x00", r#""payload_base64":"/wA="}"#);
        let json =
            with_payload(b" { \"a b\" : [ 1.50 ,\n \"\\\" \\\\\" , 12345678901234567890123 ] } ");
        let json = line_with_json(&json, false).expect("JSON");
        let expected = r#""payload":{"a b":[1.50,"\" \\",12345678901234567890123]}}"#;
        assert!(json.ends_with(expected), "{json}");
        assert!(line_with_json(&with_payload(b"{"), false).is_err());
    }
}
