//! The retained messages of subscriptions, in the places where they were made.

use std::{collections::VecDeque, time::Instant};

use super::{
    super::{Queued, lane::Entry},
    Backlog, Owed, Popped, Presence, Wanted,
};
use crate::{
    message::{QoS, TopicFilter},
    router::retained::Cursor,
    telemetry::{DropReason, Metrics},
};

/// Places kept free for the messages of a cursor.
const CURSOR_PLACES: u64 = 1 << 24;

impl Backlog {
    /// `None` where the first cursor was over or its first message expired.
    pub(in crate::router::queue) fn pop_retained(
        &mut self,
        window_open: bool,
        now: Instant,
        metrics: &Metrics,
    ) -> Option<Popped> {
        let Owed { place, cursor } = self.retained.front_mut()?;
        if let Some(hungry) = cursor.take_if(|cursor| cursor.is_hungry()) {
            return Some(Popped::Hungry(hungry));
        }
        let first = cursor.as_mut().and_then(|cursor| {
            let (message, qos) = cursor.first()?;
            Some((message.has_expired(now), qos, cursor))
        });
        let Some((has_expired, qos, cursor)) = first else {
            self.retained.pop_front();
            if self.retained.is_empty() {
                self.retained = VecDeque::new();
            }
            return None;
        };
        if has_expired {
            metrics.dropped(DropReason::Expired);
            cursor.take(now);
            return None;
        }
        if qos > QoS::AtMostOnce && !window_open {
            return Some(self.nothing(window_open));
        }
        self.wanted = Wanted::Nothing;
        let delivery = cursor.take(now)?;
        let queued = Queued {
            place: *place,
            delivery,
        };
        *place += 1;
        Some(Popped::Delivery(queued))
    }

    /// Takes what a cursor has found above QoS 0 into the queue, at most so many; how they stand there.
    pub(in crate::router::queue) fn take_retained(
        &mut self,
        cursor: usize,
        messages: usize,
        now: Instant,
        metrics: &Metrics,
    ) -> Vec<Queued> {
        let Some(Owed {
            place,
            cursor: Some(cursor),
        }) = self.retained.get_mut(cursor)
        else {
            return Vec::new();
        };
        let mut taken = Vec::new();
        for delivery in cursor.take_reliable(messages, now) {
            if delivery.message.has_expired(now) {
                metrics.dropped(DropReason::Expired);
                continue;
            }
            taken.push(Queued {
                place: *place,
                delivery,
            });
            *place += 1;
        }
        let entries = taken.iter().cloned().map(Entry::from).collect();
        self.reliable.put_back(entries, metrics);
        taken
    }

    /// Puts a cursor back that was taken out hungry.
    pub(in crate::router::queue) fn put_back(&mut self, cursor: Box<Cursor>) {
        // Meanwhile the session may have ended, which took the cursor's place away.
        if let Some(Owed { cursor: place, .. }) = self.retained.front_mut()
            && place.is_none()
        {
            *place = Some(cursor);
        }
    }

    /// Takes in what a subscription is owed of the retained messages, instead of what is left from the last time it
    /// was made. Whether the consumer wants to know.
    pub(in crate::router::queue) fn add_cursor(&mut self, cursor: Cursor) -> bool {
        self.remove_cursor(cursor.filter());
        if self.presence == Presence::Gone || cursor.is_over() {
            return false;
        }
        self.retained.push_back(Owed {
            place: self.next_place,
            cursor: Some(Box::new(cursor)),
        });
        self.next_place += CURSOR_PLACES;
        std::mem::replace(&mut self.wanted, Wanted::Nothing) != Wanted::Nothing
    }

    pub(in crate::router::queue) fn remove_cursor(&mut self, filter: &TopicFilter) {
        let mut cursors = self.retained.iter();
        if let Some(at) = cursors.position(|owed| owed.is_by(filter)) {
            self.retained.remove(at);
        }
    }

    /// The cursor that comes first.
    pub(in crate::router::queue) fn first_cursor(&mut self) -> Option<&mut Cursor> {
        self.retained.front_mut()?.cursor.as_deref_mut()
    }

    pub(in crate::router::queue) fn cursors(&self) -> usize {
        self.retained.len()
    }
}

impl Owed {
    pub(super) fn is_reliable(&self) -> bool {
        let cursor = self.cursor.as_ref();
        cursor.is_some_and(|cursor| cursor.qos() > QoS::AtMostOnce)
    }

    fn is_by(&self, filter: &TopicFilter) -> bool {
        let cursor = self.cursor.as_ref();
        cursor.is_some_and(|cursor| cursor.filter() == filter)
    }
}
