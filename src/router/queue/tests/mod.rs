use std::{
    sync::atomic::{AtomicUsize, Ordering},
    task::{Wake, Waker},
    time::Duration,
};

use proptest::prelude::*;

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
            gate: self.gate.clone(),
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

/// Above QoS 0, what the client may have in flight may wait beside what the queue holds.
#[test]
fn drop_oldest() {
    let f = fixture();
    f.limit(3, WhenFull::DropOldest);
    let queue = one_by_one(&f);
    f.push_all(&queue, &["a", "b", "c"], QOS0);
    f.push_all(&queue, &["d"], QOS0);
    f.push_all(&queue, &["1", "2", "3"], QOS1);
    assert_eq!((queue.len(), f.count(DropReason::QueueFull)), (4, 3));
    f.push_all(&queue, &["4", "5"], QOS1);
    f.push_all(&queue, &["e"], QOS0);
    assert_eq!(f.left(&queue), "2345");
    assert_eq!(f.count(DropReason::QueueFull), 6);
}

#[test]
fn drop_newest() {
    let f = fixture();
    f.limit(3, WhenFull::DropNewest);
    let queue = one_by_one(&f);
    f.push_all(&queue, &["a", "b", "c", "d"], QOS0);
    f.push_all(&queue, &["1", "2", "3", "4", "5"], QOS1);
    assert_eq!(f.left(&queue), "1234");
    assert_eq!(f.count(DropReason::QueueFull), 5);
}

/// The queue stays as it is, the client is to go; a session without one drops what is new.
#[test]
fn disconnect() {
    let f = fixture();
    f.limit(2, WhenFull::Disconnect);
    let queue = one_by_one(&f);
    f.push_all(&queue, &["1", "2", "3"], QOS1);
    assert!(!queue.has_overflowed());
    f.push_all(&queue, &["4"], QOS1);
    assert!(queue.has_overflowed());
    queue.park(f.now);
    queue.connected(1);
    assert!(!queue.has_overflowed());
    assert_eq!(f.left(&queue), "123");
    queue.park(f.now);
    f.push_all(&queue, &["1", "2", "3"], QOS1);
    assert!(!queue.has_overflowed());
    assert_eq!(queue.len(), 2);
}

/// Bytes at the limit and one beyond; what is larger than the limit pushes nobody out.
#[test]
fn bytes_are_bounded() {
    let f = fixture();
    let size = delivery("1", QOS1).message.footprint();
    let mut config = config();
    config.queue.max_bytes = 2 * size;
    f.router.configure(config);
    let queue = one_by_one(&f);
    f.push_all(&queue, &["1", "2"], QOS1);
    assert_eq!(queue.len(), 2);
    f.push_all(&queue, &["33"], QOS1);
    assert_eq!(queue.len(), 1);
    f.push_all(&queue, &[&"x".repeat(2 * size)], QOS1);
    assert_eq!(f.left(&queue), "33");
}

/// Seven eighths of what all queues may hold are there for QoS 0, the rest for the others, which push it out.
#[test]
fn all_queues_together_are_bounded() {
    let f = fixture();
    let size = delivery("1", QOS1).message.footprint();
    let mut config = config();
    config.max_queued_bytes = 8 * size;
    f.router.configure(config);
    let (first, second) = (one_by_one(&f), one_by_one(&f));
    f.push_all(&first, &["a", "b", "c", "d"], QOS0);
    f.push_all(&second, &["e", "f", "g", "h"], QOS0);
    assert_eq!((first.len(), second.len()), (4, 3));
    f.push_all(&first, &["1", "2"], QOS1);
    assert_eq!(first.len(), 5);
    assert_eq!(f.count(DropReason::Quota), 2);
    assert_eq!(f.metrics.queued_bytes.get(), 8 * lane::signed(size));
    assert_eq!(
        (f.left(&first), f.left(&second)),
        ("bcd12".into(), "efg".into())
    );
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

/// What does not fit the memory of a session lies in storage only, counts as waiting, and comes in its order.
#[test]
fn long_queues_go_on_in_storage() {
    const MESSAGES: usize = 5000;
    let storage = Memory::spacious();
    let metrics = Arc::new(Metrics::default());
    let mut config = config();
    config.queue.max_messages = MESSAGES;
    config.queue.max_bytes = usize::MAX;
    config.max_queued_bytes = usize::MAX;
    let router = Router::new(config, Arc::new(storage), metrics.clone());
    let now = tokio::time::Instant::now().into_std();
    let queue = router.register("c".into(), true);
    let record = SessionRecord {
        id: queue.id(),
        client_id: "c".into(),
        expiry_interval: 100,
        presence: crate::storage::Presence::Connected { receive_maximum: 1 },
        will: None,
    };
    router
        .core
        .commit(vec![Change::SessionSaved(Box::new(record))], None);
    let options = SubscriptionOptions {
        qos: QOS2,
        ..SubscriptionOptions::default()
    };
    router
        .subscribe(&queue, filter("t/#"), options, now)
        .expect("below the limit");
    queue.park(now);
    let publish = |number: usize| {
        let qos = if number.is_multiple_of(2) { QOS1 } else { QOS2 };
        let message = message("t/1", &number.to_string(), qos);
        router.publish(&Arc::new(message), now, || Box::new(|_| {}));
    };
    (0..MESSAGES).for_each(publish);
    assert_eq!(queue.len(), MESSAGES);
    assert_eq!(metrics.queued_messages.get(), MESSAGES as i64);
    let in_memory = metrics.queued_bytes.get() / 160;
    assert!(in_memory < 1300, "{in_memory}");
    publish(MESSAGES);
    queue.connected(10);
    let mut next = 1;
    let mut popped = Vec::new();
    while let Some(queued) = queue.pop(true, now) {
        let text = String::from_utf8_lossy(&queued.message.payload).into_owned();
        popped.push((queued.place, text.parse::<usize>().expect("a number")));
        if next % 3 == 0 {
            // What is published meanwhile comes last.
            publish(MESSAGES + next / 3);
        }
        next += 1;
        if popped.len() > 2 * MESSAGES {
            break;
        }
    }
    assert!(popped.is_sorted(), "in order, and none twice");
    let numbers: Vec<_> = popped.iter().map(|(_, number)| *number).collect();
    let first = numbers[0];
    assert!(first <= 1, "the oldest gives way: {first}");
    assert!(
        numbers.windows(2).all(|it| it[1] == it[0] + 1),
        "none is missing"
    );
    assert_eq!(metrics.queued_messages.get(), 0);
    assert_eq!(metrics.queued_bytes.get(), 0);
}

/// A router whose queues go on in storage, and a session that is kept there.
fn spacious(when_full: WhenFull, limit: usize) -> (Router, Arc<Metrics>, Memory, Arc<Queue>) {
    let storage = Memory::spacious();
    let metrics = Arc::new(Metrics::default());
    let mut config = config();
    config.queue.max_messages = limit;
    config.queue.max_bytes = usize::MAX;
    config.queue.when_full = when_full;
    config.queue.max_age = MAX_AGE;
    config.max_queued_bytes = usize::MAX;
    let router = Router::new(config, Arc::new(storage.clone()), metrics.clone());
    let queue = router.register("c".into(), true);
    let record = SessionRecord {
        id: queue.id(),
        client_id: "c".into(),
        expiry_interval: 100,
        presence: crate::storage::Presence::Connected { receive_maximum: 1 },
        will: None,
    };
    let saved = Change::SessionSaved(Box::new(record));
    router.core.commit(vec![saved], None);
    (router, metrics, storage, queue)
}

const MAX_AGE: Duration = Duration::from_secs(60);

/// No queue of these tests has more pages.
const PAGES: usize = 200;

fn publish_numbers(router: &Router, numbers: std::ops::Range<usize>, now: Instant) {
    for number in numbers {
        let message = message("t/1", &number.to_string(), QOS1);
        router.publish(&Arc::new(message), now, || Box::new(|_| {}));
    }
}

fn subscribe(router: &Router, queue: &Arc<Queue>, now: Instant) {
    let options = SubscriptionOptions {
        qos: QOS1,
        ..SubscriptionOptions::default()
    };
    router
        .subscribe(queue, filter("t/#"), options, now)
        .expect("below the limit");
}

fn numbers(queue: &Queue, now: Instant) -> Vec<usize> {
    let number = |queued: Queued| {
        let text = String::from_utf8_lossy(&queued.message.payload).into_owned();
        text.parse().expect("a number")
    };
    // Where it goes on in storage, a page is read when asked for, and its owner is woken once it is there.
    let next = || (0..PAGES).find_map(|_| queue.pop(true, now));
    std::iter::from_fn(next).map(number).collect()
}

/// Storage and gauges hold what the queue holds.
fn check_stored(storage: &Memory, metrics: &Metrics, expected: usize) {
    let snapshot = storage.load().expect("memory");
    let stored: Vec<_> = snapshot.sessions.iter().flat_map(|it| &it.queue).collect();
    let bytes: usize = stored.iter().map(|(_, it)| it.message.footprint()).sum();
    assert_eq!(stored.len(), expected);
    assert_eq!(metrics.queued_messages.get(), expected as i64);
    let counted = metrics.queued_bytes.get() + metrics.spilled_bytes.get();
    assert_eq!(counted, lane::signed(bytes));
}

/// What gives way is what the configuration names, in memory and where the queue goes on in storage.
#[test]
fn the_named_decision_holds_in_storage() {
    const LIMIT: usize = 2500;
    const BEYOND: usize = 2000;
    for (when_full, expected) in [
        (WhenFull::DropOldest, BEYOND..LIMIT + BEYOND),
        (WhenFull::DropNewest, 0..LIMIT),
        (WhenFull::Disconnect, 0..LIMIT),
    ] {
        let (router, metrics, storage, queue) = spacious(when_full, LIMIT);
        let now = tokio::time::Instant::now().into_std();
        subscribe(&router, &queue, now);
        queue.park(now);
        publish_numbers(&router, 0..LIMIT + BEYOND, now);
        assert_eq!(queue.len(), LIMIT);
        check_stored(&storage, &metrics, LIMIT);
        let dropped = &metrics.messages_dropped[DropReason::QueueFull as usize];
        assert_eq!(dropped.get(), BEYOND as u64);
        queue.connected(10);
        assert_eq!(numbers(&queue, now), expected.collect::<Vec<_>>());
    }
}

/// Right after a start nothing is in memory: the oldest gives way nevertheless, and storage forgets it.
#[test]
fn the_oldest_gives_way_where_everything_is_in_storage() {
    const LIMIT: usize = 1500;
    let (router, metrics, storage, queue) = spacious(WhenFull::DropOldest, LIMIT);
    let now = tokio::time::Instant::now().into_std();
    subscribe(&router, &queue, now);
    queue.park(now);
    publish_numbers(&router, 0..LIMIT, now);
    let stored = storage.load().expect("memory").sessions.remove(0).queue;
    let (first, last) = (stored[0].0, stored[LIMIT - 1].0);
    let bytes = stored.iter().map(|(_, it)| it.message.footprint()).sum();
    router
        .core
        .subscriptions
        .write()
        .remove(&filter("t/#"), &queue);
    drop(queue);
    let id = storage.load().expect("memory").sessions[0].record.id;
    let queue = router.restore(id, "c".into());
    let options = SubscriptionOptions {
        qos: QOS1,
        ..SubscriptionOptions::default()
    };
    router.restore_subscription(&queue, filter("t/#"), options);
    let unread = Spilled {
        first,
        last,
        messages: LIMIT,
        bytes,
        queued_at: now,
    };
    queue.restore(Vec::new(), Some(unread), 0);
    check_stored(&storage, &metrics, LIMIT);
    publish_numbers(&router, LIMIT..LIMIT + 700, now);
    check_stored(&storage, &metrics, LIMIT);
    queue.connected(10);
    assert_eq!(numbers(&queue, now), (700..LIMIT + 700).collect::<Vec<_>>());
    assert_eq!(metrics.spilled_messages.get(), 0);
    assert_eq!(metrics.spilled_bytes.get(), 0);
}

/// What has waited for too long is never sent and frees its place: in memory and in storage, whether or not its client
/// comes. The last moment at which it is sent, and the first at which it is not.
#[test]
fn age_is_bounded_in_storage_too() {
    const MESSAGES: usize = 3000;
    let (router, metrics, storage, queue) = spacious(WhenFull::DropOldest, 10_000);
    let now = tokio::time::Instant::now().into_std();
    let later = now + Duration::from_secs(20);
    subscribe(&router, &queue, now);
    queue.park(now);
    publish_numbers(&router, 0..MESSAGES, now);
    publish_numbers(&router, MESSAGES..MESSAGES + 5, later);
    queue.sweep(now + MAX_AGE - Duration::from_millis(1));
    check_stored(&storage, &metrics, MESSAGES + 5);
    queue.sweep(now + MAX_AGE);
    // The page is looked at by the clock, which a test does not set.
    let too_old = &metrics.messages_dropped[DropReason::TooOld as usize];
    assert_eq!(too_old.get(), 1000, "what stood in memory");
    queue.connected(10);
    let end = now + MAX_AGE + Duration::from_secs(1);
    let left: Vec<_> = (MESSAGES..MESSAGES + 5).collect();
    assert_eq!(numbers(&queue, end), left);
    assert_eq!(too_old.get(), MESSAGES as u64);
    assert_eq!(metrics.queued_messages.get(), 0);
}

/// A page of what has waited for too long is not the end: the pages behind it are read, too, without a deep stack.
#[test]
fn everything_too_old_in_storage_frees_its_place() {
    const MESSAGES: usize = 30_000;
    let (router, metrics, storage, queue) = spacious(WhenFull::DropOldest, MESSAGES + 10);
    let now = tokio::time::Instant::now().into_std();
    let long_ago = now
        .checked_sub(MAX_AGE)
        .expect("the machine runs for longer");
    subscribe(&router, &queue, now);
    queue.park(now);
    publish_numbers(&router, 0..MESSAGES, long_ago);
    publish_numbers(&router, MESSAGES..MESSAGES + 5, now);
    queue.sweep(now);
    check_stored(&storage, &metrics, 5);
    let too_old = &metrics.messages_dropped[DropReason::TooOld as usize];
    assert_eq!(too_old.get(), MESSAGES as u64);
    assert_eq!(metrics.spilled_messages.get(), 5);
    queue.connected(10);
    let left: Vec<_> = (MESSAGES..MESSAGES + 5).collect();
    assert_eq!(numbers(&queue, now), left);
}

/// In memory: the place is free for the next one, and what is too old is not sent.
#[test]
fn age_is_bounded() {
    let mut f = fixture();
    let mut config = config();
    config.queue.max_messages = 2;
    config.queue.when_full = WhenFull::DropNewest;
    config.queue.max_age = MAX_AGE;
    f.router.configure(config);
    let queue = f.kept("c");
    f.push_all(&queue, &["1", "2"], QOS1);
    f.now += MAX_AGE + Duration::from_secs(1);
    let mut third = delivery("3", QOS1);
    third.queued_at = f.now;
    let changes = f.push(&queue, third);
    assert!(matches!(
        &changes[..],
        [
            Change::MessageDropped(..),
            Change::MessageDropped(..),
            Change::MessageQueued(..)
        ]
    ));
    assert_eq!(f.count(DropReason::TooOld), 2);
    queue.connected(1);
    assert_eq!(f.left(&queue), "3");
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

#[derive(Clone, Debug)]
enum Step {
    Push(QoS, usize),
    Pop(bool),
    Park,
    Connect(u16),
    Limit(usize, usize, WhenFull, usize),
}

fn steps() -> impl Strategy<Value = Step> {
    let qos = prop_oneof![Just(QOS0), Just(QOS1), Just(QOS2)];
    let when_full = prop_oneof![
        Just(WhenFull::DropOldest),
        Just(WhenFull::DropNewest),
        Just(WhenFull::Disconnect)
    ];
    prop_oneof![
        8 => (qos, 0..300_usize).prop_map(|(qos, size)| Step::Push(qos, size)),
        4 => any::<bool>().prop_map(Step::Pop),
        1 => Just(Step::Park),
        1 => (1..5_u16).prop_map(Step::Connect),
        1 => (0..6_usize, 0..2000_usize, when_full, 0..3000_usize)
            .prop_map(|(messages, bytes, when_full, all)| Step::Limit(messages, bytes, when_full, all)),
    ]
}

proptest! {
    /// Nothing is taken in beyond the bounds, and the gauges are what the queue holds.
    #[test]
    fn bounds_hold(steps in prop::collection::vec(steps(), 1..120)) {
        let f = fixture();
        let queue = one_by_one(&f);
        let mut limits = config();
        for step in steps {
            let before = (queue.len(), f.metrics.queued_bytes.get());
            match step {
                Step::Push(qos, size) => {
                    f.push(&queue, delivery(&"x".repeat(size), qos));
                    let bytes = f.metrics.queued_bytes.get();
                    if queue.len() > before.0 {
                        prop_assert!(queue.len() <= limits.queue.max_messages + 5);
                    }
                    if bytes > before.1 {
                        prop_assert!(bytes <= lane::signed(limits.queue.max_bytes));
                        prop_assert!(bytes <= lane::signed(limits.max_queued_bytes));
                    }
                }
                Step::Pop(window_open) => {
                    let popped = queue.pop(window_open, f.now);
                    prop_assert!(popped.is_none_or(|it| window_open || it.qos == QOS0));
                }
                Step::Park => {
                    queue.park(f.now);
                }
                Step::Connect(receive_maximum) => queue.connected(receive_maximum),
                Step::Limit(messages, bytes, when_full, all) => {
                    limits.queue.max_messages = messages;
                    limits.queue.max_bytes = bytes;
                    limits.queue.when_full = when_full;
                    limits.max_queued_bytes = all;
                    f.router.configure(limits.clone());
                }
            }
            prop_assert_eq!(f.metrics.queued_messages.get(), queue.len() as i64);
        }
        f.router.remove(&queue, f.now);
        prop_assert_eq!(f.metrics.queued_messages.get(), 0);
        prop_assert_eq!(f.metrics.queued_bytes.get(), 0);
    }
}
