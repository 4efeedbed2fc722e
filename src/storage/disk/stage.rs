//! Changes become one batch. What is queued and given up within the same batch leaves no trace in it: a message that all
//! its receivers have acknowledged by then is not written at all.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    num::NonZeroU16,
    sync::Arc,
};

use super::{
    engine::{Engine, Operation, Table},
    record::{self, Entry, Moment, Options},
};
use crate::{
    message::{Message, TopicFilter},
    router::{Delivery, SubscriptionOptions},
    storage::{Change, SessionId, SessionRecord, StorageError},
    telemetry::Metrics,
};

/// Longer filters and topics are cut to this in keys, which may have 65,535 bytes in all.
const MAX_KEY_TEXT: usize = 60_000;

/// Places given up before they were taken, at most: each is taken within moments.
const MAX_GIVEN_UP: usize = 65_536;

/// What the writer knows of what is stored, beside the store itself.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// The sessions there are.
    pub(super) sessions: HashSet<SessionId>,
    /// How many places refer to a message, where more than one does.
    pub(super) references: hashbrown::HashMap<u64, u32>,
    pub(super) next_message: u64,
    /// Places given up before they were taken.
    given_up: HashSet<(SessionId, u64)>,
    /// Places whose delivery could not be stored: they are given up in their time, and nothing is there.
    pub(super) lost: HashSet<(SessionId, u64)>,
    /// Sessions that are over and still have rows.
    pub(super) sweeping: VecDeque<SessionId>,
    /// Rows that were gone when the store was read, and that the engine still had.
    pub(super) gone: u64,
    /// Where stored values that could not be read are counted.
    pub(super) metrics: Arc<Metrics>,
}

/// A batch in the making.
pub(super) struct Stage<'a> {
    engine: &'a Engine,
    index: &'a mut Index,
    moment: Moment,
    operations: HashMap<(Table, Vec<u8>), Staged>,
    /// Messages of this batch by their address; they are kept alive with it.
    numbers: HashMap<*const Message, u64>,
}

enum Staged {
    /// `is_new`: nothing was there before this batch.
    Put {
        value: Value,
        is_new: bool,
    },
    Delete,
}

enum Value {
    Session(Box<SessionRecord>),
    Subscription(TopicFilter, SubscriptionOptions),
    Message(Arc<Message>),
    Entry(Entry),
    Received,
}

impl<'a> Stage<'a> {
    pub(super) fn new(engine: &'a Engine, index: &'a mut Index) -> Self {
        Self {
            engine,
            index,
            moment: Moment::now(),
            operations: HashMap::new(),
            numbers: HashMap::new(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.operations.is_empty()
    }

    /// Takes a change in.
    ///
    /// # Errors
    /// The store cannot be read.
    pub(super) fn apply(&mut self, change: &Change) -> Result<(), StorageError> {
        match change {
            Change::RetainedSet(message) => {
                self.put(
                    Table::Retained,
                    text_key(message.topic.as_str()),
                    Value::Message(message.clone()),
                );
            }
            Change::RetainedCleared(topic) => {
                self.delete(Table::Retained, text_key(topic.as_str()));
            }
            Change::SessionSaved(record) => {
                self.index.sessions.insert(record.id);
                self.put(
                    Table::Sessions,
                    session_key(record.id),
                    Value::Session(record.clone()),
                );
            }
            Change::SessionEnded(id) => self.end(*id),
            Change::Subscribed(id, filter, options) if self.knows(*id) => {
                let value = Value::Subscription(filter.clone(), *options);
                self.put(Table::Subscriptions, subscription_key(*id, filter), value);
            }
            Change::Unsubscribed(id, filter) if self.knows(*id) => {
                self.delete(Table::Subscriptions, subscription_key(*id, filter));
            }
            Change::MessageQueued(id, place, delivery) if self.knows(*id) => {
                self.queue(*id, *place, delivery);
            }
            Change::MessageReleased(id, place) if self.knows(*id) => {
                self.release(*id, *place)?;
            }
            Change::MessageDropped(id, place) if self.knows(*id) => {
                self.give_up(*id, *place)?;
            }
            Change::Received(id, packet_id) if self.knows(*id) => {
                self.put(
                    Table::Received,
                    received_key(*id, *packet_id),
                    Value::Received,
                );
            }
            Change::ReceivedReleased(id, packet_id) if self.knows(*id) => {
                self.delete(Table::Received, received_key(*id, *packet_id));
            }
            Change::Subscribed(..)
            | Change::Unsubscribed(..)
            | Change::MessageQueued(..)
            | Change::MessageReleased(..)
            | Change::MessageDropped(..)
            | Change::Received(..)
            | Change::ReceivedReleased(..) => {}
        }
        Ok(())
    }

    fn knows(&self, id: SessionId) -> bool {
        self.index.sessions.contains(&id)
    }

    /// A place of a queue is taken once, and a message number used once; anything else may have been there before.
    fn put(&mut self, table: Table, key: Vec<u8>, value: Value) {
        let is_new = matches!(table, Table::Messages | Table::Queues)
            && !matches!(
                self.operations.get(&(table, key.clone())),
                Some(Staged::Delete)
            );
        self.operations
            .insert((table, key), Staged::Put { value, is_new });
    }

    fn delete(&mut self, table: Table, key: Vec<u8>) {
        let at = (table, key);
        if let Some(Staged::Put { is_new: true, .. }) = self.operations.get(&at) {
            self.operations.remove(&at);
        } else {
            self.operations.insert(at, Staged::Delete);
        }
    }

    fn queue(&mut self, id: SessionId, place: u64, delivery: &Delivery) {
        if self.index.given_up.remove(&(id, place)) {
            return;
        }
        let number = self.refer_to(&delivery.message);
        let entry = Entry::Queued(number, Options::of(delivery, self.moment));
        self.put(Table::Queues, queue_key(id, place), Value::Entry(entry));
    }

    fn refer_to(&mut self, message: &Arc<Message>) -> u64 {
        if let Some(number) = self.numbers.get(&Arc::as_ptr(message)) {
            *self.index.references.entry(*number).or_insert(1) += 1;
            return *number;
        }
        let number = self.index.next_message;
        self.index.next_message += 1;
        self.numbers.insert(Arc::as_ptr(message), number);
        self.put(
            Table::Messages,
            message_key(number),
            Value::Message(message.clone()),
        );
        number
    }

    fn unrefer(&mut self, number: u64) {
        if let Some(count) = self.index.references.get_mut(&number) {
            *count -= 1;
            if *count <= 1 {
                self.index.references.remove(&number);
            }
            return;
        }
        let key = message_key(number);
        if let Some(Staged::Put {
            value: Value::Message(message),
            ..
        }) = self.operations.get(&(Table::Messages, key.clone()))
        {
            self.numbers.remove(&Arc::as_ptr(message));
        }
        self.delete(Table::Messages, key);
    }

    /// What is at a place, and whether it is there.
    fn entry(&mut self, key: &[u8]) -> Result<Option<Entry>, StorageError> {
        match self.operations.get(&(Table::Queues, key.to_vec())) {
            Some(Staged::Put {
                value: Value::Entry(entry),
                ..
            }) => return Ok(Some(entry.clone())),
            Some(_) => return Ok(None),
            None => {}
        }
        let Some(value) = self.engine.get(Table::Queues, key)? else {
            return Ok(None);
        };
        Ok(Some(record::decode_entry(key, &value).unwrap_or_else(
            |corrupt| {
                self.index.complain(Table::Queues, key, corrupt);
                Entry::Released
            },
        )))
    }

    fn release(&mut self, id: SessionId, place: u64) -> Result<(), StorageError> {
        let key = queue_key(id, place);
        let Some(Entry::Queued(number, _)) = self.entry(&key)? else {
            return Ok(());
        };
        self.unrefer(number);
        let at = (Table::Queues, key);
        let is_new = matches!(
            self.operations.get(&at),
            Some(Staged::Put { is_new: true, .. })
        );
        let value = Value::Entry(Entry::Released);
        self.operations.insert(at, Staged::Put { value, is_new });
        Ok(())
    }

    fn give_up(&mut self, id: SessionId, place: u64) -> Result<(), StorageError> {
        let key = queue_key(id, place);
        match self.entry(&key)? {
            Some(entry) => {
                if let Entry::Queued(number, _) = entry {
                    self.unrefer(number);
                }
                self.delete(Table::Queues, key);
            }
            None if self.index.lost.remove(&(id, place)) => {}
            None => {
                if self.index.given_up.len() < MAX_GIVEN_UP {
                    self.index.given_up.insert((id, place));
                }
            }
        }
        Ok(())
    }

    fn end(&mut self, id: SessionId) {
        if self.index.sessions.remove(&id) {
            self.delete(Table::Sessions, session_key(id));
            self.index.given_up.retain(|(of, _)| *of != id);
            self.index.lost.retain(|(of, _)| *of != id);
            self.index.sweeping.push_back(id);
        }
    }

    /// Removes some rows of what sessions have left that are over.
    pub(super) fn sweep(&mut self, rows: usize) -> Result<(), StorageError> {
        let Some(id) = self.index.sweeping.front().copied() else {
            return Ok(());
        };
        let mut room = rows;
        for table in [Table::Subscriptions, Table::Received, Table::Queues] {
            let mut found = Vec::new();
            self.engine.scan(table, &session_key(id), |key, value| {
                found.push((key.to_vec(), value.to_vec()));
                found.len() < room
            })?;
            room -= found.len();
            for (key, value) in found {
                if table == Table::Queues
                    && let Ok(Entry::Queued(number, _)) = record::decode_entry(&key, &value)
                {
                    self.unrefer(number);
                }
                self.delete(table, key);
            }
            if room == 0 {
                return Ok(());
            }
        }
        self.index.sweeping.pop_front();
        Ok(())
    }

    /// The batch as bytes.
    pub(super) fn into_batch(self) -> Vec<Operation> {
        let moment = self.moment;
        let to_bytes = |((table, key), staged): ((Table, Vec<u8>), Staged)| {
            let value = match staged {
                Staged::Put { value, .. } => Some(value.encode(&key, moment)),
                Staged::Delete => None,
            };
            (table, key, value)
        };
        self.operations.into_iter().map(to_bytes).collect()
    }
}

impl Value {
    fn encode(&self, key: &[u8], moment: Moment) -> Vec<u8> {
        match self {
            Self::Session(session) => record::encode_session(key, session, moment),
            Self::Subscription(filter, options) => {
                record::encode_subscription(key, filter, *options)
            }
            Self::Message(message) => record::encode_message(key, message, moment),
            Self::Entry(entry) => record::encode_entry(key, entry),
            Self::Received => record::encode_received(key),
        }
    }
}

impl Index {
    /// Knows of nothing yet.
    pub(super) fn new(metrics: Arc<Metrics>) -> Self {
        Self {
            metrics,
            ..Self::default()
        }
    }

    /// A stored value is not what was written.
    pub(super) fn complain(&self, table: Table, key: &[u8], corrupt: record::Corrupt) {
        complain(&self.metrics, table, key, corrupt);
    }
}

/// A stored value is not what was written: said with its place, and counted.
pub(super) fn complain(metrics: &Metrics, table: Table, key: &[u8], corrupt: record::Corrupt) {
    metrics.store_corrupt.add(1);
    let table = table.name();
    let key = key.iter().take(64).map(|byte| format!("{byte:02x}"));
    let key: String = key.collect();
    tracing::error!(
        code = "storage.corrupt",
        table,
        key,
        "a stored value cannot be read: {corrupt}; what it was is lost, the rest goes on"
    );
}

pub(super) fn session_key(id: SessionId) -> Vec<u8> {
    id.0.to_be_bytes().to_vec()
}

pub(super) fn message_key(number: u64) -> Vec<u8> {
    number.to_be_bytes().to_vec()
}

pub(super) fn queue_key(id: SessionId, place: u64) -> Vec<u8> {
    [id.0.to_be_bytes(), place.to_be_bytes()].concat()
}

fn received_key(id: SessionId, packet_id: NonZeroU16) -> Vec<u8> {
    let mut key = session_key(id);
    key.extend(packet_id.get().to_be_bytes());
    key
}

fn subscription_key(id: SessionId, filter: &TopicFilter) -> Vec<u8> {
    let mut key = session_key(id);
    key.extend(text_key(filter.as_str()));
    key
}

fn text_key(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    if bytes.len() <= MAX_KEY_TEXT {
        return bytes.to_vec();
    }
    let mut key = bytes[..MAX_KEY_TEXT].to_vec();
    key.extend(crc32fast::hash(bytes).to_be_bytes());
    key
}
