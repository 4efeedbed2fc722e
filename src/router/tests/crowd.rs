//! Many threads at once.

use std::thread;

use super::*;

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
