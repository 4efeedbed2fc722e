//! What storage is told of, and what it brings back.

use super::*;

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
