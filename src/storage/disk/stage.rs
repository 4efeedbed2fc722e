//! Changes become one batch. What is queued and given up within the same batch leaves no trace in it: a message that all
//! its receivers have acknowledged by then is not written at all.

use std::{
    collections::{HashSet, VecDeque},
    num::NonZeroU16,
    sync::Arc,
};

use hashbrown::HashMap;

use super::{
    engine::{Engine, Key, Operation, Table},
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

/// Messages up to this footprint lie in the queue of their only receiver, which spares a row to write, to look for and to
/// remove. Larger ones do not: a start reads all rows of queues.
const SMALL: usize = 512;

/// Places given up before they were taken, at most: each is taken within moments.
const MAX_GIVEN_UP: usize = 65_536;

/// What the writer knows of what is stored, beside the store itself.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// The sessions there are.
    pub(super) sessions: HashSet<SessionId>,
    /// How many places refer to a message, where more than one does.
    pub(super) references: HashMap<u64, u32>,
    pub(super) next_message: u64,
    /// Places given up before they were taken.
    pub(super) given_up: HashSet<(SessionId, u64)>,
    /// Places whose delivery could not be stored: they are given up in their time, and nothing is there.
    pub(super) lost: HashSet<(SessionId, u64)>,
    /// Sessions that are over and still have rows.
    pub(super) sweeping: VecDeque<SessionId>,
    /// How far the first of them is swept.
    pub(super) swept: Option<(Table, Key)>,
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
    operations: HashMap<(Table, Key), Staged>,
    /// Messages of this batch by their address, which they keep while they are here.
    messages: HashMap<*const Message, Queued>,
}

/// A message of this batch.
struct Queued {
    message: Arc<Message>,
    /// Their order: what was queued together lies together.
    arrival: usize,
    /// Places that refer to it.
    receivers: u32,
    /// One of them holds it in memory, so that a start has to read it.
    stays_in_memory: bool,
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
    Retained(Arc<Message>),
    Queued(Arc<Message>, Options),
    Released,
    Received,
}

/// What a place of a queue held.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Held {
    Nothing,
    /// Only the place itself.
    Place,
    Message,
}

impl<'a> Stage<'a> {
    pub(super) fn new(engine: &'a Engine, index: &'a mut Index) -> Self {
        Self {
            engine,
            index,
            moment: Moment::now(),
            operations: HashMap::new(),
            messages: HashMap::new(),
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
                    Value::Retained(message.clone()),
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

    /// A place of a queue is taken once; anything else may have been there before.
    fn put(&mut self, table: Table, key: Key, value: Value) {
        let is_new = table == Table::Queues
            && !matches!(
                self.operations.get(&(table, key.clone())),
                Some(Staged::Delete)
            );
        self.operations
            .insert((table, key), Staged::Put { value, is_new });
    }

    fn delete(&mut self, table: Table, key: Key) {
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
        let message = &delivery.message;
        let arrival = self.messages.len();
        let queued = self
            .messages
            .entry(Arc::as_ptr(message))
            .or_insert_with(|| Queued {
                message: message.clone(),
                arrival,
                receivers: 0,
                stays_in_memory: false,
            });
        queued.receivers += 1;
        let options = Options::of(delivery, self.moment);
        queued.stays_in_memory |= options.stays_in_memory();
        let value = Value::Queued(message.clone(), options);
        self.put(Table::Queues, queue_key(id, place), value);
    }

    /// One place less refers to a stored message.
    fn unrefer(&mut self, number: u64) {
        if let Some(count) = self.index.references.get_mut(&number) {
            *count -= 1;
            if *count <= 1 {
                self.index.references.remove(&number);
            }
        } else {
            self.delete(Table::Messages, message_key(number));
        }
    }

    /// Takes the message from a place; what it was.
    fn take(&mut self, key: &[u8]) -> Result<Held, StorageError> {
        match self.operations.get(&(Table::Queues, Key::from_slice(key))) {
            Some(Staged::Put {
                value: Value::Queued(message, _),
                ..
            }) => {
                let at = Arc::as_ptr(message);
                if let Some(queued) = self.messages.get_mut(&at) {
                    queued.receivers -= 1;
                    if queued.receivers == 0 {
                        self.messages.remove(&at);
                    }
                }
                return Ok(Held::Message);
            }
            Some(Staged::Put { .. }) => return Ok(Held::Place),
            Some(Staged::Delete) => return Ok(Held::Nothing),
            None => {}
        }
        let Some(value) = self.engine.get(Table::Queues, key)? else {
            return Ok(Held::Nothing);
        };
        match record::decode_entry(key, &value) {
            Ok(Entry::Elsewhere(number, _)) => {
                self.unrefer(number);
                Ok(Held::Message)
            }
            Ok(Entry::Here(..)) => Ok(Held::Message),
            Ok(Entry::Released) => Ok(Held::Place),
            Err(corrupt) => {
                self.index.complain(Table::Queues, key, corrupt);
                Ok(Held::Place)
            }
        }
    }

    fn release(&mut self, id: SessionId, place: u64) -> Result<(), StorageError> {
        let key = queue_key(id, place);
        if self.take(&key)? != Held::Message {
            return Ok(());
        }
        let at = (Table::Queues, key);
        let is_new = matches!(
            self.operations.get(&at),
            Some(Staged::Put { is_new: true, .. })
        );
        let value = Value::Released;
        self.operations.insert(at, Staged::Put { value, is_new });
        Ok(())
    }

    fn give_up(&mut self, id: SessionId, place: u64) -> Result<(), StorageError> {
        let key = queue_key(id, place);
        if self.take(&key)? != Held::Nothing {
            self.delete(Table::Queues, key);
        } else if !self.index.lost.remove(&(id, place)) && self.index.given_up.len() < MAX_GIVEN_UP
        {
            self.index.given_up.insert((id, place));
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
        let session = session_key(id);
        for table in [Table::Subscriptions, Table::Received, Table::Queues] {
            let mut found = Vec::new();
            // What was removed before would be passed over again and again.
            let first = match &self.index.swept {
                Some((of, key)) if *of == table => key.clone(),
                Some(_) | None => session.clone(),
            };
            self.engine.scan_from(table, &first, |key, value| {
                if !key.starts_with(&session) {
                    return false;
                }
                found.push((Key::from_slice(key), value.to_vec()));
                found.len() < room
            })?;
            if let Some((key, _)) = found.last() {
                self.index.swept = Some((table, key.clone()));
            }
            room -= found.len();
            for (key, value) in found {
                if table == Table::Queues
                    && let Ok(Entry::Elsewhere(number, _)) = record::decode_entry(&key, &value)
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
        self.index.swept = None;
        Ok(())
    }

    /// The batch as bytes.
    pub(super) fn into_batch(self) -> Vec<Operation> {
        let moment = self.moment;
        let mut batch = Vec::with_capacity(self.operations.len() + self.messages.len());
        let mut numbers = HashMap::new();
        let apart = self
            .messages
            .iter()
            .filter(|(_, queued)| !queued.lies_at_its_place());
        let mut apart: Vec<_> = apart.collect();
        apart.sort_unstable_by_key(|(_, queued)| queued.arrival);
        for (at, queued) in apart {
            let number = self.index.next_message;
            self.index.next_message += 1;
            if queued.receivers > 1 {
                self.index.references.insert(number, queued.receivers);
            }
            let key = message_key(number);
            let value = record::encode_message(&key, &queued.message, moment);
            batch.push((Table::Messages, key, Some(value)));
            numbers.insert(*at, number);
        }
        for ((table, key), staged) in self.operations {
            let value = match staged {
                Staged::Put { value, .. } => Some(value.encode(&key, moment, &numbers)),
                Staged::Delete => None,
            };
            batch.push((table, key, value));
        }
        batch
    }
}

impl Queued {
    /// Rather than among the messages.
    fn lies_at_its_place(&self) -> bool {
        self.receivers == 1 && !self.stays_in_memory && self.message.footprint() <= SMALL
    }
}

impl Value {
    fn encode(self, key: &[u8], moment: Moment, numbers: &HashMap<*const Message, u64>) -> Vec<u8> {
        match self {
            Self::Session(session) => record::encode_session(key, &session, moment),
            Self::Subscription(filter, options) => {
                record::encode_subscription(key, &filter, options)
            }
            Self::Retained(message) => record::encode_message(key, &message, moment),
            Self::Queued(message, options) => match numbers.get(&Arc::as_ptr(&message)) {
                Some(number) => record::encode_entry(key, &Entry::Elsewhere(*number, options)),
                None => record::encode_here(key, &message, &options, moment),
            },
            Self::Released => record::encode_entry(key, &Entry::Released),
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

    /// A delivery could not be stored at this place.
    pub(super) fn refuse(&mut self, id: SessionId, place: u64) {
        if !self.given_up.remove(&(id, place)) {
            self.lost.insert((id, place));
        }
    }

    /// What was known before the store was opened anew, and is not in it. Nobody comes for `doubtful` places any more.
    pub(super) fn inherit(&mut self, before: &Self, doubtful: &HashSet<(SessionId, u64)>) {
        self.given_up.retain(|place| !doubtful.contains(place));
        let is_meant = |(id, _): &&(SessionId, u64)| self.sessions.contains(id);
        self.given_up
            .extend(before.given_up.iter().filter(is_meant));
        self.lost.extend(before.lost.iter().filter(is_meant));
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

pub(super) fn session_key(id: SessionId) -> Key {
    Key::from_slice(&id.0.to_be_bytes())
}

pub(super) fn message_key(number: u64) -> Key {
    Key::from_slice(&number.to_be_bytes())
}

pub(super) fn queue_key(id: SessionId, place: u64) -> Key {
    let mut key = session_key(id);
    key.extend_from_slice(&place.to_be_bytes());
    key
}

pub(super) fn received_key(id: SessionId, packet_id: NonZeroU16) -> Key {
    let mut key = session_key(id);
    key.extend_from_slice(&packet_id.get().to_be_bytes());
    key
}

pub(super) fn subscription_key(id: SessionId, filter: &TopicFilter) -> Key {
    let mut key = session_key(id);
    key.extend(text_key(filter.as_str()));
    key
}

pub(super) fn text_key(text: &str) -> Key {
    let bytes = text.as_bytes();
    if bytes.len() <= MAX_KEY_TEXT {
        return bytes.into();
    }
    let mut key = Key::from_slice(&bytes[..MAX_KEY_TEXT]);
    key.extend(crc32fast::hash(bytes).to_be_bytes());
    key
}
