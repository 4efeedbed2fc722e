//! How much may wait, and what gives way.

use proptest::prelude::*;

use super::*;

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
