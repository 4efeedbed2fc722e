//! The rules of routing, each through the seam that the rest of the broker uses.

mod gate;
mod retained;
mod shared;

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    thread,
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

/// [MQTT-3.10.4-2] and the answer of UNSUBACK.
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

/// A receipt only where somebody waits for it and something is kept.
#[test]
fn receipts() {
    let f = fixture();
    let connected = f.connect("c");
    f.subscribe(&connected, "live", options(QOS2));
    f.parked("p", "kept");
    f.told();
    let pending = |message| f.publish(message).receipt_pending;
    assert!(
        !pending(message("live", "x", QOS1)),
        "owed to nobody offline"
    );
    assert!(pending(message("kept", "x", QOS1)));
    assert!(!pending(message("kept", "x", QOS0)));
    assert_eq!(f.dropped(DropReason::QoS0), 1);
    assert!(f.retain("r", "x", QOS1).receipt_pending);
    assert!(!f.retain("r", "x", QOS0).receipt_pending);
    assert!(f.retain("r", "", QOS2).receipt_pending);
    assert!(!f.retain("r", "", QOS2).receipt_pending, "nothing to clear");
    assert_eq!(f.told(), ["queued p kept", "set r", "set r", "cleared r"]);
    assert_eq!(f.notes.receipts.load(Ordering::Relaxed), 3);
}

/// All that one publish changes goes to storage in one call.
#[test]
fn a_publish_is_one_commit() {
    let f = fixture();
    f.parked("p", "a");
    f.parked("q", "+");
    let before = f.notes.commits.load(Ordering::Relaxed);
    f.retain("a", "x", QOS1);
    assert_eq!(f.notes.commits.load(Ordering::Relaxed), before + 1);
}

/// Subscriptions of kept sessions are reported, those of others are not; ending a session says it all at once.
#[test]
fn subscriptions_are_reported_for_kept_sessions() {
    let f = fixture();
    let brief = f.connect("brief");
    f.subscribe(&brief, "a", options(QOS0));
    let kept = f.kept("kept");
    f.subscribe(&kept, "a", options(QOS0));
    f.subscribe(&kept, "b", options(QOS0));
    f.router.unsubscribe(&kept, &filter("b"));
    f.router.remove(&kept, f.now);
    assert_eq!(
        f.told(),
        [
            "subscribed kept a",
            "subscribed kept b",
            "unsubscribed kept b"
        ]
    );
    brief.park(f.now);
    f.subscribe(&brief, "b", options(QOS0));
    assert!(f.told().is_empty());
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

/// What storage kept is routed to again.
#[test]
fn a_restored_session_goes_on() {
    let f = fixture();
    let queue = f.kept("c");
    f.router
        .restore_subscription(&queue, filter("a"), options(QOS1));
    let delivery = |payload| Delivery {
        message: Arc::new(message("a", payload, QOS1)),
        qos: QOS1,
        retain: false,
        queued_at: tokio::time::Instant::now().into_std(),
        subscription_identifiers: SmallVec::new(),
        share: None,
    };
    let queued = |place, payload| Queued {
        place,
        delivery: delivery(payload),
    };
    queue.restore(vec![queued(5, "1"), queued(9, "2")], None, 0);
    assert!(f.told().is_empty());
    assert!(f.publish(message("a", "3", QOS1)).receipt_pending);
    queue.connected(10);
    assert_eq!(f.payloads(&queue), ["1", "2", "3"]);
    f.router
        .restore_retained(vec![Arc::new(message("r", "x", QOS1))]);
    f.subscribe(&queue, "r", options(QOS1));
    assert_eq!(f.payloads(&queue), ["x"]);
}

/// Threads publish, subscribe and end sessions at once: afterwards every gauge is as if they had not.
#[test]
fn nothing_is_left_after_a_crowd() {
    let f = fixture();
    let stays = f.connect("stays");
    f.subscribe(&stays, "order/#", options(QOS1));
    thread::scope(|scope| {
        for worker in 0..3 {
            let f = &f;
            scope.spawn(move || crowd(f, worker));
        }
        for publisher in 0..2 {
            let f = &f;
            scope.spawn(move || {
                for number in 0..400 {
                    let topic = format!("t/{}", number % 7);
                    f.publish(message(&topic, "x", QOS1));
                    f.retain(&topic, if number % 3 == 0 { "" } else { "x" }, QOS0);
                    if number < 5 {
                        let topic = format!("order/{publisher}");
                        f.publish(message(&topic, &number.to_string(), QOS1));
                    }
                }
                for number in 0..7 {
                    f.retain(&format!("t/{number}"), "", QOS0);
                }
            });
        }
    });
    let mut last = std::collections::HashMap::new();
    while let Some(delivery) = f.pop(&stays) {
        let payload = String::from_utf8_lossy(&delivery.message.payload).into_owned();
        let number: i32 = payload.parse().expect("a number");
        let before = last.insert(delivery.message.topic.to_string(), number);
        assert_eq!(before.unwrap_or(-1) + 1, number, "in the publisher's order");
    }
    f.router.remove(&stays, f.now);
    let metrics = &f.metrics;
    for gauge in [
        &metrics.subscriptions,
        &metrics.shared_subscriptions,
        &metrics.retained_messages,
        &metrics.retained_bytes,
        &metrics.queued_messages,
        &metrics.queued_bytes,
    ] {
        assert_eq!(gauge.get(), 0);
    }
    assert!(f.router.core.subscriptions.read().is_empty());
}

fn crowd(f: &Fixture, worker: usize) {
    for round in 0..100 {
        let queue = f.connect(&format!("c{worker}"));
        for text in ["t/+", "t/1", "#", "$share/g/t/+", "$share/g/t/2"] {
            f.subscribe(&queue, text, options(QOS1));
        }
        for _ in 0..round % 5 {
            f.pop(&queue);
        }
        f.router.unsubscribe(&queue, &filter("t/1"));
        if round % 2 == 0 {
            queue.park(f.now);
        }
        f.router.remove(&queue, f.now + Duration::from_secs(1));
    }
}
