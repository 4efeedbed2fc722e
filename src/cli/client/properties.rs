//! `-D`: properties of MQTT 5, by the names and in the order that mosquitto's clients have. Start at [`join`]: the two
//! forms have three and four words, which the parser of the command line cannot tell apart.

use std::{ffi::OsString, num::NonZeroU32};

use gatemq::{
    message::{MessageProperties, TopicName},
    mqtt::packet::{Authentication, Connect, Disconnect, ReasonCode, UserProperties},
};

/// Between the words of a property on its way through the parser. Nobody types it.
const SEPARATOR: char = '\u{1f}';

/// What a property goes along with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Command {
    Connect,
    Publish,
    Subscribe,
    Unsubscribe,
    Disconnect,
    Will,
}

/// One property, understood.
#[derive(Clone, Debug)]
pub(crate) struct Property {
    command: Command,
    value: Value,
}

#[derive(Clone, Debug)]
enum Value {
    AuthenticationData(String),
    AuthenticationMethod(String),
    ContentType(String),
    CorrelationData(String),
    MaximumPacketSize(u32),
    MessageExpiryInterval(u32),
    PayloadFormatIndicator(bool),
    ReceiveMaximum(u16),
    RequestProblemInformation(bool),
    RequestResponseInformation(bool),
    ResponseTopic(TopicName),
    SessionExpiryInterval(u32),
    SubscriptionIdentifier(NonZeroU32),
    TopicAliasMaximum(u16),
    User(String, String),
    WillDelayInterval(u32),
}

/// All properties of a command line.
#[derive(Debug, Default)]
pub(crate) struct Properties(Vec<Property>);

/// Joins the words behind each `-D`, so that it has one value as every other flag. What stands where another flag's value
/// is stays as it is.
pub(crate) fn join(
    arguments: impl IntoIterator<Item = OsString>,
    program: &clap::Command,
) -> Vec<OsString> {
    let mut arguments = arguments.into_iter();
    let mut joined: Vec<OsString> = arguments.by_ref().take(2).collect();
    let name = joined
        .get(1)
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    let Some(command) = program.find_subcommand(name) else {
        joined.extend(arguments);
        return joined;
    };
    while let Some(argument) = arguments.next() {
        let flag = argument.to_str().unwrap_or_default();
        if !matches!(flag, "-D" | "--property") {
            let takes_value = takes_value(command, flag);
            joined.push(argument);
            if takes_value {
                joined.extend(arguments.next());
            }
            continue;
        }
        joined.push(argument);
        let mut words: Vec<_> = arguments.by_ref().take(3).collect();
        if words.get(1).is_some_and(|name| name == "user-property") {
            words.extend(arguments.next());
        }
        if !words.is_empty() {
            joined.push(words.join(SEPARATOR.to_string().as_ref()));
        }
    }
    joined
}

/// Whether the next word belongs to this one.
fn takes_value(command: &clap::Command, flag: &str) -> bool {
    let mut letters = flag.chars();
    command.get_arguments().any(|argument| {
        let is_it = match (letters.clone().next(), flag.strip_prefix("--")) {
            (_, Some(long)) => argument.get_long() == Some(long),
            // Of `-vt`, the last letter decides.
            (Some('-'), None) => {
                argument.get_short().is_some() && argument.get_short() == flag.chars().last()
            }
            _ => false,
        };
        is_it && argument.get_action().takes_values()
    }) && letters.next() == Some('-')
}

impl Property {
    /// Understands what [`join`] has joined.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let words: Vec<_> = text.split(SEPARATOR).collect();
        let (command, name, value, second) = match words[..] {
            [command, "user-property", name, value] => (command, "user-property", name, value),
            [_, "user-property", ..] => {
                return Err(
                    "a user property has a name and a value: -D COMMAND user-property NAME VALUE"
                        .to_owned(),
                );
            }
            [command, name, value] => (command, name, value, ""),
            _ => return Err("expected is -D COMMAND NAME VALUE".to_owned()),
        };
        let command = Command::parse(command)?;
        Ok(Self {
            command,
            value: Value::parse(command, name, value, second)?,
        })
    }
}

impl Command {
    fn parse(text: &str) -> Result<Self, String> {
        Ok(match text.to_ascii_lowercase().as_str() {
            "connect" => Self::Connect,
            "publish" => Self::Publish,
            "subscribe" => Self::Subscribe,
            "unsubscribe" => Self::Unsubscribe,
            "disconnect" => Self::Disconnect,
            "will" => Self::Will,
            _ => {
                return Err(format!(
                    "{text:?} is no command; expected is connect, publish, subscribe, unsubscribe, disconnect or will"
                ));
            }
        })
    }

    /// The properties that may go along with it.
    const fn names(self) -> &'static [&'static str] {
        const MESSAGE: &[&str] = &[
            "content-type",
            "correlation-data",
            "message-expiry-interval",
            "payload-format-indicator",
            "response-topic",
            "user-property",
        ];
        match self {
            Self::Connect => &[
                "authentication-data",
                "authentication-method",
                "maximum-packet-size",
                "receive-maximum",
                "request-problem-information",
                "request-response-information",
                "session-expiry-interval",
                "topic-alias-maximum",
                "user-property",
            ],
            Self::Publish => MESSAGE,
            Self::Will => &[
                "content-type",
                "correlation-data",
                "message-expiry-interval",
                "payload-format-indicator",
                "response-topic",
                "user-property",
                "will-delay-interval",
            ],
            Self::Subscribe => &["subscription-identifier", "user-property"],
            Self::Unsubscribe => &["user-property"],
            Self::Disconnect => &["session-expiry-interval", "user-property"],
        }
    }
}

impl Value {
    fn parse(command: Command, name: &str, value: &str, second: &str) -> Result<Self, String> {
        if !command.names().contains(&name) {
            return Err(format!(
                "{name:?} does not go along with it; expected is one of {}",
                command.names().join(", ")
            ));
        }
        Ok(match name {
            "authentication-data" => Self::AuthenticationData(value.to_owned()),
            "authentication-method" => Self::AuthenticationMethod(value.to_owned()),
            "content-type" => Self::ContentType(value.to_owned()),
            "correlation-data" => Self::CorrelationData(value.to_owned()),
            "maximum-packet-size" => Self::MaximumPacketSize(number(name, value, 1)?),
            "message-expiry-interval" => Self::MessageExpiryInterval(number(name, value, 0)?),
            "payload-format-indicator" => Self::PayloadFormatIndicator(flag(name, value)?),
            "receive-maximum" => Self::ReceiveMaximum(number(name, value, 1)?),
            "request-problem-information" => Self::RequestProblemInformation(flag(name, value)?),
            "request-response-information" => Self::RequestResponseInformation(flag(name, value)?),
            "response-topic" => {
                let topic = TopicName::parse(value);
                Self::ResponseTopic(topic.map_err(|error| format!("the topic {value:?} {error}"))?)
            }
            "session-expiry-interval" => Self::SessionExpiryInterval(number(name, value, 0)?),
            "subscription-identifier" => {
                let found = number::<u32>(name, value, 1)?;
                let found = NonZeroU32::new(found).filter(|found| found.get() <= 268_435_455);
                Self::SubscriptionIdentifier(
                    found.ok_or("subscription-identifier is at most 268435455")?,
                )
            }
            "topic-alias-maximum" => Self::TopicAliasMaximum(number(name, value, 0)?),
            "will-delay-interval" => Self::WillDelayInterval(number(name, value, 0)?),
            _ => Self::User(value.to_owned(), second.to_owned()),
        })
    }
}

fn number<N: TryFrom<u64>>(name: &str, value: &str, from: u64) -> Result<N, String> {
    let number = value.parse::<u64>().ok().filter(|number| *number >= from);
    let number = number.and_then(|number| N::try_from(number).ok());
    let most = u64::MAX >> (64 - 8 * size_of::<N>());
    number.ok_or_else(|| format!("{name} is a number from {from} to {most}, not {value:?}"))
}

fn flag(name: &str, value: &str) -> Result<bool, String> {
    match value {
        "0" => Ok(false),
        "1" => Ok(true),
        _ => Err(format!("{name} is 0 or 1, not {value:?}")),
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "each method looks for the few properties that are its own"
)]
impl Properties {
    pub(super) fn new(properties: &[Property]) -> Self {
        Self(properties.to_vec())
    }

    fn of(&self, command: Command) -> impl Iterator<Item = &Value> {
        let properties = self
            .0
            .iter()
            .filter(move |property| property.command == command);
        properties.map(|property| &property.value)
    }

    /// The user properties of a command.
    pub(crate) fn user(&self, command: Command) -> UserProperties {
        let pair = |value: &Value| match value {
            Value::User(name, value) => Some((name.as_str().into(), value.as_str().into())),
            _ => None,
        };
        self.of(command).filter_map(pair).collect()
    }

    /// The subscription identifier.
    pub(crate) fn subscription_identifier(&self) -> Option<NonZeroU32> {
        self.of(Command::Subscribe).find_map(|value| match value {
            Value::SubscriptionIdentifier(identifier) => Some(*identifier),
            _ => None,
        })
    }

    pub(crate) fn message_expiry_interval(&self, command: Command) -> Option<u32> {
        self.of(command).find_map(|value| match value {
            Value::MessageExpiryInterval(seconds) => Some(*seconds),
            _ => None,
        })
    }

    pub(super) fn will_delay_interval(&self) -> u32 {
        let delay = self.of(Command::Will).find_map(|value| match value {
            Value::WillDelayInterval(seconds) => Some(*seconds),
            _ => None,
        });
        delay.unwrap_or_default()
    }

    /// The properties that travel with a message; `None` where there are none.
    pub(crate) fn message(&self, command: Command) -> Option<MessageProperties> {
        let mut message = MessageProperties {
            user_properties: self.user(command),
            ..MessageProperties::default()
        };
        for value in self.of(command) {
            match value.clone() {
                Value::ContentType(text) => message.content_type = Some(text.into()),
                Value::CorrelationData(text) => message.correlation_data = Some(text.into()),
                Value::PayloadFormatIndicator(is_utf8) => message.payload_is_utf8 = Some(is_utf8),
                Value::ResponseTopic(topic) => message.response_topic = Some(topic),
                _ => {}
            }
        }
        Some(message).filter(|message| *message != MessageProperties::default())
    }

    /// Fills in what CONNECT says.
    pub(super) fn connect(&self, connect: &mut Connect) {
        connect.user_properties = self.user(Command::Connect);
        let mut data = None;
        for value in self.of(Command::Connect) {
            match value.clone() {
                Value::AuthenticationData(text) => data = Some(text.into()),
                Value::AuthenticationMethod(method) => {
                    connect.authentication = Some(Authentication {
                        method: method.into(),
                        data: None,
                    });
                }
                Value::MaximumPacketSize(bytes) => connect.maximum_packet_size = Some(bytes),
                Value::ReceiveMaximum(count) => connect.receive_maximum = count,
                Value::RequestProblemInformation(wants) => {
                    connect.request_problem_information = wants
                }
                Value::RequestResponseInformation(wants) => {
                    connect.request_response_information = wants
                }
                Value::SessionExpiryInterval(seconds) => connect.session_expiry_interval = seconds,
                Value::TopicAliasMaximum(highest) => connect.topic_alias_maximum = highest,
                _ => {}
            }
        }
        if let Some(authentication) = &mut connect.authentication {
            authentication.data = data;
        }
    }

    /// The last packet.
    pub(crate) fn disconnect(&self) -> Disconnect {
        let expiry = self.of(Command::Disconnect).find_map(|value| match value {
            Value::SessionExpiryInterval(seconds) => Some(*seconds),
            _ => None,
        });
        Disconnect {
            session_expiry_interval: expiry,
            user_properties: self.user(Command::Disconnect),
            ..Disconnect::new(ReasonCode::Success)
        }
    }
}
