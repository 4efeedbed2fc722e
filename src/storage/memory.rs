//! Storage that lasts as long as its value: for `--ephemeral` brokers and for tests, which start a second broker on
//! the storage of the first.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    num::NonZeroU16,
    sync::Arc,
};

use parking_lot::Mutex;

use super::{
    Answer, Change, QueuePart, Receipt, SessionId, SessionRecord, Snapshot, Storage, StorageError,
    StoredSession,
};
use crate::{
    message::{Message, TopicFilter, TopicName},
    router::{Delivery, SubscriptionOptions},
};

/// Keeps everything in memory. Clones share what they keep.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    kept: Arc<Mutex<Kept>>,
    #[cfg(test)]
    is_spacious: bool,
}

#[cfg(test)]
impl Memory {
    /// Asks queues to leave here what they can, as a disk does.
    pub(crate) fn spacious() -> Self {
        Self {
            is_spacious: true,
            ..Self::default()
        }
    }
}

#[derive(Debug, Default)]
struct Kept {
    retained: HashMap<TopicName, Arc<Message>>,
    sessions: HashMap<SessionId, Session>,
    last_session: SessionId,
}

#[derive(Debug)]
struct Session {
    record: SessionRecord,
    subscriptions: HashMap<TopicFilter, SubscriptionOptions>,
    /// `None` where the message was released.
    queue: BTreeMap<u64, Option<Delivery>>,
    /// Places given up before they were taken.
    given_up: HashSet<u64>,
    received: BTreeSet<NonZeroU16>,
}

impl Storage for Memory {
    fn load(&self) -> Result<Snapshot, StorageError> {
        let kept = self.kept.lock();
        Ok(Snapshot {
            retained: kept.retained.values().cloned().collect(),
            sessions: kept.sessions.values().map(Session::to_stored).collect(),
            last_session: kept.last_session,
        })
    }

    fn commit(&self, changes: Vec<Change>, receipt: Option<Receipt>) {
        let mut kept = self.kept.lock();
        for change in changes {
            kept.apply(change);
        }
        drop(kept);
        if let Some(receipt) = receipt {
            receipt(Ok(()));
        }
    }

    fn read(&self, id: SessionId, from: u64, most: usize, answer: Answer) {
        let kept = self.kept.lock();
        let queue = kept.sessions.get(&id).map(|session| &session.queue);
        let mut rest = queue
            .into_iter()
            .flat_map(|queue| queue.range(from..))
            .filter_map(|(place, delivery)| Some((*place, delivery.clone()?)));
        let part = QueuePart {
            deliveries: rest.by_ref().take(most).collect(),
            next: rest.next().map(|(place, _)| place),
        };
        drop(kept);
        answer(Ok(part));
    }

    fn spares_memory(&self) -> bool {
        #[cfg(test)]
        if self.is_spacious {
            return true;
        }
        false
    }
}

impl Session {
    fn new(record: SessionRecord) -> Self {
        Self {
            record,
            subscriptions: HashMap::new(),
            queue: BTreeMap::new(),
            given_up: HashSet::new(),
            received: BTreeSet::new(),
        }
    }

    fn to_stored(&self) -> StoredSession {
        let mut stored = StoredSession {
            record: self.record.clone(),
            subscriptions: self
                .subscriptions
                .iter()
                .map(|(filter, options)| (filter.clone(), *options))
                .collect(),
            queue: Vec::new(),
            unread: None,
            released: Vec::new(),
            received: self.received.iter().copied().collect(),
        };
        for (place, delivery) in &self.queue {
            match delivery {
                Some(delivery) => stored.queue.push((*place, delivery.clone())),
                None => stored.released.push(*place),
            }
        }
        stored
    }
}

impl Kept {
    fn apply(&mut self, change: Change) {
        match change {
            Change::RetainedSet(message) => {
                self.retained.insert(message.topic.clone(), message);
            }
            Change::RetainedCleared(topic) => {
                self.retained.remove(&topic);
            }
            Change::SessionSaved(record) => match self.sessions.get_mut(&record.id) {
                Some(session) => session.record = *record,
                None => {
                    self.last_session = self.last_session.max(record.id);
                    self.sessions.insert(record.id, Session::new(*record));
                }
            },
            Change::SessionEnded(id) => {
                self.sessions.remove(&id);
            }
            Change::Subscribed(id, filter, options) => self.with(id, |session| {
                session.subscriptions.insert(filter, options);
            }),
            Change::Unsubscribed(id, filter) => self.with(id, |session| {
                session.subscriptions.remove(&filter);
            }),
            Change::MessageQueued(id, place, delivery) => self.with(id, |session| {
                if !session.given_up.remove(&place) {
                    session.queue.insert(place, Some(delivery));
                }
            }),
            Change::MessageReleased(id, place) => self.with(id, |session| {
                if let Some(delivery) = session.queue.get_mut(&place) {
                    *delivery = None;
                }
            }),
            Change::MessageDropped(id, place) => self.with(id, |session| {
                if session.queue.remove(&place).is_none() {
                    session.given_up.insert(place);
                }
            }),
            Change::Received(id, packet_id) => self.with(id, |session| {
                session.received.insert(packet_id);
            }),
            Change::ReceivedReleased(id, packet_id) => self.with(id, |session| {
                session.received.remove(&packet_id);
            }),
        }
    }

    fn with(&mut self, id: SessionId, change: impl FnOnce(&mut Session)) {
        if let Some(session) = self.sessions.get_mut(&id) {
            change(session);
        }
    }
}
