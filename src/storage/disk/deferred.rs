//! What waits for a store that fails: what is to be forgotten, and what is known of sessions, subscriptions and retained
//! messages. Each thing once, as it last was, so that it grows with what there is and not with time.

use std::{
    collections::{HashMap, HashSet},
    num::NonZeroU16,
    sync::Arc,
};

use super::{Refused, stage::Index};
use crate::{
    message::{Message, TopicFilter, TopicName},
    router::SubscriptionOptions,
    storage::{Change, SessionId, SessionRecord},
};

/// Changes that are tried again.
#[derive(Debug, Default)]
pub(super) struct Deferred {
    retained: HashMap<TopicName, Option<Arc<Message>>>,
    sessions: HashMap<SessionId, Box<SessionRecord>>,
    ended: HashSet<SessionId>,
    subscriptions: HashMap<(SessionId, TopicFilter), Option<SubscriptionOptions>>,
    released: HashSet<(SessionId, u64)>,
    dropped: HashSet<(SessionId, u64)>,
    /// What was refused after it was tried: whatever of it the store has is taken back.
    doubtful: HashSet<(SessionId, u64)>,
    received: HashSet<(SessionId, NonZeroU16)>,
}

impl Deferred {
    /// Takes in what can wait; whether it was something that cannot. `was_tried`: the store may have part of it.
    pub(super) fn take(&mut self, change: Change, was_tried: bool, index: &mut Index) -> bool {
        match change {
            Change::RetainedSet(message) => {
                self.retained.insert(message.topic.clone(), Some(message));
                return true;
            }
            Change::RetainedCleared(topic) => {
                self.retained.insert(topic, None);
                return true;
            }
            Change::SessionSaved(record) => {
                self.sessions.insert(record.id, record);
            }
            Change::SessionEnded(id) => self.end(id, was_tried, index),
            Change::Subscribed(id, filter, options) => {
                self.subscriptions.insert((id, filter), Some(options));
            }
            Change::Unsubscribed(id, filter) => {
                self.subscriptions.insert((id, filter), None);
            }
            Change::MessageQueued(id, place, _) => {
                if was_tried {
                    self.doubtful.insert((id, place));
                }
                // It is given up in its time, unless it was before it came, and must not come back before.
                if !self.dropped.remove(&(id, place)) {
                    index.refuse(id, place);
                }
                return true;
            }
            Change::MessageReleased(id, place) => {
                self.released.insert((id, place));
            }
            Change::MessageDropped(id, place) => {
                if !index.lost.remove(&(id, place)) {
                    self.released.remove(&(id, place));
                    self.dropped.insert((id, place));
                }
            }
            Change::Received(id, packet_id) => {
                if was_tried {
                    self.received.insert((id, packet_id));
                }
                return true;
            }
            Change::ReceivedReleased(id, packet_id) => {
                self.received.insert((id, packet_id));
            }
        }
        false
    }

    /// Takes note of what was refused before it came here.
    pub(super) fn refused(&mut self, Refused { places, gave_way }: Refused, index: &mut Index) {
        for (id, place) in places {
            if !self.dropped.remove(&(id, place)) {
                index.refuse(id, place);
            }
        }
        for place in gave_way {
            index.lost.remove(&place);
        }
    }

    fn end(&mut self, id: SessionId, was_tried: bool, index: &mut Index) {
        self.sessions.remove(&id);
        self.subscriptions.retain(|(of, _), _| *of != id);
        self.released.retain(|(of, _)| *of != id);
        self.dropped.retain(|(of, _)| *of != id);
        self.doubtful.retain(|(of, _)| *of != id);
        self.received.retain(|(of, _)| *of != id);
        index.lost.retain(|(of, _)| *of != id);
        index.given_up.retain(|(of, _)| *of != id);
        // One that was never stored leaves nothing behind. The batch that was tried has forgotten it already.
        if was_tried || index.sessions.contains(&id) {
            self.ended.insert(id);
        }
    }

    /// Places that are given up for us: nobody takes them any more.
    pub(super) const fn doubtful(&self) -> &HashSet<(SessionId, u64)> {
        &self.doubtful
    }

    /// Everything, in an order in which it can be applied.
    pub(super) fn changes(&self) -> Vec<Change> {
        let mut changes: Vec<Change> = Vec::new();
        changes.extend(self.ended.iter().map(|id| Change::SessionEnded(*id)));
        changes.extend(self.sessions.values().cloned().map(Change::SessionSaved));
        for ((id, filter), options) in &self.subscriptions {
            let filter = filter.clone();
            changes.push(match options {
                Some(options) => Change::Subscribed(*id, filter, *options),
                None => Change::Unsubscribed(*id, filter),
            });
        }
        let released = self.released.iter();
        changes.extend(released.map(|(id, place)| Change::MessageReleased(*id, *place)));
        let dropped = self.dropped.iter().chain(&self.doubtful);
        changes.extend(dropped.map(|(id, place)| Change::MessageDropped(*id, *place)));
        let received = self.received.iter();
        changes.extend(received.map(|(id, packet)| Change::ReceivedReleased(*id, *packet)));
        for (topic, message) in &self.retained {
            changes.push(match message {
                Some(message) => Change::RetainedSet(message.clone()),
                None => Change::RetainedCleared(topic.clone()),
            });
        }
        changes
    }
}
