//! The retained message of each topic (MQTT 5, 3.3.1.3). Owns them and their bound in bytes; knows no subscriber.
//!
//! Start at [`Topics::set`] and [`Topics::fill`]. Topics lie in one ordered map, level by level, so that a walk down
//! the tree of topics is a few leaps in that map, and can be left and taken up again at any topic: a [`Cursor`] brings
//! a hundred thousand messages to a subscriber in the subscriber's own time, a few at once.

mod cursor;
mod walk;

pub(super) use cursor::Cursor;

use std::{
    collections::{BTreeMap, btree_map::Entry},
    ops::Bound,
    sync::Arc,
    time::Instant,
};

use smallvec::SmallVec;

use crate::{
    message::{Message, TopicName},
    storage::Change,
    telemetry::{DropReason, Metrics},
};

/// Topics that a look-up visits before it lets others have their turn: 30 µs among a hundred thousand, measured.
const VISITS: usize = 256;

/// Topics whose expiry is checked each time a message is set or somebody subscribes.
const SWEEP: usize = 8;

/// The retained messages.
#[derive(Debug)]
pub(super) struct Topics {
    kept: BTreeMap<Box<[u8]>, Kept>,
    /// Grows with each message set.
    moment: u64,
    bytes: usize,
    /// How many have an expiry.
    expiring: usize,
    /// Where the search for expired ones goes on.
    sweep_from: Box<[u8]>,
    /// The limit was met and said so; not said again until something fits.
    is_full: bool,
    metrics: Arc<Metrics>,
}

#[derive(Debug)]
struct Kept {
    message: Arc<Message>,
    moment: u64,
}

/// There is no room for another retained message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Full;

impl Topics {
    pub(super) fn new(metrics: Arc<Metrics>) -> Self {
        Self {
            kept: BTreeMap::new(),
            moment: 0,
            bytes: 0,
            expiring: 0,
            sweep_from: Box::default(),
            is_full: false,
            metrics,
        }
    }

    /// Keeps a message in place of the topic's last one, or with an empty payload clears the topic
    /// [MQTT-3.3.1-5, -6, -7]. What storage is to know joins `changes`.
    pub(super) fn set(
        &mut self,
        message: &Arc<Message>,
        max_bytes: usize,
        now: Instant,
        changes: &mut Vec<Change>,
    ) -> Result<(), Full> {
        self.sweep(now, changes);
        if message.payload.is_empty() {
            if let Some(cleared) = self.remove(&key(&message.topic)) {
                changes.extend(
                    is_stored(&cleared).then(|| Change::RetainedCleared(cleared.topic.clone())),
                );
            }
            return Ok(());
        }
        if self.put(message.clone(), max_bytes).is_err() {
            self.refuse(max_bytes);
            return Err(Full);
        }
        self.is_full = false;
        changes.extend(is_stored(message).then(|| Change::RetainedSet(message.clone())));
        Ok(())
    }

    /// Puts back what storage kept, whatever the limit is now.
    pub(super) fn restore(&mut self, message: Arc<Message>) {
        // Nothing is beyond this limit.
        let _ = self.put(message, usize::MAX);
    }

    /// The message of a topic, expired or not.
    pub(super) fn of(&self, topic: &TopicName) -> Option<Arc<Message>> {
        let mut key: SmallVec<[u8; 64]> = SmallVec::from_slice(topic.as_str().as_bytes());
        separate(&mut key);
        Some(self.kept.get(&key[..])?.message.clone())
    }

    /// Whether any of them can expire: only then a sweep is worth its lock.
    pub(super) const fn can_expire(&self) -> bool {
        self.expiring > 0
    }

    /// Forgets those that have expired among the next few topics.
    pub(super) fn sweep(&mut self, now: Instant, changes: &mut Vec<Change>) {
        if !self.can_expire() {
            return;
        }
        let from = (Bound::Included(&*self.sweep_from), Bound::Unbounded);
        let mut expired = Vec::new();
        let mut next = None;
        for (visited, (key, kept)) in self.kept.range::<[u8], _>(from).enumerate() {
            if visited == SWEEP {
                next = Some(key.clone());
                break;
            }
            if kept.message.has_expired(now) {
                expired.push(key.clone());
            }
        }
        self.sweep_from = next.unwrap_or_default();
        for message in expired.iter().filter_map(|key| self.remove(key)) {
            changes.extend(
                is_stored(&message).then(|| Change::RetainedCleared(message.topic.clone())),
            );
        }
    }

    /// The moment after all messages set so far: a cursor begins with it.
    pub(super) const fn moment(&self) -> u64 {
        self.moment
    }

    /// Looks for the next messages of a cursor: until it has so many, but not for too long. Expired ones are passed
    /// over where the time is known.
    pub(super) fn fill(&self, cursor: &mut Cursor, messages: usize, now: Option<Instant>) {
        cursor.fill(&self.kept, messages, now);
    }

    /// In place of what the topic has. One descent of the map: among a hundred thousand topics each costs half a
    /// microsecond.
    fn put(&mut self, message: Arc<Message>, max_bytes: usize) -> Result<(), Full> {
        let (footprint, expires) = (message.footprint(), message.expires_at.is_some());
        let moment = self.moment + 1;
        let fits = |bytes: usize| bytes + footprint <= max_bytes;
        let before = match self.kept.entry(key(&message.topic)) {
            Entry::Occupied(mut entry) if fits(self.bytes - entry.get().message.footprint()) => {
                Some(entry.insert(Kept { message, moment }).message)
            }
            Entry::Vacant(entry) if fits(self.bytes) => {
                entry.insert(Kept { message, moment });
                None
            }
            Entry::Occupied(_) | Entry::Vacant(_) => return Err(Full),
        };
        self.moment = moment;
        if let Some(before) = before {
            self.count_out(&before);
        }
        self.bytes += footprint;
        self.metrics.retained_messages.add(1);
        self.metrics.retained_bytes.add(signed(footprint));
        self.expiring += usize::from(expires);
        Ok(())
    }

    fn remove(&mut self, key: &[u8]) -> Option<Arc<Message>> {
        let message = self.kept.remove(key)?.message;
        self.count_out(&message);
        Some(message)
    }

    fn count_out(&mut self, message: &Message) {
        let bytes = message.footprint();
        self.bytes -= bytes;
        self.metrics.retained_messages.add(-1);
        self.metrics.retained_bytes.add(-signed(bytes));
        self.expiring -= usize::from(message.expires_at.is_some());
    }

    fn refuse(&mut self, max_bytes: usize) {
        self.metrics.dropped(DropReason::Quota);
        if !self.is_full {
            self.is_full = true;
            tracing::warn!(
                code = "retained.full",
                max_bytes,
                "retained messages fill their {max_bytes} bytes; no more are kept"
            );
        }
    }
}

/// A topic as it lies in the map. U+0000 is in no topic and below every letter, so that as the separator it sorts a
/// topic before its children, and those before its next sibling.
fn key(topic: &TopicName) -> Box<[u8]> {
    let mut key = Box::from(topic.as_str().as_bytes());
    separate(&mut key);
    key
}

fn separate(topic: &mut [u8]) {
    for byte in topic {
        if *byte == b'/' {
            *byte = 0;
        }
    }
}

/// What the broker says about itself does not outlive it.
fn is_stored(message: &Message) -> bool {
    message.origin.is_some() || !message.topic.as_str().starts_with("$SYS")
}

fn signed(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
