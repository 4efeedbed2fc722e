//! What survives a restart. Owns durability; does not know why something is kept, nor who waits for it.
//!
//! Start at [`Storage`]. The router reports retained messages and what is queued for somebody not connected, the
//! registry reports sessions; both wait for the [`Receipt`] where an acknowledgement depends on it.

mod copy;
mod disk;
mod memory;

pub use copy::{Copied, CopyError, FillError, Form, Imported};
pub use disk::{Disk, Health, Loading, read_any};
pub use memory::Memory;

use std::{fmt, io, num::NonZeroU16, path::PathBuf, sync::Arc, time::SystemTime};

use crate::{
    message::{ClientId, Message, TopicFilter, TopicName},
    router::{Delivery, Spilled, SubscriptionOptions},
};

/// Keeps what a broker must not forget.
pub trait Storage: Send + Sync {
    /// Everything that was kept, read once at start.
    ///
    /// # Errors
    /// What cannot be read, and where.
    fn load(&self) -> Result<Snapshot, StorageError>;

    /// Takes the changes in the order of the calls and returns at once. The receipt is called when they, and all that
    /// came before them, would survive a crash, or when they cannot be kept: by this thread or another, perhaps before
    /// this returns. It must not block. Changes are kept all or none; without any, the receipt tells of those before.
    ///
    /// A message that cannot be kept is given up, and its receipt says so. What is to be forgotten, and what is known
    /// of sessions, subscriptions and retained messages, is tried again until it succeeds.
    fn commit(&self, changes: Vec<Change>, receipt: Option<Receipt>);

    /// Reads what lies in the queue of a session from a place on, at most so many deliveries, as it is after every commit
    /// before; fewer where they are large or damaged. The answer is called by this thread or another, perhaps before this returns; while storage
    /// fails, once it works again. It must not block.
    fn read(&self, id: SessionId, from: u64, most: usize, answer: Answer);

    /// Writes everything that is kept at this moment, while the rest goes on.
    ///
    /// # Errors
    /// Nothing is kept on a disk, it cannot be read, or what is written to does not take it.
    fn copy(&self, form: Form, to: &mut dyn io::Write) -> Result<Copied, CopyError> {
        let _ = (form, to);
        Err(CopyError::Ephemeral)
    }

    /// Whether what waits is better left here than held by queues, too: not where both are the same memory.
    fn spares_memory(&self) -> bool {
        true
    }

    /// Waits until everything that was committed is where it has to be; nothing is committed afterwards.
    fn close(&self) {}
}

/// Learns what has become of a commit.
pub type Receipt = Box<dyn FnOnce(Result<(), StorageError>) + Send>;

/// Takes a part of a queue.
pub type Answer = Box<dyn FnOnce(Result<QueuePart, StorageError>) + Send>;

/// A part of a queue.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct QueuePart {
    /// Deliveries by their place, in ascending order.
    pub deliveries: Vec<(u64, Delivery)>,
    /// Where what was not read begins; `None` where nothing follows.
    pub next: Option<u64>,
}

/// One session among all that ever were: a client identifier that is used again names another one.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct SessionId(pub u64);

/// One thing to keep or to forget. What concerns a session that was not saved, or has ended, is ignored: it was
/// overtaken by the end.
#[derive(Clone, Debug)]
pub enum Change {
    /// A topic has a (new) retained message.
    RetainedSet(Arc<Message>),
    /// A topic has no retained message any more.
    RetainedCleared(TopicName),
    /// What is known of a session itself; what belongs to it stays as it is.
    SessionSaved(Box<SessionRecord>),
    /// A session is over: everything of it is forgotten.
    SessionEnded(SessionId),
    /// A session has a (changed) subscription.
    Subscribed(SessionId, TopicFilter, SubscriptionOptions),
    /// A session has given a subscription up.
    Unsubscribed(SessionId, TopicFilter),
    /// A delivery joins the queue of a session, at this place.
    MessageQueued(SessionId, u64, Delivery),
    /// The client has received this QoS 2 delivery (PUBREC): the place is still taken, the message is not needed.
    MessageReleased(SessionId, u64),
    /// A delivery is done with: acknowledged, expired, or it gave way. Each place is given up once; another core may
    /// say so before the place was said to be taken.
    MessageDropped(SessionId, u64),
    /// The client's QoS 2 publish with this identifier was taken over.
    Received(SessionId, NonZeroU16),
    /// Its identifier is free again (PUBREL).
    ReceivedReleased(SessionId, NonZeroU16),
}

/// What is known of a session that outlives its connection, beside what it has and waits for.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionRecord {
    /// Which session.
    pub id: SessionId,
    /// Whose session.
    pub client_id: ClientId,
    /// Seconds it is kept once disconnected, `u32::MAX` for ever.
    pub expiry_interval: u32,
    /// Where its client is.
    pub presence: Presence,
    /// The will that was not published yet.
    pub will: Option<StoredWill>,
}

/// Where the client of a stored session is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Presence {
    /// Connected, with at most so many QoS 1 and 2 deliveries in flight.
    Connected {
        /// The client's Receive Maximum.
        receive_maximum: u16,
    },
    /// Not connected.
    Away {
        /// Since when.
        since: SystemTime,
        /// Deliveries before this place may have been sent already.
        sent_before: u64,
    },
}

/// A will that waits.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredWill {
    /// What is published, its expiry aside.
    pub message: Arc<Message>,
    /// Seconds from the end of the connection to its publication.
    pub delay_interval: u32,
    /// Seconds from its publication to its expiry.
    pub expiry_interval: Option<u32>,
    /// When it is due, once the connection has ended.
    pub due: Option<SystemTime>,
}

/// A session with everything that was kept of it.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredSession {
    /// What is known of it.
    pub record: SessionRecord,
    /// Its subscriptions.
    pub subscriptions: Vec<(TopicFilter, SubscriptionOptions)>,
    /// What waits to be sent or acknowledged, by its place in the queue, in ascending order.
    pub queue: Vec<(u64, Delivery)>,
    /// What follows and was not read.
    pub unread: Option<Spilled>,
    /// Places of QoS 2 deliveries that wait for PUBCOMP only, in ascending order.
    pub released: Vec<u64>,
    /// The identifiers of QoS 2 publishes received and not yet released.
    pub received: Vec<NonZeroU16>,
}

/// Everything that was kept.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// The retained message of each topic.
    pub retained: Vec<Arc<Message>>,
    /// The sessions.
    pub sessions: Vec<StoredSession>,
    /// No session has a greater number, not even one that is over and still leaves traces.
    pub last_session: SessionId,
}

/// Our own disk failed.
#[derive(Clone, Debug)]
pub struct StorageError {
    /// What was read or written.
    pub path: PathBuf,
    /// Why it failed.
    pub source: Arc<io::Error>,
}

impl StorageError {
    /// As one text, for who prints no causes.
    #[must_use]
    pub fn with_cause(&self) -> String {
        format!("{self}: {}", self.source)
    }
}

impl fmt::Display for StorageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "storage {} failed", self.path.display())
    }
}

impl std::error::Error for StorageError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&*self.source)
    }
}
