//! What survives a restart. Owns durability; does not know why something is kept, nor who waits for it.
//!
//! Start at [`Storage`]. The router reports retained messages and what is queued for somebody not connected, the
//! registry reports sessions; both wait for the [`Receipt`] where an acknowledgement depends on it.

mod memory;

pub use memory::Memory;

use std::{fmt, io, num::NonZeroU16, path::PathBuf, sync::Arc, time::SystemTime};

use crate::{
    message::{ClientId, Message, TopicFilter, TopicName},
    router::{Delivery, SubscriptionOptions},
};

/// Keeps what a broker must not forget.
pub trait Storage: Send + Sync {
    /// Everything that was kept, read once at start.
    ///
    /// # Errors
    /// What cannot be read, and where.
    fn load(&self) -> Result<Snapshot, StorageError>;

    /// Takes the changes in the order of the calls and returns at once. The receipt is called when they would survive
    /// a crash, or cannot be kept: by this thread or another, perhaps before this returns. It must not block.
    fn commit(&self, changes: Vec<Change>, receipt: Option<Receipt>);
}

/// Learns what has become of a commit.
pub type Receipt = Box<dyn FnOnce(Result<(), StorageError>) + Send>;

/// One thing to keep or to forget.
#[derive(Clone, Debug)]
pub enum Change {
    /// A topic has a (new) retained message.
    RetainedSet(Arc<Message>),
    /// A topic has no retained message any more.
    RetainedCleared(TopicName),
    /// A session as it now stands, its queue included: replaces whatever was kept of it.
    SessionSaved(Box<SessionRecord>),
    /// A session is over: everything of it is forgotten.
    SessionEnded(ClientId),
    /// A kept session has a (changed) subscription.
    Subscribed(ClientId, TopicFilter, SubscriptionOptions),
    /// A kept session has given a subscription up.
    Unsubscribed(ClientId, TopicFilter),
    /// A delivery joins the queue of a kept session that is not connected, at this place.
    MessageQueued(ClientId, u64, Delivery),
    /// A delivery has left that queue unsent: it expired, or the queue was full.
    MessageDropped(ClientId, u64),
}

/// A session that outlives its connection.
#[derive(Clone, Debug)]
pub struct SessionRecord {
    /// Whose session.
    pub client_id: ClientId,
    /// Seconds it is kept once disconnected, `u32::MAX` for ever.
    pub expiry_interval: u32,
    /// When the connection ended; `None` while it is connected.
    pub disconnected_at: Option<SystemTime>,
    /// Its subscriptions.
    pub subscriptions: Vec<(TopicFilter, SubscriptionOptions)>,
    /// What was sent and not yet acknowledged, in the order it was sent.
    pub in_flight: Vec<InFlight>,
    /// The identifiers of QoS 2 publishes received and not yet released.
    pub received: Vec<NonZeroU16>,
    /// What waits to be sent, by its place in the queue, in ascending order.
    pub queue: Vec<(u64, Delivery)>,
    /// The will that still waits for its delay, and when it is due.
    pub will: Option<(Arc<Message>, SystemTime)>,
}

/// A QoS 1 or 2 delivery between PUBLISH and its last acknowledgement.
#[derive(Clone, Debug)]
pub struct InFlight {
    /// Its packet identifier.
    pub packet_id: NonZeroU16,
    /// What was sent; `None` once PUBREC has come and only PUBREL remains.
    pub delivery: Option<Delivery>,
}

/// Everything that was kept.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// The retained message of each topic.
    pub retained: Vec<Arc<Message>>,
    /// The sessions.
    pub sessions: Vec<SessionRecord>,
}

/// Our own disk failed.
#[derive(Debug)]
pub struct StorageError {
    /// What was read or written.
    pub path: PathBuf,
    /// Why it failed.
    pub source: io::Error,
}

impl fmt::Display for StorageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "storage {} failed", self.path.display())
    }
}

impl std::error::Error for StorageError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}
