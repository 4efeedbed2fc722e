//! Queues that go on in storage.

use super::*;

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
