//! Topic aliases of one connection and direction (MQTT 5, 3.3.2.3.4).

use hashbrown::HashMap;

use super::error::DecodeError;
use crate::{message::TopicName, mqtt::packet::ReasonCode};

/// Shorter topics are sent as they are: the alias itself takes three bytes, and the first time a topic as well.
const WORTH_AN_ALIAS: usize = 8;

/// Bytes of topics that the aliases of one direction may hold: two of the greatest length, or a thousand of 130 bytes.
/// Without it 32 aliases of the greatest length hold 2 MiB for one client, and 65,535 of them 4 GiB.
const MAX_BYTES: usize = 128 * 1024;

/// What the peer has named. Holds at most the maximum it was told, and [`MAX_BYTES`] of topics.
#[derive(Debug, Default)]
pub(super) struct IncomingAliases {
    topics: Vec<Option<TopicName>>,
    bytes: usize,
}

impl IncomingAliases {
    /// The peer names a topic [MQTT-3.3.2-12].
    pub(super) fn set(
        &mut self,
        alias: u16,
        topic: &TopicName,
        maximum: u16,
    ) -> Result<(), DecodeError> {
        check(alias, maximum)?;
        let at = usize::from(alias) - 1;
        if self.topics.len() <= at {
            self.topics.resize(at + 1, None);
        }
        let replaced = self.topics[at].replace(topic.clone());
        self.bytes -= replaced.map_or(0, |topic| topic.as_str().len());
        self.bytes += topic.as_str().len();
        if self.bytes <= MAX_BYTES {
            return Ok(());
        }
        Err(DecodeError::new(
            ReasonCode::QuotaExceeded,
            format!("the topics of all topic aliases have more than {MAX_BYTES} bytes"),
        ))
    }

    /// The topic that was named.
    pub(super) fn topic(&self, alias: u16, maximum: u16) -> Result<TopicName, DecodeError> {
        check(alias, maximum)?;
        let topic = self.topics.get(usize::from(alias) - 1).cloned().flatten();
        topic.ok_or_else(|| {
            DecodeError::protocol(format!(
                "topic alias {alias} was not set on this connection"
            ))
        })
    }
}

fn check(alias: u16, maximum: u16) -> Result<(), DecodeError> {
    if (1..=maximum).contains(&alias) {
        return Ok(());
    }
    Err(DecodeError::new(
        ReasonCode::TopicAliasInvalid,
        format!("topic alias {alias} is not within 1 to {maximum}"),
    ))
}

/// What the peer has been told. The first topics that come get an alias, and keep it: most clients are sent few topics,
/// and a table that turned over would say every name again.
#[derive(Debug)]
pub(super) struct OutgoingAliases {
    maximum: u16,
    by_topic: HashMap<TopicName, u16>,
    bytes: usize,
}

/// How a topic is sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Alias {
    /// By its name alone.
    None,
    /// By its name, which the alias will stand for.
    New(u16),
    /// By its alias alone.
    Known(u16),
}

impl OutgoingAliases {
    pub(super) fn new(maximum: u16) -> Self {
        Self {
            maximum,
            by_topic: HashMap::new(),
            bytes: 0,
        }
    }

    /// How this topic is sent now. A new alias holds once it is [kept](Self::keep).
    pub(super) fn choose(&self, topic: &TopicName) -> Alias {
        if topic.as_str().len() < WORTH_AN_ALIAS {
            return Alias::None;
        }
        if let Some(alias) = self.by_topic.get(topic) {
            return Alias::Known(*alias);
        }
        if self.bytes + topic.as_str().len() > MAX_BYTES {
            return Alias::None;
        }
        match u16::try_from(self.by_topic.len()) {
            Ok(used) if used < self.maximum => Alias::New(used + 1),
            Ok(_) | Err(_) => Alias::None,
        }
    }

    /// The packet with this choice is on its way.
    pub(super) fn keep(&mut self, topic: &TopicName, alias: Alias) {
        if let Alias::New(alias) = alias {
            self.bytes += topic.as_str().len();
            self.by_topic.insert(topic.clone(), alias);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A quarter of what may be held.
    fn long(letter: &str) -> TopicName {
        TopicName::parse(&letter.repeat(MAX_BYTES / 4)).expect("a topic name")
    }

    #[test]
    fn incoming_topics_have_a_limit_in_bytes() {
        let mut aliases = IncomingAliases::default();
        for alias in 1..=4 {
            aliases.set(alias, &long("a"), 10).expect("at the limit");
        }
        aliases.set(4, &long("b"), 10).expect("in its own place");
        let short = TopicName::parse("a").expect("a topic name");
        let error = aliases.set(5, &short, 10).expect_err("one byte beyond");
        assert_eq!(error.reason_code(), ReasonCode::QuotaExceeded);
    }

    #[test]
    fn outgoing_topics_beyond_the_limit_in_bytes_get_no_alias() {
        let mut aliases = OutgoingAliases::new(10);
        for (at, letter) in ["a", "b", "c", "d"].into_iter().enumerate() {
            let alias = Alias::New(at as u16 + 1);
            assert_eq!(aliases.choose(&long(letter)), alias);
            aliases.keep(&long(letter), alias);
        }
        assert_eq!(aliases.choose(&long("e")), Alias::None);
        assert_eq!(aliases.choose(&long("d")), Alias::Known(4));
    }
}
