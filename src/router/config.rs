//! What the operator decides about routing.

use std::time::Duration;

/// Limits of routing. All may change while the router runs.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Config {
    /// The bounds of each session's queue.
    pub queue: QueueConfig,
    /// Bytes that all queues, and what is in flight, may hold together.
    pub max_queued_bytes: usize,
    /// Bytes that all retained messages together may hold.
    pub max_retained_bytes: usize,
    /// Subscriptions one session may have.
    pub max_subscriptions_per_session: usize,
}

/// The bounds of one session's queue, and what happens there.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct QueueConfig {
    /// Messages that may wait, beside what a connected client's Receive Maximum lets be in flight.
    pub max_messages: usize,
    /// Bytes that may wait, by [`Message::footprint`](crate::message::Message::footprint).
    pub max_bytes: usize,
    /// How long one may wait. Whatever has waited longer is dropped, wherever it stands, and frees its place.
    pub max_age: Duration,
    /// What happens to a message beyond the first two bounds.
    pub when_full: WhenFull,
    /// Queue QoS 0 messages for sessions that are not connected.
    pub queue_qos0: bool,
}

/// What a full queue does. QoS 0 messages give way before any other.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum WhenFull {
    /// The oldest message gives way to the new one.
    DropOldest,
    /// The new message is dropped.
    DropNewest,
    /// The client is disconnected with 0x97; its queue stays as it is. Where it is not connected: as `DropNewest`.
    Disconnect,
}
