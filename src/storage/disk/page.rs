//! Reads a part of a queue with its messages.

use std::sync::Arc;

use super::{
    engine::{Engine, Table},
    record::{self, Entry, Moment, Options},
    stage::{complain, message_key, queue_key},
};
use crate::{
    storage::{QueuePart, SessionId, StorageError},
    telemetry::Metrics,
};

/// Bytes of messages that one part has, the last one aside: what a hundred clients that return together wait for is
/// 400 MiB, however large their messages are.
const MAX_BYTES: usize = 4 * 1024 * 1024;

/// A place, the number of its message, and how it is delivered.
type Row = (u64, u64, Options);

/// Reads what lies from a place on. What is damaged is passed over and counted.
pub(super) fn read(
    engine: &Engine,
    metrics: &Metrics,
    id: SessionId,
    from: u64,
    most: usize,
) -> Result<QueuePart, StorageError> {
    let (rows, next) = rows(engine, metrics, id, from, most)?;
    let moment = Moment::now();
    let mut deliveries = Vec::with_capacity(rows.len());
    for (place, number, options) in rows {
        let key = message_key(number);
        let decoded = match engine.get(Table::Messages, &key)? {
            Some(value) => record::decode_message(&key, &value, moment),
            None if engine.get(Table::Queues, &queue_key(id, place))?.is_some() => {
                Err(record::Corrupt::MISSING)
            }
            // Given up between the two reads.
            None => continue,
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
        match record::decode_entry(key, value) {
            Ok(Entry::Queued(number, options)) => {
                bytes += options.bytes();
                rows.push((place, number, options));
            }
            Ok(Entry::Released) => {}
            Err(corrupt) => complain(metrics, Table::Queues, key, corrupt),
        }
        true
    })?;
    Ok((rows, next))
}
