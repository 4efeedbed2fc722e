//! The will of a client that has gone (MQTT 5, 3.1.2.5).

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    message::{ClientId, Message},
    mqtt::packet::Will,
};

impl Will {
    /// How long after the end of the connection it is published, where the session lives that long.
    #[must_use]
    pub fn delay(&self) -> Duration {
        Duration::from_secs(u64::from(self.delay_interval))
    }

    /// The message it becomes, without its expiry.
    #[must_use]
    pub fn to_message(&self, client_id: ClientId) -> Arc<Message> {
        Arc::new(Message {
            topic: self.topic.clone(),
            payload: self.payload.clone(),
            qos: self.qos,
            retain: self.retain,
            origin: Some(client_id),
            expires_at: None,
            properties: self.properties.clone(),
        })
    }

    /// The message it becomes; its expiry counts from now.
    #[must_use]
    pub fn into_message(self, client_id: ClientId, now: Instant) -> Arc<Message> {
        let expires_at = self
            .message_expiry_interval
            .map(|seconds| now + Duration::from_secs(u64::from(seconds)));
        Arc::new(Message {
            topic: self.topic,
            payload: self.payload,
            qos: self.qos,
            retain: self.retain,
            origin: Some(client_id),
            expires_at,
            properties: self.properties,
        })
    }
}
