//! Topic names and filters: no panic, and the index of subscriptions and the tree of retained messages find what the
//! plain definition of matching finds.

#![no_main]

use std::{sync::Arc, time::Instant};

use gatemq::{
    message::{Message, QoS, TopicFilter, TopicName},
    router::{Config, QueueConfig, Router, SubscriptionOptions, WhenFull},
    storage::Memory,
    telemetry::Metrics,
};
use libfuzzer_sys::fuzz_target;

fn router() -> Router {
    let queue = QueueConfig {
        max_messages: 10,
        max_bytes: 10_000_000,
        max_age: std::time::Duration::MAX,
        when_full: WhenFull::DropOldest,
        queue_qos0: false,
    };
    let config = Config {
        queue,
        max_queued_bytes: 10_000_000,
        max_retained_bytes: 10_000_000,
        max_subscriptions_per_session: 10,
    };
    Router::new(config, Arc::new(Memory::default()), Arc::new(Metrics::default()))
}

fuzz_target!(|input: (&str, &str, &str)| {
    let (filter, other, name) = input;
    let filter = TopicFilter::parse(filter);
    if let Ok(filter) = &filter {
        let prefix = filter.as_str().len() - filter.pattern().len();
        assert_eq!(filter.share_name().is_some(), prefix > 0);
        assert_eq!(filter.levels().collect::<Vec<_>>().join("/"), filter.pattern());
    }
    let Ok(name) = TopicName::parse(name) else {
        return;
    };
    let (Ok(filter), Ok(other)) = (filter, TopicFilter::parse(other)) else {
        return;
    };
    // A name that is a filter too matches itself.
    if filter.as_str() == name.as_str() && filter.share_name().is_none() {
        assert!(filter.matches(&name));
    }
    let now = Instant::now();
    let router = router();
    let message = Arc::new(Message::new(name.clone(), "x", QoS::AtMostOnce, true));
    router.publish(&message, now, || Box::new(|_| {}));
    let queue = router.register("c".into(), false);
    queue.connected(10);
    let options = SubscriptionOptions::default();
    let _ = router.subscribe(&queue, filter.clone(), options, now);
    let is_retained = filter.matches(&name) && filter.share_name().is_none();
    assert_eq!(queue.pop(true, now).is_some(), is_retained);
    // Beside another subscription, and after it has gone again.
    let neighbour = router.register("d".into(), false);
    let _ = router.subscribe(&neighbour, other.clone(), options, now);
    let both = usize::from(filter.matches(&name)) + usize::from(other.matches(&name));
    let shares = filter == other && filter.share_name().is_some();
    let expected = if shares { both.min(1) } else { both };
    let publish = || router.publish(&message, now, || Box::new(|_| {})).matched;
    assert_eq!(publish(), expected);
    router.unsubscribe(&neighbour, &other);
    assert_eq!(publish(), usize::from(filter.matches(&name)));
    router.remove(&queue, now);
    assert_eq!(publish(), 0);
});
