//! What a store holds when it is opened: sessions, retained messages, and how often each message is referred to.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use super::{
    engine::{Engine, Table},
    progress::{Loading, Progress},
    record::{self, Corrupt, Moment},
    scan::{self, Queues},
    stage::{Index, message_key},
};
use crate::{
    message::Message,
    storage::{SessionId, Snapshot, StorageError, StoredSession},
};

/// Reads everything but messages that wait.
pub(super) fn load(
    engine: &Engine,
    index: &mut Index,
    tell: &(dyn Fn(Loading) + Sync),
) -> Result<Snapshot, StorageError> {
    // Damage that was met before and is there still is met again.
    index.metrics.store_corrupt.set(0);
    let progress = &Progress::new(engine, tell);
    let mut loading = Load {
        engine,
        index,
        moment: Moment::now(),
        sessions: HashMap::new(),
        unreadable: HashSet::new(),
        last_session: 0,
        progress,
    };
    loading.sessions()?;
    loading.subscriptions()?;
    loading.received()?;
    loading.queues()?;
    let retained = loading.retained()?;
    let last_session = SessionId(loading.last_session);
    let sessions = loading.sessions.into_values().collect();
    index.gone = progress.end();
    Ok(Snapshot {
        retained,
        sessions,
        last_session,
    })
}

struct Load<'a> {
    engine: &'a Engine,
    index: &'a mut Index,
    moment: Moment,
    sessions: HashMap<SessionId, StoredSession>,
    /// Sessions whose record is damaged: what they have is left alone.
    unreadable: HashSet<SessionId>,
    last_session: u64,
    progress: &'a Progress<'a>,
}

impl Load<'_> {
    /// Reads each row of a table.
    fn each(
        &mut self,
        table: Table,
        mut read: impl FnMut(&mut Self, &[u8], &[u8]) -> Result<(), Corrupt>,
    ) -> Result<(), StorageError> {
        let engine = self.engine;
        engine.scan(table, &[], |key, value| {
            self.progress.add(1);
            if let Err(corrupt) = read(self, key, value) {
                self.index.complain(table, key, corrupt);
            }
            true
        })
    }

    /// The session that a row belongs to; what belongs to none is swept.
    fn session(&mut self, key: &[u8]) -> Result<Option<&mut StoredSession>, Corrupt> {
        let id = id_of(key)?;
        Ok(self.session_of(id))
    }

    fn session_of(&mut self, id: SessionId) -> Option<&mut StoredSession> {
        self.last_session = self.last_session.max(id.0);
        if !self.sessions.contains_key(&id)
            && !self.unreadable.contains(&id)
            && self.index.sweeping.back() != Some(&id)
        {
            self.index.sweeping.push_back(id);
        }
        self.sessions.get_mut(&id)
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
        let metrics = self.index.metrics.clone();
        let Queues {
            sessions,
            references,
        } = scan::queues(self.engine, self.progress, &metrics)?;
        (self.index.references, self.index.next_message) = references.into_shared();
        let mut rows = Vec::new();
        for (id, found) in sessions {
            let Some(session) = self.session_of(id) else {
                continue;
            };
            session.unread = found.unread;
            session.released = found.released;
            let in_memory = found.in_memory.into_iter();
            rows.extend(in_memory.map(|(place, number, options)| (number, id, place, options)));
        }
        // As they lie in the store: neighbours share a block, and what waits for many is read once.
        rows.sort_unstable_by_key(|(number, ..)| *number);
        let mut last = None;
        for (number, id, place, options) in rows {
            let message = match &last {
                Some((of, message)) if *of == number => Option::clone(message),
                Some(_) | None => self.message(number)?,
            };
            last = Some((number, message.clone()));
            if let (Some(message), Some(session)) = (message, self.sessions.get_mut(&id)) {
                let delivery = options.deliver(message, self.moment);
                session.queue.push((place, delivery));
            }
        }
        for session in self.sessions.values_mut() {
            session.queue.sort_unstable_by_key(|(place, _)| *place);
        }
        Ok(())
    }

    fn message(&mut self, number: u64) -> Result<Option<Arc<Message>>, StorageError> {
        let key = message_key(number);
        let decoded = match readable(self.engine.get(Table::Messages, &key))? {
            Err(corrupt) => Err(corrupt),
            Ok(Some(value)) => record::decode_message(&key, &value, self.moment),
            Ok(None) => Err(Corrupt::MISSING),
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

/// A block of the engine that is damaged costs what is in it, not what is elsewhere.
pub(super) fn readable<T>(
    read: Result<T, StorageError>,
) -> Result<Result<T, Corrupt>, StorageError> {
    match read {
        Ok(value) => Ok(Ok(value)),
        Err(error) if error.source.kind() == std::io::ErrorKind::InvalidData => {
            Ok(Err(Corrupt::new("the block that it is in is damaged")))
        }
        Err(error) => Err(error),
    }
}

pub(super) const SHORT_KEY: Corrupt = Corrupt::new("its key is short");

pub(super) fn id_of(key: &[u8]) -> Result<SessionId, Corrupt> {
    let (id, _) = key.split_first_chunk::<8>().ok_or(SHORT_KEY)?;
    Ok(SessionId(u64::from_be_bytes(*id)))
}
