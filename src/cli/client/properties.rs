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
struct Property {
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
    let takes = |is_it: &dyn Fn(&clap::Arg) -> bool| {
        let mut arguments = command.get_arguments();
        arguments.any(|argument| is_it(argument) && argument.get_action().takes_values())
    };
    if let Some(long) = flag.strip_prefix("--") {
        return takes(&|argument| argument.get_long() == Some(long));
    }
    let Some(letters) = flag.strip_prefix('-') else {
        return false;
    };
    // Of several letters, the first that takes a value takes what is behind it.
    let first = letters
        .char_indices()
        .find(|(_, letter)| takes(&|argument| argument.get_short() == Some(*letter)));
    first.is_some_and(|(at, letter)| at + letter.len_utf8() == letters.len())
}

impl Property {
    fn parse(text: &str) -> Result<Self, String> {
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
    /// Understands what [`join`] has joined, or says what in it makes no sense.
    pub(super) fn parse(joined: &[String]) -> Result<Self, String> {
        let parse = |text: &String| {
            let wrong = |error| format!("-D {}: {error}", text.replace(SEPARATOR, " "));
            Property::parse(text).map_err(wrong)
        };
        joined.iter().map(parse).collect::<Result<_, _>>().map(Self)
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

#[cfg(test)]
mod tests {
    use clap::{Arg, ArgAction, Command};

    use super::*;

    fn check(words: &[&str], expected: &[&str]) {
        let message = Arg::new("m").short('m').long("message");
        let verbose = Arg::new("v").short('v').action(ArgAction::SetTrue);
        let program =
            Command::new("gatemq").subcommand(Command::new("pub").args([message, verbose]));
        let all = ["gatemq", "pub"].iter().chain(words).map(OsString::from);
        let joined = join(all, &program);
        let joined: Vec<_> = joined[2..]
            .iter()
            .filter_map(|word| word.to_str())
            .collect();
        let readable: Vec<_> = joined
            .iter()
            .map(|word| word.replace(SEPARATOR, "|"))
            .collect();
        assert_eq!(readable, expected);
    }

    #[test]
    fn the_words_of_a_property_are_joined_unless_they_belong_to_another_flag() {
        check(
            &["-D", "publish", "content-type", "-x", "url"],
            &["-D", "publish|content-type|-x", "url"],
        );
        check(
            &["-D", "will", "user-property", "a", "b", "url"],
            &["-D", "will|user-property|a|b", "url"],
        );
        check(&["-m", "-D", "-v"], &["-m", "-D", "-v"]);
        check(&["--message", "-D", "x"], &["--message", "-D", "x"]);
        check(&["-vm", "-D", "x"], &["-vm", "-D", "x"]);
        check(&["-mv", "-D", "a", "b", "c"], &["-mv", "-D", "a|b|c"]);
        check(&["-D", "publish"], &["-D", "publish"]);
        check(&["-D"], &["-D"]);
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        for (words, expected) in [
            ("publish foo bar", "expected is one of content-type"),
            ("pubish content-type x", "is no command"),
            ("publish user-property a", "has a name and a value"),
            (
                "publish message-expiry-interval -1",
                "is a number from 0 to 4294967295",
            ),
            ("connect receive-maximum 0", "is a number from 1 to 65535"),
            ("publish payload-format-indicator 2", "is 0 or 1"),
            ("publish response-topic a/#", "contains a wildcard"),
            ("publish", "expected is -D COMMAND NAME VALUE"),
        ] {
            let joined = words.replace(' ', &SEPARATOR.to_string());
            let error = Properties::parse(&[joined]).expect_err(words);
            assert!(error.starts_with(&format!("-D {words}: ")), "{error}");
            assert!(error.contains(expected), "{error}");
        }
    }
}
