//! Shared subscriptions: who gets a message, and what becomes of it when that member goes.

use super::*;

/// MQTT 5, 4.8.2: each group gets a message once, its members take turns; other subscriptions are independent.
#[test]
fn members_of_a_group_take_turns() {
    let f = fixture();
    let members = [f.connect("a"), f.connect("b"), f.connect("c")];
    for queue in &members {
        f.subscribe(queue, "$share/g/t", options(QOS1));
    }
    f.subscribe(&members[0], "$share/h/t", options(QOS1));
    f.subscribe(&members[0], "t", options(QOS1));
    for _ in 0..3 {
        assert_eq!(f.publish(message("t", "x", QOS1)).matched, 3);
    }
    let counts = members.each_ref().map(|queue| queue.len());
    assert_eq!(counts, [1 + 3 + 3, 1, 1]);
    let delivery = f.pop(&members[1]).expect("delivered");
    assert_eq!(delivery.share, Some(filter("$share/g/t")));
}

/// The older spelling is a group of its own.
#[test]
fn queue_is_a_group() {
    let f = fixture();
    let (a, b) = (f.connect("a"), f.connect("b"));
    f.subscribe(&a, "$queue/t", options(QOS0));
    f.subscribe(&b, "$queue/t", options(QOS0));
    for _ in 0..2 {
        f.publish(message("t", "x", QOS0));
    }
    assert_eq!((a.len(), b.len()), (1, 1));
}

/// Who is connected comes first; nobody connected: one member keeps it, and storage with it.
#[test]
fn a_group_prefers_who_is_connected() {
    let f = fixture();
    let away = f.parked("away", "$share/g/t");
    let here = f.connect("here");
    f.subscribe(&here, "$share/g/t", options(QOS1));
    for _ in 0..4 {
        assert!(!f.publish(message("t", "x", QOS1)).receipt_pending);
    }
    assert_eq!((here.len(), away.len()), (4, 0));
    f.router.remove(&here, f.now);
    assert_eq!((here.len(), away.len()), (0, 4), "handed on");
    f.told();
    assert!(f.publish(message("t", "x", QOS1)).receipt_pending);
    assert_eq!((away.len(), f.told()), (5, vec!["queued away t".into()]));
}

/// A member whose queue is full is passed over.
#[test]
fn a_group_passes_over_who_has_no_room() {
    let f = fixture();
    let slow = f.connect("slow");
    let fast = f.connect("fast");
    for queue in [&slow, &fast] {
        f.subscribe(queue, "$share/g/t", options(QOS1));
    }
    let mut received = 0;
    for _ in 0..100 {
        f.publish(message("t", "x", QOS1));
        received += f.payloads(&fast).len();
    }
    assert_eq!((slow.len(), received), (20, 80));
    assert_eq!(f.dropped(DropReason::QueueFull), 0);
}

/// [MQTT-4.8.2-4 ff.] A member that disconnects hands on what it was not sent; its own messages stay.
#[test]
fn a_member_that_disconnects_hands_on() {
    let f = fixture();
    let leaves = f.connect("leaves");
    f.subscribe(&leaves, "$share/g/t", options(QOS1));
    f.subscribe(&leaves, "own", options(QOS1));
    f.publish(message("t", "1", QOS1));
    f.publish(message("own", "2", QOS1));
    f.publish(message("t", "3", QOS1));
    leaves.park(f.now);
    assert_eq!(leaves.len(), 3, "nobody else is there");
    leaves.connected(10);
    let stays = f.connect("stays");
    f.subscribe(&stays, "$share/g/t", identified(QOS0, 4));
    leaves.park(f.now);
    assert_eq!(leaves.len(), 1);
    let delivery = f.pop(&stays).expect("handed on");
    assert_eq!(
        (delivery.qos, &delivery.subscription_identifiers[..]),
        (QOS0, &[4][..]),
        "as its new member wants it"
    );
    assert_eq!((stays.len(), leaves.len()), (1, 1));
}
