//! A message becomes deliveries. Owns subscriptions, retained messages and queues; knows neither clients' connections,
//! nor bytes, nor versions of the protocol. Synchronous: nothing here waits.
//!
//! Start at [`Router::publish`]. Lock order: retained messages, subscriptions, a queue, the list of its subscriptions.
//! Each is held for a few lines, none while anybody is woken or storage is called.

mod config;
mod publish;
mod queue;
mod retained;
mod shared;
mod subscriptions;
#[cfg(test)]
mod tests;

pub use config::{Config, QueueConfig, WhenFull};
pub use queue::{Queue, Queued, Spilled};

use std::{
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use parking_lot::RwLock;
use smallvec::SmallVec;

use self::{
    retained::{Cursor, Topics},
    subscriptions::Subscriptions,
};
use crate::{
    message::{ClientId, Message, QoS, TopicFilter},
    storage::{Change, Receipt, SessionId, Storage},
    telemetry::Metrics,
};

/// Subscriptions of a session that ends are given up so many at once; between them others have their turn.
const REMOVED_AT_ONCE: usize = 32;

/// Retained messages fetched while subscribing: most subscriptions need no more, and are owed nothing afterwards.
const FIRST_FETCH: usize = 8;

/// How a subscription wants its messages (MQTT 5, 3.8.3.1).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct SubscriptionOptions {
    /// The highest QoS of its deliveries.
    pub qos: QoS,
    /// Not the client's own messages.
    pub no_local: bool,
    /// Deliveries keep the RETAIN flag of the publisher.
    pub retain_as_published: bool,
    /// Which retained messages the subscribing brings.
    pub retain_handling: RetainHandling,
    /// The Subscription Identifier: 1 to 268,435,455.
    pub identifier: Option<NonZeroU32>,
}

/// Whether subscribing brings the retained messages (MQTT 5, 3.8.3.1).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum RetainHandling {
    /// Each time.
    #[default]
    Send = 0,
    /// Only where the subscription did not exist.
    SendIfNew = 1,
    /// Never.
    DoNotSend = 2,
}

/// A message for one subscriber.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    /// The message.
    pub message: Arc<Message>,
    /// The lower of the message's QoS and what the subscription grants [MQTT-3.8.4-8].
    pub qos: QoS,
    /// The RETAIN flag it is sent with.
    pub retain: bool,
    /// When it came into a queue: what its age is counted from.
    pub queued_at: Instant,
    /// The identifiers of all subscriptions that matched [MQTT-3.3.4-3].
    pub subscription_identifiers: SmallVec<[u32; 1]>,
    /// The shared subscription it came by: another member may take it over while it is unsent.
    pub share: Option<TopicFilter>,
}

/// What has become of a published message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Published {
    /// Subscribers that a subscription of theirs matched, whether or not their queue had room.
    pub matched: usize,
    /// The receipt was handed to storage and will be called; otherwise nobody must be waited for.
    pub receipt_pending: bool,
    /// It was to be retained, and the retained messages have no room for it. Of QoS 0 it was delivered all the same,
    /// since nobody can be told. Above, nobody was sent it: its publisher is told, may publish it again, as it is or
    /// without RETAIN, and nobody has it twice.
    pub retained_refused: bool,
}

/// One session already has as many subscriptions as it may.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TooManySubscriptions {
    /// How many that is.
    pub limit: usize,
}

/// Topic names to subscribers, and what is kept for them.
pub struct Router {
    core: Arc<Core>,
    next_session: AtomicU64,
}

/// What queues refer to weakly: subscriptions refer to them.
struct Core {
    environment: Arc<Environment>,
    storage: Arc<dyn Storage>,
    subscriptions: RwLock<Subscriptions>,
}

/// What all queues share.
struct Environment {
    config: ArcSwap<Config>,
    metrics: Arc<Metrics>,
    retained: RwLock<Topics>,
    /// Queues of sessions that are kept may leave in storage what they do not need yet.
    may_spill: bool,
}

impl Router {
    /// An empty router.
    #[must_use]
    pub fn new(config: Config, storage: Arc<dyn Storage>, metrics: Arc<Metrics>) -> Self {
        let environment = Environment {
            config: ArcSwap::from_pointee(config),
            retained: RwLock::new(Topics::new(metrics.clone())),
            metrics,
            may_spill: storage.spares_memory(),
        };
        Self {
            core: Arc::new(Core {
                environment: Arc::new(environment),
                storage,
                subscriptions: RwLock::new(Subscriptions::new()),
            }),
            next_session: AtomicU64::new(1),
        }
    }

    /// New limits, from now on.
    pub fn configure(&self, config: Config) {
        self.core.environment.config.store(Arc::new(config));
    }

    /// How long a message may wait.
    #[must_use]
    pub fn max_age(&self) -> Duration {
        self.core.environment.config.load().queue.max_age
    }

    /// Puts back retained messages that storage kept. Reports no changes.
    pub fn restore_retained(&self, messages: Vec<Arc<Message>>) {
        let mut topics = self.core.environment.retained.write();
        for message in messages {
            topics.restore(message);
        }
    }

    /// Begins a session: a queue without subscriptions, not connected yet. `kept`: changes are reported to storage.
    #[must_use]
    pub fn register(&self, client_id: ClientId, kept: bool) -> Arc<Queue> {
        let id = SessionId(self.next_session.fetch_add(1, Ordering::Relaxed));
        self.new_queue(id, client_id, kept)
    }

    /// Goes on with a session that storage kept.
    #[must_use]
    pub fn restore(&self, id: SessionId, client_id: ClientId) -> Arc<Queue> {
        self.begin_after(id);
        self.new_queue(id, client_id, true)
    }

    /// New sessions get numbers that storage does not know.
    pub fn begin_after(&self, last: SessionId) {
        self.next_session
            .fetch_max(last.0.saturating_add(1), Ordering::Relaxed);
    }

    fn new_queue(&self, id: SessionId, client_id: ClientId, kept: bool) -> Arc<Queue> {
        let environment = self.core.environment.clone();
        let router = Arc::downgrade(&self.core);
        Arc::new_cyclic(|this| Queue::new(id, client_id, kept, environment, router, this.clone()))
    }

    /// Ends a session: its subscriptions go; shared messages it has not been sent go to other members of their group.
    ///
    /// Storage is not told: [`Change::SessionEnded`] says it all.
    pub fn remove(&self, queue: &Arc<Queue>, now: Instant) {
        let filters: Vec<_> = queue.forget_all().into_keys().collect();
        for filters in filters.chunks(REMOVED_AT_ONCE) {
            let mut subscriptions = self.core.subscriptions.write();
            for filter in filters {
                subscriptions.remove(filter, queue);
            }
        }
        for filter in &filters {
            self.count_subscription(filter, -1);
        }
        // Nothing finds the queue any more; what found it before is told that it is over, and looks again.
        let unsent = queue.end();
        self.core.hand_over_all(queue, unsent, now);
    }

    /// Puts back a subscription that storage kept: no retained messages, no report.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a record gives its filters up, as SUBSCRIBE does"
    )]
    pub fn restore_subscription(
        &self,
        queue: &Arc<Queue>,
        filter: TopicFilter,
        options: SubscriptionOptions,
    ) {
        if queue.remember(&filter, options, usize::MAX) == Ok(None) {
            self.count_subscription(&filter, 1);
        }
        let mut subscriptions = self.core.subscriptions.write();
        subscriptions.insert(&filter, queue, options);
    }

    /// Adds or changes a subscription; its retained messages join the queue (MQTT 5, 3.8.4).
    ///
    /// They come as the client takes them, in the place of the queue where it subscribed, and do not count against the
    /// queue's bounds. How the session had subscribed to this filter before, if it had.
    ///
    /// # Errors
    /// The session has its limit of subscriptions.
    pub fn subscribe(
        &self,
        queue: &Arc<Queue>,
        filter: TopicFilter,
        options: SubscriptionOptions,
        now: Instant,
    ) -> Result<Option<SubscriptionOptions>, TooManySubscriptions> {
        let environment = &self.core.environment;
        let limit = environment.config.load().max_subscriptions_per_session;
        let before = queue.remember(&filter, options, limit)?;
        if before.is_none() {
            self.count_subscription(&filter, 1);
        }
        let wants_retained = match options.retain_handling {
            // None for shared subscriptions (MQTT 5, 4.8.2).
            _ if filter.share_name().is_some() => false,
            RetainHandling::Send => true,
            RetainHandling::SendIfNew => before.is_none(),
            RetainHandling::DoNotSend => false,
        };
        let mut changes = Vec::new();
        if wants_retained {
            self.subscribe_with_retained(queue, &filter, options, now);
            if environment.retained.read().can_expire() {
                environment.retained.write().sweep(now, &mut changes);
            }
        } else {
            let mut subscriptions = self.core.subscriptions.write();
            subscriptions.insert(&filter, queue, options);
        }
        if queue.is_kept() {
            changes.push(Change::Subscribed(queue.id(), filter, options));
        }
        self.core.commit(changes, None);
        Ok(before)
    }

    /// Takes back a subscription that could not be kept: what was there before holds again, and is what storage has.
    pub fn revoke(
        &self,
        queue: &Arc<Queue>,
        filter: &TopicFilter,
        before: Option<SubscriptionOptions>,
    ) {
        let Some(options) = before else {
            self.unsubscribe(queue, filter);
            return;
        };
        self.restore_subscription(queue, filter.clone(), options);
        let change = Change::Subscribed(queue.id(), filter.clone(), options);
        self.core.commit(vec![change], None);
    }

    /// In this order, and with no message being retained meanwhile: whatever is published from now on stands behind
    /// the retained messages, and what is not among them is delivered live.
    fn subscribe_with_retained(
        &self,
        queue: &Arc<Queue>,
        filter: &TopicFilter,
        options: SubscriptionOptions,
        now: Instant,
    ) {
        let topics = self.core.environment.retained.read();
        let moment = topics.moment();
        let mut cursor = Cursor::new(filter.clone(), options, queue.client_id(), moment);
        topics.fill(&mut cursor, FIRST_FETCH, Some(now));
        let wake = queue.add_cursor(cursor);
        self.core
            .subscriptions
            .write()
            .insert(filter, queue, options);
        drop(topics);
        if wake {
            queue.wake();
        }
    }

    /// Gives a subscription up; `false` where there was none.
    pub fn unsubscribe(&self, queue: &Arc<Queue>, filter: &TopicFilter) -> bool {
        if !queue.forget(filter) {
            return false;
        }
        self.core.subscriptions.write().remove(filter, queue);
        self.count_subscription(filter, -1);
        if queue.is_kept() {
            let change = Change::Unsubscribed(queue.id(), filter.clone());
            self.core.commit(vec![change], None);
        }
        true
    }

    /// Routes a message: retained store first, then every subscriber's queue. `receipt` is asked for only where
    /// storage has to keep something and the publisher waits for it: QoS 0 does not.
    pub fn publish(
        &self,
        message: &Arc<Message>,
        now: Instant,
        receipt: impl FnOnce() -> Receipt,
    ) -> Published {
        self.core.publish(message, None, now, receipt)
    }

    /// The same for a QoS 2 message of a session that is kept: that its identifier was `received` is stored with the
    /// message, all or nothing.
    pub fn publish_once(
        &self,
        message: &Arc<Message>,
        received: Change,
        now: Instant,
        receipt: impl FnOnce() -> Receipt,
    ) -> Published {
        self.core.publish(message, Some(received), now, receipt)
    }

    fn count_subscription(&self, filter: &TopicFilter, amount: i64) {
        let metrics = &self.core.environment.metrics;
        metrics.subscriptions.add(amount);
        if filter.share_name().is_some() {
            metrics.shared_subscriptions.add(amount);
        }
    }
}
