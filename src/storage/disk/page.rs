//! Reads a part of a queue with its messages.

use std::sync::Arc;

use super::{
    engine::{Engine, Table},
    load::readable,
    record::{self, Entry, Moment, Options},
    stage::{complain, message_key, queue_key},
};
use crate::{
    message::Message,
    storage::{QueuePart, SessionId, StorageError},
    telemetry::Metrics,
};

/// Bytes of messages that one part has, the last one aside: what a hundred clients that return together wait for is
/// 400 MiB, however large their messages are.
const MAX_BYTES: usize = 4 * 1024 * 1024;

/// A place, its message, and how that is delivered.
type Row = (u64, Body, Options);

enum Body {
    /// Among the messages, under this number.
    Elsewhere(u64),
    Here(Message),
}

/// Reads what lies from a place on. What is damaged is passed over and counted.
pub(super) fn read(
    engine: &Engine,
    metrics: &Metrics,
    id: SessionId,
    from: u64,
    most: usize,
) -> Result<QueuePart, StorageError> {
    let moment = Moment::now();
    let (rows, next) = rows(engine, metrics, moment, id, from, most)?;
    let mut deliveries = Vec::with_capacity(rows.len());
    for (place, body, options) in rows {
        let number = match body {
            Body::Elsewhere(number) => number,
            Body::Here(message) => {
                deliveries.push((place, options.deliver(Arc::new(message), moment)));
                continue;
            }
        };
        let key = message_key(number);
        let decoded = match readable(engine.get(Table::Messages, &key))? {
            Err(corrupt) => Err(corrupt),
            Ok(Some(value)) => record::decode_message(&key, &value, moment),
            Ok(None) if engine.get(Table::Queues, &queue_key(id, place))?.is_some() => {
                Err(record::Corrupt::MISSING)
            }
            // Given up between the two reads.
            Ok(None) => continue,
        };
        match decoded {
            Ok(message) => deliveries.push((place, options.deliver(Arc::new(message), moment))),
            Err(corrupt) => complain(metrics, Table::Messages, &key, corrupt),
        }
    }
    Ok(QueuePart { deliveries, next })
}

/// The rows, and where the next one would be unless these are the last.
fn rows(
    engine: &Engine,
    metrics: &Metrics,
    moment: Moment,
    id: SessionId,
    from: u64,
    most: usize,
) -> Result<(Vec<Row>, Option<u64>), StorageError> {
    let mut rows = Vec::new();
    let mut bytes = 0;
    let mut next = None;
    let session = id.0.to_be_bytes();
    engine.scan_from(Table::Queues, &queue_key(id, from), |key, value| {
        let Some(place) = key.strip_prefix(&session) else {
            return false;
        };
        // A key of another length was counted at start.
        let Ok(place) = place.try_into().map(u64::from_be_bytes) else {
            return true;
        };
        let row = match record::decode_entry(key, value) {
            // A place without a message is nothing to come back for.
            Ok(Entry::Released) => return true,
            Ok(Entry::Elsewhere(number, options)) => Ok((Body::Elsewhere(number), options)),
            Ok(Entry::Here(message, options)) => message
                .message(moment)
                .map(|message| (Body::Here(message), options)),
            Err(corrupt) => Err(corrupt),
        };
        if rows.len() >= most || bytes >= MAX_BYTES {
            next = Some(place);
            return false;
        }
        match row {
            Ok((body, options)) => {
                bytes += options.bytes();
                rows.push((place, body, options));
            }
            Err(corrupt) => complain(metrics, Table::Queues, key, corrupt),
        }
        true
    })?;
    Ok((rows, next))
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;
    use crate::{
        message::QoS,
        storage::{
            Change, Storage,
            disk::tests::{delivery, keep, message, open, read_all, saved},
        },
    };

    /// A queue is counted at start and read when it is asked for, damage passed over.
    #[test]
    fn queues_are_read_in_parts() {
        const MESSAGES: u64 = 2500;
        let directory = TempDir::new().unwrap();
        let disk = open(directory.path());
        let queued = |place: u64| {
            // Large enough to lie among the messages.
            let payload = format!("{place:1000}");
            let message = message("t", &payload, QoS::AtLeastOnce);
            Change::MessageQueued(SessionId(1), place, delivery(&message))
        };
        let mut changes = vec![saved(1), saved(2)];
        changes.extend((0..MESSAGES).map(queued));
        keep(&disk, changes).unwrap();
        drop(disk);
        let engine = Engine::open(directory.path()).unwrap();
        let damaged = (
            Table::Messages,
            1500_u64.to_be_bytes()[..].into(),
            Some(vec![1]),
        );
        engine
            .write(vec![damaged], crate::storage::disk::engine::Reach::Disk)
            .unwrap();
        drop(engine);
        let disk = open(directory.path());
        let sessions = disk.load().unwrap().sessions;
        let session = sessions.iter().find(|it| it.record.id == SessionId(1));
        let session = session.expect("there");
        assert!(session.queue.is_empty());
        let unread = session.unread.clone().expect("all of it");
        assert_eq!((unread.first, unread.last), (0, MESSAGES - 1));
        assert_eq!(unread.messages as u64, MESSAGES);
        let places: Vec<_> = read_all(&disk, SessionId(1), 0)
            .into_iter()
            .map(|(place, _)| place)
            .collect();
        let expected: Vec<_> = (0..MESSAGES).filter(|place| *place != 1500).collect();
        assert_eq!(places, expected);
    }

    /// A part ends early where messages are large.
    #[test]
    fn parts_are_bounded_in_bytes() {
        let directory = TempDir::new().unwrap();
        let disk = open(directory.path());
        let payload = "x".repeat(1024 * 1024);
        keep(&disk, vec![saved(1)]).unwrap();
        for place in 0..8 {
            let message = message("t", &payload, QoS::AtLeastOnce);
            keep(
                &disk,
                vec![Change::MessageQueued(
                    SessionId(1),
                    place,
                    delivery(&message),
                )],
            )
            .unwrap();
        }
        let (told, answer) = std::sync::mpsc::channel();
        let take = move |read| told.send(read).expect("somebody waits");
        disk.read(SessionId(1), 0, 256, Box::new(take));
        let read = answer.recv().unwrap().unwrap();
        assert_eq!((read.deliveries.len(), read.next), (4, Some(4)));
        assert_eq!(read_all(&disk, SessionId(1), 0).len(), 8);
    }
}
