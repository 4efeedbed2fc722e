mod bounds;
mod spilled;

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    task::{Wake, Waker},
    time::Duration,
};

use super::*;
use crate::{
    router::{
        Router, WhenFull,
        tests::{Fixture, config, filter, fixture, message},
    },
    storage::{Memory, SessionRecord, Storage},
    telemetry::DropReason,
    telemetry::Metrics,
};

const QOS0: QoS = QoS::AtMostOnce;
const QOS1: QoS = QoS::AtLeastOnce;
const QOS2: QoS = QoS::ExactlyOnce;

const MAX_AGE: Duration = Duration::from_secs(60);

fn delivery(payload: &str, qos: QoS) -> Delivery {
    Delivery {
        message: Arc::new(message("t", payload, qos)),
        qos,
        retain: false,
        queued_at: tokio::time::Instant::now().into_std(),
        subscription_identifiers: smallvec::SmallVec::new(),
        share: None,
    }
}

impl Fixture {
    /// What storage is told of a delivery pushed.
    fn push(&self, queue: &Arc<Queue>, delivery: Delivery) -> Vec<Change> {
        let mut changes = Vec::new();
        let config = self.router.core.environment.config.load();
        let size = delivery.message.footprint();
        let route = Route {
            config: &config,
            now: self.now,
            gate: self.gate.clone().into(),
            spilled: RefCell::default(),
        };
        queue
            .push(delivery, size, &route, &mut changes)
            .expect("the session is there");
        changes
    }

    fn push_all(&self, queue: &Arc<Queue>, payloads: &[&str], qos: QoS) {
        for payload in payloads {
            self.push(queue, delivery(payload, qos));
        }
    }

    fn left(&self, queue: &Queue) -> String {
        std::iter::from_fn(|| queue.pop(true, self.now))
            .map(|delivery| String::from_utf8_lossy(&delivery.message.payload).into_owned())
            .collect()
    }

    fn limit(&self, max_messages: usize, when_full: WhenFull) {
        let mut config = config();
        config.queue.max_messages = max_messages;
        config.queue.when_full = when_full;
        self.router.configure(config);
    }

    fn count(&self, reason: DropReason) -> u64 {
        self.metrics.messages_dropped[reason as usize].get()
    }
}

/// A client that takes one message above QoS 0 at a time.
fn one_by_one(f: &Fixture) -> Arc<Queue> {
    let queue = f.kept("c");
    queue.connected(1);
    queue
}

#[test]
fn deliveries_leave_in_order() {
    let f = fixture();
    let queue = one_by_one(&f);
    for (payload, qos) in [("1", QOS0), ("2", QOS1), ("3", QOS0), ("4", QOS2)] {
        f.push(&queue, delivery(payload, qos));
    }
    assert_eq!(f.left(&queue), "1234");
}

/// [MQTT-4.6.0-6] Order is that of a topic and a QoS: QoS 0 does not wait for the window of the others.
#[test]
fn qos_0_does_not_wait_for_the_window() {
    let f = fixture();
    let queue = one_by_one(&f);
    for (payload, qos) in [("1", QOS1), ("2", QOS0), ("3", QOS2), ("4", QOS0)] {
        f.push(&queue, delivery(payload, qos));
    }
    let mut payloads = Vec::new();
    while let Some(delivery) = queue.pop(false, f.now) {
        payloads.push(delivery.message.payload.clone());
    }
    assert_eq!(payloads, ["2", "4"]);
    assert_eq!(f.left(&queue), "13");
}

/// [MQTT-3.3.2-5] Expired messages are dropped and counted, in the queue and on the way out.
#[test]
fn expired_messages_are_dropped() {
    let mut f = fixture();
    f.limit(2, WhenFull::DropNewest);
    let queue = f.kept("c");
    let mut expiring = message("t", "1", QOS1);
    expiring.expires_at = Some(f.now + Duration::from_secs(1));
    let mut first = delivery("", QOS1);
    first.message = Arc::new(expiring);
    f.push(&queue, first.clone());
    f.push_all(&queue, &["2"], QOS1);
    f.now += Duration::from_secs(1);
    let changes = f.push(&queue, delivery("3", QOS1));
    assert!(matches!(
        &changes[..],
        [Change::MessageDropped(..), Change::MessageQueued(..)]
    ));
    f.push(&queue, first);
    assert_eq!(f.left(&queue), "23");
    queue.connected(1);
    let mut last = delivery("", QOS0);
    Arc::make_mut(&mut last.message).expires_at = Some(f.now);
    f.push(&queue, last);
    assert_eq!(queue.pop(false, f.now), None);
    assert_eq!(f.count(DropReason::Expired), 2);
    assert_eq!(f.metrics.queued_messages.get(), 0);
}

/// QoS 0 is for who is there, unless the configuration says otherwise.
#[test]
fn qos_0_for_who_is_away() {
    let f = fixture();
    let queue = one_by_one(&f);
    f.push_all(&queue, &["a"], QOS0);
    queue.park(f.now);
    f.push_all(&queue, &["b"], QOS0);
    assert_eq!((queue.len(), f.count(DropReason::QoS0)), (0, 2));
    let mut config = config();
    config.queue.queue_qos0 = true;
    f.router.configure(config);
    let changes = f.push(&queue, delivery("c", QOS0));
    assert!(matches!(&changes[..], [Change::MessageQueued(..)]));
    queue.connected(1);
    assert!(f.push(&queue, delivery("d", QOS0)).is_empty());
    queue.park(f.now);
    assert_eq!(f.told(), ["queued c t"], "the one that came meanwhile");
    assert_eq!(f.left(&queue), "cd");
    assert_eq!(f.told(), ["dropped c", "dropped c"]);
}

/// Storage hears of each change of a kept session, by the places of what changes; connected or not.
#[test]
fn a_kept_queue_reports() {
    let f = fixture();
    f.limit(2, WhenFull::DropOldest);
    let queue = one_by_one(&f);
    let changes = f.push(&queue, delivery("1", QOS1));
    let [Change::MessageQueued(id, first, queued)] = &changes[..] else {
        panic!("{changes:?}")
    };
    assert_eq!((*id, queued.qos), (queue.id(), QOS1));
    queue.park(f.now);
    assert!(f.told().is_empty(), "it is known already");
    f.push(&queue, delivery("2", QOS2));
    let changes = f.push(&queue, delivery("3", QOS1));
    assert!(matches!(
        &changes[..],
        [Change::MessageDropped(_, at), Change::MessageQueued(_, next, _)]
            if at == first && next > first
    ));
    queue.connected(1);
    assert_eq!(f.left(&queue), "23");
    let brief = f.connect("brief");
    assert!(f.push(&brief, delivery("4", QOS1)).is_empty());
}

/// What is given back goes out first, at its place.
#[test]
fn what_was_not_sent_is_given_back() {
    let f = fixture();
    let queue = one_by_one(&f);
    f.push_all(&queue, &["1", "2", "3"], QOS1);
    let first = queue.pop(true, f.now).expect("queued");
    let second = queue.pop(true, f.now).expect("queued");
    assert!(first.place < second.place);
    queue.push_front(second);
    queue.push_front(first);
    queue.park(f.now);
    assert_eq!(f.left(&queue), "123");
}

/// Retained messages that a client was not sent before it left come when it returns, and storage has them.
#[test]
fn retained_messages_survive_parking() {
    let f = fixture();
    for topic in ["r/1", "r/2"] {
        let mut message = message(topic, topic, QOS1);
        message.retain = true;
        f.router
            .publish(&Arc::new(message), f.now, || Box::new(|_| {}));
    }
    let queue = one_by_one(&f);
    f.push_all(&queue, &["before "], QOS1);
    let options = SubscriptionOptions {
        qos: QOS1,
        ..SubscriptionOptions::default()
    };
    f.router
        .subscribe(&queue, filter("r/#"), options, f.now)
        .expect("below the limit");
    f.push_all(&queue, &[" after"], QOS1);
    f.told();
    queue.park(f.now);
    assert_eq!(f.told(), ["queued c r/1", "queued c r/2"]);
    queue.connected(1);
    assert_eq!(f.left(&queue), "before r/1r/2 after");
}

/// A kept session has its retained messages stored before it is sent them.
#[test]
fn retained_messages_are_stored_before_they_are_sent() {
    let f = fixture();
    let mut message = message("r", "x", QOS2);
    message.retain = true;
    f.router
        .publish(&Arc::new(message), f.now, || Box::new(|_| {}));
    let queue = one_by_one(&f);
    let options = SubscriptionOptions {
        qos: QOS2,
        ..SubscriptionOptions::default()
    };
    f.router
        .subscribe(&queue, filter("r"), options, f.now)
        .expect("below the limit");
    f.told();
    assert!(queue.pop(true, f.now).is_some());
    assert_eq!(f.told(), ["queued c r"]);
}

/// QoS 2 is sent once its message is kept, what stands behind it after it; what cannot be kept is sent to nobody.
#[test]
fn qos_2_waits_until_it_is_kept() {
    let mut f = fixture();
    f.gate = Arc::default();
    let queue = one_by_one(&f);
    f.push_all(&queue, &["1"], QOS2);
    f.push_all(&queue, &["2"], QOS1);
    f.push_all(&queue, &["a"], QOS0);
    assert_eq!(f.left(&queue), "a");
    let count = Arc::new(Count::default());
    queue.register_waker(&Context::from_waker(&Waker::from(count.clone())));
    assert_eq!(queue.pop(true, f.now), None);
    std::mem::take(&mut f.gate).settle(true);
    assert_eq!(count.0.load(Ordering::Relaxed), 1);
    assert_eq!(f.left(&queue), "12");
    f.push_all(&queue, &["3"], QOS2);
    f.push_all(&queue, &["4"], QOS1);
    f.gate.settle(false);
    assert_eq!(f.left(&queue), "4");
    assert_eq!(f.metrics.queued_messages.get(), 0);
}

#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Only who has found nothing is woken, once, and only by what can be taken.
#[test]
fn wake_ups() {
    let f = fixture();
    let queue = one_by_one(&f);
    let count = Arc::new(Count::default());
    let waker = Waker::from(count.clone());
    let woken = || count.0.load(Ordering::Relaxed);
    let register = || queue.register_waker(&Context::from_waker(&waker));
    register();
    f.push_all(&queue, &["1"], QOS1);
    assert_eq!(woken(), 0, "has not looked yet");
    assert!(queue.pop(true, f.now).is_some());
    assert_eq!(queue.pop(true, f.now), None);
    f.push_all(&queue, &["2", "3"], QOS1);
    assert_eq!(woken(), 1);
    register();
    assert_eq!(queue.pop(false, f.now), None);
    f.push_all(&queue, &["4"], QOS1);
    assert_eq!(woken(), 1, "the window is closed");
    f.push_all(&queue, &["a"], QOS0);
    assert_eq!(woken(), 2);
    f.limit(0, WhenFull::Disconnect);
    register();
    f.push_all(&queue, &["5"], QOS1);
    assert_eq!((woken(), queue.has_overflowed()), (3, true));
}

/// 20,000 idle clients should not pay for what they were once sent.
#[test]
fn an_empty_queue_holds_nothing() {
    assert!(size_of::<Queue>() <= 320, "{}", size_of::<Queue>());
    let mut f = fixture();
    f.limit(5000, WhenFull::DropOldest);
    f.now += Duration::from_secs(1);
    let mut config = config();
    config.queue.max_messages = 5000;
    config.queue.max_bytes = usize::MAX;
    config.max_queued_bytes = usize::MAX;
    f.router.configure(config);
    let queue = f.connect("c");
    assert_eq!(queue.backlog.lock().capacity(), 0);
    for _ in 0..2000 {
        f.push_all(&queue, &["x"], QOS0);
        f.push_all(&queue, &["x"], QOS1);
    }
    assert_eq!(f.left(&queue).len(), 4000);
    assert!(queue.backlog.lock().capacity() <= 16);
}
