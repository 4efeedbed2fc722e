//! Storage that lasts as long as its value: for `--ephemeral` brokers and for tests, which start a second broker on
//! the storage of the first.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use parking_lot::Mutex;

use super::{Change, Receipt, SessionRecord, Snapshot, Storage, StorageError};
use crate::{
    message::{ClientId, Message, TopicFilter, TopicName},
    router::{Delivery, SubscriptionOptions},
};

/// Keeps everything in memory. Clones share what they keep.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    kept: Arc<Mutex<Kept>>,
}

#[derive(Debug, Default)]
struct Kept {
    retained: HashMap<TopicName, Arc<Message>>,
    sessions: HashMap<ClientId, Session>,
}

/// A record, with what changes one by one outside of it.
#[derive(Debug)]
struct Session {
    record: SessionRecord,
    subscriptions: HashMap<TopicFilter, SubscriptionOptions>,
    queue: BTreeMap<u64, Delivery>,
}

impl Storage for Memory {
    fn load(&self) -> Result<Snapshot, StorageError> {
        let kept = self.kept.lock();
        Ok(Snapshot {
            retained: kept.retained.values().cloned().collect(),
            sessions: kept.sessions.values().map(Session::to_record).collect(),
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
}

impl Session {
    fn new(mut record: SessionRecord) -> Self {
        let subscriptions = std::mem::take(&mut record.subscriptions)
            .into_iter()
            .collect();
        let queue = std::mem::take(&mut record.queue).into_iter().collect();
        Self {
            record,
            subscriptions,
            queue,
        }
    }

    fn to_record(&self) -> SessionRecord {
        let mut record = self.record.clone();
        record.subscriptions = self
            .subscriptions
            .iter()
            .map(|(filter, options)| (filter.clone(), *options))
            .collect();
        record.queue = self
            .queue
            .iter()
            .map(|(place, delivery)| (*place, delivery.clone()))
            .collect();
        record
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
            Change::SessionSaved(record) => {
                self.sessions
                    .insert(record.client_id.clone(), Session::new(*record));
            }
            Change::SessionEnded(client_id) => {
                self.sessions.remove(&client_id);
            }
            Change::Subscribed(client_id, filter, options) => {
                if let Some(session) = self.sessions.get_mut(&client_id) {
                    session.subscriptions.insert(filter, options);
                }
            }
            Change::Unsubscribed(client_id, filter) => {
                if let Some(session) = self.sessions.get_mut(&client_id) {
                    session.subscriptions.remove(&filter);
                }
            }
            Change::MessageQueued(client_id, place, delivery) => {
                if let Some(session) = self.sessions.get_mut(&client_id) {
                    session.queue.insert(place, delivery);
                }
            }
            Change::MessageDropped(client_id, place) => {
                if let Some(session) = self.sessions.get_mut(&client_id) {
                    session.queue.remove(&place);
                }
            }
        }
    }
}
