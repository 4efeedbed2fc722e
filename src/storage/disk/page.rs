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
        if rows.len() >= most || bytes >= MAX_BYTES {
            next = Some(place);
            return false;
        }
        let row = match record::decode_entry(key, value) {
            Ok(Entry::Elsewhere(number, options)) => Ok((Body::Elsewhere(number), options)),
            Ok(Entry::Here(message, options)) => message
                .message(moment)
                .map(|message| (Body::Here(message), options)),
            Ok(Entry::Released) => return true,
            Err(corrupt) => Err(corrupt),
        };
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
