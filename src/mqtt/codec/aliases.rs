//! Topic aliases of one connection and direction (MQTT 5, 3.3.2.3.4).

use std::collections::HashMap;

use super::error::DecodeError;
use crate::{message::TopicName, mqtt::packet::ReasonCode};

/// Shorter topics are sent as they are: the alias itself takes three bytes, and the first time a topic as well.
const WORTH_AN_ALIAS: usize = 8;

/// What the peer has named. Holds at most the maximum it was told, and as many topics.
#[derive(Debug, Default)]
pub(super) struct IncomingAliases(Vec<Option<TopicName>>);

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
        if self.0.len() <= at {
            self.0.resize(at + 1, None);
        }
        self.0[at] = Some(topic.clone());
        Ok(())
    }

    /// The topic that was named.
    pub(super) fn topic(&self, alias: u16, maximum: u16) -> Result<TopicName, DecodeError> {
        check(alias, maximum)?;
        let topic = self.0.get(usize::from(alias) - 1).cloned().flatten();
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
#[derive(Debug, Default)]
pub(super) struct OutgoingAliases {
    maximum: u16,
    by_topic: HashMap<TopicName, u16>,
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
        }
    }

    /// How this topic is sent now. A new alias holds once it is [kept](Self::keep).
    pub(super) fn choose(&self, topic: &TopicName) -> Alias {
        if self.maximum == 0 || topic.as_str().len() < WORTH_AN_ALIAS {
            return Alias::None;
        }
        if let Some(alias) = self.by_topic.get(topic) {
            return Alias::Known(*alias);
        }
        match u16::try_from(self.by_topic.len()) {
            Ok(used) if used < self.maximum => Alias::New(used + 1),
            Ok(_) | Err(_) => Alias::None,
        }
    }

    /// The packet with this choice is on its way.
    pub(super) fn keep(&mut self, topic: &TopicName, alias: Alias) {
        if let Alias::New(alias) = alias {
            self.by_topic.insert(topic.clone(), alias);
        }
    }
}
