//! The bounded queue of one session, connected or not. Owns what waits for it, and the list of its subscriptions; knows
//! neither topics nor who publishes.
//!
//! A queue is filled from any core and emptied by one task, its owner's: [`Queue::pop`], [`Queue::park`] and what
//! changes subscriptions are never called at the same time.

mod backlog;
mod lane;
#[cfg(test)]
mod tests;

use std::{
    fmt,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
    task::Context,
    time::Instant,
};

use futures_util::task::AtomicWaker;
use hashbrown::HashMap;
use parking_lot::Mutex;

use self::backlog::{Backlog, Evicted, Popped, Presence, Pushed};
use super::{
    Config, Core, Delivery, Environment, QueueConfig, SubscriptionOptions, TooManySubscriptions,
    retained::Cursor,
};
use crate::{
    message::{ClientId, QoS, TopicFilter},
    storage::Change,
};

/// Retained messages fetched at once: 6 µs, measured over a hundred thousand.
const FETCH: usize = 32;

/// One session as the router sees it: its subscriptions, and the deliveries that wait for it.
pub struct Queue {
    client_id: ClientId,
    environment: Arc<Environment>,
    router: Weak<Core>,
    is_kept: AtomicBool,
    waker: AtomicWaker,
    backlog: Mutex<Backlog>,
    subscriptions: Mutex<HashMap<TopicFilter, SubscriptionOptions>>,
}

/// How fit a queue is to take a message for its group, the fittest first.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Standing {
    /// Connected, with room.
    Ready,
    /// Not connected, but keeps it.
    Keeps,
    /// Somebody else would have to give way.
    Full,
    /// Not connected, and would drop it.
    Absent,
}

impl Queue {
    pub(super) fn new(
        client_id: ClientId,
        is_kept: bool,
        environment: Arc<Environment>,
        router: Weak<Core>,
    ) -> Self {
        Self {
            client_id,
            environment,
            router,
            is_kept: AtomicBool::new(is_kept),
            waker: AtomicWaker::new(),
            backlog: Mutex::new(Backlog::new()),
            subscriptions: Mutex::default(),
        }
    }

    /// Whose it is.
    #[must_use]
    pub const fn client_id(&self) -> &ClientId {
        &self.client_id
    }

    /// The client is there and may have this many QoS 1 and 2 deliveries in flight.
    pub fn connected(&self, receive_maximum: u16) {
        let mut backlog = self.backlog.lock();
        backlog.presence = Presence::Connected(receive_maximum);
        backlog.has_overflowed = false;
    }

    /// The client is gone, its session stays: `save` is given what waits, by place and in order, and from then on
    /// storage hears of each change. Nothing is queued in between.
    ///
    /// What came by a shared subscription goes to members of its group that are connected and have room; the rest stays.
    /// Retained messages still to come stay, too; `save` is given those among them that are found at once.
    pub fn park(&self, save: impl FnOnce(Vec<(u64, Delivery)>)) {
        let metrics = &self.environment.metrics;
        let shared = {
            let mut backlog = self.backlog.lock();
            backlog.presence = Presence::Leaving;
            backlog.take_shared(metrics)
        };
        let left = match self.router.upgrade() {
            Some(router) if !shared.is_empty() => router.hand_over_unsent(self, shared),
            Some(_) | None => shared,
        };
        let limits = &self.environment.config.load().queue;
        // Cursors look for messages while the queue is locked: the retained tree comes first in the lock order.
        let topics = self.environment.retained.read();
        let mut backlog = self.backlog.lock();
        backlog.return_shared(left, metrics);
        backlog.park(limits.queue_qos0, metrics);
        self.is_kept.store(true, Ordering::Release);
        let mut deliveries = backlog.reliable();
        let mut room = limits.max_messages;
        for (at, (place, cursor)) in backlog.cursors().enumerate() {
            if at == 0 {
                topics.fill(cursor, room, None);
            }
            let reliable = cursor.deliveries().filter(|it| it.qos > QoS::AtMostOnce);
            let before = deliveries.len();
            deliveries.extend((place..).zip(reliable.take(room)));
            room -= deliveries.len() - before;
        }
        drop(topics);
        deliveries.sort_unstable_by_key(|(place, _)| *place);
        save(deliveries);
    }

    /// The next delivery; above QoS 0 only with `window_open`. Expired ones are dropped on the way.
    ///
    /// QoS 0 does not wait for a closed window: order is kept for each topic and QoS [MQTT-4.6.0-6].
    pub fn pop(&self, window_open: bool, now: Instant) -> Option<Delivery> {
        loop {
            let popped = self
                .backlog
                .lock()
                .pop(window_open, now, &self.environment.metrics);
            let mut cursor = match popped {
                Popped::Delivery(delivery) => return Some(delivery),
                Popped::Nothing => return None,
                Popped::Hungry(cursor) => cursor,
            };
            self.environment
                .retained
                .read()
                .fill(&mut cursor, FETCH, Some(now));
            let is_hungry = cursor.is_hungry();
            self.backlog.lock().put_back(cursor);
            if is_hungry {
                // A filter that matches little among many topics: others have their turn in between.
                self.waker.wake();
                return None;
            }
        }
    }

    /// Gives back, at the head, what was taken and not sent: the last taken first, and before the queue is parked.
    pub fn push_front(&self, delivery: Delivery) {
        let mut backlog = self.backlog.lock();
        if backlog.presence != Presence::Gone {
            backlog.push_front(delivery, &self.environment.metrics);
        }
    }

    /// Wakes the task when something is queued from now on. Register first, then [`pop`](Self::pop) until it is empty:
    /// only who has found nothing is woken, and only by what the window last stated lets through.
    pub fn register_waker(&self, cx: &Context<'_>) {
        self.waker.register(cx.waker());
    }

    /// Whether the decision [`super::WhenFull::Disconnect`] has been met since the client connected.
    #[must_use]
    pub fn has_overflowed(&self) -> bool {
        self.backlog.lock().has_overflowed
    }

    /// Puts back what storage kept.
    pub fn restore(&self, deliveries: Vec<(u64, Delivery)>) {
        self.backlog
            .lock()
            .restore(deliveries, &self.environment.metrics);
    }

    /// The subscriptions: for a session record.
    #[must_use]
    pub fn subscriptions(&self) -> Vec<(TopicFilter, SubscriptionOptions)> {
        let subscriptions = self.subscriptions.lock();
        subscriptions
            .iter()
            .map(|(filter, options)| (filter.clone(), *options))
            .collect()
    }

    /// How many deliveries wait; retained messages that are still to be fetched do not count.
    #[must_use]
    pub fn len(&self) -> usize {
        self.backlog.lock().len()
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn is_kept(&self) -> bool {
        self.is_kept.load(Ordering::Acquire)
    }

    pub(super) fn standing(&self, qos: QoS, size: usize, limits: &QueueConfig) -> Option<Standing> {
        let backlog = self.backlog.lock();
        let has_room = !backlog.has_overflowed && backlog.has_room(qos, size, limits);
        match backlog.presence {
            Presence::Gone => None,
            Presence::Parked | Presence::Leaving
                if qos == QoS::AtMostOnce && !limits.queue_qos0 =>
            {
                Some(Standing::Absent)
            }
            Presence::Connected(_) | Presence::Parked | Presence::Leaving if !has_room => {
                Some(Standing::Full)
            }
            Presence::Connected(_) => Some(Standing::Ready),
            Presence::Parked | Presence::Leaving => Some(Standing::Keeps),
        }
    }

    /// Takes a delivery in, or drops what has to give way; what storage is to know joins `changes`.
    ///
    /// # Errors
    /// The session is over: here is the delivery again.
    pub(super) fn push(
        &self,
        delivery: Delivery,
        size: usize,
        now: Option<Instant>,
        config: &Config,
        changes: &mut Vec<Change>,
    ) -> Result<(), Delivery> {
        let metrics = &self.environment.metrics;
        let is_reliable = delivery.qos > QoS::AtMostOnce;
        let mut evicted = Evicted::new();
        let mut backlog = self.backlog.lock();
        let is_stored = backlog.presence == Presence::Parked && self.is_kept();
        // Cloned only for a session that is not connected.
        let copy = (is_stored && is_reliable).then(|| delivery.clone());
        let pushed = backlog.push(delivery, size, now, config, metrics, &mut evicted);
        drop(backlog);
        if is_stored {
            let dropped = |place| Change::MessageDropped(self.client_id.clone(), place);
            changes.extend(evicted.into_iter().map(dropped));
        }
        match pushed {
            Pushed::Queued { place, wake } => {
                changes.extend(
                    copy.map(|it| Change::MessageQueued(self.client_id.clone(), place, it)),
                );
                if wake {
                    self.waker.wake();
                }
            }
            Pushed::Overflowed => self.waker.wake(),
            Pushed::Dropped => {}
            Pushed::Gone(delivery) => return Err(delivery),
        }
        Ok(())
    }

    /// Takes a subscription down; whether there was none by this filter.
    pub(super) fn remember(
        &self,
        filter: &TopicFilter,
        options: SubscriptionOptions,
        limit: usize,
    ) -> Result<bool, TooManySubscriptions> {
        let mut subscriptions = self.subscriptions.lock();
        if let Some(known) = subscriptions.get_mut(filter) {
            *known = options;
            return Ok(false);
        }
        if subscriptions.len() >= limit {
            return Err(TooManySubscriptions { limit });
        }
        subscriptions.insert(filter.clone(), options);
        Ok(true)
    }

    /// Forgets a subscription, and the retained messages it is still owed; `false` where there was none.
    pub(super) fn forget(&self, filter: &TopicFilter) -> bool {
        let mut subscriptions = self.subscriptions.lock();
        let existed = subscriptions.remove(filter).is_some();
        if subscriptions.len() < subscriptions.capacity() / 8 {
            subscriptions.shrink_to_fit();
        }
        drop(subscriptions);
        if existed {
            self.backlog.lock().remove_cursor(filter);
        }
        existed
    }

    /// Forgets all subscriptions.
    pub(super) fn forget_all(&self) -> HashMap<TopicFilter, SubscriptionOptions> {
        std::mem::take(&mut *self.subscriptions.lock())
    }

    /// Takes in what a new subscription is owed of the retained messages; whether the owner is to be woken.
    pub(super) fn add_cursor(&self, cursor: Cursor) -> bool {
        self.backlog.lock().add_cursor(cursor)
    }

    pub(super) fn wake(&self) {
        self.waker.wake();
    }

    /// The session is over: gives back what it was not sent.
    pub(super) fn end(&self) -> Vec<Delivery> {
        self.backlog.lock().end(&self.environment.metrics)
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        // The gauges stay true even where nobody removed the session.
        self.backlog.get_mut().end(&self.environment.metrics);
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue")
            .field("client_id", &self.client_id)
            .finish_non_exhaustive()
    }
}
