//! A router with clients that are connected.

use std::{sync::Arc, time::Instant};

use gatemq::{
    message::{Message, QoS, TopicFilter, TopicName},
    router::{Config, Published, Queue, QueueConfig, Router, SubscriptionOptions, WhenFull},
    storage::Memory,
    telemetry::Metrics,
};

/// A router, the queues of its clients, and the time they all agree on.
pub struct Filled {
    pub router: Router,
    pub queues: Vec<Arc<Queue>>,
    pub now: Instant,
}

/// Which filters there are; each message matches one of them, or as many as are said.
#[derive(Clone, Copy)]
pub enum Mix {
    /// `site/S/device/D/state`.
    Exact,
    /// `site/S/device/D/+`, `site/S/+/D/state`, `site/S/device/D/#`: three match.
    Wildcard,
}

impl Filled {
    /// So many clients, each with a queue of so many messages, of which the oldest gives way.
    pub fn new(clients: u32, queue: usize) -> Self {
        let config = Config {
            queue: QueueConfig {
                max_messages: queue,
                max_bytes: 16 << 20,
                max_age: std::time::Duration::MAX,
                when_full: WhenFull::DropOldest,
                queue_qos0: false,
            },
            max_queued_bytes: 1 << 30,
            max_retained_bytes: 1 << 32,
            max_subscriptions_per_session: usize::MAX,
        };
        let router = Router::new(
            config,
            Arc::new(Memory::default()),
            Arc::new(Metrics::default()),
        );
        let register = |client| {
            let queue = router.register(format!("client-{client}").into(), false);
            queue.connected(1000);
            queue
        };
        let queues = (0..clients).map(register).collect();
        Self {
            router,
            queues,
            now: now(),
        }
    }

    /// A thousand clients that share so many filters. Nobody takes anything out of their queues, which hold one
    /// message: what is measured is finding them, and one push that makes the oldest give way.
    pub fn with_filters(mix: Mix, size: usize) -> Self {
        let filled = Self::new(1000, 1);
        for number in 0..size {
            let queue = &filled.queues[number % filled.queues.len()];
            filled.subscribe(queue, mix.filter(number), QoS::AtMostOnce);
        }
        filled
    }

    pub fn subscribe(&self, queue: &Arc<Queue>, filter: TopicFilter, qos: QoS) {
        let options = SubscriptionOptions {
            qos,
            ..SubscriptionOptions::default()
        };
        self.router
            .subscribe(queue, filter, options, self.now)
            .expect("no limit");
    }

    pub fn publish(&self, message: &Arc<Message>) -> Published {
        self.router.publish(message, self.now, || Box::new(|_| {}))
    }
}

impl Mix {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Wildcard => "wildcard",
        }
    }

    pub fn filter(self, number: usize) -> TopicFilter {
        let device = match self {
            Self::Exact => number,
            Self::Wildcard => number / 3,
        };
        let site = device % 100;
        let text = match (self, number % 3) {
            (Self::Exact, _) => format!("site/{site}/device/{device}/state"),
            (Self::Wildcard, 0) => format!("site/{site}/device/{device}/+"),
            (Self::Wildcard, 1) => format!("site/{site}/+/{device}/state"),
            (Self::Wildcard, _) => format!("site/{site}/device/{device}/#"),
        };
        filter(&text)
    }

    /// A thousand messages of devices that lie far apart: a cache that knew the last topic would know nothing of the next.
    pub fn messages(self, size: usize) -> Vec<Arc<Message>> {
        let devices = match self {
            Self::Exact => size,
            Self::Wildcard => size / 3,
        };
        let far = (0..1000).map(|number| number * 7919 % devices);
        far.map(|device| {
            let topic = format!("site/{}/device/{device}/state", device % 100);
            message(&topic, 2, QoS::AtMostOnce, false)
        })
        .collect()
    }
}

pub fn filter(text: &str) -> TopicFilter {
    TopicFilter::parse(text).expect("valid")
}

pub fn message(topic: &str, size: usize, qos: QoS, retain: bool) -> Arc<Message> {
    let topic = TopicName::parse(topic).expect("valid");
    Arc::new(Message::new(topic, vec![b'x'; size], qos, retain))
}

pub fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
