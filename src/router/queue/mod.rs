//! The bounded queue of one session, connected or not. Owns what waits for it, and the list of its subscriptions; knows
//! neither topics nor who publishes.
//!
//! A queue is filled from any core and emptied by one task, its owner's: [`Queue::pop`], [`Queue::park`] and what
//! changes subscriptions are never called at the same time.

mod backlog;
mod freshness;
mod gate;
mod lane;
mod paging;
mod spill;
#[cfg(test)]
mod tests;

use std::{
    cell::{OnceCell, RefCell},
    fmt,
    ops::Deref,
    sync::{Arc, Weak},
    task::Context,
    time::Instant,
};

use futures_util::task::AtomicWaker;
use hashbrown::HashMap;
use parking_lot::Mutex;

use self::backlog::{Backlog, Evicted, FIRST_PLACE, Keeping, Popped, Presence, Pushed};
pub(super) use self::gate::Gate;
pub use self::spill::Spilled;
use super::{
    Config, Core, Delivery, Environment, QueueConfig, SubscriptionOptions, TooManySubscriptions,
    retained::Cursor,
};
use crate::{
    message::{ClientId, QoS, TopicFilter},
    storage::{Change, SessionId},
};

/// Retained messages fetched at once: 6 µs, measured over a hundred thousand.
const FETCH: usize = 32;

/// One session as the router sees it: its subscriptions, and the deliveries that wait for it.
pub struct Queue {
    id: SessionId,
    client_id: ClientId,
    environment: Arc<Environment>,
    router: Weak<Core>,
    this: Weak<Self>,
    is_kept: bool,
    waker: AtomicWaker,
    backlog: Mutex<Backlog>,
    subscriptions: Mutex<HashMap<TopicFilter, SubscriptionOptions>>,
}

/// A delivery at its place in a queue, by which storage knows it.
#[derive(Clone, Debug, PartialEq)]
pub struct Queued {
    /// Unique in its session, and in the order of delivery.
    pub place: u64,
    /// What is delivered.
    pub delivery: Delivery,
}

impl Deref for Queued {
    type Target = Delivery;

    fn deref(&self) -> &Delivery {
        &self.delivery
    }
}

/// What holds for all deliveries of one message.
pub(super) struct Route<'a> {
    pub(super) config: &'a Config,
    pub(super) now: Instant,
    /// Holds QoS 2 back; made for the first delivery that it has to hold.
    pub(super) gate: OnceCell<Arc<Gate>>,
    /// What is in storage only once that has been told, which the queue is to hear.
    pub(super) spilled: RefCell<Vec<(Arc<Queue>, u64)>>,
}

impl Route<'_> {
    fn gate(&self) -> &Arc<Gate> {
        self.gate.get_or_init(Arc::default)
    }
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
        id: SessionId,
        client_id: ClientId,
        is_kept: bool,
        environment: Arc<Environment>,
        router: Weak<Core>,
        this: Weak<Self>,
    ) -> Self {
        Self {
            id,
            client_id,
            environment,
            router,
            this,
            is_kept,
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

    /// Which session.
    #[must_use]
    pub const fn id(&self) -> SessionId {
        self.id
    }

    /// The client is gone, its session stays; places before the one returned may have been sent.
    ///
    /// What came by a shared subscription goes to members of its group that are connected and have room; the rest stays.
    /// Retained messages still to come stay, too; those among them that are found at once are stored.
    pub fn park(&self, now: Instant) -> u64 {
        let metrics = &self.environment.metrics;
        let router = self.router.upgrade();
        let shared = {
            let mut backlog = self.backlog.lock();
            backlog.presence = Presence::Leaving;
            backlog.take_shared(metrics)
        };
        let left = match &router {
            Some(router) if !shared.is_empty() => router.hand_over_unsent(self, shared, now),
            Some(_) | None => shared,
        };
        let limits = &self.environment.config.load().queue;
        // Cursors look for messages while the queue is locked: the retained tree comes first in the lock order.
        let topics = self.environment.retained.read();
        let mut backlog = self.backlog.lock();
        backlog.return_shared(left, metrics);
        let mut evicted = Evicted::new();
        let mut taken = backlog.park(limits.queue_qos0, metrics, &mut evicted);
        let gate = Arc::new(Gate::default());
        let mut room = limits.max_messages.saturating_sub(backlog.len());
        if let Some(cursor) = backlog.first_cursor() {
            topics.fill(cursor, room, None);
        }
        for cursor in 0..backlog.cursors() {
            let deliveries = backlog.take_retained(cursor, room, now, metrics);
            room -= deliveries.len();
            backlog.hold(&deliveries, &gate);
            taken.extend(deliveries);
        }
        let sent_before = backlog.taken_before();
        drop(backlog);
        drop(topics);
        self.tell(taken, gate);
        self.give_up(&evicted);
        sent_before
    }

    /// Tells storage what has come into the queue without being published.
    fn tell(&self, taken: Vec<Queued>, gate: Arc<Gate>) {
        if taken.is_empty() {
            return;
        }
        if taken.iter().any(|it| it.qos == QoS::ExactlyOnce)
            && let Some(this) = self.this.upgrade()
        {
            // The consumer is told that they wait, and nothing else may happen on its connection for hours.
            gate.add(&this);
        }
        let queued = |it: Queued| Change::MessageQueued(self.id, it.place, it.delivery);
        match self.router.upgrade() {
            Some(router) if self.is_kept => {
                router.commit_held(taken.into_iter().map(queued).collect(), gate);
            }
            Some(_) | None => gate.settle(true),
        }
    }

    /// The next delivery; above QoS 0 only with `window_open`. Expired ones are dropped on the way.
    ///
    /// QoS 0 does not wait for a closed window: order is kept for each topic and QoS [MQTT-4.6.0-6].
    pub fn pop(&self, window_open: bool, now: Instant) -> Option<Queued> {
        let fresh = self.freshness(now);
        loop {
            let mut evicted = Evicted::new();
            let mut gate = None;
            let page;
            let popped = {
                let mut backlog = self.backlog.lock();
                let metrics = &self.environment.metrics;
                let popped = backlog.pop(window_open, self.is_kept, fresh, metrics, &mut evicted);
                if let Popped::Taken(taken) = &popped {
                    backlog.hold(taken, gate.get_or_insert_default());
                }
                page = backlog.next_page(fresh);
                popped
            };
            if let Some(page) = page {
                self.read(page);
            }
            self.give_up(&evicted);
            let mut cursor = match popped {
                Popped::Delivery(queued) => return Some(queued),
                Popped::Nothing => return None,
                Popped::Taken(taken) => {
                    self.tell(taken, gate.unwrap_or_default());
                    continue;
                }
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

    /// Tells storage of deliveries that are done with.
    fn give_up(&self, places: &[u64]) {
        if self.is_kept
            && !places.is_empty()
            && let Some(router) = self.router.upgrade()
        {
            let dropped = |place: &u64| Change::MessageDropped(self.id, *place);
            router.commit(places.iter().map(dropped).collect(), None);
        }
    }

    /// Gives back, at the head, what was taken and not sent: the last taken first, and before the queue is parked.
    pub fn push_front(&self, queued: Queued) {
        let mut backlog = self.backlog.lock();
        if backlog.presence != Presence::Gone {
            backlog.push_front(queued, &self.environment.metrics);
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

    /// Puts back what storage kept, of which some is left there; new places begin with this one.
    pub fn restore(&self, queue: Vec<Queued>, spilled: Option<Spilled>, next_place: u64) {
        let metrics = &self.environment.metrics;
        let mut backlog = self.backlog.lock();
        backlog.restore(queue, spilled, next_place, metrics);
    }

    /// Whether something waits above QoS 0 that stands before this place.
    #[must_use]
    pub fn waits_before(&self, place: u64) -> bool {
        self.backlog.lock().waits_before(place)
    }

    /// Where places begin.
    #[must_use]
    pub const fn first_place() -> u64 {
        FIRST_PLACE
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

    /// Whether its changes are reported to storage.
    #[must_use]
    pub const fn is_kept(&self) -> bool {
        self.is_kept
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
        self: &Arc<Self>,
        delivery: Delivery,
        size: usize,
        route: &Route<'_>,
        changes: &mut Vec<Change>,
    ) -> Result<(), Delivery> {
        let metrics = &self.environment.metrics;
        let is_reliable = delivery.qos > QoS::AtMostOnce;
        let mut evicted = Evicted::new();
        // Cloned only for a session that is kept.
        let is_stored = is_reliable || route.config.queue.queue_qos0;
        let copy = (self.is_kept && is_stored).then(|| delivery.clone());
        if delivery.qos == QoS::ExactlyOnce {
            route.gate().add(self);
        }
        let mut backlog = self.backlog.lock();
        let keeping = match (self.is_kept, self.environment.may_spill) {
            (false, _) => Keeping::Nothing,
            (true, false) => Keeping::InMemory,
            (true, true) => Keeping::BeyondMemory,
        };
        let pushed = backlog.push(delivery, size, keeping, route, metrics, &mut evicted);
        drop(backlog);
        if self.is_kept {
            let dropped = |place| Change::MessageDropped(self.id, place);
            changes.extend(evicted.into_iter().map(dropped));
        }
        match pushed {
            Pushed::Queued {
                place,
                is_told,
                wake,
            } => {
                let copy = copy.filter(|_| is_told);
                changes.extend(copy.map(|it| Change::MessageQueued(self.id, place, it)));
                if wake {
                    self.waker.wake();
                }
            }
            Pushed::Spilled { place } => {
                changes.extend(copy.map(|it| Change::MessageQueued(self.id, place, it)));
                route.spilled.borrow_mut().push((self.clone(), place));
            }
            Pushed::Overflowed => self.waker.wake(),
            Pushed::Dropped => {}
            Pushed::Gone(delivery) => return Err(delivery),
        }
        Ok(())
    }

    /// Takes a subscription down; what there was by this filter before.
    pub(super) fn remember(
        &self,
        filter: &TopicFilter,
        options: SubscriptionOptions,
        limit: usize,
    ) -> Result<Option<SubscriptionOptions>, TooManySubscriptions> {
        let mut subscriptions = self.subscriptions.lock();
        if let Some(known) = subscriptions.get_mut(filter) {
            return Ok(Some(std::mem::replace(known, options)));
        }
        if subscriptions.len() >= limit {
            return Err(TooManySubscriptions { limit });
        }
        Ok(subscriptions.insert(filter.clone(), options))
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
