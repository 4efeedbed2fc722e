//! The rules of routing, each through the seam that the rest of the broker uses.

mod crowd;
mod gate;
mod kept;
mod retained;
mod shared;

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use parking_lot::Mutex;

use super::*;
use crate::{
    message::TopicName,
    storage::{Answer, Memory, QueuePart, Snapshot, StorageError},
    telemetry::DropReason,
};

/// Notes what it is told, and calls receipts when asked to.
#[derive(Default)]
struct Notes {
    changes: Mutex<Vec<String>>,
    /// The client of each session that was registered here.
    clients: Mutex<std::collections::HashMap<SessionId, ClientId>>,
    receipts: AtomicUsize,
    commits: AtomicUsize,
}

impl Storage for Arc<Notes> {
    fn load(&self) -> Result<Snapshot, StorageError> {
        Ok(Snapshot::default())
    }

    fn commit(&self, changes: Vec<Change>, receipt: Option<Receipt>) {
        self.commits.fetch_add(1, Ordering::Relaxed);
        self.changes
            .lock()
            .extend(changes.iter().map(|change| self.name(change)));
        if let Some(receipt) = receipt {
            self.receipts.fetch_add(1, Ordering::Relaxed);
            receipt(Ok(()));
        }
    }

    fn read(&self, _: SessionId, _: u64, _: usize, answer: Answer) {
        answer(Ok(QueuePart::default()));
    }
}

impl Notes {
    fn name(&self, change: &Change) -> String {
        let client = |id: &SessionId| {
            let clients = self.clients.lock();
            clients.get(id).map_or("?".into(), Clone::clone)
        };
        match change {
            Change::RetainedSet(message) => format!("set {}", message.topic),
            Change::RetainedCleared(topic) => format!("cleared {topic}"),
            Change::SessionSaved(record) => format!("saved {}", record.client_id),
            Change::SessionEnded(id) => format!("ended {}", client(id)),
            Change::Subscribed(id, filter, _) => format!("subscribed {} {filter}", client(id)),
            Change::Unsubscribed(id, filter) => format!("unsubscribed {} {filter}", client(id)),
            Change::MessageQueued(id, _, delivery) => {
                format!("queued {} {}", client(id), delivery.message.topic)
            }
            Change::MessageReleased(id, _) => format!("released {}", client(id)),
            Change::MessageDropped(id, _) => format!("dropped {}", client(id)),
            Change::Received(id, packet_id) => format!("received {} {packet_id}", client(id)),
            Change::ReceivedReleased(id, packet_id) => {
                format!("received released {} {packet_id}", client(id))
            }
        }
    }
}

pub(super) fn config() -> Config {
    Config {
        queue: QueueConfig {
            max_messages: 10,
            max_bytes: 10_000,
            max_age: Duration::MAX,
            when_full: WhenFull::DropOldest,
            queue_qos0: false,
        },
        max_queued_bytes: 100_000,
        max_retained_bytes: 100_000,
        max_subscriptions_per_session: 10,
    }
}

pub(super) struct Fixture {
    pub(super) router: Router,
    pub(super) metrics: Arc<Metrics>,
    notes: Arc<Notes>,
    pub(super) now: Instant,
    /// Of what is pushed.
    pub(super) gate: Arc<queue::Gate>,
}

pub(super) fn fixture() -> Fixture {
    let metrics = Arc::new(Metrics::default());
    let notes = Arc::new(Notes::default());
    let gate = Arc::new(queue::Gate::default());
    gate.settle(true);
    Fixture {
        router: Router::new(config(), Arc::new(notes.clone()), metrics.clone()),
        metrics,
        notes,
        gate,
        now: tokio::time::Instant::now().into_std(),
    }
}

pub(super) fn filter(text: &str) -> TopicFilter {
    TopicFilter::parse(text).expect(text)
}

pub(super) fn message(topic: &str, payload: &str, qos: QoS) -> Message {
    let topic = TopicName::parse(topic).expect(topic);
    let mut message = Message::new(topic, payload.to_owned(), qos, false);
    message.origin = Some("publisher".into());
    message
}

fn options(qos: QoS) -> SubscriptionOptions {
    SubscriptionOptions {
        qos,
        ..SubscriptionOptions::default()
    }
}

fn identified(qos: QoS, identifier: u32) -> SubscriptionOptions {
    SubscriptionOptions {
        identifier: NonZeroU32::new(identifier),
        ..options(qos)
    }
}

const QOS0: QoS = QoS::AtMostOnce;
const QOS1: QoS = QoS::AtLeastOnce;
const QOS2: QoS = QoS::ExactlyOnce;

impl Fixture {
    pub(super) fn connect(&self, client_id: &str) -> Arc<Queue> {
        let queue = self.router.register(client_id.into(), false);
        queue.connected(10);
        queue
    }

    /// A kept session whose client is away.
    fn parked(&self, client_id: &str, text: &str) -> Arc<Queue> {
        let queue = self.kept(client_id);
        self.subscribe(&queue, text, options(QOS2));
        queue.park(self.now);
        queue
    }

    fn subscribe(&self, queue: &Arc<Queue>, text: &str, options: SubscriptionOptions) {
        self.router
            .subscribe(queue, filter(text), options, self.now)
            .expect("below the limit");
    }

    fn publish(&self, message: Message) -> Published {
        let receipt = || -> Receipt { Box::new(|_| {}) };
        self.router.publish(&Arc::new(message), self.now, receipt)
    }

    fn retain(&self, topic: &str, payload: &str, qos: QoS) -> Published {
        let mut message = message(topic, payload, qos);
        message.retain = true;
        self.publish(message)
    }

    fn pop(&self, queue: &Queue) -> Option<Queued> {
        queue.pop(true, self.now)
    }

    /// A kept session.
    pub(super) fn kept(&self, client_id: &str) -> Arc<Queue> {
        let queue = self.router.register(client_id.into(), true);
        let mut clients = self.notes.clients.lock();
        clients.insert(queue.id(), client_id.into());
        queue
    }

    /// Payloads of all that waits.
    fn payloads(&self, queue: &Queue) -> Vec<String> {
        std::iter::from_fn(|| self.pop(queue))
            .map(|delivery| String::from_utf8_lossy(&delivery.message.payload).into_owned())
            .collect()
    }

    fn dropped(&self, reason: DropReason) -> u64 {
        self.metrics.messages_dropped[reason as usize].get()
    }

    pub(super) fn told(&self) -> Vec<String> {
        std::mem::take(&mut *self.notes.changes.lock())
    }
}

/// [MQTT-3.8.4-8] The lower of the two QoS.
#[test]
fn the_granted_qos_is_the_upper_bound() {
    let f = fixture();
    let queue = f.connect("c");
    for (granted, published, expected) in [
        (QOS0, QOS2, QOS0),
        (QOS1, QOS2, QOS1),
        (QOS2, QOS1, QOS1),
        (QOS2, QOS2, QOS2),
    ] {
        f.subscribe(&queue, "a", options(granted));
        assert_eq!(f.publish(message("a", "x", published)).matched, 1);
        assert_eq!(f.pop(&queue).expect("delivered").qos, expected);
    }
}

/// [MQTT-3.3.4-2, -3] Overlapping subscriptions: one delivery with the highest QoS and all identifiers.
#[test]
fn overlapping_subscriptions_bring_one_delivery() {
    let f = fixture();
    let queue = f.connect("c");
    let other = f.connect("d");
    f.subscribe(&queue, "a/b", identified(QOS0, 1));
    f.subscribe(&other, "a/+", options(QOS0));
    f.subscribe(&queue, "a/+", identified(QOS2, 2));
    f.subscribe(&queue, "#", options(QOS1));
    assert_eq!(f.publish(message("a/b", "x", QOS2)).matched, 2);
    let delivery = f.pop(&queue).expect("delivered");
    let mut identifiers = delivery.subscription_identifiers.to_vec();
    identifiers.sort_unstable();
    assert_eq!((delivery.qos, identifiers), (QOS2, vec![1, 2]));
    assert_eq!(f.pop(&queue), None);
    assert!(f.pop(&other).is_some());
}

/// [MQTT-3.3.1-12, -13] RETAIN only where asked for; one of several overlapping subscriptions is enough.
#[test]
fn retain_as_published() {
    let f = fixture();
    let queue = f.connect("c");
    f.subscribe(&queue, "a", options(QOS0));
    f.retain("a", "x", QOS0);
    assert!(!f.pop(&queue).expect("delivered").retain);
    let rap = SubscriptionOptions {
        retain_as_published: true,
        retain_handling: RetainHandling::DoNotSend,
        ..options(QOS0)
    };
    f.subscribe(&queue, "+", rap);
    f.retain("a", "x", QOS0);
    assert!(f.pop(&queue).expect("delivered").retain);
    f.publish(message("a", "x", QOS0));
    assert!(!f.pop(&queue).expect("delivered").retain);
}

/// [MQTT-3.8.3-3] No Local leaves the other subscriptions of the client alone.
#[test]
fn no_local() {
    let f = fixture();
    let queue = f.connect("publisher");
    let no_local = SubscriptionOptions {
        no_local: true,
        ..identified(QOS1, 7)
    };
    f.subscribe(&queue, "a", no_local);
    assert_eq!(f.publish(message("a", "x", QOS1)).matched, 0);
    assert_eq!(f.dropped(DropReason::NoLocal), 1);
    f.subscribe(&queue, "+", options(QOS0));
    assert_eq!(f.publish(message("a", "x", QOS1)).matched, 1);
    let delivery = f.pop(&queue).expect("by the other subscription");
    assert_eq!(
        (delivery.qos, delivery.subscription_identifiers.len()),
        (QOS0, 0)
    );
    let mut foreign = message("a", "x", QOS1);
    foreign.origin = Some("other".into());
    assert_eq!(f.publish(foreign).matched, 1);
    assert_eq!(f.pop(&queue).expect("delivered").qos, QOS1);
}

/// [MQTT-3.8.4-3] The same filter again replaces the options and is no second subscription.
#[test]
fn subscribing_again_replaces() {
    let f = fixture();
    let queue = f.connect("c");
    for text in ["a/+", "a/b", "$share/g/a"] {
        f.subscribe(&queue, text, identified(QOS0, 1));
        f.subscribe(&queue, text, identified(QOS1, 2));
    }
    assert_eq!(f.metrics.subscriptions.get(), 3);
    assert_eq!(f.metrics.shared_subscriptions.get(), 1);
    f.publish(message("a/c", "x", QOS1));
    let delivery = f.pop(&queue).expect("delivered");
    assert_eq!(
        (delivery.qos, &delivery.subscription_identifiers[..]),
        (QOS1, &[2][..])
    );
    assert_eq!(f.pop(&queue), None);
    assert_eq!(queue.subscriptions().len(), 3);
}

/// What storage cannot keep is as if it had never been asked for; what it keeps already stays.
#[test]
fn a_revoked_subscription_is_what_it_was_before() {
    let f = fixture();
    let queue = f.parked("c", "a");
    let subscribe = |qos| {
        let subscribed = f.router.subscribe(&queue, filter("a"), options(qos), f.now);
        subscribed.expect("below the limit")
    };
    f.router.unsubscribe(&queue, &filter("a"));
    assert_eq!(subscribe(QoS::ExactlyOnce), None);
    f.router.revoke(&queue, &filter("a"), None);
    f.publish(message("a", "nobody's", QoS::AtLeastOnce));
    assert_eq!(subscribe(QoS::AtLeastOnce), None);
    let before = subscribe(QoS::ExactlyOnce);
    assert_eq!(before, Some(options(QoS::AtLeastOnce)));
    f.notes.changes.lock().clear();
    f.router.revoke(&queue, &filter("a"), before);
    assert_eq!(*f.notes.changes.lock(), ["subscribed c a"]);
    f.publish(message("a", "once more", QoS::ExactlyOnce));
    let found = f.pop(&queue).expect("it is still subscribed to");
    assert_eq!(found.qos, QoS::AtLeastOnce);
    assert_eq!(f.pop(&queue), None);
}

/// [MQTT-3.10.4-2] and the answer of UNSUBACK.
#[test]
fn unsubscribing_ends_it() {
    let f = fixture();
    let queue = f.connect("c");
    f.subscribe(&queue, "a/#", options(QOS0));
    assert!(!f.router.unsubscribe(&queue, &filter("a/+")));
    assert!(f.router.unsubscribe(&queue, &filter("a/#")));
    assert!(!f.router.unsubscribe(&queue, &filter("a/#")));
    assert_eq!(f.publish(message("a", "x", QOS0)).matched, 0);
    assert_eq!(f.dropped(DropReason::NoSubscribers), 1);
    assert_eq!(f.metrics.subscriptions.get(), 0);
}

/// At the limit, and one beyond; a change of one that exists is always possible.
#[test]
fn subscriptions_are_limited() {
    let f = fixture();
    let queue = f.connect("c");
    for number in 0..10 {
        f.subscribe(&queue, &format!("t/{number}"), options(QOS0));
    }
    let refused = f
        .router
        .subscribe(&queue, filter("t/10"), options(QOS0), f.now);
    assert_eq!(refused, Err(TooManySubscriptions { limit: 10 }));
    f.subscribe(&queue, "t/0", options(QOS1));
}

/// The same client identifier again begins with nothing.
#[test]
fn registering_again_is_clean() {
    let f = fixture();
    let queue = f.connect("c");
    f.subscribe(&queue, "a", options(QOS1));
    f.publish(message("a", "old", QOS1));
    f.router.remove(&queue, f.now);
    let again = f.connect("c");
    assert_eq!(f.publish(message("a", "x", QOS1)).matched, 0);
    assert!(again.is_empty() && again.subscriptions().is_empty());
    f.subscribe(&again, "a", options(QOS1));
    f.publish(message("a", "new", QOS1));
    assert_eq!(f.payloads(&again), ["new"]);
    assert_eq!(
        (f.metrics.subscriptions.get(), f.metrics.queued_bytes.get()),
        (1, 0)
    );
}
