//! What a store holds when it is opened: sessions, retained messages, and how often each message is referred to.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use super::{
    engine::{Engine, Operation, Reach, Table},
    record::{self, Corrupt, Entry, Moment, Options},
    stage::{Index, message_key},
};
use crate::{
    message::Message,
    router::{Delivery, Spilled},
    storage::{SessionId, Snapshot, StorageError, StoredSession},
};

/// The format that is written, and the newest that is read. It counts up with each change that an older GateMQ would
/// misread; a store of an older format is brought up to date when it is opened.
pub(super) const FORMAT: u64 = 1;

/// Name of the format among what is known of the store.
const FORMAT_KEY: &[u8] = b"format";

/// Deliveries of one session that are read at start; what follows is read when its client takes it.
const FIRST: usize = 1000;

/// Bytes of them, likewise.
const FIRST_BYTES: usize = 4 * 1024 * 1024;

/// Rows between two words on the progress.
const PROGRESS: u64 = 1_000_000;

/// Finds out whether the store can be read, and marks a new one.
pub(super) fn check_format(engine: &Engine, path: &std::path::Path) -> Result<(), StorageError> {
    let refuse = |text: String| {
        let source = std::io::Error::new(std::io::ErrorKind::InvalidData, text);
        Err(StorageError {
            path: path.to_owned(),
            source: Arc::new(source),
        })
    };
    let Some(value) = engine.get(Table::Meta, FORMAT_KEY)? else {
        let value = record::encode_number(FORMAT_KEY, FORMAT);
        let operation: Operation = (Table::Meta, FORMAT_KEY.to_vec(), Some(value));
        return engine.write(vec![operation], Reach::Disk);
    };
    match record::decode_number(FORMAT_KEY, &value) {
        Ok(FORMAT) => Ok(()),
        Ok(format) => refuse(format!(
            "it has format {format}, and GateMQ {} reads formats up to {FORMAT}: \
             run the version that wrote it, or name another data_dir",
            env!("CARGO_PKG_VERSION")
        )),
        Err(corrupt) => refuse(format!(
            "the mark of its format cannot be read: {corrupt}; restore a backup, or name another data_dir"
        )),
    }
}

/// Reads everything.
pub(super) fn load(engine: &Engine, index: &mut Index) -> Result<Snapshot, StorageError> {
    let mut loading = Loading {
        engine,
        index,
        moment: Moment::now(),
        sessions: HashMap::new(),
        unreadable: HashSet::new(),
        last_session: 0,
        rows: 0,
    };
    loading.sessions()?;
    loading.subscriptions()?;
    loading.received()?;
    loading.queues()?;
    let retained = loading.retained()?;
    let last_session = SessionId(loading.last_session);
    let sessions = loading.sessions.into_values().collect();
    Ok(Snapshot {
        retained,
        sessions,
        last_session,
    })
}

struct Loading<'a> {
    engine: &'a Engine,
    index: &'a mut Index,
    moment: Moment,
    sessions: HashMap<SessionId, StoredSession>,
    /// Sessions whose record is damaged: what they have is left alone.
    unreadable: HashSet<SessionId>,
    last_session: u64,
    rows: u64,
}

impl Loading<'_> {
    /// Reads each row of a table.
    fn each(
        &mut self,
        table: Table,
        mut read: impl FnMut(&mut Self, &[u8], &[u8]) -> Result<(), Corrupt>,
    ) -> Result<(), StorageError> {
        let engine = self.engine;
        engine.scan(table, &[], |key, value| {
            self.rows += 1;
            if self.rows.is_multiple_of(PROGRESS) {
                let rows = self.rows;
                tracing::info!(code = "storage.loading", rows, "{rows} stored rows read");
            }
            if let Err(corrupt) = read(self, key, value) {
                self.index.complain(table, key, corrupt);
            }
            true
        })
    }

    /// The session that a row belongs to; what belongs to none is swept.
    fn session(&mut self, key: &[u8]) -> Result<Option<&mut StoredSession>, Corrupt> {
        let id = id_of(key)?;
        self.last_session = self.last_session.max(id.0);
        if !self.sessions.contains_key(&id)
            && !self.unreadable.contains(&id)
            && self.index.sweeping.back() != Some(&id)
        {
            self.index.sweeping.push_back(id);
        }
        Ok(self.sessions.get_mut(&id))
    }

    fn sessions(&mut self) -> Result<(), StorageError> {
        self.each(Table::Sessions, |this, key, value| {
            let id = id_of(key)?;
            this.last_session = this.last_session.max(id.0);
            let decoded = record::decode_session(id, key, value, this.moment);
            let record = decoded.inspect_err(|_| {
                this.unreadable.insert(id);
            })?;
            this.index.sessions.insert(id);
            let session = StoredSession {
                record,
                subscriptions: Vec::new(),
                queue: Vec::new(),
                unread: None,
                released: Vec::new(),
                received: Vec::new(),
            };
            this.sessions.insert(id, session);
            Ok(())
        })
    }

    fn subscriptions(&mut self) -> Result<(), StorageError> {
        self.each(Table::Subscriptions, |this, key, value| {
            let subscription = record::decode_subscription(key, value)?;
            if let Some(session) = this.session(key)? {
                session.subscriptions.push(subscription);
            }
            Ok(())
        })
    }

    fn received(&mut self) -> Result<(), StorageError> {
        self.each(Table::Received, |this, key, value| {
            let packet_id = record::decode_received(key, value)?;
            if let Some(session) = this.session(key)? {
                session.received.push(packet_id);
            }
            Ok(())
        })
    }

    fn queues(&mut self) -> Result<(), StorageError> {
        let mut entries = Vec::new();
        let (mut current, mut room, mut bytes) = (SessionId::default(), FIRST, FIRST_BYTES);
        self.each(Table::Queues, |this, key, value| {
            let (_, place) = key.split_last_chunk::<8>().ok_or(SHORT_KEY)?;
            let place = u64::from_be_bytes(*place);
            let id = id_of(key)?;
            match record::decode_entry(key, value)? {
                Entry::Released => {
                    if let Some(session) = this.session(key)? {
                        session.released.push(place);
                    }
                }
                Entry::Queued(number, options) => {
                    this.index
                        .references
                        .entry(number)
                        .and_modify(|count| *count += 1)
                        .or_insert(1);
                    this.index.next_message = this.index.next_message.max(number + 1);
                    if let Some(session) = this.session(key)? {
                        if id != current {
                            (current, room, bytes) = (id, FIRST, FIRST_BYTES);
                        }
                        // Another member may have to take over what is shared.
                        if options.is_shared() || room > 0 && bytes > 0 && session.unread.is_none()
                        {
                            room = room.saturating_sub(1);
                            bytes = bytes.saturating_sub(options.bytes());
                            entries.push((id, place, number, options));
                        } else {
                            leave(session, place, options.bytes());
                        }
                    }
                }
            }
            Ok(())
        })?;
        // Only what is referred to more than once needs a count.
        self.index.references.retain(|_, count| *count > 1);
        self.index.references.shrink_to_fit();
        let mut messages: HashMap<u64, Arc<Message>> = HashMap::new();
        for (id, place, number, options) in entries {
            let message = match messages.get(&number) {
                Some(message) => Some(message.clone()),
                None => self.message(number)?,
            };
            let (Some(message), Some(session)) = (message, self.sessions.get_mut(&id)) else {
                continue;
            };
            messages.insert(number, message.clone());
            session.queue.push((place, options.deliver(message)));
        }
        Ok(())
    }

    fn message(&mut self, number: u64) -> Result<Option<Arc<Message>>, StorageError> {
        let key = message_key(number);
        let decoded = match self.engine.get(Table::Messages, &key)? {
            Some(value) => record::decode_message(&key, &value, self.moment),
            None => Err(Corrupt::new("a queue refers to it, and it is not there")),
        };
        match decoded {
            Ok(message) => Ok(Some(Arc::new(message))),
            Err(corrupt) => {
                self.index.complain(Table::Messages, &key, corrupt);
                Ok(None)
            }
        }
    }

    fn retained(&mut self) -> Result<Vec<Arc<Message>>, StorageError> {
        let mut retained = Vec::new();
        self.each(Table::Retained, |this, key, value| {
            let message = record::decode_message(key, value, this.moment)?;
            retained.push(Arc::new(message));
            Ok(())
        })?;
        Ok(retained)
    }
}

/// Counts a delivery that is left where it is.
fn leave(session: &mut StoredSession, place: u64, bytes: usize) {
    let unread = session.unread.get_or_insert(Spilled {
        first: place,
        last: place,
        messages: 0,
        bytes: 0,
    });
    unread.last = place;
    unread.messages += 1;
    unread.bytes += bytes;
}

/// Reads a part of a queue.
pub(super) fn read(
    engine: &Engine,
    id: SessionId,
    mut from: u64,
    most: usize,
) -> Result<Vec<(u64, Delivery)>, StorageError> {
    let mut found = Vec::with_capacity(most);
    loop {
        let missing = most - found.len();
        let entries = read_entries(engine, id, from, missing)?;
        let Some((last, ..)) = entries.last() else {
            return Ok(found);
        };
        from = last.saturating_add(1);
        let is_end = entries.len() < missing;
        resolve(engine, entries, &mut found)?;
        // What is damaged is passed over; fewer than asked for means that there are no more.
        if is_end || found.len() == most {
            return Ok(found);
        }
    }
}

type Row = (u64, u64, Options);

fn read_entries(
    engine: &Engine,
    id: SessionId,
    from: u64,
    most: usize,
) -> Result<Vec<Row>, StorageError> {
    let mut index = Index::default();
    let mut entries = Vec::new();
    let session = id.0.to_be_bytes();
    let first = [session, from.to_be_bytes()].concat();
    engine.scan_from(Table::Queues, &first, |key, value| {
        if key.get(..8) != Some(&session) {
            return false;
        }
        let place = key.split_last_chunk::<8>();
        match (place, record::decode_entry(key, value)) {
            (Some((_, place)), Ok(Entry::Queued(number, options))) => {
                entries.push((u64::from_be_bytes(*place), number, options));
            }
            (_, Ok(_)) => {}
            (_, Err(corrupt)) => index.complain(Table::Queues, key, corrupt),
        }
        entries.len() < most
    })?;
    Ok(entries)
}

fn resolve(
    engine: &Engine,
    entries: Vec<Row>,
    found: &mut Vec<(u64, Delivery)>,
) -> Result<(), StorageError> {
    let mut index = Index::default();
    let moment = Moment::now();
    for (place, number, options) in entries {
        let key = message_key(number);
        // Given up between the two reads.
        let Some(value) = engine.get(Table::Messages, &key)? else {
            continue;
        };
        match record::decode_message(&key, &value, moment) {
            Ok(message) => found.push((place, options.deliver(Arc::new(message)))),
            Err(corrupt) => index.complain(Table::Messages, &key, corrupt),
        }
    }
    Ok(())
}

const SHORT_KEY: Corrupt = Corrupt::new("its key is short");

fn id_of(key: &[u8]) -> Result<SessionId, Corrupt> {
    let (id, _) = key.split_first_chunk::<8>().ok_or(SHORT_KEY)?;
    Ok(SessionId(u64::from_be_bytes(*id)))
}
