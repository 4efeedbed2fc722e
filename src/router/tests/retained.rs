//! Retained messages, as subscribing brings them.

use super::*;

/// [MQTT-3.3.1-9, -10, -11] The three retain handlings, for a new subscription and one that exists.
#[test]
fn retain_handling() {
    for (retain_handling, first, again) in [
        (RetainHandling::Send, 1, 1),
        (RetainHandling::SendIfNew, 1, 0),
        (RetainHandling::DoNotSend, 0, 0),
    ] {
        let f = fixture();
        f.retain("a/b", "x", QOS2);
        let queue = f.connect("c");
        let options = SubscriptionOptions {
            retain_handling,
            ..identified(QOS1, 3)
        };
        for expected in [first, again] {
            f.subscribe(&queue, "a/+", options);
            let found: Vec<_> = std::iter::from_fn(|| f.pop(&queue)).collect();
            assert_eq!(found.len(), expected, "{retain_handling:?}");
            for delivery in found {
                assert!(delivery.retain);
                assert_eq!(
                    (delivery.qos, &delivery.subscription_identifiers[..]),
                    (QOS1, &[3][..])
                );
            }
        }
    }
}

/// MQTT 5, 4.8.2: no retained messages for shared subscriptions.
#[test]
fn shared_subscriptions_bring_no_retained_messages() {
    let f = fixture();
    f.retain("a", "x", QOS0);
    let queue = f.connect("c");
    f.subscribe(&queue, "$share/g/a", options(QOS0));
    assert_eq!(f.pop(&queue), None);
}

/// All retained messages arrive, however small the queue is, and none of them is queued twice.
#[test]
fn retained_messages_do_not_need_room_in_the_queue() {
    let f = fixture();
    for number in 0..500 {
        f.retain(&format!("t/{number:03}"), "x", QOS1);
    }
    let queue = f.connect("c");
    f.subscribe(&queue, "t/#", options(QOS1));
    assert_eq!(
        (queue.len(), f.metrics.queued_messages.get()),
        (0, 0),
        "not in the queue"
    );
    let topics: Vec<_> = std::iter::from_fn(|| f.pop(&queue))
        .map(|delivery| delivery.message.topic.to_string())
        .collect();
    let expected: Vec<_> = (0..500).map(|number| format!("t/{number:03}")).collect();
    assert_eq!(topics, expected);
}

/// An older message never comes after a newer one of its topic, retained or not.
#[test]
fn retained_messages_keep_their_place() {
    let f = fixture();
    let queue = f.connect("c");
    f.subscribe(&queue, "b", options(QOS1));
    f.publish(message("b", "live before", QOS1));
    for topic in ["a", "b"] {
        f.retain(topic, &format!("retained {topic}"), QOS1);
    }
    let quiet = f.connect("d");
    f.subscribe(&quiet, "#", options(QOS1));
    f.subscribe(&queue, "#", options(QOS1));
    f.retain("b", "live after", QOS0);
    f.publish(message("a", "live after", QOS0));
    let expected = [
        "live before",
        "retained b",
        "retained a",
        "retained b",
        "live after",
        "live after",
    ];
    // What was found while subscribing is kept; what was not yet found is passed over where something newer is queued.
    assert_eq!(f.payloads(&queue), expected);
    assert_eq!(
        f.payloads(&quiet),
        ["retained a", "retained b", "live after", "live after"]
    );
}

/// A closed window holds retained messages back, and nothing overtakes them.
#[test]
fn retained_messages_wait_for_the_window() {
    let f = fixture();
    f.retain("a", "retained", QOS1);
    let queue = f.connect("c");
    f.subscribe(&queue, "#", options(QOS1));
    f.publish(message("a", "live", QOS0));
    assert_eq!(queue.pop(false, f.now), None);
    assert_eq!(f.payloads(&queue), ["retained", "live"]);
}

/// Unsubscribing stops what is still to come of the retained messages.
#[test]
fn unsubscribing_stops_retained_messages() {
    let f = fixture();
    f.retain("a", "x", QOS0);
    let queue = f.connect("c");
    f.subscribe(&queue, "#", options(QOS0));
    f.router.unsubscribe(&queue, &filter("#"));
    assert_eq!(f.pop(&queue), None);
}

/// The limit of retained bytes: the publisher learns of it where it can, and nobody gets what it may send again.
#[test]
fn a_refused_retained_message_is_delivered_live_where_nobody_is_told() {
    let f = fixture();
    let config = Config {
        max_retained_bytes: 10,
        ..config()
    };
    f.router.configure(config);
    let queue = f.connect("c");
    f.subscribe(&queue, "a", options(QOS0));
    let published = f.retain("a", "x", QOS1);
    assert!(published.retained_refused && !published.receipt_pending);
    assert_eq!(f.pop(&queue), None);
    let published = f.retain("a", "x", QOS0);
    assert!(published.retained_refused);
    assert_eq!(f.payloads(&queue), ["x"]);
    assert_eq!(f.dropped(DropReason::Quota), 2);
    assert_eq!(f.metrics.retained_messages.get(), 0);
}

/// A router on the storage of another has its retained messages.
#[test]
fn memory_keeps_retained_messages() {
    let storage = Memory::default();
    let metrics = Arc::new(Metrics::default());
    let first = Router::new(config(), Arc::new(storage.clone()), metrics.clone());
    let mut kept = message("a", "x", QOS1);
    kept.retain = true;
    let now = tokio::time::Instant::now().into_std();
    first.publish(&Arc::new(kept), now, || Box::new(|_| {}));
    let second = Router::new(config(), Arc::new(storage.clone()), Arc::default());
    second.restore_retained(storage.load().expect("in memory").retained);
    let queue = second.register("c".into(), false);
    second
        .subscribe(&queue, filter("#"), options(QOS0), now)
        .expect("below the limit");
    assert!(queue.pop(true, now).is_some());
}

/// Told by one core late, a topic that another has set meanwhile stays what it is.
#[test]
fn the_last_word_about_a_topic_is_true() {
    let f = fixture();
    f.retain("a", "new", QOS1);
    f.told();
    let late = Change::RetainedCleared(TopicName::parse("a").expect("valid"));
    f.router.core.commit(vec![late], None);
    assert_eq!(f.told(), ["cleared a", "set a"]);
}
